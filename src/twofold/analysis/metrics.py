"""Metrics: how an observable of a set becomes one number against the reference's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twofold.analysis import design, divergence
from twofold.analysis.tallies import Part, means, widths

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twofold.analysis.design import Clusters

PMF_BINS = 64
"""Of the PMF error, an axis, as in ScoreMD (Plainer et al., NeurIPS 2025); two of them are open."""
LINE_BINS = 50
"""Bins of one-dimensional histograms within the range of the reference; two more catch what lies outside."""
CIRCLE_BINS = 36
POOLED_BINS = 200
FINE_BINS = 1000
"""Bins of the cumulative distributions behind the Wasserstein distance."""


@dataclass(frozen=True)
class Metric:
    """One number from two tallies.

    part: (values (frames, columns), weights, groups) -> Part; statistic: (totals, totals) -> number.
    worth: (part, clusters) -> number of independent frames that would leave as much noise in it; see `design`.
    moments: whether it is made of means and widths instead of histograms.
    """

    name: str
    unit: str
    part: Callable[[np.ndarray, np.ndarray, np.ndarray], Part]
    statistic: Callable[[np.ndarray, np.ndarray], np.ndarray]
    worth: Callable[[Part, Clusters], float]
    moments: bool = False


def joint_edges(values: np.ndarray, bins: int, periodic: bool) -> list[np.ndarray]:
    """Edges of `bins` bins for each column of `values`: the circle, or their range with open end bins."""
    if periodic:
        return [np.linspace(-np.pi, np.pi, bins + 1)] * values.shape[1]
    return [_range_edges(column, bins) for column in values.T]


def joint_js(edges: list[np.ndarray]) -> Metric:
    """Jensen-Shannon divergence (nats) of pairs of columns (0, 1), (2, 3), ... on planes; the mean over the pairs."""
    return Metric("JS", "nats", _joint_part(edges), lambda p, q: divergence.js_divergence(p, q).mean(), _js_worth)


def joint_pmf(windows: Sequence[tuple[float, float]], bins: int = PMF_BINS) -> Metric:
    """PMF error ((kT)^2) of pairs of columns, each within its window, the mean over the pairs.

    In `PMF_BINS` bins an axis unless told otherwise, so that numbers can be compared with published ones. See
    `divergence.pmf_error`.
    """
    edges = [divergence.pmf_edges(bins, low, high) for low, high in windows]
    return Metric("PMF error", "kT²", _joint_part(edges), lambda p, q: divergence.pmf_error(p, q).mean(), _pmf_worth)


def line_js(reference: np.ndarray, periodic: bool = False) -> Metric:
    """Jensen-Shannon divergence (nats) of each column, the mean over columns. Bins span the `reference` values."""
    edges = joint_edges(reference, CIRCLE_BINS if periodic else LINE_BINS, periodic)
    return Metric("JS", "nats", _line_part(edges), lambda p, q: divergence.js_divergence(p, q).mean(), _js_worth)


def pooled_tv(reference: np.ndarray, member: np.ndarray) -> Metric:
    """Total variation, half the sum of differences, of the columns of each class together; the mean over classes.

    member: (classes, columns), one where a column is of the class. `POOLED_BINS` bins span the `reference` values of
    all columns.
    """
    edges = [_range_edges(reference.ravel(), POOLED_BINS)] * reference.shape[1]

    def statistic(p: np.ndarray, q: np.ndarray) -> np.ndarray:
        return divergence.total_variation(*(np.einsum("kc,...cb->...kb", member, one) for one in (p, q))).mean()

    return Metric("TV", "", _line_part(edges), statistic, _js_worth)


def line_wasserstein(reference: np.ndarray, unit: str) -> Metric:
    """Wasserstein-1 of each column, the mean over columns. The grid spans `reference` and half as much on each side."""
    low, high = reference.min(axis=0), reference.max(axis=0)
    half = np.maximum(0.5 * (high - low), 1e-6)
    edges = [np.linspace(a - h, b + h, FINE_BINS + 1) for a, b, h in zip(low, high, half, strict=True)]
    width = np.array([e[1] - e[0] for e in edges])
    return Metric(
        "W1",
        unit,
        _line_part(edges),
        lambda p, q: divergence.wasserstein_histogram(p, q, width).mean(),
        lambda part, clusters: design.cumulative_size(part, clusters, width),
    )


def mean_shift(unit: str) -> Metric:
    """Largest difference of means over the columns."""
    return Metric(
        "mean", unit, _moment_part, lambda p, q: np.abs(means(p) - means(q)).max(), design.mean_size, moments=True
    )


def width_change(rigid: float = 0.0) -> Metric:
    """Largest relative difference of standard deviations over the columns; widths up to `rigid` count as that."""
    return Metric(
        "width",
        "",
        _moment_part,
        lambda p, q: np.abs(np.maximum(widths(p), rigid) / np.maximum(widths(q), rigid) - 1.0).max(),
        design.width_size,
        moments=True,
    )


def _js_worth(part: Part, clusters: Clusters) -> float:
    return design.histogram_size(part, clusters, design.js_weight)


def _pmf_worth(part: Part, clusters: Clusters) -> float:
    return design.histogram_size(part, clusters, design.pmf_weight)


def _range_edges(column: np.ndarray, bins: int) -> np.ndarray:
    inner = divergence.pooled_edges(column, bins=bins)
    return np.concatenate([[-np.inf], inner, [np.inf]])


def _joint_part(edges: list[np.ndarray]) -> Callable[[np.ndarray, np.ndarray, np.ndarray], Part]:
    second = len(edges[1]) - 1
    number = (len(edges[0]) - 1) * second

    def part(values: np.ndarray, weights: np.ndarray, groups: np.ndarray) -> Part:
        places = [divergence.digitise(column, e) for column, e in zip(values.T, edges, strict=True)]
        flat = [a * second + b for a, b in zip(places[::2], places[1::2], strict=True)]
        return Part(weights, groups, bins=np.stack(flat, axis=1).astype(np.int32), number=number)

    return part


def _line_part(edges: list[np.ndarray]) -> Callable[[np.ndarray, np.ndarray, np.ndarray], Part]:
    number = len(edges[0]) - 1

    def part(values: np.ndarray, weights: np.ndarray, groups: np.ndarray) -> Part:
        bins = np.empty(values.shape, dtype=np.uint16)
        for column, e in enumerate(edges):
            bins[:, column] = divergence.digitise(values[:, column], e)
        return Part(weights, groups, bins=bins, number=number)

    return part


def _moment_part(values: np.ndarray, weights: np.ndarray, groups: np.ndarray) -> Part:
    return Part(weights, groups, values=values)
