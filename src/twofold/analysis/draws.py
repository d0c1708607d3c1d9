"""Equal draws: subsets of a weighted set that behave like independent, equally weighted draws from its distribution.

A divergence between histograms has a positive bias that falls as 1/n, so two sets can be judged only at equal n.
Weighted frames are no substitute at equal Kish size: a bin that the bias potential favours is known better, a bin that
it avoids worse, than its average says, and the bias of a divergence is a sum over bins. Draws with replacement carry
the noise of the drawn set on top of their own. What behaves as n independent draws is a subset of the frames, each
chosen with probability proportional to its weight and none chosen twice. It exists up to the size of `drawable`.
"""

from __future__ import annotations

import numpy as np

DUPLICATES = 0.01
"""Part of a draw that may be second copies, so that one outlying weight does not decide the size."""
LEAST_DRAWS = 8
"""Draws made from a weighted set: more of them average out the choice."""


def drawable(weights: np.ndarray, duplicates: float = DUPLICATES) -> int:
    """Largest size of a draw in proportion to `weights` with at most the part `duplicates` of copies.

    Equal weights: all frames. One copy of frame i is expected n w_i / sum w times; what exceeds 1 are copies. Between
    sum w / max w (no copies) and the number of frames, and usually below Kish's size.
    """
    share = np.sort(np.asarray(weights, dtype=np.float64))[::-1] / np.sum(weights)
    number = len(share)
    # Copies at size n: sum of max(n share_i - 1, 0); their part of n grows with n.
    low, high = 1.0, float(np.count_nonzero(share))
    top, places = np.cumsum(share), np.arange(1, number + 1)

    def fits(size: float) -> bool:
        over = int(np.searchsorted(-share, -1.0 / size))
        copies = size * top[over - 1] - places[over - 1] if over else 0.0
        return copies <= duplicates * size

    if fits(high):
        return int(high)
    while high - low > 0.5:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if fits(middle) else (low, middle)
    return max(1, int(low))


def equal_draws(weights: np.ndarray, size: int, rng: np.random.Generator, least: int = LEAST_DRAWS) -> list[np.ndarray]:
    """Draws of `size` frames (indices) from frames with `weights`, at most `drawable(weights)` of them each.

    Equal weights: the frames are shuffled and cut into draws, so that every frame is used; when they do not divide
    evenly neighbouring draws share frames rather than leave some out. Other weights: systematic samples of a shuffled
    order (each frame in proportion to its weight), each cut into as many disjoint draws as it holds, at least `least`.
    """
    weights = np.asarray(weights, dtype=np.float64)
    frames, size = len(weights), int(size)
    if np.allclose(weights, weights[0]):
        size = min(size, frames)
        number = -(-frames // size)
        order = rng.permutation(frames)
        starts = np.round(np.arange(number) * (frames - size) / max(number - 1, 1)).astype(np.int64)
        return [order[start : start + size] for start in starts]
    at_once = max(1, drawable(weights) // size)
    draws: list[np.ndarray] = []
    while len(draws) < least:
        chosen = rng.permutation(systematic(weights, at_once * size, rng))
        draws.extend(chosen[i * size : (i + 1) * size] for i in range(at_once))
    return draws


def systematic(weights: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """`size` indices, frame i floor or ceiling of size w_i / sum w times (Madow 1949), over a shuffled order."""
    order = rng.permutation(len(weights))
    total = np.cumsum(np.asarray(weights, dtype=np.float64)[order])
    ticks = (np.arange(size) + rng.random()) * (total[-1] / size)
    return order[np.minimum(np.searchsorted(total, ticks, side="right"), len(order) - 1)]
