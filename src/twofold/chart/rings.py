"""Rings in internal coordinates: the tree leaves one bond of each out, and whitening keeps it.

In a stiff ring the length of the bond that closes it is, to first order, a sum of whitened coordinates of unit width,
so that noise widens it like any other bond. In one that turns about its bonds it is not: noise would tear it open.
"""

from __future__ import annotations

import numpy as np

from twofold.chart.internal import InternalChart
from twofold.chart.tree import BeadTree


def ring_bonds(tree: BeadTree) -> set[frozenset[int]]:
    """The bonds that lie on a ring, as pairs of beads, with those that close it."""
    above = {int(child): int(parent) for parent, child in tree.bonds}
    found = set()
    for first, second in tree.closing:
        # the two ways to the root are the same from where they meet
        ways = [{frozenset(step) for step in _way_up(int(end), above)} for end in (first, second)]
        found |= {frozenset((int(first), int(second)))} | (ways[0] ^ ways[1])
    return found


def _way_up(bead: int, above: dict[int, int]) -> list[tuple[int, int]]:
    steps = []
    while bead in above:
        steps.append((bead, above[bead]))
        bead = above[bead]
    return steps


def turning_ring_bond(tree: BeadTree, chart: InternalChart) -> tuple[int, int] | None:
    """A bond of a ring (two beads) with a soft torsion about it; None where all rings are stiff."""
    closed = ring_bonds(tree)
    for place in np.asarray(chart.soft) + 3:
        axis = int(tree.order[tree.grand[place]]), int(tree.order[tree.parent[place]])
        if frozenset(axis) in closed:
            return axis
    return None
