"""`twofold diagnose`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, UseAppendAction, arg

Simulations = UseAppendAction[tuple[Path, ...]]


def diagnose(
    run: Annotated[Positional[Path], arg(help="folder of a run")],
    /,
    *,
    out: Annotated[Path, arg(help="folder for diagnosis.json and diagnosis.html")],
    simulation: Annotated[Simulations, arg(help="what twofold simulate wrote, to judge rates; may be repeated")] = (),
    frames: Annotated[int, arg(help="held-out frames to look at")] = 512,
    replicas: Annotated[int, arg(help="of the short runs that find the time step")] = 512,
    seed: Annotated[int, arg(help="seed")] = 0,
    overwrite: Annotated[bool, arg(help="replace an older diagnosis in --out")] = False,
) -> None:
    """Check whether a model is sound: symmetry, diffusion, time step, noise level, rates.

    Example: twofold diagnose run --simulation md.xtc --out diagnosis
    """
    from twofold import diagnosing
    from twofold.cli.display import bar, console, diagnosis_table

    with bar("diagnose") as update:
        found = diagnosing.diagnose(
            run,
            out=out,
            simulation=simulation,
            frames=frames,
            replicas=replicas,
            seed=seed,
            overwrite=overwrite,
            progress=update,
        )
    console().print(diagnosis_table(found.diagnosis))
    console().print(f"{found.diagnosis.sentence} Open {found.report} in a browser; all numbers are in {found.numbers}")
