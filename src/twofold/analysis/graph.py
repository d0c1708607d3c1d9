"""What the bond graph says: which beads make angles, torsions and chiral centres, and which pairs are far apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twofold.bond_graph import UNCONNECTED, bonds_apart, neighbours

if TYPE_CHECKING:
    from twofold.beads import Beads

FAR_BONDS = 4
"""Pairs at least this many bonds apart are not held by a bond, an angle or one torsion."""


def pairs_apart(beads: Beads, bonds: int) -> np.ndarray:
    """(pairs, 2) int64, i < j, at least `bonds` bonds apart; beads that no bonds join count as apart."""
    i, j = np.triu_indices(len(beads), 1)
    keep = bonds_apart(len(beads), beads.bonds)[i, j] >= bonds
    return np.stack([i[keep], j[keep]], axis=1).astype(np.int64)


def angle_triples(beads: Beads) -> np.ndarray:
    """(angles, 3) int64 beads i-j-k with bonds i-j and j-k, i < k."""
    found = [
        (i, j, k)
        for j, ends in enumerate(neighbours(len(beads), beads.bonds))
        for a, i in enumerate(ends)
        for k in ends[a + 1 :]
    ]
    return np.array(found, dtype=np.int64).reshape(-1, 3)


def torsion_quadruples(beads: Beads) -> np.ndarray:
    """(torsions, 4) int64, one torsion about each bond that has a neighbour at both ends.

    The outer beads are the named backbone ones (phi, psi, omega) where the bond has them, else the lowest-numbered.
    """
    table = neighbours(len(beads), beads.bonds)
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
    for bead, ends in enumerate(neighbours(len(beads), beads.bonds)):
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
    apart = bonds_apart(len(beads), beads.bonds)
    apart = np.where(apart == UNCONNECTED, -1, apart)
    first, last = np.unravel_index(int(np.argmax(apart)), apart.shape)
    return (int(first), int(last)) if apart[first, last] > 1 else None
