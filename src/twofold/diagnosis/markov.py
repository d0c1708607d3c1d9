"""Markov state models: counts of transitions, implied time scales, mean first-passage times (extra `analysis`)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from twofold.analysis.divergence import js_divergence
from twofold.analysis.kinetics import by_replica
from twofold.errors import UserError

GROUPS = 20
"""Blocks that a jackknife leaves out in turn."""


class Motion(NamedTuple):
    """Frames in order of time: features (frames, features), the series that each belongs to, ps between two frames."""

    features: np.ndarray
    series: np.ndarray
    frame_ps: float

    @property
    def longest_ps(self) -> float:
        """Length of the longest series."""
        return self.frame_ps * int(np.unique(self.series, return_counts=True)[1].max())


class Discrete(NamedTuple):
    """States of frames (frames,) from 0 to `number - 1`, the series and the jackknife block of each (frames,)."""

    states: np.ndarray
    series: np.ndarray
    block: np.ndarray
    frame_ps: float
    number: int


class Rates(NamedTuple):
    """What a Markov state model says: time scales (slowest first) and mean first-passage times (sets, sets) in ps."""

    timescales: np.ndarray
    passages: np.ndarray
    visited: bool
    """Whether every set of states is there and can be left and entered."""

    @property
    def times(self) -> np.ndarray:
        """All of them: time scales, then passages from set to set, row by row."""
        off = ~np.eye(len(self.passages), dtype=bool)
        return np.concatenate([self.timescales, self.passages[off]])


def require_deeptime() -> None:
    """Raises UserError when deeptime is missing."""
    try:
        import deeptime  # noqa: F401
    except ImportError as error:
        raise UserError(
            "deeptime is not installed, and rates need it", "the extra [analysis]", "pip install 'twofold[analysis]'"
        ) from error


def time_groups(series: np.ndarray, groups: int = GROUPS) -> np.ndarray:
    """(frames,) blocks of time of about equal size, cut from the series one after the other."""
    order = np.concatenate(by_replica(series, len(series)))
    block = np.empty(len(series), np.int64)
    block[order] = np.arange(len(series)) * min(groups, len(series)) // len(series)
    return block


def counts_by_block(motion: Discrete, lag: int) -> np.ndarray:
    """Transitions (blocks, states, states) over `lag` frames, from all starts; a block has those that start in it."""
    blocks = int(motion.block.max()) + 1
    found = np.zeros((blocks, motion.number, motion.number))
    for frames in by_replica(motion.series, len(motion.states)):
        before, after = frames[:-lag], frames[lag:]
        np.add.at(found, (motion.block[before], motion.states[before], motion.states[after]), 1.0)
    return found


def estimated(counts: np.ndarray, lag: int) -> Any:
    """The reversible model of largest likelihood (Trendelkamp-Schroer et al. 2015) on the largest connected set.

    None where no two states are connected.
    """
    from deeptime.markov import TransitionCountModel
    from deeptime.markov.msm import MaximumLikelihoodMSM

    connected = TransitionCountModel(counts, lagtime=lag).submodel_largest()
    if connected.n_states < 2:
        return None
    return MaximumLikelihoodMSM(reversible=True).fit(connected).fetch_model()


def rates_of(counts: np.ndarray, lag: int, frame_ps: float, sets: np.ndarray, number: int) -> Rates:
    """Rates from counts (states, states) over `lag` frames.

    sets: the set of each state (states,). number: how many time scales.
    """
    kinds = int(sets.max()) + 1
    passages = np.full((kinds, kinds), np.nan)
    times = np.full(number, np.nan)
    model = estimated(counts, lag)
    if model is None:
        return Rates(times, passages, False)
    found = np.asarray(model.timescales(k=min(number, model.n_states - 1)), np.float64)
    times[: len(found)] = found[:number] * frame_ps
    kept = sets[np.asarray(model.count_model.state_symbols)]
    for start in range(kinds):
        for goal in range(kinds):
            here, there = np.flatnonzero(kept == start), np.flatnonzero(kept == goal)
            if start != goal and len(here) and len(there):
                passages[start, goal] = float(model.mfpt(here.tolist(), there.tolist())) * frame_ps
    return Rates(times, passages, all((kept == kind).any() for kind in range(kinds)))


def transition_matrix(counts: np.ndarray, sets: np.ndarray) -> np.ndarray:
    """Row-normalised transitions between sets of states, as counted; rows never left are even."""
    kinds = int(sets.max()) + 1
    table = np.zeros((kinds, kinds))
    np.add.at(table, (sets[:, None], sets[None, :]), counts)
    total = table.sum(axis=1, keepdims=True)
    return np.where(total > 0, table / np.maximum(total, 1e-300), 1.0 / kinds)


def matrix_js(first: np.ndarray, second: np.ndarray) -> float:
    """Jensen-Shannon divergence in nats of two flattened row-normalised matrices: the mean over their rows.

    As in Two for One (Arts et al., JCTC 2023) and Plainer et al., NeurIPS 2025.
    """
    return float(js_divergence(np.ravel(first), np.ravel(second)))
