"""How many independent frames a set of correlated frames is worth, for one metric: its generalised design effect.

Frames of a simulation follow each other. Let V(p_b) be the variance of the fraction of frames in bin b, measured
between replicas. Independent frames would have p_b (1 - p_b) / n. The first-order correction of Rao and Scott (J. Am.
Stat. Assoc. 76, 221, 1981) for statistics that are quadratic in p divides n by the mean design effect,

    effective n = sum_b w_b (1 - p_b) / sum_b w_b V(p_b) / p_b

with w_b = 1 where bins hold many frames. A Jensen-Shannon divergence of many frames is such a statistic,
1/8 sum_b (p_b - q_b)^2 / p_b. Bins of few frames are not quadratic any more. What their variance contributes to the
expected score is taken from counts X that are Poisson of mean m: a metric is a sum of p_b h(m_b), m_b the count of bin
b in effective frames, and w_b is -m^2 h'(m) over its value at large m.

V is the cluster variance of a ratio estimator, sum_r e_r^2 / n^2 / (1 - sum_r s_r^2), e_r = sum over replica r of
(1_b - p_b), s_r its share of the frames. Given the counts of the whole, frames that are independent make it exactly
p_b (1 - p_b) / (n - 1) on average, in bins of one frame as well (hypergeometric counts), so that their effective size
is n without combining sparse bins. Pieces of one replica are correlated with the next piece: such pairs count too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from math import lgamma
from typing import TYPE_CHECKING

import numpy as np

from twofold.analysis.divergence import PMF_FILL
from twofold.analysis.tallies import means
from twofold.analysis.uncertainty import effective_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from twofold.analysis.tallies import Part

LEAST_REPLICAS = 20
"""With fewer, pieces of them take the place of replicas."""
MOST_CLUSTERS = 256
"""More replicas than this are joined, which leaves the variance right and costs little of its precision."""
MOST_PIECES, LEAST_PIECES = 100, 10
PIECE = 2.0
"""Length of a piece at least, in statistical inefficiencies (four correlation times)."""


@dataclass(frozen=True)
class Clusters:
    """Groups of frames that are independent, but for neighbours in time.

    labels: (frames,) int64, 0, 1, ...; follows: (clusters - 1,) bool, whether cluster i + 1 continues cluster i.
    """

    labels: np.ndarray
    follows: np.ndarray


def clusters_of(replica: np.ndarray | None, frames: int, inefficiency: Callable[[], float]) -> Clusters:
    """Replicas, at most 256 groups of them; if there are fewer than 20, pieces of each.

    replica: (frames,) or None; frames of a replica stand in order of time. inefficiency: of the slowest observable, in
    frames; a piece has at least twice as many, unless that makes fewer than 10 pieces, when the slowest motions of the
    set were hardly seen and count too little.
    """
    labels = np.zeros(frames, dtype=np.int64) if replica is None else np.asarray(replica)
    _, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
    number = len(counts)
    if number >= LEAST_REPLICAS:
        joined = places * MOST_CLUSTERS // number if number > MOST_CLUSTERS else places
        return Clusters(joined, np.zeros(int(joined.max()), dtype=bool))
    least, most = -(-LEAST_PIECES // number), MOST_PIECES // number
    pieces = np.clip((counts / (PIECE * inefficiency())).astype(np.int64), least, most)
    pieces = np.minimum(pieces, counts)
    order = np.argsort(places, kind="stable")
    rank = np.empty(frames, dtype=np.int64)
    rank[order] = np.arange(frames) - np.repeat(np.cumsum(counts) - counts, counts)
    first = np.cumsum(pieces) - pieces
    follows = np.ones(int(pieces.sum()), dtype=bool)
    follows[first] = False
    return Clusters(first[places] + rank * pieces[places] // counts[places], follows[1:])


def cluster_variance(sums: np.ndarray, sizes: np.ndarray, follows: np.ndarray) -> np.ndarray:
    """Variance of sums.sum(0) / sizes.sum() from `sums` (clusters, ...), `sizes` (clusters,); NaN for one cluster."""
    whole = sizes.sum()
    rest = sums - sizes.reshape(-1, *[1] * (sums.ndim - 1)) * (sums.sum(axis=0) / whole)
    square = np.einsum("r...,r...->...", rest, rest)
    share = sizes / whole
    left = 1.0 - np.sum(share**2)
    if follows.any():
        square += 2.0 * np.einsum("r...,r...->...", rest[:-1][follows], rest[1:][follows])
        left -= 2.0 * np.sum((share[:-1] * share[1:])[follows])
    return square / whole**2 / left if left > 1e-9 else np.full(square.shape, np.nan)


def histogram_size(part: Part, clusters: Clusters, weight: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> float:
    """Effective size of histograms, pooled over their columns.

    weight: (effective counts of bins, their fractions) -> w of bins.
    """
    size, sums, sizes = _tallied(part, clusters)
    fraction = sums.sum(axis=0) / sizes.sum()
    used = (fraction > 0) & (fraction < 1)
    p, variance = fraction[used], cluster_variance(sums, sizes, clusters.follows)[used]
    worth = size
    # The weights depend on the effective size; it settles in a few rounds.
    for _ in range(10):
        w = weight(worth * p, p)
        worth = _worth(size, np.sum(w * variance / p), np.sum(w * (1.0 - p)))
    return worth


def cumulative_size(part: Part, clusters: Clusters, width: np.ndarray) -> float:
    """Effective size of cumulative distributions F, for Wasserstein-1 whose columns have bins of `width` (columns,).

    The expected area between two of them is the integral of the standard deviation of their difference: to first order
    the design effect of F counts by sqrt(F (1 - F)).
    """
    size, sums, sizes = _tallied(part, clusters)
    sums = np.cumsum(sums, axis=-1)
    below = sums.sum(axis=0) / sizes.sum()
    spread = np.sqrt(np.clip(below * (1.0 - below), 0.0, None))
    # A cumulative sum of weights ends at 1 only up to rounding.
    spread = np.where(spread > 1e-6, spread, 0.0)
    variance = cluster_variance(sums, sizes, clusters.follows)
    ratio = np.divide(variance, spread, out=np.zeros_like(spread), where=spread > 0)
    return _worth(size, np.sum(ratio.T * width), np.sum(spread.T * width))


def mean_size(part: Part, clusters: Clusters) -> float:
    """Effective size of the means of columns, for their largest shift."""
    size, sums, sizes = _tallied(part, clusters)
    variance = cluster_variance(sums[..., 1], sizes, clusters.follows)
    return _worth(size, *_largest(variance, _moment(part, sums, 2), clusters))


def width_size(part: Part, clusters: Clusters) -> float:
    """Effective size of the relative widths s of columns, for their largest change: of means of (x - mean)^2 / s^2."""
    size, sums, sizes = _tallied(part, clusters)
    centre, square = means(sums.sum(axis=0)), _moment(part, sums, 2)
    moved = sums[..., 2] - 2.0 * centre * sums[..., 1] + centre**2 * sums[..., 0]
    varied = square > 0
    variance = cluster_variance(moved, sizes, clusters.follows)[varied] / square[varied] ** 2
    kurtosis = _moment(part, sums, 4)[varied] / square[varied] ** 2
    return _worth(size, *_largest(variance, kurtosis - 1.0, clusters))


def _largest(variance: np.ndarray, independent: np.ndarray, clusters: Clusters) -> tuple[float, float]:
    """Measured variances of columns and those of independent frames as one number each, for a largest deviation.

    The largest of ten or twenty normal deviates of different widths grows about as the cube root of the sum of their
    third powers. A variance from r clusters has a squared relative error of 2 / (r - 1), about three times that where
    pairs of neighbours enter, by which its power 3/2 is too large on average.
    """
    noise = 2.0 * (3.0 if clusters.follows.any() else 1.0) / max(len(clusters.follows), 1)
    measured = np.sum(np.clip(variance, 0.0, None) ** 1.5) / (1.0 + 0.375 * noise)
    return float(measured ** (2 / 3)), float(np.sum(independent**1.5) ** (2 / 3))


def _tallied(part: Part, clusters: Clusters) -> tuple[float, np.ndarray, np.ndarray]:
    """Kish size, sums by cluster (clusters, columns, bins or moments), sums of weights by cluster."""
    sums = replace(part, groups=clusters.labels).totals()
    sizes = np.bincount(clusters.labels, weights=part.weights, minlength=len(sums))
    return effective_size(part.weights), sums, sizes


def _moment(part: Part, sums: np.ndarray, power: int) -> np.ndarray:
    """(columns,) central moment."""
    assert part.values is not None
    off = part.values - means(sums.sum(axis=0))
    return np.average(off**power, axis=0, weights=part.weights)


def _worth(size: float, measured: float, independent: float) -> float:
    """`size` over the design effect, from 1 to `size`, which it is where nothing varies or only one cluster is seen."""
    effect = (size - 1.0) * measured / independent if independent > 0 else 1.0
    return float(np.clip(size / effect, 1.0, size)) if np.isfinite(effect) and effect > 0 else size


def js_weight(count: np.ndarray, fraction: np.ndarray) -> np.ndarray:
    """w of bins for a Jensen-Shannon divergence: 1 for many frames, falling to 0 below about one."""
    del fraction
    return np.interp(np.log(np.maximum(count, 1e-9)), *_sensitivity("js"))


def pmf_weight(count: np.ndarray, fraction: np.ndarray) -> np.ndarray:
    """w of bins for `divergence.pmf_error`: that of occupied ones, and the chance to be empty and filled."""
    empty = 0.5 * np.square(np.log(fraction / PMF_FILL) * count) * np.exp(-count)
    return np.interp(np.log(np.maximum(count, 1e-9)), *_sensitivity("pmf")) + empty


@cache
def _sensitivity(metric: str) -> tuple[np.ndarray, np.ndarray]:
    """(ln m, -m^2 h'(m) over its limit) for p_b h(m), the expected part of bin b in a metric if X is Poisson of mean m.

    js: h = <X ln(2 X / (X + m)) + m ln(2 m / (X + m))> / 2m, at large m 1/(8 m). pmf: h = <(X + m) ln(X / m)^2> / 2m
    over X > 0, at large m 1/m.
    """
    log_mean = np.linspace(np.log(1e-3), np.log(300.0), 250)
    mean, count = np.exp(log_mean)[:, None], np.arange(1.0, 600.0)[None]
    factorial = np.array([lgamma(k + 1.0) for k in count[0]])
    chance = np.exp(count * np.log(mean) - mean - factorial)
    if metric == "js":
        found = 0.5 * (count * np.log(2 * count / (count + mean)) + mean * np.log(2 * mean / (count + mean)))
        none, limit = 0.5 * mean[:, 0] * np.log(2.0), 1.0 / 8.0
    else:
        found, none, limit = 0.5 * (count + mean) * np.square(np.log(count / mean)), 0.0, 1.0
    expected = np.sum(chance * found, axis=1) + np.exp(-mean[:, 0]) * none
    slope = np.gradient(expected / mean[:, 0], log_mean)
    return log_mean, -slope * mean[:, 0] / limit
