"""`twofold evaluate` and `twofold diagnose`: is the model right, and is it sound?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, UseAppendAction, arg

Simulations = UseAppendAction[tuple[Path, ...]]


def evaluate(
    run: Annotated[Positional[Path], arg(help="folder of a run")],
    /,
    *,
    out: Annotated[Path, arg(help="folder for metrics.json and report.html")],
    samples: Annotated[Path | None, arg(help="what twofold sample wrote")] = None,
    simulation: Annotated[Simulations, arg(help="what twofold simulate wrote; may be repeated")] = (),
    reference: Annotated[tuple[Path, ...], arg(help="topology and trajectories (the part that was held out)")] = (),
    reference_weights: Annotated[Path | None, arg(help="weights of the reference")] = None,
    reference_stride: Annotated[int, arg(help="keep every n-th frame of the reference")] = 1,
    length_unit: Annotated[str | None, arg(help="unit of length of arrays or dumps in --reference")] = None,
    bins: Annotated[int, arg(help="bins of a torsion")] = 60,
    diagnose: Annotated[bool, arg(help="add what twofold diagnose finds to the report")] = False,
    overwrite: Annotated[bool, arg(help="replace an older evaluation in --out")] = False,
) -> None:
    """Compare samples and simulation with a reference and write the report.

    Example: twofold evaluate run --samples iid.xtc --simulation md.xtc --out evaluation
    """
    from twofold import evaluation
    from twofold.cli.display import console, evaluation_table

    with console().status("comparing with the reference"):
        judged = evaluation.evaluate(
            run,
            out=out,
            samples=samples,
            simulation=simulation,
            reference=reference,
            reference_weights=reference_weights,
            reference_stride=reference_stride,
            length_unit=length_unit,
            bins=bins,
            diagnose=diagnose,
            overwrite=overwrite,
        )
    console().print(evaluation_table(judged.evaluation))
    console().print(f"Open {judged.report} in a browser; all numbers are in {judged.metrics}")


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
