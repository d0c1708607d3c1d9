"""`twofold sample`, and `twofold reweight`, which weighs what was drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

if TYPE_CHECKING:
    from twofold.model import Model
    from twofold.sampling.draw import Samples


def sample(
    run: Annotated[Positional[Path], arg(help="folder of a run")],
    /,
    *,
    out: Annotated[Path, arg(help="XTC or DCD; a PDB of the beads and a JSON are written beside it")],
    number: Annotated[int, arg(help="conformations")] = 10_000,
    seed: Annotated[int, arg(help="seed")] = 0,
    steps: Annotated[int, arg(help="steps from noise to structure")] = 100,
    solver: Annotated[
        str, arg(help="sde (reverse diffusion) or ode (probability flow, as twofold reweight needs)")
    ] = "sde",
) -> None:
    """Draw independent conformations.

    Example: twofold sample run --number 10000 --out iid.xtc
    """
    from twofold import fitting
    from twofold.cli.display import bar, console, sample_progress, samples_line
    from twofold.files.samples import check_samples_target

    check_samples_target(out)
    model = fitting.load(run)
    with bar("sample") as update:
        drawn = model.sample(number, seed=seed, steps=steps, solver=solver, progress=sample_progress(update))
    console().print(samples_line(drawn, written(out, drawn, model)))


def written(out: Path, drawn: Samples, model: Model) -> Path:
    """Where samples of a model were written, with what says how they were drawn beside them."""
    from twofold.files.samples import write_samples

    return write_samples(out, drawn.positions, model.beads, {"model": model.identity} | drawn.about())


def reweight(
    run: Annotated[Positional[Path], arg(help="folder of a run")],
    /,
    *,
    samples: Annotated[Path, arg(help="what twofold sample wrote, with --solver ode: others have no known density")],
    out: Annotated[Path, arg(help="weights (.npy), as --weights takes them; a JSON is written beside")],
    energies: Annotated[
        Path | None, arg(help="energy of each sample (npy, npz, txt); of dw4, mueller-brown and others it is known")
    ] = None,
    energy_unit: Annotated[str | None, arg(help="their unit, unless the file states it: kj/mol, kcal/mol, ev")] = None,
    temperature: Annotated[float | None, arg(help="K, of the density that is wanted (that of the data)")] = None,
    steps: Annotated[int | None, arg(help="of the likelihood, from structure to noise (as the samples)")] = None,
    probes: Annotated[int | None, arg(help="random ones of each divergence: faster, noisier weights (exact)")] = None,
    force: Annotated[bool, arg(help="write weights that are poor, or of samples of another solver or model")] = False,
    overwrite: Annotated[bool, arg(help="replace older weights at --out")] = False,
) -> None:
    """Weigh samples so that they stand for an energy that is known, and say whether the weights can be trusted.

    Example: twofold reweight run --samples iid.dcd --energies energies.npy --energy-unit kj/mol --out weights.npy
    """
    from twofold import reweighting
    from twofold.cli.display import console, weights_line

    options = {name: value for name, value in (("steps", steps), ("probes", probes)) if value is not None}
    with console().status("following the samples up to the noise"):
        found = reweighting.reweight(
            run,
            samples,
            out=out,
            energies=energies,
            energy_unit=energy_unit,
            temperature=temperature,
            force=force,
            overwrite=overwrite,
            **options,
        )
    for note in found.notes:
        console().print(note)
    console().print(weights_line(found))
