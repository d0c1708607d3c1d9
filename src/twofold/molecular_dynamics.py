"""From a model to replicas that move: settings, files, what a record says of its force field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np

from twofold.errors import UserError
from twofold.files.atomic import check_target, write_json
from twofold.files.trajectories import check_suffix
from twofold.model import Model
from twofold.simulation.export import export_table, export_trajectory
from twofold.simulation.record import Header, Record
from twofold.simulation.region import Region
from twofold.simulation.run import Progress, simulate
from twofold.simulation.settings import SimulationSettings
from twofold.simulation.summary import Summary
from twofold.starts import described, starts_of_levels

Deblur = Literal["frames", "forces"]
REPLICAS = 200
BLURRED = 1.5
"""Noise level over sigma* above which frames may leave the region of the data."""
LADDER = 8.0
"""Largest level of noise of a ladder over the smallest, unless it is given."""
LENGTH_PS = 200.0
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
    header = _header(model, files)
    if abs(header.settings.temperature - model.temperature) > 0.5:
        found = f"{path} was simulated at {header.settings.temperature:g} K"
        raise UserError(found, f"{model.temperature:g} K, as the reference")
    return files, header


def simulate_model(
    model: Model,
    out: str | Path,
    *,
    replicas: int | None = None,
    length_ps: float | None = None,
    frame_ps: float | None = None,
    timestep_fs: float | None = None,
    friction: float | None = None,
    temperature: float | None = None,
    sigma: float | None = None,
    deblur: Deblur | None = None,
    exchange: int | None = None,
    exchange_largest: float | None = None,
    start: np.ndarray | str | Path | None = None,
    start_basin: str | None = None,
    integrator: str | None = None,
    seed: int | None = None,
    resume: bool = False,
    progress: Callable[[Progress], None] | None = None,
    stopped: Callable[[], bool] | None = None,
) -> Summary:
    """Simulate replicas for `length_ps` (200) each; writes record, trajectory with PDB, table and summary at `out`.

    replicas: 200 unless given. start: positions (frames, beads, 3) in nm or a trajectory of beads; frames evenly
    spaced over it are dealt out to the replicas. By default samples of the model with the noise of the simulated
    density. start_basin: a condition that samples must fulfil to start from, as "phi<0" (every phi), "phi2>0" (that
    of residue 2), "torsion(0,1,2,3)>-60" (degrees) or "distance(0,9)<0.8" (nm). frame_ps: time between frames; by
    default a two-hundredth of the length, but at least 0.1. temperature: K; the model holds at that of its data,
    another one is a plain Langevin bath on the same energy. sigma: noise level of the force field instead of the
    stored one. deblur: how the blur of that noise is undone. With "frames" (unless given) the density with noise is
    simulated, and whoever compares frees its frames by `deblurred`; with "forces" energies are extrapolated to no
    noise, which costs up to twice as much, and frames are what they are. exchange: levels of larger noise, up to
    `exchange_largest` (eight times that of the force field, if it was trained), at which each replica has a copy to
    trade conformations with after every frame; rare basins are found sooner, and the frames of a replica are no
    longer a path in time. friction: 1/ps (1). integrator: "langevin-middle" or "baoab". seed: 0. resume: continue
    the record beside `out`; what is left out then is as in the record, and of the rest only the length may differ,
    if it is greater. Without a single good frame there is no trajectory, but a summary that says why. Raises
    UserError as `twofold.simulation.run.simulate` does.
    """
    files = Outputs.at(out)
    if not resume:
        for path in (files.record, files.trajectory, files.trajectory.with_suffix(".pdb"), files.table, files.summary):
            check_target(path)
    if replicas is not None and replicas < 1:
        raise UserError(f"{replicas} replicas", "at least one")
    before = _header(model, files) if resume else None
    began_as = {"kind": "basin" if start_basin else "simulation", "start": start_basin or described(start)}
    field: dict[str, Any] = {
        "sigma": sigma,
        "deblur": deblur,
        "exchange": exchange,
        "exchange_largest": exchange_largest,
    }
    if before:
        _check_began(before, replicas, began_as if start is not None or start_basin else {})
        _check_field(before, field)
    # how a record began is told by the record
    notes: dict[str, Any] = before.notes if before else _field_notes(model, **field) | began_as
    levels: list[float] = notes.get("exchange", [notes["sigma"]])
    wanted: dict[str, Any] = {
        "temperature": temperature,
        "length_ps": length_ps,
        "frame_ps": frame_ps,
        "timestep_fs": timestep_fs,
        "friction": friction,
        "integrator": integrator,
        "seed": seed,
    }
    given = {name: value for name, value in wanted.items() if value is not None}
    settings = replace(before.settings, **given) if before else _new_settings(model, len(levels) - 1, given)
    number = before.replicas if before else replicas or REPLICAS
    extrapolated = notes.get("deblur") == "forces"
    noise = [None] if extrapolated else levels
    positions = None if before else starts_of_levels(model, number, noise, start, start_basin, settings.seed)
    alone = len(levels) == 1
    summary = simulate(
        model.force_field(levels[0], extrapolated=extrapolated) if alone else model.ladder(levels, number),
        positions,
        settings,
        files.record,
        beads=model.beads,
        region=guard(model, settings.temperature, levels[0]),
        progress=progress,
        stopped=stopped,
        resume=resume,
        notes=notes,
    )
    write_json(files.summary, summary.to_dict() | notes, overwrite=resume)
    _export(files, overwrite=resume)
    return summary


def _new_settings(model: Model, exchange: int, given: dict[str, Any]) -> SimulationSettings:
    length = given.get("length_ps", LENGTH_PS)
    chosen: dict[str, Any] = {
        "temperature": model.temperature,
        "length_ps": length,
        "frame_ps": max(length / FRAMES, 0.1),
    }
    return SimulationSettings(**(chosen | given), recentre=model.chart.free, exchange=exchange)


def _field_notes(
    model: Model, sigma: float | None, deblur: Deblur | None, exchange: int | None, exchange_largest: float | None
) -> dict[str, Any]:
    """What the record of a new simulation says of its force field. Raises UserError for options that do not fit."""
    deblur = deblur or "frames"
    if deblur not in get_args(Deblur):
        raise UserError(f"deblur {deblur!r}", "one of " + ", ".join(get_args(Deblur)))
    level = model.sigma_star if sigma is None else sigma
    notes: dict[str, Any] = {"model": model.identity, "sigma": level, "deblur": deblur}
    if exchange:
        if exchange < 0:
            raise UserError(f"exchange with {exchange} levels", "none or more")
        if deblur == "forces":
            raise UserError("exchange between levels with deblur forces", "deblur frames")
        notes["exchange"] = _levels(model, level, exchange, exchange_largest)
    elif exchange_largest is not None:
        raise UserError("exchange_largest without exchange", "how many levels there are", "give exchange 4, say")
    return notes


def _levels(model: Model, level: float, number: int, largest: float | None) -> list[float]:
    """Levels of a ladder, ascending from `level`, `number` of them above it. Raises UserError."""
    # where another kind of expert takes over, there is no energy left
    top = model.largest_energy
    largest = min(LADDER * level, top) if largest is None else largest
    if not level < largest <= top:
        found = f"exchange up to sigma {largest:g}"
        raise UserError(found, f"more than {level:g}, and at most {top:g}, up to which there is an energy")
    return [*(float(one) for one in np.geomspace(level, largest, number + 1)[:-1]), float(largest)]


def _export(files: Outputs, *, overwrite: bool) -> None:
    """Table and trajectory of the record; no trajectory where every replica was stopped before its first frame."""
    export_table(files.record, files.table, overwrite=overwrite)
    with Record.open(files.record) as record:
        frames = int(record.valid_frames.sum())
    if frames:
        export_trajectory(files.record, files.trajectory, overwrite=overwrite)


def _header(model: Model, files: Outputs) -> Header:
    """What the record says of itself. Raises UserError for one that another model made."""
    with Record.open(files.record) as record:
        header = record.header
    if header.notes.get("model") != model.identity:
        found = f"{files.trajectory} was made with another model"
        raise UserError(found, "a simulation of this run", "check the run folder")
    return header


def _check_field(before: Header, asked: Mapping[str, Any]) -> None:
    """Raises UserError where a run that is continued is told to go on with another force field."""
    levels = before.notes.get("exchange", [before.notes["sigma"]])
    known = {"sigma": levels[0], "deblur": before.notes.get("deblur", "frames")}
    known |= {"exchange": len(levels) - 1, "exchange_largest": levels[-1]}
    for name, value in asked.items():
        if value is not None and value != known[name]:
            raise UserError(f"{name} {value}", f"{known[name]}, as in the record", "leave it out")


def _check_began(before: Header, replicas: int | None, began_as: dict[str, Any]) -> None:
    """Raises UserError where a run that is continued is told to have begun otherwise."""
    if replicas is not None and replicas != before.replicas:
        raise UserError(f"{replicas} replicas", f"{before.replicas}, as in the record", "leave the number out")
    if began_as and began_as["start"] != before.notes["start"]:
        found = f"a start from {began_as['start']}"
        raise UserError(found, f"{before.notes['start']}, where the record began", "leave the start out")


def guard(model: Model, temperature: float | None, sigma: float) -> Region | None:
    """The region that replicas may not leave.

    None above the temperature or well above the noise level of the data that it was drawn around, where leaving it is
    no fault.
    """
    hot = temperature is not None and temperature > 1.05 * model.temperature
    return None if hot or sigma > BLURRED * model.sigma_star else model.region


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
