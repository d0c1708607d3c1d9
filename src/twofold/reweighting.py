"""Weights that turn samples of a model into samples of an energy that is known.

A sample counts by `exp(-U/kT) / q`, q the density with which the probability flow of the model gives it (see
`twofold.sampling.likelihood`). What such weights are worth is judged by their tail (`twofold.analysis.reweighting`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from twofold.analysis.reweighting import LEAST_SIZE, Reweighting, importance_weights, objection
from twofold.analysis.reweighting import reweight as judged_weights
from twofold.ensemble import check_temperature
from twofold.errors import UserError
from twofold.files.atomic import atomic_path, check_target, write_json
from twofold.files.checks import fingerprint
from twofold.files.energies import read_energies
from twofold.files.samples import read_drawn
from twofold.files.trajectories import read_positions
from twofold.fitting import load
from twofold.model import Model
from twofold.objectives.traces import EXACT
from twofold.run_folder import RunFolder
from twofold.sampling.draw import Samples
from twofold.sampling.likelihood import BATCH, STEPS
from twofold.systems.catalogue import SYSTEMS
from twofold.systems.known import KnownSystem
from twofold.units import MD_UNITS

FORMAT = "twofold weights"
VERSION = 1
LOST = 0.01
"""Part of the samples that may have no likelihood. They get no weight, which shifts averages by about as much."""
FLOW = "draw them with twofold sample --solver ode, or with solver='ode' in Python"
OTHER_STEPS = "{} was drawn with {} steps and weighed with {}: the weights are for the density of another map."
UNKNOWN_ORIGIN = "Nothing beside {} says how it was drawn: taken as drawn from this model with --solver ode."


def reweight_model(
    model: Model,
    samples: Samples | np.ndarray,
    energies: np.ndarray,
    *,
    temperature: float | None = None,
    least: float = LEAST_SIZE,
    force: bool = False,
    **options: Any,
) -> Reweighting:
    """Weights of `samples` of the model for the density `exp(-U/kT)` of positions.

    samples: drawn with `solver="ode"`; or their positions (frames, beads, 3) in nm. energies: U (frames,) in kJ/mol, of
    all particles that the model has; infinite ones give no weight. temperature: K, by default the model's. least,
    force: as for `twofold.analysis.reweighting.reweight`. options: of `log_likelihood`. The divergence is exact unless
    `probes` says otherwise, since noise in the likelihood is noise in the weights.

    Samples whose likelihood the flow cannot give get no weight. Raises UserError where they are more than one in a
    hundred, for samples of another solver, for weights that cannot be trusted (all unless `force`), and for energies
    that are not one number for each sample.
    """
    if isinstance(samples, Samples):
        if not force:
            _check_solver("samples", samples.settings)
        options = _as_drawn(samples.settings) | options
    positions = samples.positions if isinstance(samples, Samples) else np.asarray(samples)
    energies = np.asarray(energies, np.float64)
    if energies.shape != positions.shape[:1]:
        raise UserError(f"energies of shape {energies.shape}", f"one for each of {len(positions)} samples")
    kelvin = model.temperature if temperature is None else check_temperature(temperature)
    coordinates = 3 * len(model.beads)
    batch = max(1, min(BATCH, BATCH * EXACT // coordinates))
    log_q = model.log_likelihood(positions, **{"probes": coordinates, "batch": batch} | options)
    lost = ~np.isfinite(log_q)
    if lost.mean() > LOST and not force:
        found = f"the flow gives {lost.sum()} of {len(lost)} samples no likelihood"
        raise UserError(found, f"this of at most {100 * LOST:g} % of them", "fit the model longer")
    log_weights = importance_weights(energies, kelvin, np.where(lost, 0.0, log_q))
    return judged_weights(np.where(lost, -np.inf, log_weights), least=least, force=force)


@dataclass(frozen=True)
class Reweighted:
    """Result of `reweight`: the weights, where they and their summary were written, and what else is to be said."""

    weights: Reweighting
    path: Path
    summary: Path
    verdict: str
    notes: tuple[str, ...]


def reweight(
    run: str | Path,
    samples: str | Path,
    *,
    out: str | Path,
    energies: str | Path | None = None,
    energy_unit: str | None = None,
    temperature: float | None = None,
    force: bool = False,
    overwrite: bool = False,
    **options: Any,
) -> Reweighted:
    """Weights of the samples in a file, into `out` (.npy, as `--weights` takes them), with a JSON beside.

    samples: what `twofold sample --solver ode` wrote. energies: one for each, .npy, .npz or text, in `energy_unit`
    unless the file states it; left out for a run of a system whose energy is known. temperature, force, options: as
    for `reweight_model`; steps are by default those that the samples were drawn with.

    Raises UserError for samples of another model or solver, for energies that are missing or do not fit, for files
    that exist (unless `overwrite`), and for weights that cannot be trusted; `force` writes these all the same.
    """
    path, summary = _targets(out, overwrite)
    model = load(run)
    drawn = read_drawn(samples)
    positions = read_positions(samples, model.beads)
    if not force:
        _check_origin(samples, drawn, model, len(positions))
    system = None if energies is not None else known_system(run)
    if energies is not None:
        known = read_energies(energies, energy_unit)
    elif system is not None:
        known = system.thermal * system.energies(positions)
    else:
        found = f"no energies of the samples, and {run} is of no system whose energy is known"
        raise UserError(found, "one energy for each sample", "compute them and give them with --energies")
    flow = {"steps": STEPS} | _as_drawn((drawn or {}).get("settings", {}))
    settings = flow | options
    result = reweight_model(model, positions, known, temperature=temperature, force=force, **settings)
    wrong = objection(result)
    verdict = "the weights can be trusted" if wrong is None else wrong.found
    used = {
        "model": model.identity,
        "temperature": model.temperature if temperature is None else temperature,
        "samples": _named(samples),
        "drawn": drawn,
        "energies": _named(energies) if energies is not None else {"system": system.name if system else None},
        "likelihood": settings,
    }
    _write(path, summary, result, used, wrong is None, verdict)
    return Reweighted(result, path, summary, verdict, _notes(samples, drawn, flow["steps"], settings["steps"]))


def _notes(samples: str | Path, drawn: dict[str, Any] | None, steps: int, used: int) -> tuple[str, ...]:
    """What is to be said of the likelihood of samples that were drawn with `steps` and weighed with those `used`."""
    if not drawn:
        return (UNKNOWN_ORIGIN.format(samples),)
    return () if used == steps else (OTHER_STEPS.format(samples, steps, used),)


def _as_drawn(settings: dict[str, Any]) -> dict[str, Any]:
    """What the likelihood has to have in common with the flow: the same steps back make the same errors."""
    return {name: settings[name] for name in ("noise", "steps") if settings.get(name) is not None}


def known_system(run: str | Path) -> KnownSystem | None:
    """The system that the frames of a run were made of, where its energy is known; else None."""
    folder = RunFolder(Path(run))
    if not folder.config.is_file():
        return None
    source = folder.read_config().get("source", {})
    return SYSTEMS.get(source.get("cluster") or source.get("landscape"))


def _targets(out: str | Path, overwrite: bool) -> tuple[Path, Path]:
    """Files of the weights and of their summary. Raises UserError for names that would not be read back as weights."""
    path = Path(out)
    if path.suffix.lower() != ".npy":
        raise UserError(f"{path} for weights", "a name that ends in .npy", "choose another --out")
    if "log_weight" in path.stem.lower():
        raise UserError(
            f"{path} for weights, with log_weight in its name", "a name without it, as it means logarithms", "rename"
        )
    summary = path.with_suffix(".json")
    for target in (path, summary):
        check_target(target, overwrite=overwrite)
    return path, summary


def _check_solver(name: str | Path, settings: dict[str, Any]) -> None:
    """Raises UserError unless samples are those of the probability flow."""
    if (solver := settings.get("solver")) != "ode":
        raise UserError(
            f"{name} drawn with solver {solver}, whose density is not known", "those of the probability flow", FLOW
        )


def _check_origin(path: str | Path, drawn: dict[str, Any] | None, model: Model, frames: int) -> None:
    """Raises UserError where the JSON beside samples says that they are no samples of the flow of `model`."""
    if drawn is None:
        return
    _check_solver(path, drawn.get("settings", {}))
    if drawn.get("model") != model.identity:
        raise UserError(f"{path} drawn from another model", "samples of this run", "give the run that they are of")
    if drawn.get("number") != frames:
        raise UserError(f"{path} with {frames} frames", f"{drawn.get('number')}, as were drawn", "draw them again")


def _named(path: str | Path) -> dict[str, str]:
    return {"file": str(path), "fingerprint": fingerprint(Path(path))}


def _write(path: Path, summary: Path, result: Reweighting, used: dict[str, Any], trusted: bool, verdict: str) -> None:
    """The weights, then the summary: where there is one, there are weights."""
    numbers = {name: value for name, value in asdict(result).items() if name != "weights"}
    head = {"format": FORMAT, "version": VERSION, "units": MD_UNITS, "weights": path.name, "trusted": trusted}
    counts = {"verdict": verdict, "frames": len(result), "without_weight": int(np.sum(result.weights == 0))}
    if summary.exists():  # of older weights, which are about to be replaced
        summary.unlink()
    with atomic_path(path, overwrite=True) as temporary:
        np.save(temporary, result.weights)
    write_json(summary, head | counts | numbers | used)
