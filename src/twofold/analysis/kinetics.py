"""Kinetics of replicas: crossings between basins and how many independent frames a simulation is worth.

Frames of a replica are in order of time; replicas are never joined.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twofold.analysis.uncertainty import statistical_inefficiency

DEAD_ZONE = np.pi / 6
"""Radians on both sides of phi = 0 and of phi = pi in which a frame belongs to the basin that was visited last."""


@dataclass(frozen=True)
class Crossings:
    """Passages between the cores of two basins, counted within replicas.

    up: from phi < 0 to phi > 0; down: back. by_replica: (replicas,) both together. replicas: names, ascending.
    """

    up: int
    down: int
    by_replica: np.ndarray
    replicas: np.ndarray

    @property
    def number(self) -> int:
        return self.up + self.down

    @property
    def error(self) -> float | None:
        """Standard error of the number, from its scatter over replicas; None for a single one."""
        count = len(self.by_replica)
        return float(np.sqrt(count * np.var(self.by_replica, ddof=1))) if count > 1 else None


def by_replica(replica: np.ndarray | None, frames: int) -> list[np.ndarray]:
    """Indices of the frames of each replica, in order."""
    if replica is None:
        return [np.arange(frames)]
    order = np.argsort(replica, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(np.asarray(replica)[order])) + 1)


def core_states(phi: np.ndarray, dead_zone: float = DEAD_ZONE) -> np.ndarray:
    """(frames,) int: +1 in the core phi > 0, -1 in the core phi < 0, in between the core visited last.

    Cores keep `dead_zone` radians from phi = 0 and phi = pi, so that a frame that wavers on a border does not count as
    crossings (core sets; Schuette et al. 2011). Frames before the first core visit are 0.
    """
    core = np.where(np.abs(np.sin(phi)) >= np.sin(dead_zone), np.where(np.sin(phi) > 0, 1, -1), 0)
    last = (
        np.maximum.accumulate(np.where(core != 0, np.arange(len(core)), -1))
        if len(core)
        else np.zeros(0, dtype=np.int64)
    )
    return np.where(last >= 0, core[np.maximum(last, 0)], 0) if len(core) else core


def crossings(phi: np.ndarray, replica: np.ndarray | None = None, dead_zone: float = DEAD_ZONE) -> Crossings:
    """Crossings of `phi` (frames,) radians between the basins phi < 0 and phi > 0."""
    up = down = 0
    counts = []
    for frames in by_replica(replica, len(phi)):
        states = core_states(phi[frames], dead_zone)
        steps = np.diff(states[states != 0])
        up, down = up + int(np.sum(steps > 0)), down + int(np.sum(steps < 0))
        counts.append(int(np.count_nonzero(steps)))
    names = np.unique(replica) if replica is not None else np.zeros(1, dtype=np.int64)
    return Crossings(up, down, np.array(counts, dtype=np.int64), names)


def independent_frames(series: dict[str, np.ndarray], replica: np.ndarray | None = None) -> dict[str, float]:
    """Effective number of independent frames for each observable (frames,): frames / statistical inefficiency.

    A correlation that outlasts the replicas cannot be seen: a simulation whose replicas all started in one basin is
    worth less than this says until they have crossed.
    """
    if not series:
        return {}
    pieces = by_replica(replica, len(next(iter(series.values()))))
    return {
        name: len(values) / statistical_inefficiency([values[p] for p in pieces]) for name, values in series.items()
    }


def slowest_inefficiency(values: np.ndarray, replica: np.ndarray | None = None, most: int = 40) -> float:
    """Largest statistical inefficiency, in frames, among up to `most` columns of `values` (frames, columns).

    Of the deviation and of its square, so that a column whose mean stays while its width changes is seen as well.
    """
    pieces = by_replica(replica, len(values))
    columns = np.unique(np.linspace(0, values.shape[1] - 1, min(most, values.shape[1])).astype(np.int64))
    found = 1.0
    for column in columns:
        series = np.asarray(values[:, column], dtype=np.float64)
        for x in (series, np.square(series - series.mean())):
            found = max(found, statistical_inefficiency([x[p] for p in pieces]))
    return found
