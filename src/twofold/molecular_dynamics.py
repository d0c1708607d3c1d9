"""From a model to replicas that move: starts, settings, files."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np

from twofold.beads import Beads
from twofold.errors import UserError
from twofold.files.atomic import check_target, write_json
from twofold.files.trajectories import check_suffix, read_positions
from twofold.model import Model
from twofold.simulation.export import export_table, export_trajectory
from twofold.simulation.record import Header, Record
from twofold.simulation.region import Region
from twofold.simulation.run import Progress, simulate
from twofold.simulation.settings import SimulationSettings
from twofold.simulation.summary import Summary

Deblur = Literal["frames", "forces"]
START_BATCH = 4
"""Samples drawn for each replica where only one basin will do."""
START_SEED = 0x5EED57A7
"""Flips bits of the seed from which starting conformations are drawn."""
REPLICAS = 200
BLURRED = 1.5
"""Noise level over sigma* above which frames may leave the region of the data."""
LADDER = 8.0
"""Largest level of noise of a ladder over the smallest, unless it is given."""
FRAMES = 200
"""Frames of a replica unless the time between them is given."""


@dataclass(frozen=True)
class Outputs:
    """Files of a simulation: all have the name of the trajectory."""

    trajectory: Path

    @staticmethod
    def at(path: str | Path) -> Outputs:
        """Files beside the XTC or DCD at `path`."""
        return Outputs(check_suffix(path))

    @property
    def record(self) -> Path:
        """HDF5 (replica, frame), in full precision, from which the simulation can go on."""
        return self.trajectory.with_suffix(".h5")

    @property
    def table(self) -> Path:
        """CSV of energies and temperatures."""
        return self.trajectory.with_suffix(".csv")

    @property
    def summary(self) -> Path:
        """JSON of what the simulation came to."""
        return self.trajectory.with_suffix(".json")


def simulated_with(model: Model, path: str | Path) -> tuple[Outputs, Header]:
    """Files of a simulation and what its record says of it.

    Raises UserError where the record is missing, that of another model or of another temperature than its data have.
    """
    files = Outputs.at(path)
    if not files.record.is_file():
        raise UserError(f"no record {files.record}", "the HDF5 file that twofold simulate wrote beside it", "keep both")
    with Record.open(files.record) as record:
        header = record.header
    if header.notes.get("model") != model.identity:
        raise UserError(f"{path} was made with another model", "a simulation of this run", "check the run folder")
    if abs(header.settings.temperature - model.temperature) > 0.5:
        found = f"{path} was simulated at {header.settings.temperature:g} K"
        raise UserError(found, f"{model.temperature:g} K, as the reference")
    return files, header


def simulate_model(
    model: Model,
    out: str | Path,
    *,
    replicas: int | None = None,
    length_ps: float = 200.0,
    frame_ps: float | None = None,
    timestep_fs: float | None = None,
    friction: float = 1.0,
    temperature: float | None = None,
    sigma: float | None = None,
    deblur: Deblur = "frames",
    exchange: int = 0,
    exchange_largest: float | None = None,
    start: np.ndarray | str | Path | None = None,
    start_basin: str | None = None,
    integrator: str = "langevin-middle",
    seed: int = 0,
    resume: bool = False,
    progress: Callable[[Progress], None] | None = None,
    stopped: Callable[[], bool] | None = None,
) -> Summary:
    """Simulate replicas for `length_ps` each; writes record, trajectory with PDB, table and summary at `out`.

    replicas: 200 unless given. start: positions (frames, beads, 3) in nm or a trajectory of beads; frames evenly spaced
    over it are dealt out to the replicas. By default samples of the model with the noise of the simulated density.
    start_basin: a condition on a torsion, as "phi<0" (every phi) or "phi2>0" (that of residue 2); replicas start only
    from samples that fulfil it. frame_ps: time between frames; by default a two-hundredth of the length. temperature:
    K; the model holds at that of its data, another one is a plain Langevin bath on the same energy. sigma: noise level
    of the force field instead of the stored one. deblur: how the blur of that noise is undone. With "frames" the
    density with noise is simulated, and whoever compares frees its frames by `deblurred`; with "forces" energies are
    extrapolated from two levels to none, which costs twice as much, and frames are what they are. exchange: levels of
    larger noise, up to `exchange_largest` (eight times that of the force field, if it was trained), at which each
    replica has a copy to trade conformations with after every frame; rare basins are found sooner, and the frames of a
    replica are no longer a path in time. resume: continue the
    record beside `out`; replicas and start may then be left out. Without a single good frame there is no trajectory,
    but a summary that says why. Raises UserError as `twofold.simulation.run.simulate` does.
    """
    files = Outputs.at(out)
    if not resume:
        for path in (files.record, files.trajectory, files.trajectory.with_suffix(".pdb"), files.table, files.summary):
            check_target(path)
    if replicas is not None and replicas < 1:
        raise UserError(f"{replicas} replicas", "at least one")
    before = _before(files.record) if resume else None
    began_as = {"kind": "basin" if start_basin else "simulation", "start": start_basin or _described(start)}
    if before:
        _check_began(before, replicas, began_as if start is not None or start_basin else {})
    level = model.sigma_star if sigma is None else sigma
    settings = SimulationSettings(
        temperature=model.temperature if temperature is None else temperature,
        length_ps=length_ps,
        frame_ps=_frame_ps(length_ps, before) if frame_ps is None else frame_ps,
        timestep_fs=timestep_fs,
        friction=friction,
        integrator=integrator,
        seed=seed,
        recentre=model.chart.free,
        exchange=exchange,
    )
    if deblur not in get_args(Deblur):
        raise UserError(f"deblur {deblur!r}", "one of " + ", ".join(get_args(Deblur)))
    notes = {"model": model.identity, "sigma": level, "deblur": deblur} | began_as
    number = before.replicas if before else replicas or REPLICAS
    if exchange:
        levels = _levels(model, level, exchange, exchange_largest, deblur)
        force_field, notes["exchange"] = model.ladder(levels, number), levels
    else:
        force_field, levels = model.force_field(level, extrapolated=deblur == "forces"), [level]
    positions = None
    if not resume:
        noise = levels if deblur == "frames" else [None]
        # copies start apart, from draws of their own
        drawn = [starting_positions(model, number, one, start, start_basin, seed + k) for k, one in enumerate(noise)]
        positions = np.concatenate(drawn)
    # how a record began is told by the record, not by the options of whoever goes on with it
    notes = before.notes if before else notes
    summary = simulate(
        force_field,
        positions,
        settings,
        files.record,
        beads=model.beads,
        region=guard(model, temperature, levels[-1]),
        progress=progress,
        stopped=stopped,
        resume=resume,
        notes=notes,
    )
    write_json(files.summary, summary.to_dict() | notes, overwrite=resume)
    _export(files, overwrite=resume)
    return summary


def _levels(model: Model, level: float, number: int, largest: float | None, deblur: Deblur) -> list[float]:
    """Levels of a ladder, ascending from `level`, `number` of them above it. Raises UserError."""
    if deblur == "forces":
        raise UserError("exchange between levels with deblur forces", "deblur frames")
    top = min(model.schedule.largest, model.network.conservative_to)
    largest = min(LADDER * level, top) if largest is None else largest
    if not level < largest <= top:
        found = f"exchange up to sigma {largest:g}"
        raise UserError(found, f"more than {level:g}, and at most {top:g}, up to which there is an energy")
    return [float(one) for one in np.geomspace(level, largest, number + 1)]


def _export(files: Outputs, *, overwrite: bool) -> None:
    """Table and trajectory of the record; no trajectory where every replica was stopped before its first frame."""
    export_table(files.record, files.table, overwrite=overwrite)
    with Record.open(files.record) as record:
        frames = int(record.valid_frames.sum())
    if frames:
        export_trajectory(files.record, files.trajectory, overwrite=overwrite)


def _before(path: Path) -> Header:
    with Record.open(path) as record:
        return record.header


def _check_began(before: Header, replicas: int | None, began_as: dict[str, Any]) -> None:
    """Raises UserError where a run that is continued is told to have begun otherwise."""
    if replicas is not None and replicas != before.replicas:
        raise UserError(f"{replicas} replicas", f"{before.replicas}, as in the record", "leave the number out")
    if began_as and began_as["start"] != before.notes["start"]:
        found = f"a start from {began_as['start']}"
        raise UserError(found, f"{before.notes['start']}, where the record began", "leave the start out")


def _frame_ps(length_ps: float, before: Header | None) -> float:
    """Time between frames where none is asked for: that of the record, which a greater length must not change."""
    return before.settings.frame_ps if before else max(length_ps / FRAMES, 0.1)


def _described(start: Any) -> str:
    if start is None:
        return "samples"
    return "positions" if isinstance(start, np.ndarray) else str(Path(start).name)


def guard(model: Model, temperature: float | None, sigma: float) -> Region | None:
    """The region that replicas may not leave.

    None above the temperature or well above the noise level of the data that it was drawn around, where leaving it is
    no fault.
    """
    hot = temperature is not None and temperature > 1.05 * model.temperature
    return None if hot or sigma > BLURRED * model.sigma_star else model.region


def starting_positions(
    model: Model, replicas: int, noise: float | None, start: Any, start_basin: str | None, seed: int
) -> np.ndarray:
    """Positions (replicas, beads, 3) in nm. noise: level at which samples are left, None for clean ones."""
    if start is not None:
        given = start if isinstance(start, np.ndarray) else read_positions(start, model.beads)
        if start_basin:
            given = given[in_basin(model.beads, given, start_basin)]
            if not len(given):
                raise UserError(f"no starting frame with {start_basin}", "some", "choose another basin or start")
        return _dealt(given, replicas)
    # draws of their own: `sample` with the same seed must stay independent of the simulation
    seed ^= START_SEED
    if start_basin:
        drawn = model.sample(START_BATCH * replicas, seed=seed, noise=noise).positions
        drawn = drawn[in_basin(model.beads, drawn, start_basin)]
        if not len(drawn):
            raise UserError(
                f"none of {START_BATCH * replicas} samples has {start_basin}", "some", "choose another basin"
            )
        return np.resize(drawn, (replicas, *drawn.shape[1:]))
    return model.sample(replicas, seed=seed, noise=noise).positions


def _dealt(frames: np.ndarray, replicas: int) -> np.ndarray:
    """One of `frames` for each replica: evenly spaced ones, or the same ones again where there are too few."""
    places = np.arange(replicas)
    return frames[places * len(frames) // replicas if len(frames) > replicas else places % max(len(frames), 1)]


def in_basin(beads: Beads, positions: np.ndarray, condition: str) -> np.ndarray:
    """Which frames fulfil a condition like "phi<0" or "psi3>0" (angles in rad against zero). Raises UserError."""
    from twofold.analysis.observables import torsions

    found = re.fullmatch(r"(phi|psi|omega)(\d*)([<>])0", condition.replace(" ", ""))
    if found is None:
        raise UserError(f"basin {condition!r}", 'a torsion and its sign, like "phi<0" or "phi2>0"')
    kind, residue, sign = found.groups()
    rows = beads.torsions_named(kind)
    if residue:
        rows = {key: row for key, row in rows.items() if key == int(residue)}
    if not rows:
        raise UserError(f"no torsion {kind}{residue} among these beads", "one of the molecule", "choose another basin")
    values = torsions(positions, np.array(list(rows.values())))
    return np.all(values < 0 if sign == "<" else values > 0, axis=1)


def deblurred(model: Model, positions: np.ndarray, notes: Mapping[str, Any]) -> np.ndarray:
    """Frames (frames, beads, 3) in nm of a simulation without the blur of its noise.

    notes: of its record. Where the density with noise was simulated, one step of the probability flow takes it away.
    What is no coordinate, as the third axis of a plane, is left out.
    """
    if notes.get("deblur") == "forces":
        if not model.chart.spare(jnp.asarray(positions[0])).size:
            return positions
        return np.asarray(jax.jit(jax.vmap(lambda x: model.chart.decode(model.chart.encode(x))))(positions))
    sigma = notes["sigma"]
    from twofold.sampling.solvers import deblur_positions

    return np.asarray(deblur_positions(model.network, model.chart, jnp.asarray(positions), jnp.float32(sigma)))
