"""`twofold reference ala2`."""

from __future__ import annotations

from pathlib import Path

from twofold.cli.display import bar, console


def generate_ala2(out: Path, length_ns: float, seed: int, bias: Path | None, resume: bool) -> None:
    """Run the generator with a progress bar."""
    from twofold.systems.ala2 import generate

    with bar("reference") as update:

        def show(stage: str, done: float, total: float) -> None:
            update(done, total, f"{stage}: {done:.1f} of {total:g} ns")

        generate(out, length_ns, seed, bias=bias, resume=resume, progress=show)
    console().print(f"Trajectories, weights, forces and energies are in {out}")
