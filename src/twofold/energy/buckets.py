"""Which systems of different size share a batch.

A batch has one shape, so that smaller systems are filled up to the largest. What that costs is the tables of partners:
particles times partners, where all see all as many as particles, with lists of neighbours as many as the longest list
holds. Systems of similar size are put together, in as few buckets as keep the cost below a stated multiple of what the
systems cost as they are: every bucket is one more program to compile and to start.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from twofold.errors import UserError

BOUND = 1.25
"""Predicted cost of filled systems over that of the systems as they are."""
OWN = 20
"""What is done for a particle alone, in multiples of what is done for each of its partners: products in one round."""


class Bucket(NamedTuple):
    """Systems of one batch: particles and partners that they are filled up to, and their places (ascending)."""

    size: int
    partners: int
    members: tuple[int, ...]

    @property
    def cost(self) -> int:
        """Predicted cost, in partners."""
        return len(self.members) * _cost(self.size, self.partners)


def buckets(sizes: Sequence[int], partners: Sequence[int] | None = None, *, bound: float = BOUND) -> list[Bucket]:
    """The fewest buckets whose cost stays within `bound` times that of the systems alone; of those the cheapest.

    sizes: particles of each system. partners: longest list of each system; None if all particles see all. Buckets come
    in ascending order of size. Raises UserError for a bound below 1, and for numbers that do not fit together.
    """
    widths = list(sizes if partners is None else partners)
    if not bound >= 1.0:
        raise UserError(f"a bound of {bound:g} on the cost of padding", "1 (none) or more")
    if len(widths) != len(sizes) or min([*sizes, *widths], default=1) < 1:
        raise UserError("sizes that do not fit to the systems", "one number of particles, and of partners, for each")
    shapes = sorted(set(zip(sizes, widths, strict=True)))
    places: dict[tuple[int, int], list[int]] = {shape: [] for shape in shapes}
    for place, shape in enumerate(zip(sizes, widths, strict=True)):
        places[shape].append(place)
    alone = sum(len(places[shape]) * _cost(*shape) for shape in shapes)
    ends = _fewest(_costs(shapes, [len(places[shape]) for shape in shapes]), bound * alone)
    return [
        Bucket(
            shapes[last - 1][0],
            max(width for _, width in shapes[first:last]),
            tuple(sorted(place for shape in shapes[first:last] for place in places[shape])),
        )
        for first, last in pairwise([0, *ends])
    ]


def _cost(size: int, partners: int) -> int:
    return size * (partners + OWN)


def _costs(shapes: list[tuple[int, int]], numbers: list[int]) -> np.ndarray:
    """Cost (shapes, shapes + 1) of one bucket of the shapes from i to j, without j; infinite where there are none."""
    table = np.full((len(shapes), len(shapes) + 1), np.inf)
    for first in range(len(shapes)):
        width, count = 0, 0
        for last in range(first, len(shapes)):
            width, count = max(width, shapes[last][1]), count + numbers[last]
            table[first, last + 1] = count * _cost(shapes[last][0], width)
    return table


def _fewest(costs: np.ndarray, most: float) -> list[int]:
    """Ends of the fewest runs whose summed cost is at most `most`, by dynamic programming over the number of runs."""
    count = len(costs)
    if count == 0:
        return []
    best, starts = np.append(0.0, np.full(count, np.inf)), []
    while not starts or best[count] > most * (1 + 1e-12):
        sums = best[:-1, None] + costs
        starts.append(sums.argmin(axis=0))
        best = sums.min(axis=0)
    ends = [count]
    for start in reversed(starts):
        ends.insert(0, int(start[ends[0]]))
    return ends[1:]
