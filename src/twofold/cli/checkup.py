"""What `twofold doctor` prints."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from rich.table import Table

from twofold.cli.display import console
from twofold.run_folder import versions
from twofold.sampling.memory import main_memory

EXTRAS = {"openmm": "twofold reference", "deeptime": "slow coordinates (TICA) in evaluate"}


def print_checkup() -> None:
    """Versions, devices, precision, memory, optional packages."""
    import importlib.util

    import jax

    table = Table(show_header=False)
    for name, value in versions().items():
        table.add_row(name, value)
    table.add_section()
    table.add_row("devices", ", ".join(f"{device.platform} {device.device_kind}" for device in jax.devices()))
    table.add_row("cores", str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()))
    table.add_row("memory, free of all", _memory())
    table.add_row("disk free here", f"{shutil.disk_usage(Path.cwd()).free / 2**30:.0f} GiB")
    precision = jax.config.jax_default_matmul_precision or "default"  # pyright: ignore[reportAttributeAccessIssue]
    wide = "float64 allowed" if jax.numpy.ones(1, float).dtype == "float64" else "float32"
    table.add_row("precision", f"{wide}, matrix products {precision}; geometry always in full float32")
    table.add_section()
    for name, use in EXTRAS.items():
        table.add_row(name, ("installed" if importlib.util.find_spec(name) else "not installed") + f"; for {use}")
    console().print(table)


def _memory() -> str:
    memory = main_memory()
    return "unknown" if memory is None else f"{memory[0] / 2**30:.1f} of {memory[1] / 2**30:.1f} GiB"
