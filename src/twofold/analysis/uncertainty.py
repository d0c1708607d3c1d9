"""How much a set of frames is worth: effective sizes, autocorrelation times, block jackknife errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

GROUPS = 20
"""Blocks that a jackknife leaves out in turn."""
LEAST_GROUPS = 10
"""With fewer labelled blocks than this, frames are cut by order instead: an error from three blocks is no error."""
NO_WEIGHT = 1e-12
"""Part of the weight up to which a block has none: its jackknife would divide rounding by next to nothing."""


def effective_size(weights: np.ndarray) -> float:
    """Number of equally weighted frames with the same variance of a mean, (sum w)^2 / sum w^2 (Kish 1965)."""
    weights = np.asarray(weights, dtype=np.float64)
    return float(weights.sum() ** 2 / np.square(weights).sum())


def statistical_inefficiency(series: Sequence[np.ndarray]) -> float:
    """g = 1 + 2 tau / (time between frames) of one observable over independent `series` (replicas) of any lengths.

    The mean and the variance are those of all series together, so that replicas which never mix count as correlated.
    The sum over lags stops at the first lag whose autocorrelation is not positive (Chodera et al. 2007), or at the
    longest series: a correlation longer than that cannot be seen. A constant observable has g = 1. At least 1.
    """
    values = [np.asarray(s, dtype=np.float64) for s in series if len(s)]
    number = sum(len(s) for s in values)
    mean = sum(float(s.sum()) for s in values) / max(number, 1)
    variance = sum(float(np.square(s - mean).sum()) for s in values) / max(number, 1)
    if variance <= 1e-12 * max(mean * mean, 1e-12):
        return 1.0
    longest = max(len(s) for s in values)
    products, counts = np.zeros(longest), np.zeros(longest)
    for s in values:
        products[: len(s)] += _lagged_products(s - mean)
        counts[: len(s)] += np.arange(len(s), 0, -1)
    correlation = products / counts / variance
    lags = np.arange(1, longest)
    below = np.flatnonzero(correlation[1:] <= 0)
    lags = lags[: below[0]] if len(below) else lags
    # Each lag weighs by the fraction of pairs it has, as in the variance of a mean of a finite series.
    return float(max(1.0, 1.0 + 2.0 * np.sum(correlation[lags] * counts[lags] / counts[0])))


def _lagged_products(deviations: np.ndarray) -> np.ndarray:
    """Sum over t of d(t) d(t + lag) for every lag, by a Fourier transform padded against wrapping."""
    size = 1 << (2 * len(deviations) - 1).bit_length()
    spectrum = np.fft.rfft(deviations, size)
    return np.fft.irfft(spectrum * np.conj(spectrum), size)[: len(deviations)]


def block_groups(labels: np.ndarray | None, frames: int, groups: int = GROUPS, least: int = LEAST_GROUPS) -> np.ndarray:
    """(frames,) int64: the jackknife block of each frame, 0, 1, ... for about `groups` blocks of about equal size.

    `labels` (frames,) are replicas or blocks of time; neighbours in number are joined to `groups`. Where there are
    fewer than `least` (or no labels) the frames, sorted by label, are cut by order.
    """
    if labels is None:
        labels = np.zeros(frames, dtype=np.int64)
    _, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
    groups = max(1, min(groups, frames))
    if len(counts) < min(least, groups):
        order = np.argsort(places, kind="stable")
        result = np.empty(frames, dtype=np.int64)
        result[order] = np.arange(frames) * groups // max(frames, 1)
        return result
    middle = np.cumsum(counts) - counts / 2
    joined = np.minimum((middle * groups / frames).astype(np.int64), groups - 1)
    return np.unique(joined, return_inverse=True)[1][places]


def jackknife_error(left_out: np.ndarray, sizes: np.ndarray | None = None) -> float | np.ndarray:
    """Standard error from estimates `left_out` (blocks, ...), each made without one block.

    Delete-a-group jackknife for blocks of any `sizes` (Busing, Meijer, van der Leeden 1999, eq. 11 with the mean of the
    estimates in the place of the pseudo-mean); for equal blocks (B - 1)/B sum (t_b - mean)^2. For a mean of independent
    frames it is the standard error of the mean. For a divergence near its floor, where the first-order term vanishes,
    it overestimates by up to sqrt 2 (the variance of a degenerate quadratic form counts twice). Blocks without weight
    say nothing and are left aside; of one block alone the error is not a number.
    """
    left_out = np.asarray(left_out, dtype=np.float64)
    sizes = np.ones(len(left_out)) if sizes is None else np.asarray(sizes, dtype=np.float64)
    share = sizes / sizes.sum()
    counts = share > NO_WEIGHT
    left_out, share = left_out[counts], share[counts]
    blocks = len(share)
    if blocks < 2:
        return np.full(left_out.shape[1:], np.nan) if left_out.ndim > 1 else float("nan")
    # 1/(h - 1) with h = 1/share, times (h - 1)^2 for the pseudo-value's spread, over the number of blocks.
    factor = ((1.0 / share - 1.0) / blocks).reshape(-1, *[1] * (left_out.ndim - 1))
    centre = np.average(left_out, axis=0, weights=1.0 - share)
    error = np.sqrt(np.sum(factor * np.square(left_out - centre), axis=0))
    return float(error) if left_out.ndim == 1 else error


def jackknife(statistic: Callable[[np.ndarray], float], groups: np.ndarray) -> tuple[float, float]:
    """(value, error) of `statistic`, a function of indices of frames, leaving out each block of `groups` (frames,)."""
    index = np.arange(len(groups))
    names, sizes = np.unique(groups, return_counts=True)
    left_out = np.array([statistic(index[groups != name]) for name in names])
    return float(statistic(index)), float(jackknife_error(left_out, sizes))
