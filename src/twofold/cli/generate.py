"""`twofold reference` and its commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from twofold.errors import UserError


def ala2(
    *,
    out: Annotated[Path, arg(help="new folder")],
    length_ns: Annotated[float, arg(help="length of the run, ns")] = 10.0,
    seed: Annotated[int, arg(help="seed")] = 0,
    bias: Annotated[Path | None, arg(help="free energy map of an earlier run, to join runs")] = None,
    resume: Annotated[bool, arg(help="continue the run in --out")] = False,
) -> None:
    """Generate a reference trajectory of alanine dipeptide with OpenMM (extra: openmm).

    Example: twofold reference ala2 --length-ns 10 --out reference
    """
    from twofold.cli.display import bar, console
    from twofold.systems.ala2 import generate

    with bar("reference") as update:

        def show(stage: str, done: float, total: float) -> None:
            update(done, total, f"{stage}: {done:.1f} of {total:g} ns")

        generate(out, length_ns, seed, bias=bias, resume=resume, progress=show)
    console().print(f"Trajectories, weights, forces and energies are in {out}")


def reference() -> None:
    """Generate a reference trajectory to fit and to judge by; see `twofold reference --help`.

    Example: twofold reference ala2 --length-ns 10 --out reference
    """
    raise UserError("no system", "twofold reference ala2")
