"""Lag times in the same physical unit for two sets of motion, and the one to trust."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from twofold.diagnosis.markov import Motion

LAGS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 1000)
SAME_LAG = 0.02
"""Relative difference of two lag times that count as the same."""
PLATEAU = 0.1
"""Change of the logarithm of the slowest time scale from one lag to the next that counts as none."""
SHARE = 0.25
"""Longest lag over the length of the longest series."""


class Lag(NamedTuple):
    """A lag time that both sides have, in ps and in frames of each."""

    ps: float
    reference: int
    simulation: int


def common_lags(reference: Motion, simulation: Motion) -> list[Lag]:
    """Lags in the same unit of time on both sides, up to a quarter of the shorter of the two longest series."""
    base = max(reference.frame_ps, simulation.frame_ps)
    longest = SHARE * min(reference.longest_ps, simulation.longest_ps)
    found = []
    for multiple in LAGS:
        ps = multiple * base
        frames = [max(1, round(ps / part.frame_ps)) for part in (reference, simulation)]
        real = [count * part.frame_ps for count, part in zip(frames, (reference, simulation), strict=True)]
        if ps <= longest and abs(real[0] / real[1] - 1) <= SAME_LAG:
            found.append(Lag(real[0], *frames))
    return found


def chosen_lag(lags: list[Lag], *slow: np.ndarray) -> int | None:
    """The first lag from which on no slowest time scale changes, else the last that is shorter than all of them."""
    times = np.array([lag.ps for lag in lags])
    fine = np.all([np.isfinite(values) & (values > times) for values in slow], axis=0)
    if not fine.any():
        return None
    for place in np.flatnonzero(fine[:-1] & fine[1:]):
        if all(abs(np.log(values[place + 1] / values[place])) <= PLATEAU for values in slow):
            return int(place)
    return int(np.flatnonzero(fine)[-1])
