"""Running a simulation from start to record."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from twofold.beads import Beads
from twofold.errors import UserError
from twofold.files.atomic import check_target
from twofold.simulation import engine
from twofold.simulation.exchange import Ladder
from twofold.simulation.force_field import (
    ForceField,
    FunctionForceField,
    Potential,
    as_force_field,
    fingerprint,
    net_force_ratio,
)
from twofold.simulation.integrators import State, init, langevin, maxwell_velocities
from twofold.simulation.record import FRAME_UNITS, Header, Record
from twofold.simulation.region import Region, Stops, inside, speed_limit
from twofold.simulation.settings import SimulationSettings, check_same
from twofold.simulation.stability import choose_timestep
from twofold.simulation.summary import Speed, Summary, summarise
from twofold.units import thermal_energy

CHUNK_SECONDS = 1.0
"""Wall time that a chunk aims at: short enough to leave soon after a signal, long enough to hide writing."""
CHUNK_BYTES = 16_000_000
CHUNK_FRAMES = 1024
NET_FORCE = 1e-2
"""Sum of the forces over the sum of their sizes: far above rounding, far below any external potential."""

_init = eqx.filter_jit(init)
_inside = eqx.filter_jit(inside)


class Progress(NamedTuple):
    """How far a simulation is; `seconds` and `rate` (replica-steps/s) of this call, without compiling."""

    frames: int
    all_frames: int
    stable: int
    replicas: int
    seconds: float
    rate: float


@dataclass
class _Clock:
    """Times of one call."""

    compiling: float = 0.0
    running: float = 0.0
    replica_steps: int = 0


def simulate(
    force_field: ForceField | Potential,
    start: np.ndarray | None,
    settings: SimulationSettings,
    record_path: str | Path,
    *,
    beads: Beads,
    region: Region | None = None,
    progress: Callable[[Progress], None] | None = None,
    stopped: Callable[[], bool] | None = None,
    resume: bool = False,
    notes: dict[str, Any] | None = None,
) -> Summary:
    """Simulates replicas from `start` (replicas, beads, 3) nm and streams their frames into a new record.

    A replica that leaves `region`, gets a bead of more than 40 kT along one axis, or a number that is not finite,
    stays at its last good state while the others run on. `stopped` is asked after every chunk (about a second; at
    least one frame) and makes the run leave with everything saved. `resume` continues the record instead, to the bit
    as if it had never stopped; `start` is then not used, and settings may differ in nothing but a greater length.
    `notes` are kept in the record (JSON-able).

    With `settings.exchange`, positions are those of the lowest rung first, then of the next, and the force field has
    `levels`, one for each walker, and `energies_and_forces`, which knows them; frames are those of the lowest rung.

    Raises UserError for a start that does not fit, a time step that is unstable, a record that exists (or, to resume,
    does not exist or was made with other settings, beads or force field), and a full disk.
    """
    force_field = as_force_field(force_field)
    clock = _Clock()
    began = time.perf_counter()
    if resume:
        record = _reopen(force_field, settings, record_path, beads)
    else:
        record = _create(force_field, start, settings, record_path, beads, region, notes or {})
    with record:
        dynamics = build_dynamics(force_field, record.header, region)
        finished = _run(record, dynamics, clock, began, progress, stopped)
        return summarise(record, _speed(record, clock), finished)


def build_dynamics(force_field: ForceField, header: Header, region: Region | None) -> engine.Dynamics:
    """All constants of the compiled loop."""
    settings, masses, thermal = header.settings, header.beads.masses, thermal_energy(header.settings.temperature)
    _, noise_key, probe_key, trade_key = _keys(settings.seed)
    rungs = settings.rungs
    return engine.Dynamics(
        force_field=force_field,
        constants=langevin(masses, settings.temperature, settings.friction, settings.timestep_ps),
        masses=jnp.asarray(masses, jnp.float32),
        fastest=speed_limit(masses, thermal),
        region=region,
        noise_key=noise_key,
        probe_key=probe_key,
        steps_per_frame=jnp.int32(settings.steps_per_frame),
        probe_every=jnp.int32(settings.probe_every),
        ladder=Ladder.build(header.replicas, rungs, thermal, trade_key) if rungs > 1 else None,
        replicas=header.replicas,
        integrator=settings.integrator,
        recentre=settings.recentre,
    )


def _keys(seed: int) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Keys of velocities, noise, probes and trades. Threefry whatever the default is: a seed means one trajectory."""
    key = jax.random.key(seed, impl="threefry2x32")
    velocities, noise, probe = jax.random.split(key, 3)
    return velocities, noise, probe, jax.random.fold_in(key, 3)


