"""Neighbours, ways and distances in a graph of bonds."""

from __future__ import annotations

import numpy as np

UNCONNECTED = 10_000
"""Stands for the number of bonds between beads that no path of bonds joins."""


def neighbours(count: int, bonds: np.ndarray) -> list[list[int]]:
    """Bonded partners of each of `count` beads, ascending, from bonds (bonds, 2)."""
    lists: list[list[int]] = [[] for _ in range(count)]
    for i, j in np.asarray(bonds, int).reshape(-1, 2):
        lists[i].append(int(j))
        lists[j].append(int(i))
    return [sorted(one) for one in lists]


def breadth_first(lists: list[list[int]], root: int) -> tuple[list[int], np.ndarray]:
    """Breadth-first order from `root` and the parent of every bead that is reached (-1 elsewhere)."""
    parent = np.full(len(lists), -1)
    seen, order = {root}, [root]
    for bead in order:
        for other in lists[bead]:
            if other not in seen:
                seen.add(other)
                parent[other] = bead
                order.append(other)
    return order, parent


def bonds_apart(count: int, bonds: np.ndarray) -> np.ndarray:
    """Number of bonds between each two beads (beads, beads) int64; `UNCONNECTED` where there is no path."""
    lists = neighbours(count, bonds)
    apart = np.full((count, count), UNCONNECTED, dtype=np.int64)
    for bead in range(count):
        order, parent = breadth_first(lists, bead)
        apart[bead, bead] = 0
        for other in order[1:]:
            apart[bead, other] = apart[bead, parent[other]] + 1
    return apart


def laplacian(count: int, bonds: np.ndarray) -> np.ndarray:
    """Matrix (count, count) with the number of bonds of each bead on the diagonal, and -1 for two that are bonded."""
    matrix = np.zeros((count, count))
    np.add.at(matrix, (bonds, bonds), 1.0)
    np.add.at(matrix, (bonds, bonds[:, ::-1]), -1.0)
    return matrix
