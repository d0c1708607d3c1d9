"""The tree of beads: which bond, angle and torsion places each bead."""

from dataclasses import dataclass

import numpy as np

from twofold.beads import Beads
from twofold.bond_graph import UNCONNECTED, bonds_apart, breadth_first, neighbours

RING_SLACK = 1.2
"""Length over that of the longest bond up to which a stiff pair closes a ring; two bonds in a row span about 1.6."""


class NotATree(Exception):
    """The bonds do not make one connected tree; the text says why."""


@dataclass(frozen=True)
class BeadTree:
    """A Z-matrix whose rows are beads in the order in which they are placed.

    `order[k]` is the bead placed k-th. All other arrays, indexed by place, hold places: `parent[k]` for the bond
    (k >= 1), `grand[k]` for the angle at the parent (k >= 2). The torsion of place k >= 3 is measured about the bond
    grand-parent, from the parent of `grand` if k is the first child of its parent (a proper torsion), else from its
    first sibling `sibling[k]` (an improper one); `sibling[k]` is -1 for proper torsions. `closing` (rings, 2) holds the
    bonds that the tree leaves out, as beads: each closes a ring.
    """

    order: np.ndarray
    parent: np.ndarray
    grand: np.ndarray
    sibling: np.ndarray
    closing: np.ndarray

    def __len__(self) -> int:
        return len(self.order)

    @property
    def ancestry(self) -> np.ndarray:
        """Matrix (places, places): one where the column is the row's bead or an ancestor of it, without the root."""
        matrix = np.zeros((len(self), len(self)), np.float32)
        for place in range(1, len(self)):
            matrix[place] = matrix[self.parent[place]]
            matrix[place, place] = 1.0
        return matrix

    @property
    def bonds(self) -> np.ndarray:
        """Beads (beads - 1, 2) that the tree joins, the nearer to the root first."""
        return np.stack([self.order[self.parent[1:]], self.order[1:]], axis=1)


def _heights(order: list[int], parent: np.ndarray) -> np.ndarray:
    heights = np.zeros(len(parent), int)
    for bead in reversed(order):
        if parent[bead] >= 0:
            heights[parent[bead]] = max(heights[parent[bead]], heights[bead] + 1)
    return heights


def bead_tree(count: int, bonds: np.ndarray) -> BeadTree:
    """Tree of `count` beads from their bonds (bonds, 2).

    The root is a bead far from all others, and has a single neighbour in the tree; every other bead hangs on a shortest
    path from there, which opens rings opposite to where it enters them. The children of a bead are placed with the
    longest branch first. Raises NotATree for fewer than three beads and disconnected ones.
    """
    lists = neighbours(count, bonds)
    if count < 3:
        raise NotATree(f"{count} beads have no angle")
    reached, _ = breadth_first(lists, 0)
    if len(reached) < count:
        missing = sorted(set(range(count)) - set(reached))
        raise NotATree(f"bead {missing[0] + 1} is not connected to bead 1 by bonds")
    root = breadth_first(lists, reached[-1])[0][-1]
    # the farthest bead holds nothing together: without all but one of its bonds the others stay connected
    for other in lists[root][1:]:
        lists[other].remove(root)
    del lists[root][1:]
    breadth, parent = breadth_first(lists, root)
    heights = _heights(breadth, parent)
    order, stack = [], [root]
    while stack:
        bead = stack.pop()
        order.append(bead)
        children = [other for other in lists[bead] if parent[other] == bead]
        stack.extend(sorted(children, key=lambda child: (heights[child], -child)))
    closing = [(i, j) for i, j in np.asarray(bonds, int) if parent[i] != j and parent[j] != i]
    return _places(order, parent, np.array(closing, int).reshape(-1, 2))


def _places(order: list[int], parent: np.ndarray, closing: np.ndarray) -> BeadTree:
    place = {bead: k for k, bead in enumerate(order)}
    parents = np.array([place[parent[bead]] if parent[bead] >= 0 else -1 for bead in order])
    grands = np.array([parents[p] if p >= 0 else -1 for p in parents])
    first: dict[int, int] = {}
    siblings = np.full(len(order), -1)
    for k in range(1, len(order)):
        siblings[k] = first.setdefault(parents[k], k)
        if siblings[k] == k:
            siblings[k] = -1
    return BeadTree(np.array(order), parents, grands, siblings, closing)


def stiff_bonds(positions: np.ndarray, tolerance: float = 0.12) -> np.ndarray:
    """Bonds (bonds, 2) of a molecule without topology: the shortest spanning tree over its stiff pairs.

    `positions` are (frames, beads, 3) in nm. A pair is stiff if the standard deviation of its distance is below
    `tolerance` times the mean. A stiff pair that the tree leaves four or more bonds apart and that is about as short as
    its longest bond closes a ring; it is added, so that `bead_tree` finds it.
    """
    frames = positions[:: max(1, len(positions) // 2000)].astype(np.float64)
    count = frames.shape[1]
    rows, columns = np.triu_indices(count, 1)
    distances = np.linalg.norm(frames[:, rows] - frames[:, columns], axis=-1)
    mean, spread = distances.mean(0), distances.std(0)
    stiff = np.flatnonzero(spread < tolerance * mean)
    group = list(range(count))
    bonded: set[tuple[int, int]] = set()
    for pair in stiff[np.argsort(mean[stiff])]:
        i, j = int(rows[pair]), int(columns[pair])
        if group[i] != group[j]:
            bonded.add((i, j))
            old, new = group[j], group[i]
            group = [new if label == old else label for label in group]
    longest = max((mean[pair] for pair in stiff if (rows[pair], columns[pair]) in bonded), default=0.0)
    apart = bonds_apart(count, np.array(sorted(bonded), int).reshape(-1, 2))
    closing = []
    for pair in stiff:
        i, j = int(rows[pair]), int(columns[pair])
        # the tree leaves out the longest bond of a ring: it is never shorter than the others
        if 4 <= apart[i, j] < UNCONNECTED and mean[pair] <= RING_SLACK * longest:
            closing.append((i, j))
    return np.array(sorted([*bonded, *closing]), int).reshape(-1, 2)


def tree_of(beads: Beads, positions: np.ndarray) -> BeadTree:
    """Tree from the topology's bonds or, where it has none, from the stiff pairs of `positions` in nm.

    Raises NotATree.
    """
    bonds = beads.bonds if len(beads.bonds) else stiff_bonds(positions)
    return bead_tree(len(beads), bonds)