def _create(
    force_field: ForceField,
    start: np.ndarray | None,
    settings: SimulationSettings,
    path: str | Path,
    beads: Beads,
    region: Region | None,
    notes: dict[str, Any],
) -> Record:
    if start is None or start.ndim != 3 or start.shape[1:] != (len(beads), 3) or len(start) == 0:
        found = "no starting positions" if start is None else f"starting positions of shape {start.shape}"
        raise UserError(found, f"(replicas, {len(beads)}, 3) in nm")
    if len(start) % settings.rungs:
        raise UserError(f"{len(start)} starting positions", f"a multiple of {settings.rungs}, the levels of a replica")
    if settings.exchange and not hasattr(force_field, "levels"):
        raise UserError("exchange with a force field of one level", "one with levels, as Model.ladder")
    check_target(path)
    positions, replicas = np.asarray(start, dtype=np.float32), len(start) // settings.rungs
    velocities = maxwell_velocities(_keys(settings.seed)[0], beads.masses, settings.temperature, len(positions))
    state = _init(force_field, jnp.asarray(positions), velocities)
    if settings.recentre:
        _check_free(force_field, state)
    fastest = speed_limit(beads.masses, thermal_energy(settings.temperature))
    good = np.asarray(_inside(region, fastest, state, replicas))
    # judged at the lowest rung, the stiffest, by conformations of its own
    lowest = FunctionForceField(force_field.energy) if settings.exchange else force_field
    own, sound = positions[:replicas], good[:replicas]
    check = choose_timestep(lowest, own[sound] if sound.any() else own, beads.masses, settings.timestep_fs)
    settings = replace(settings, timestep_fs=check.timestep_fs)
    header = Header(settings, beads, replicas, fingerprint(force_field), check, notes)
    progression = engine.begin(build_dynamics(force_field, header, region), state)
    return Record.create(path, header, _to_arrays(progression))


def _check_free(force_field: ForceField, state: State) -> None:
    """Raises UserError unless the molecule, put elsewhere, feels no net force."""
    elsewhere = _init(force_field, state.positions + np.array([0.1, 0.2, 0.3], np.float32), state.velocities)
    if net_force_ratio(elsewhere.forces) > NET_FORCE:
        raise UserError(
            "a potential that pulls on the centre of mass", "a molecule in free space", "set recentre=False"
        )


def _reopen(force_field: ForceField, settings: SimulationSettings, path: str | Path, beads: Beads) -> Record:
    record = Record.open(path, write=True)
    try:
        before = record.header
        check_same(before.settings, settings)
        if before.beads != beads:
            raise UserError(f"{path} holds other beads", "those of this model", "resume with the model that made it")
        if before.identity != fingerprint(force_field):
            raise UserError(
                f"{path} was made with another force field", "the same", "resume with the model that made it"
            )
        if isinstance(force_field, FunctionForceField):
            _check_energies(force_field, record)  # a plain function has no numbers of its own to tell it by
        wanted = replace(before.settings, length_ps=settings.length_ps).frames
        if wanted < before.settings.frames:
            found = f"{settings.length_ps:g} ps for a record that began with {before.settings.length_ps:g} ps"
            raise UserError(found, "the same or more", "leave the length out to end it as it began")
        if wanted > before.settings.frames:
            record = record.extend(settings.length_ps)
    except BaseException:
        record.close()
        raise
    return record


