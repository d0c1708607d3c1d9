"""What a simulation came to, in a few numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from twofold.simulation.exchange import acceptance
from twofold.simulation.record import Record
from twofold.simulation.region import REASONS
from twofold.simulation.stability import TimestepCheck
from twofold.units import BOLTZMANN

BLOCKS = 20


@dataclass(frozen=True)
class Stop:
    """A replica that was stopped. beads: the worst pair, or one bead, or none."""

    replica: int
    step: int
    time_ps: float
    beads: tuple[int, ...]
    names: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Temperatures:
    """Means over all valid frames in K, with standard errors by block jackknife (NaN where there is too little)."""

    kinetic: float
    kinetic_error: float
    configurational: float
    configurational_error: float


@dataclass(frozen=True)
class Speed:
    """Of this call: replica-steps, seconds in the compiled loop and in writing, seconds of compiling and preparing."""

    replica_steps: int
    seconds: float
    seconds_compile: float
    ns_per_day: float  # of all replicas that ran, copies left out, without compiling

    @property
    def rate(self) -> float:
        """Replica-steps per second without compiling."""
        return self.replica_steps / self.seconds if self.seconds > 0 else float("nan")

    @property
    def rate_with_compile(self) -> float:
        """Replica-steps per second, everything included."""
        total = self.seconds + self.seconds_compile
        return self.replica_steps / total if total > 0 else float("nan")


@dataclass(frozen=True)
class Summary:
    """replicas, those stable to the end of what was run, frames and length of each, and what was measured.

    acceptance: part of the trades that were taken across each step of the ladder, if there is one. copies_stopped: how
    many copies were stopped at each level above the lowest; they trade no more.
    finished: the whole length is there (or every replica was stopped); otherwise the run was interrupted and can be
    resumed.
    """

    replicas: int
    stable: int
    frames: int
    length_ps: float
    finished: bool
    stops: tuple[Stop, ...]
    temperature: float
    temperatures: Temperatures
    timestep: TimestepCheck
    speed: Speed
    peak_memory_mb: float
    acceptance: tuple[float, ...] = ()
    copies_stopped: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        derived = {"rate": self.speed.rate, "rate_with_compile": self.speed.rate_with_compile}
        return asdict(self) | {"speed": asdict(self.speed) | derived}


def summarise(record: Record, speed: Speed, finished: bool) -> Summary:
    """The summary of what a record holds so far."""
    import resource

    settings = record.header.settings
    stops = list_stops(record)
    return Summary(
        replicas=record.header.replicas,
        stable=record.header.replicas - len(stops),
        frames=record.frames,
        length_ps=record.frames * settings.interval_ps,
        finished=finished,
        stops=stops,
        temperature=settings.temperature,
        temperatures=temperatures(record),
        timestep=record.header.timestep,
        speed=speed,
        acceptance=acceptance(record.state.get("traded", np.zeros(0)), record.walker_frames),
        copies_stopped=_copies_stopped(record),
        peak_memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


def _copies_stopped(record: Record) -> tuple[int, ...]:
    """How many walkers were stopped on each rung above the lowest."""
    stopped = (record.state["stop_step"] >= 0).reshape(record.header.settings.rungs, -1)
    return tuple(int(count) for count in stopped[1:].sum(axis=1))


def list_stops(record: Record) -> tuple[Stop, ...]:
    """The replicas that were stopped, in order of time."""
    state, beads = record.state, record.header.beads
    stops = []
    for replica in np.flatnonzero(record.stop_step >= 0):
        which = tuple(int(bead) for bead in state["stop_beads"][replica] if bead >= 0)
        step = int(state["stop_step"][replica])
        names = tuple(beads.label(bead) for bead in which)
        time = step * record.header.settings.timestep_ps
        stops.append(Stop(int(replica), step, time, which, names, REASONS[int(state["stop_reason"][replica])]))
    return tuple(sorted(stops, key=lambda stop: (stop.step, stop.replica)))


def temperatures(record: Record) -> Temperatures:
    """Kinetic and configurational temperature of the valid frames, read in blocks.

    The configurational temperature is `<|grad U|^2> / (k <lap U>)` (Rugh 1997; Butler, Ayton, Jepps and Evans 1998),
    the Laplacian by one random probe a frame, without bias. It is wrong where the time step is too long or the force
    is not that of the energy, whatever the thermostat does to the velocities. Errors: jackknife over blocks, which
    are replicas, or where there are few, pieces of them in time.
    """
    replicas = record.header.replicas
    pieces = max(1, -(-BLOCKS // replicas))
    sums = np.zeros((4, replicas, pieces))
    for start, stop in record.blocks():
        piece = np.arange(start, stop) * pieces // max(record.frames, 1)
        kinetic, squared, laplacian = (
            record.read(n, start, stop).astype(np.float64)
            for n in ("kinetic_temperature", "gradient_squared", "laplacian")
        )
        for number in np.unique(piece):
            chosen = piece == number
            values = (kinetic, np.isfinite(kinetic), squared / BOLTZMANN, laplacian)
            for total, value in zip(sums, values, strict=True):
                total[:, number] += np.nansum(value[:, chosen], axis=1)
    flat = sums.reshape(4, -1)
    return Temperatures(*jackknife_ratio(flat[0], flat[1]), *jackknife_ratio(flat[2], flat[3]))


def jackknife_ratio(numerators: np.ndarray, denominators: np.ndarray) -> tuple[float, float]:
    """Ratio of two sums over blocks, and its standard error by leaving out one block at a time (Quenouille 1956)."""
    used = denominators != 0
    above, below = numerators[used], denominators[used]
    if len(below) == 0:
        return float("nan"), float("nan")
    mean = float(above.sum() / below.sum())
    if len(below) < 2:
        return mean, float("nan")
    left = (above.sum() - above) / (below.sum() - below)
    return mean, float(np.sqrt((len(left) - 1) * np.mean(np.square(left - left.mean()))))
