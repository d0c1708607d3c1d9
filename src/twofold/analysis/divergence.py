"""Distances between distributions: Jensen-Shannon divergence, error of the potential of mean force, Wasserstein-1.

The functions of histograms take counts or weights whose last axis (or axes) are the bins, broadcast over the rest, and
normalise them. Those of samples build the histograms with weights.
"""

from __future__ import annotations

import numpy as np

PMF_FILL = 1e-6
"""Probability that stands in for a bin which only the other set occupies."""
TORSION_WINDOW = (-np.pi, np.pi)


def js_divergence(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Jensen-Shannon divergence in nats over the last axis (Lin 1991): 0 for equal, ln 2 for disjoint histograms.

    JS = KL(p|m)/2 + KL(q|m)/2, m = (p + q)/2: the square of scipy's `jensenshannon` distance.
    """
    p, q = _normalised(p), _normalised(q)
    middle = 0.5 * (p + q)
    return np.maximum(0.5 * (_relative_entropy(p, middle) + _relative_entropy(q, middle)), 0.0)


def total_variation(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Half the sum of differences over the last axis: 0 for equal, 1 for disjoint histograms."""
    return 0.5 * np.sum(np.abs(_normalised(p) - _normalised(q)), axis=-1)


def pmf_error(p: np.ndarray, q: np.ndarray, fill: float = PMF_FILL) -> np.ndarray:
    """Squared error of the potential of mean force in (kT)^2, last axis, as ScoreMD (arXiv 2506.17139) scores it.

    Over bins that either histogram occupies: sum of w (ln p - ln q)^2, w proportional to (p + q)/2, with `fill` in the
    place of empty bins. The histograms come from `pmf_edges`.
    """
    p, q = np.broadcast_arrays(_normalised(p), _normalised(q))
    used = (p > 0) | (q > 0)
    p, q = np.where(p > 0, p, fill), np.where(q > 0, q, fill)
    weight = np.where(used, 0.5 * (p + q), 0.0)
    return np.sum(weight * np.square(np.log(p / q)), axis=-1) / np.sum(weight, axis=-1)


def wasserstein_histogram(p: np.ndarray, q: np.ndarray, width: np.ndarray | float) -> np.ndarray:
    """Wasserstein-1 between histograms of equal bins of `width`, over the last axis, in the unit of `width`.

    The area between the cumulative distributions; exact up to the place within a bin.
    """
    return np.sum(np.abs(np.cumsum(_normalised(p) - _normalised(q), axis=-1)), axis=-1) * width


def js_2d(
    x: np.ndarray,
    y: np.ndarray,
    bins: int = 64,
    x_weights: np.ndarray | None = None,
    y_weights: np.ndarray | None = None,
    window: tuple[float, float] | None = TORSION_WINDOW,
) -> float:
    """Jensen-Shannon divergence (nats) of points x, y (points, 2) on `bins` x `bins` common bins.

    `window` holds for both axes (the full circle of two torsions by default); None takes the range of both sets
    together for each axis, as ScoreMD does.
    """
    edges = [np.linspace(*window, bins + 1) if window else pooled_edges(x[:, a], y[:, a], bins=bins) for a in (0, 1)]
    p, q = (histogram_2d(points, edges, weights) for points, weights in ((x, x_weights), (y, y_weights)))
    return float(js_divergence(p.ravel(), q.ravel()))


def pmf_error_2d(
    x: np.ndarray,
    y: np.ndarray,
    bins: int = 64,
    x_weights: np.ndarray | None = None,
    y_weights: np.ndarray | None = None,
    window: tuple[float, float] = TORSION_WINDOW,
) -> float:
    """PMF error ((kT)^2) of points (points, 2): `bins` bins an axis, of which two catch what lies outside `window`."""
    edges = [pmf_edges(bins, *window)] * 2
    p, q = (histogram_2d(points, edges, weights) for points, weights in ((x, x_weights), (y, y_weights)))
    return float(pmf_error(p.ravel(), q.ravel()))


def pmf_edges(bins: int, low: float, high: float) -> np.ndarray:
    """(bins + 1,) edges: `bins` - 2 equal ones from `low` to `high` and one open bin on either side."""
    return np.concatenate([[-np.inf], np.linspace(low, high, bins - 1), [np.inf]])


def pooled_edges(*sets: np.ndarray, bins: int) -> np.ndarray:
    """(bins + 1,) equal bins over the range of all `sets` together."""
    low, high = min(float(np.min(s)) for s in sets), max(float(np.max(s)) for s in sets)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, bins + 1)


def digitise(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Bin of each value, int64: b where edges[b] <= value < edges[b + 1]; what lies outside joins the nearest end bin.

    The bins between finite edges have to be equal in width, which makes this a multiplication in place of a search.
    """
    finite = edges[np.isfinite(edges)]
    inner = np.floor(
        (np.asarray(values, dtype=np.float64) - finite[0]) * ((len(finite) - 1) / (finite[-1] - finite[0]))
    )
    if np.isinf(edges[0]):
        return (np.clip(inner, -1, len(finite) - 1) + 1).astype(np.int64)
    return np.clip(inner, 0, len(finite) - 2).astype(np.int64)


def histogram_2d(points: np.ndarray, edges: list[np.ndarray], weights: np.ndarray | None = None) -> np.ndarray:
    """(bins, bins) weighted histogram of `points` (points, 2); what lies outside joins the nearest end bin."""
    shape = (len(edges[0]) - 1, len(edges[1]) - 1)
    flat = digitise(points[:, 0], edges[0]) * shape[1] + digitise(points[:, 1], edges[1])
    return np.bincount(flat, weights=weights, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)


def _normalised(histogram: np.ndarray) -> np.ndarray:
    histogram = np.asarray(histogram, dtype=np.float64)
    return histogram / histogram.sum(axis=-1, keepdims=True)


def _relative_entropy(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    ratio = np.divide(p, q, out=np.ones(np.broadcast_shapes(p.shape, q.shape)), where=p > 0)
    return np.sum(p * np.log(ratio), axis=-1)
