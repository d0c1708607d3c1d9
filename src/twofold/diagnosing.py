"""Diagnosing the model of a run: diagnosis.json and diagnosis.html."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from twofold.analysis.frames import Reference
from twofold.analysis.levels import levels_of
from twofold.analysis.observables import radius_of_gyration
from twofold.architectures import SMALL
from twofold.chart.noising import noised_positions
from twofold.diagnosis import Diagnosis, Findings, conclude
from twofold.diagnosis.basins import basins
from twofold.diagnosis.diffusion import Coordinates, diffusion
from twofold.diagnosis.kinetics import kinetics, not_judged, unusable
from twofold.diagnosis.markov import Motion, require_deeptime
from twofold.diagnosis.noise import blur, noise_level
from twofold.diagnosis.states import motion_features
from twofold.diagnosis.symmetry import Frames, symmetry
from twofold.diagnosis.timestep import Setting, timestep
from twofold.ensemble import Ensemble, concatenate
from twofold.errors import UserError
from twofold.files.atomic import write_json
from twofold.fitting import load
from twofold.model import Model
from twofold.molecular_dynamics import Outputs, deblurred, guard, simulated_with
from twofold.report.diagnosis import write_diagnosis
from twofold.run_folder import RunFolder
from twofold.simulation.export import record_ensemble
from twofold.simulation.force_field import ForceField, energies_and_forces
from twofold.simulation.record import Header
from twofold.units import MD_UNITS, thermal_energy

FRAMES = 512
"""Held-out frames that symmetries and residuals are read from."""
LOSS_FRAMES = 8
"""Times as many frames for the loss, whose differences are small."""
REPLICAS = 512
BASIN_FRAMES = 20_000
BLUR = ("sigma", "deblur")
"""What the record of a simulation notes on the noise of its force field."""
TRADED = "Cannot be judged: replicas traded conformations, and their frames are no path in time."
STAGES = ("symmetry", "diffusion", "basins", "time step", "noise level", "rates")


@dataclass(frozen=True)
class Diagnosed:
    """Result of `diagnose`: the findings and where they were written."""

    diagnosis: Diagnosis
    numbers: Path
    report: Path


def diagnose(
    run: str | Path,
    *,
    out: str | Path,
    simulation: str | Path | Sequence[str | Path] = (),
    frames: int = FRAMES,
    replicas: int = REPLICAS,
    seed: int = 0,
    overwrite: bool = False,
    progress: Callable[[float, float, str], None] = lambda done, total, stage: None,
) -> Diagnosed:
    """Check whether the model of a run is sound and write `diagnosis.json` and `diagnosis.html` into the folder `out`.

    simulation: trajectories that `simulate` wrote, whose rates are compared with those of the frames of the run; all
    with the same settings. frames: held-out frames to look at; replicas: of the short runs that find the time step.
    progress: told what is done, of how much, and what comes.

    Raises UserError for a folder that is no run, results that would be overwritten, simulations of other models or of
    different settings, and without deeptime where there are rates to compare.
    """
    paths = _targets(Path(out), overwrite)
    found = examine(run, simulation=simulation, frames=frames, replicas=replicas, seed=seed, progress=progress)
    model = load(run)
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    head = {"format": "twofold diagnosis", "version": 1, "units": MD_UNITS, "model": model.identity, "seed": seed}
    write_json(paths[0], head | found.to_dict(), overwrite=overwrite)
    facts = (f"{len(model.beads)} beads", str(model.report.get("architecture", "")), f"{model.temperature:g} K")
    created = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    folder = RunFolder(Path(run))
    title = f"twofold: {folder.title(folder.read_config()['source'])}"
    write_diagnosis(found, paths[1], title=title, facts=facts, created=created, overwrite=overwrite)
    return Diagnosed(found, *paths)


def examine(
    run: str | Path,
    *,
    simulation: str | Path | Sequence[str | Path] = (),
    frames: int = FRAMES,
    replicas: int = REPLICAS,
    seed: int = 0,
    progress: Callable[[float, float, str], None] = lambda done, total, stage: None,
) -> Diagnosis:
    """What `diagnose` finds, with the same arguments, without a file written."""
    if frames < 8 or replicas < 2:
        raise UserError(f"{frames} frames and {replicas} replicas", "at least 8 frames and 2 replicas")
    folder, model = RunFolder(Path(run)), load(run)
    folder.read_config()
    training, held_out = folder.read_data()
    listed = [simulation] if isinstance(simulation, str | Path) else simulation
    given = [simulated_with(model, path) for path in listed]
    moving = [(one, header) for one, header in given if not header.settings.exchange]
    files, headers = [one for one, _ in moving], [header for _, header in moving]
    _check_alike(headers)
    cannot = TRADED if given and not moving else _no_rates(files, training)
    if cannot is None:
        require_deeptime()
    makers: tuple[Callable[[], Findings], ...] = (
        lambda: _symmetry(model, held_out, frames, seed),
        lambda: _diffusion(model, training, held_out, frames, seed),
        lambda: _basins(model, training, held_out, seed),
        lambda: _timestep(model, held_out, given[0][1] if given else None, replicas, seed),
        lambda: _noise(model, held_out, given[0][1].notes if given else {}, seed),
        lambda: not_judged(cannot) if cannot else _rates(model, training, held_out, files, headers, seed),
    )
    found = []
    for number, (stage, make) in enumerate(zip(STAGES, makers, strict=True)):
        progress(number, len(STAGES), stage)
        found.append(make())
    progress(len(STAGES), len(STAGES), "done")
    return conclude(found)


def _targets(folder: Path, overwrite: bool) -> tuple[Path, Path]:
    """The files to write. Raises UserError when they exist."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file", "a folder to write into", "choose another --out")
    paths = folder / "diagnosis.json", folder / "diagnosis.html"
    for path in paths:
        if path.exists() and not overwrite:
            raise UserError(f"{path} exists already", "a new folder", "choose another --out or remove it")
    return paths