def _check_energies(force_field: ForceField, record: Record) -> None:
    """Raises UserError unless the replicas have the energies with which they were left."""
    left = record.state
    again = np.asarray(_init(force_field, jnp.asarray(left["positions"]), jnp.asarray(left["velocities"])).potential)
    running = left["stop_step"] < 0
    if not np.allclose(again[running], left["potential"][running], rtol=1e-3, atol=1e-2):
        raise UserError(f"{record.path} was made with another force field", "the same", "resume with what made it")


def _run(
    record: Record,
    dynamics: engine.Dynamics,
    clock: _Clock,
    began: float,
    progress: Callable[[Progress], None] | None,
    stopped: Callable[[], bool] | None,
) -> bool:
    """Fills the record; whether it got to the end."""
    header = record.header
    total, beads = header.settings.frames, len(header.beads)
    # Not less for a short run: the room is compiled in.
    room = max(1, min(CHUNK_FRAMES, CHUNK_BYTES // (12 * header.replicas * beads)))
    frames = engine.Frames.empty(header.replicas, room, beads)
    progression, frames = engine.advance((dynamics, jnp.int32(0)), _progression(record), frames)
    jax.block_until_ready(progression)
    clock.compiling = time.perf_counter() - began
    number = 1
    running, moving = _running(record)
    while running and record.frames < total:
        before = time.perf_counter()
        number = min(number, room, total - record.frames)
        progression, frames = engine.advance((dynamics, jnp.int32(number)), progression, frames)
        _save(record, progression, frames, number)
        seconds = time.perf_counter() - before
        clock.running += seconds
        clock.replica_steps += moving * number * header.settings.steps_per_frame
        running, moving = _running(record)
        if progress is not None:
            rate = clock.replica_steps / clock.running
            progress(Progress(record.frames, total, running, header.replicas, clock.running, rate))
        if stopped is not None and stopped():
            break
        number = max(1, int(number * min(CHUNK_SECONDS / max(seconds, 1e-6), 10.0)))
    return running == 0 or record.frames >= total


def _running(record: Record) -> tuple[int, int]:
    """Replicas that have not been stopped; walkers, those on all rungs of a ladder."""
    return int(np.sum(record.stop_step < 0)), int(np.sum(record.state["stop_step"] < 0))


def _save(record: Record, progression: engine.Progression, frames: engine.Frames, number: int) -> None:
    """Writes the frames of a chunk; those of stopped replicas become NaN, so that nobody mistakes them for frames."""
    state = _to_arrays(progression)
    arrays = {name: np.asarray(getattr(frames, name))[:, :number].copy() for name in FRAME_UNITS}
    step = state["stop_step"][: record.header.replicas].astype(np.int64)
    after = record.header.settings.steps_per_frame * np.arange(record.frames + 1, record.frames + number + 1)
    lost = (step[:, None] >= 0) & (after >= step[:, None])
    for array in arrays.values():
        array[lost] = np.nan
    record.append(arrays, state)


def _to_arrays(progression: engine.Progression) -> dict[str, np.ndarray]:
    """Copies: the next chunk uses the memory of the state again."""
    state, stops = progression.state, progression.stops
    arrays = state._asdict() | {"stop_step": stops.step, "stop_reason": stops.reason, "stop_beads": stops.beads}
    if progression.traded.size:
        arrays["traded"] = progression.traded
    return {name: np.array(value) for name, value in arrays.items()}


def _progression(record: Record) -> engine.Progression:
    arrays = {name: jnp.array(value) for name, value in record.state.items()}
    state = State(**{name: arrays[name] for name in State._fields})
    stops = Stops(arrays["stop_step"], arrays["stop_reason"], arrays["stop_beads"])
    traded = arrays.get("traded", jnp.zeros(0, jnp.int32))
    return engine.Progression(state, stops, traded, jnp.int32(record.frames))


def _speed(record: Record, clock: _Clock) -> Speed:
    # of what is recorded, without the copies of a ladder
    settings = record.header.settings
    recorded_ns = clock.replica_steps / settings.rungs * settings.timestep_ps / 1000
    per_day = recorded_ns / clock.running * 86400 if clock.running else float("nan")
    return Speed(clock.replica_steps, clock.running, clock.compiling, per_day)
