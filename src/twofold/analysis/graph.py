"""What the bond graph says: which beads make angles, torsions and chiral centres, and which pairs are far apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from twofold.beads import Beads

UNCONNECTED = 10_000
"""Stands for the number of bonds between beads that no path of bonds joins."""
FAR_BONDS = 4
"""Pairs at least this many bonds apart are not held by a bond, an angle or one torsion."""


def neighbours(beads: Beads) -> list[list[int]]:
    """Bonded neighbours of each bead, ascending."""
    table: list[list[int]] = [[] for _ in range(len(beads))]
    for i, j in beads.bonds.tolist():
        table[i].append(j)
        table[j].append(i)
    return [sorted(found) for found in table]


def bond_distances(beads: Beads) -> np.ndarray:
    """(beads, beads) int64: number of bonds on the shortest path, UNCONNECTED where there is none."""
    table, number = neighbours(beads), len(beads)
    result = np.full((number, number), UNCONNECTED, dtype=np.int64)
    for start in range(number):
        result[start, start], front = 0, [start]
        while front:
            ahead = []
            for bead in front:
                for other in table[bead]:
                    if result[start, other] == UNCONNECTED:
                        result[start, other] = result[start, bead] + 1
                        ahead.append(other)
            front = ahead
    return result


def pairs_apart(beads: Beads, bonds: int) -> np.ndarray:
    """(pairs, 2) int64, i < j, at least `bonds` bonds apart; beads that no bonds join count as apart."""
    i, j = np.triu_indices(len(beads), 1)
    keep = bond_distances(beads)[i, j] >= bonds
    return np.stack([i[keep], j[keep]], axis=1).astype(np.int64)


def angle_triples(beads: Beads) -> np.ndarray:
    """(angles, 3) int64 beads i-j-k with bonds i-j and j-k, i < k."""
    found = [(i, j, k) for j, ends in enumerate(neighbours(beads)) for a, i in enumerate(ends) for k in ends[a + 1 :]]
    return np.array(found, dtype=np.int64).reshape(-1, 3)


def torsion_quadruples(beads: Beads) -> np.ndarray:
    """(torsions, 4) int64, one torsion about each bond that has a neighbour at both ends.

    The outer beads are the named backbone ones (phi, psi, omega) where the bond has them, else the lowest-numbered.
    """
    table = neighbours(beads)
    named = {tuple(sorted(q[1:3])): q for name in ("phi", "psi", "omega") for q in beads.torsions_named(name).values()}
    found = []
    for j, k in beads.bonds.tolist():
        before = [i for i in table[j] if i != k]
        after = [m for m in table[k] if m != j and m != (before[0] if before else -1)]
        if (j, k) in named:
            found.append(named[j, k])
        elif before and after:
            found.append((before[0], j, k, after[0]))
    return np.array(found, dtype=np.int64).reshape(-1, 4)


def three_neighbour_centres(beads: Beads) -> np.ndarray:
    """(centres, 4) int64: each bead with three bonded neighbours, and those; of four and more the first heavy ones."""
    found = []
    for bead, ends in enumerate(neighbours(beads)):
        heavy = [i for i in ends if not beads.names[i].lstrip("0123456789").upper().startswith("H")]
        chosen = ends if len(ends) == 3 else heavy[:3]
        if len(chosen) == 3:
            found.append((bead, *chosen))
    return np.array(found, dtype=np.int64).reshape(-1, 4)


def chain_ends(beads: Beads) -> tuple[int, int] | None:
    """The two beads whose distance is the end-to-end distance; None when they are bonded or beads are fewer than three.

    First and last CA where the chain has at least three of them; otherwise the pair with most bonds between them,
    and first and last bead where no bonds are known.
    """
    if len(beads) < 3:
        return None
    alpha = [i for i, name in enumerate(beads.names) if name == "CA"]
    if len(alpha) >= 3:
        return alpha[0], alpha[-1]
    if len(beads.bonds) == 0:
        return 0, len(beads) - 1
    apart = bond_distances(beads)
    apart = np.where(apart == UNCONNECTED, -1, apart)
    first, last = np.unravel_index(int(np.argmax(apart)), apart.shape)
    return (int(first), int(last)) if apart[first, last] > 1 else None