def _check_alike(headers: Sequence[Header]) -> None:
    """Raises UserError unless replicas of all simulations move alike."""
    kinds = {
        (one.settings.interval_ps, one.settings.friction, one.settings.timestep_fs, *map(one.notes.get, BLUR))
        for one in headers
    }
    if len(kinds) > 1:
        found = "simulations of different friction, time step, noise level or time between frames"
        raise UserError(found, "the same in all", "diagnose them one by one")


def _no_rates(files: Sequence[Outputs], training: Ensemble) -> str | None:
    if not files:
        return "Not judged: no simulation was given (--simulation)."
    return unusable(training)


def _some(ensemble: Ensemble, number: int) -> Ensemble:
    """Up to `number` frames, evenly spread over time."""
    return ensemble.select(np.unique(np.linspace(0, len(ensemble) - 1, min(number, len(ensemble))).round().astype(int)))


def _symmetry(model: Model, held_out: Ensemble, frames: int, seed: int) -> Findings:
    part, field = _some(held_out, frames), model.force_field()
    thermal = thermal_energy(model.temperature)

    def energy(x: jax.Array) -> jax.Array:
        return field.energy(x) / thermal

    return symmetry(
        energy,
        jax.tree_util.Partial(_force, field),
        model.beads,
        Frames(part.positions, part.weights, part.block),
        free=model.chart.free,
        axes=getattr(model.chart, "axes", 3),
        learned=field.network.augment_rotation,
        like_beads=field.network.like_beads,
        seed=seed,
    )


def _force(field: ForceField, x: jax.Array) -> jax.Array:
    """The force that a simulation would feel, which may be known in another way than as the gradient of the energy."""
    return energies_and_forces(field, x[None])[1][0]


@eqx.filter_jit
def _encoded(model_chart: Any, positions: jax.Array) -> jax.Array:
    return jax.lax.map(model_chart.encode, positions, batch_size=1024)


