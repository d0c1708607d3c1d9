"""What the benchmarks share: machine, timing, tables in Markdown."""

from __future__ import annotations

import os
import platform
import statistics
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twofold.run_folder import versions


def machine() -> str:
    """One line on where this ran."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    names = [line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")]
    model = names[0] if names else platform.machine()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    packages = ", ".join(
        f"{name} {number}" for name, number in versions().items() if name in ("python", "jax", "twofold")
    )
    return f"{cores} cores ({model}), load {load:.1f} at the start; {packages}"


def _cpuinfo() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def header(title: str, command: str) -> list[str]:
    """Title, what was run, when and where."""
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    return [f"# {title}", "", f"`{command}`, {day}. {machine()}.", ""]


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """Lines of a Markdown table."""
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    return [*lines, *("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows), ""]


def command_line() -> str:
    """The command as it was typed, without the folders of this machine."""
    return " ".join(
        ["python", "benchmarks/" + Path(sys.argv[0]).name, *(Path(a).name if "/" in a else a for a in sys.argv[1:])]
    )


def spread(values: Sequence[float], digits: int = 4) -> str:
    """Mean and standard error over seeds."""
    clean = [value for value in values if value is not None]
    if not clean:
        return ""
    mean = statistics.fmean(clean)
    if len(clean) < 2:
        return f"{mean:.{digits}g}"
    return f"{mean:.{digits}g} ± {statistics.stdev(clean) / len(clean) ** 0.5:.1g}"


def quantity(result: dict[str, Any], name: str) -> dict[str, Any]:
    """The row of a quantity in a set of `metrics.json`."""
    return next(row for row in result["quantities"] if row["name"] == name)
