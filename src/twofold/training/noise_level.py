"""The noise level at which the model is simulated, chosen on frames that training did not see.

At a small level the score is poorly learned, at a large one the density is blurred. The implicit score-matching loss
`1/2 |s|^2 + div s` on clean frames is, up to a constant, half the mean squared difference between the model's score at
that level and the score of the clean data: it holds both errors and needs no label.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from twofold.chart.base import Chart
from twofold.energy.base import Energy
from twofold.errors import UserError
from twofold.noise import NoiseSchedule
from twofold.objectives import implicit

LEVELS = 12
RANGE = 40.0
"""The largest level that is looked at, over the smallest."""
GROUPS = 20
MOST_COORDINATES = 60_000


class NoiseLevelScan(NamedTuple):
    """Levels (units of the chart), loss and its standard error at each, error of the difference to the best, choice."""

    sigma: list[float]
    loss: list[float]
    error: list[float]
    difference_error: list[float]
    chosen: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return self._asdict()


def choose_noise_level(
    model: Energy,
    chart: Chart,
    schedule: NoiseSchedule,
    coordinates: Float[Array, "frames ..."],
    weights: np.ndarray,
    *,
    most: int = 1000,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> NoiseLevelScan:
    """Scan `LEVELS` levels on up to `most` held-out frames, evenly spread over those of positive weight (frames,).

    Of frames with many coordinates fewer are looked at, `MOST_COORDINATES` in all: each takes longer, and tells more.

    The choice is the largest level up to which the loss stays within one standard error (of the paired difference, from
    blocks of time) of the least: where the data cannot tell two levels apart, the smoother force field is the better
    one. `progress` hears of levels that are done, and how many there are: of many particles one takes long.
    """
    given = np.flatnonzero(np.asarray(weights) > 0)
    most = min(most, max(1, MOST_COORDINATES // coordinates[0].size))
    some = given[:: max(1, -(-len(given) // most))]
    frames, share = coordinates[some], np.asarray(weights, np.float64)[some]
    levels = np.geomspace(schedule.smallest, min(schedule.largest, RANGE * schedule.smallest), LEVELS)
    key = jax.random.key(seed)
    losses: list[np.ndarray] = []
    for sigma in levels:
        progress(len(losses), LEVELS)
        losses.append(np.asarray(_losses(model, chart, frames, jnp.float32(sigma), key), np.float64))
    return _decide(levels, np.stack(losses), share / share.sum())


@eqx.filter_jit
def _losses(model: Energy, chart: Chart, frames: Array, sigma: Array, key: Array) -> Float[Array, " frames"]:
    return implicit(model, None, chart, frames, sigma, key)


def _decide(levels: np.ndarray, losses: np.ndarray, share: np.ndarray) -> NoiseLevelScan:
    mean = losses @ share
    if not np.isfinite(mean).any():
        raise UserError(
            "a score that is not finite on held-out frames at any noise level", "a finite one", "look for broken frames"
        )
    best = int(np.nanargmin(mean))
    errors = [_block_error(row, share) for row in losses]
    differences = [_block_error(row - losses[best], share) for row in losses]
    level = best
    for place in range(best + 1, len(levels)):
        if not mean[place] - mean[best] <= differences[place]:  # also where the loss is not finite
            break
        level = place
    return NoiseLevelScan(levels.tolist(), mean.tolist(), errors, differences, float(levels[level]))


def _block_error(values: np.ndarray, share: np.ndarray) -> float:
    """Jackknife error of a weighted mean over contiguous blocks."""
    group = np.arange(len(values)) * GROUPS // len(values)
    total = np.bincount(group, values * share, GROUPS)
    weight = np.bincount(group, share, GROUPS)
    kept = weight.sum() - weight
    means = (total.sum() - total)[kept > 0] / kept[kept > 0]
    return float(np.sqrt((len(means) - 1) * np.mean((means - means.mean()) ** 2))) if len(means) > 1 else float("nan")