def _diffusion(model: Model, training: Ensemble, held_out: Ensemble, frames: int, seed: int) -> Findings:
    def coordinates(ensemble: Ensemble) -> Coordinates:
        part = _some(ensemble, LOSS_FRAMES * frames)
        return Coordinates(_encoded(model.chart, jnp.asarray(part.positions)), part.weights, part.block)

    unseen = coordinates(held_out)
    return diffusion(model.network, model.chart, model.schedule, coordinates(training), unseen, most=frames, seed=seed)


def _basins(model: Model, training: Ensemble, held_out: Ensemble, seed: int) -> Findings:
    """Those whose populations `evaluate` compares, and of long chains the compact half, on training frames."""
    top = model.largest_energy
    if not top > model.sigma_star:
        return Findings()
    levels = levels_of(model.beads, Reference(held_out, training, "training"))
    part = _some(training, BASIN_FRAMES)
    members = {one.name: one.values(part.positions)[:, 0] > 0.5 for one in levels if one.kind == "population"}
    if model.chart.free and len(model.beads) > SMALL:
        # small errors along a chain add up to a wrong size of it, which no single torsion shows
        size = radius_of_gyration(part.positions, model.beads.masses)
        members["compact half"] = size < np.median(size)
    coordinates = Coordinates(_encoded(model.chart, jnp.asarray(part.positions)), part.weights, part.block)
    return basins(model.network, model.chart, (model.sigma_star, top), coordinates, members, seed=seed)


def _timestep(model: Model, held_out: Ensemble, header: Header | None, replicas: int, seed: int) -> Findings:
    """Of the force field of a simulation, or of that which one would have.

    Started from held-out frames with the noise of the force field: its own density where it is a good one.
    """
    notes = header.notes if header else {}
    level, extrapolated = notes.get("sigma", model.sigma_star), notes.get("deblur") == "forces"
    used_fs = header.settings.timestep_fs if header else None
    share = held_out.weights / held_out.weights.sum()
    index = np.random.default_rng(seed).choice(len(held_out), replicas, p=share)
    start = noised_positions(model.chart, held_out.positions[index], 0.0 if extrapolated else level, seed)
    force_field = model.force_field(level, extrapolated=extrapolated)
    setting = Setting(force_field, model.beads, model.temperature, guard(model, None, level), model.chart.free)
    return timestep(setting, start, used_fs=used_fs, seed=seed)


def _noise(model: Model, held_out: Ensemble, notes: Mapping[str, Any], seed: int) -> Findings:
    """Of the simulation whose notes these are, or of one as the model would make it."""
    level = noise_level(model.report.get("noise_level"), model.sigma_star)
    if notes.get("deblur") == "forces":
        return level
    sigma = notes.get("sigma", model.sigma_star)
    wide = blur(model.beads, model.chart, _some(held_out, 10_000).positions, sigma, seed)
    return Findings((*level.checks, *wide.checks), level.curves)


def _rates(
    model: Model,
    training: Ensemble,
    held_out: Ensemble,
    files: Sequence[Outputs],
    headers: Sequence[Header],
    seed: int,
) -> Findings:
    reference = replace(concatenate([training, held_out]), source=training.source)
    try:
        features = motion_features(model.beads, reference)
    except UserError as error:
        return not_judged(f"Cannot be judged: there is no motion to follow ({error}).")
    parts = [record_ensemble(path.record) for path in files]
    moving = [features(deblurred(model, part.positions, headers[0].notes)) for part in parts]
    first = np.cumsum([0] + [int(part.trajectory.max()) + 1 for part in parts[:-1]])
    series = np.concatenate([part.trajectory + start for part, start in zip(parts, first, strict=True)])
    known, interval = training.frame_ps, parts[0].frame_ps
    assert known is not None
    assert interval is not None
    return kinetics(
        Motion(features(reference.positions), reference.trajectory, known),
        Motion(np.concatenate(moving), series, interval),
        seed,
    )
