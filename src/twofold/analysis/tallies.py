"""Tallies: what a statistic needs of a set of frames, summed by jackknife block.

Sums by block make a leave-one-out estimate a subtraction: no frame is touched twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ROWS = 4096
"""Frames counted at once."""


@dataclass(frozen=True)
class Part:
    """One set of frames seen through one observable.

    bins: (frames, columns) integers, the bin of each frame in each column; or None for moments.
    values: (frames, columns) float64, for moments.
    number: bins of each column.
    weights: (frames,) float64; groups: (frames,) int64 jackknife block.
    """

    weights: np.ndarray
    groups: np.ndarray
    bins: np.ndarray | None = None
    number: int = 0
    values: np.ndarray | None = None

    @property
    def blocks(self) -> int:
        return int(self.groups.max()) + 1

    def totals(self, index: np.ndarray | None = None, by_block: bool = True) -> np.ndarray:
        """Sums over frames by block: (blocks, columns, bins) histograms, or (blocks, columns, 3) sums of w, w x, w x^2.

        Without `index` all frames count with their weights; the frames of `index` count once for each mention.
        """
        rows = np.arange(len(self.groups)) if index is None else index
        weights = self.weights if index is None else np.ones(len(rows))
        groups = self.groups[rows] if by_block else np.zeros(len(rows), dtype=np.int64)
        blocks = self.blocks if by_block else 1
        if self.bins is not None:
            return _histograms(self.bins, self.number, rows, weights, groups, blocks)
        assert self.values is not None
        return _moments(self.values, rows, weights, groups, blocks)


def _histograms(
    bins: np.ndarray, number: int, rows: np.ndarray, weights: np.ndarray, groups: np.ndarray, blocks: int
) -> np.ndarray:
    columns = bins.shape[1]
    width = columns * number
    result = np.zeros(blocks * width)
    offsets = np.arange(columns) * number
    equal = bool(len(weights)) and bool(np.all(weights == weights[0]))
    # By block order, so that each chunk touches few blocks and stays in cache.
    order = np.argsort(groups, kind="stable") if blocks > 1 else np.arange(len(rows))
    for start in range(0, len(rows), ROWS):
        chunk = order[start : start + ROWS]
        first, last = int(groups[chunk[0]]), int(groups[chunk[-1]])
        flat = bins[rows[chunk]] + (offsets + ((groups[chunk] - first) * width)[:, None])
        part = np.repeat(weights[chunk], columns) if not equal else None
        counts = np.bincount(flat.ravel(), weights=part, minlength=(last - first + 1) * width)
        result[first * width : (last + 1) * width] += counts if not equal else counts * weights[0]
    return result.reshape(blocks, columns, number)


def _moments(values: np.ndarray, rows: np.ndarray, weights: np.ndarray, groups: np.ndarray, blocks: int) -> np.ndarray:
    result = np.zeros((blocks, values.shape[1], 3))
    for block in range(blocks):
        mine = groups == block
        x, w = np.asarray(values[rows[mine]], dtype=np.float64), weights[mine]
        result[block, :, 0] = w.sum()
        result[block, :, 1] = w @ x
        result[block, :, 2] = w @ np.square(x)
    return result


def means(totals: np.ndarray) -> np.ndarray:
    """(..., columns) means of moment sums (..., columns, 3)."""
    return totals[..., 1] / totals[..., 0]


def widths(totals: np.ndarray) -> np.ndarray:
    """(..., columns) standard deviations of moment sums (..., columns, 3)."""
    return np.sqrt(np.maximum(totals[..., 2] / totals[..., 0] - np.square(means(totals)), 0.0))
