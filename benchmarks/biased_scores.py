"""Populations and structures of frames with errors, and what they are by the truth, which is frames as well."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from biased_systems import Kind, System
from common import with_error

from twofold.analysis.uncertainty import block_groups, jackknife
from twofold.ensemble import Ensemble

BLOCKS = 20
DRAWS = 10
LEAST = 200
"""Fewer frames than this have no structure."""
WITHIN = 0.1
"""What populations may be off by, relative."""


class Value(NamedTuple):
    """A number and its error; NaN for what is not known."""

    value: float
    error: float = float("nan")

    def __str__(self) -> str:
        if not np.isfinite(self.value):
            return "-"
        return with_error(self.value, self.error) if np.isfinite(self.error) else f"{self.value:.3g}"

    @property
    def relative(self) -> float:
        """Error over value."""
        return self.error / self.value if self.value else float("nan")

    def with_more(self, relative: float) -> Value:
        """With one more independent error, relative to the value."""
        return Value(self.value, float(np.hypot(self.error, relative * self.value)))

    def over(self, other: Value) -> Value:
        """The ratio to an independent value."""
        if not other.value:
            return Value(float("nan"))
        return Value(self.value / other.value, self.error / other.value).with_more(other.relative)


def mean(values: Sequence[float]) -> Value:
    """Mean over seeds or replicas, and its standard error."""
    if not len(values):
        return Value(float("nan"))
    error = np.std(values, ddof=1) / len(values) ** 0.5 if len(values) > 1 else np.nan
    return Value(float(np.mean(values)), float(error))


def within(ratio: Value) -> str:
    """Whether a ratio is one within a tenth, and whether its error leaves that open."""
    if not np.isfinite(ratio.value):
        return "not known"
    off = abs(ratio.value - 1)
    sure = abs(off - WITHIN) > ratio.error
    return f"{'yes' if off <= WITHIN else 'no'} ({ratio}{'' if sure else ', so that its error leaves it open'})"


def halves(inside: np.ndarray, replica: np.ndarray, late: np.ndarray) -> Value:
    """Per cent of later frames that are inside (frames,) less that of earlier ones, over replicas that have both."""
    both = np.intersect1d(replica[late], replica[~late])
    shares = [[inside[(replica == one) & part].mean() for part in (late, ~late)] for one in both]
    return mean([100 * float(later - earlier) for later, earlier in shares])


def drawn(weights: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of `number` frames, none twice, in proportion to their weights; at most `most` of these."""
    assert number <= most(weights)
    order = rng.permutation(len(weights))
    ends = np.cumsum(weights[order]) * number / weights.sum()
    ends[-1] = number
    return order[np.diff(np.floor(ends + rng.random()), prepend=0.0) > 0]


def most(weights: np.ndarray) -> int:
    """How many frames can be drawn by their weights without repetition."""
    return int(weights.sum() / weights.max()) if len(weights) else 0


class Judge:
    """The truth of a system, and how frames compare with it.

    Structures are distances from one half of the truth, of `number` frames of each set, which are as many as the
    smallest has: of training frames, of the other half of the truth, whose distance is the floor, and of `found`, bins
    of sets of models.
    """

    def __init__(self, system: System, found: Iterable[np.ndarray]) -> None:
        self.system = system
        self.truth = self.population(system.judges)
        half = block_groups(system.judges.block, len(system.judges), BLOCKS) % 2 == 0
        local, other = self._local(system.judges.select(half)), system.judges.select(~half)
        self._exact = system.histogram(system.bins(local.positions), local.weights)
        known = [most(self._local(frames).weights) for frames in (other, *map(self.training, system.kinds))]
        numbers = [len(one) for one in found]
        # a set of which little is left, as few replicas were stable, has no structure; it must not blur that of others
        least = max(LEAST, min(*known, max(numbers, default=0)) // 2)
        self.number = min([*known, *(one for one in numbers if one >= least)])
        self.floor = self.structure(other)

    def training(self, kind: Kind, seed: int = 0) -> Ensemble:
        """Frames that train, without repetition: those drawn by weights from shared frames stand for these."""
        return self.system.frames("weighted" if self.system.shared and kind == "unbiased" else kind, seed)[0]

    def _local(self, frames: Ensemble) -> Ensemble:
        return frames.select(self.system.local(frames.positions))

    def population(self, frames: Ensemble) -> Value:
        """Per cent of frames that are counted, by their weights, with its jackknife error."""
        return self._jackknife(frames, lambda inside, index: np.average(inside[index], weights=frames.weights[index]))

    def _jackknife(self, frames: Ensemble, share: Callable[[np.ndarray, np.ndarray], float | np.floating]) -> Value:
        inside = 100.0 * self.system.inside(frames.positions)
        groups = block_groups(frames.block, len(frames), BLOCKS)
        return Value(*jackknife(lambda index: float(share(inside, index)), groups))

    def over_training(self, shares: Mapping[int, float], kind: Kind) -> Value:
        """Ratio of populations in per cent by seed to those of the training frames with the right weights.

        Where all seeds have the same frames, what those are off by cancels as far as it is learned from them.
        """
        right: Kind = "weighted" if kind == "biased" else kind
        inside = self.system.inside
        exact = {seed: self.training(right, seed) for seed in shares}
        known = {seed: 100 * np.average(inside(one.positions), weights=one.weights) for seed, one in exact.items()}
        if not all(known.values()):
            return Value(float("nan"))
        ratio = mean([share / float(known[seed]) for seed, share in shares.items()])
        if not self.system.shared or not shares:
            return ratio
        learned, weighted = self.training(kind), self.training(right).weights

        def share(inside: np.ndarray, index: np.ndarray) -> float:
            one, other = (np.average(inside[index], weights=w[index]) for w in (learned.weights, weighted))
            return float(one / other)

        return ratio.with_more(self._jackknife(learned, share).relative)

    def over_truth(self, shares: Mapping[int, float], kind: Kind) -> Value:
        """Ratio of populations in per cent by seed to that of the truth."""
        ratio = mean(list(shares.values())).over(self.truth)
        return ratio.with_more(self.population(self.training(kind)).relative) if self.system.shared else ratio

    def structure(self, frames: Ensemble) -> Value:
        """Distance of frames, with the jackknife error of those that are drawn."""
        local = self._local(frames)
        distance = self._distance(self.system.bins(local.positions), local.weights)
        return Value(*jackknife(distance, block_groups(local.block, len(local), BLOCKS)))

    def structures(self, found: Iterable[np.ndarray]) -> Value:
        """Distance of bins of sets of models, mean over seeds; of those that have enough frames."""
        some = [bins for bins in found if len(bins) >= self.number]
        return mean([self._distance(bins, np.ones(len(bins)))(np.arange(len(bins))) for bins in some])

    def _distance(self, bins: np.ndarray, weights: np.ndarray) -> Callable[[np.ndarray], float]:
        """Mean over draws of `number` frames, as a function of which of the frames are there."""
        rng = np.random.default_rng(0)
        draws = [drawn(weights, self.number, rng) for _ in range(DRAWS)]

        def found(index: np.ndarray) -> float:
            there = np.zeros(len(bins), bool)
            there[index] = True
            parts = [self.system.histogram(bins[draw[there[draw]]]) for draw in draws]
            return float(np.mean([self.system.divergence(part, self._exact) for part in parts]))

        return found
