"""Free space and periodic boxes: displacements, wrapping, and molecules made whole.

A box is (..., 3, 3) in nm whose rows are the lattice vectors a, b, c. Lattices are assumed to be reduced, as MD
programs write them (GROMACS: a along x, b in the xy plane, every vector tilted by at most half of the one before).
"""

from __future__ import annotations

from itertools import product

import numpy as np

from twofold.bond_graph import neighbours
from twofold.errors import UserError

_SHIFTS = np.array(list(product((0, -1, 1), repeat=3)), dtype=np.float64)  # no shift first, so that it wins ties


def check_box(box: np.ndarray) -> np.ndarray:
    """`box` (..., 3, 3) as float64. Raises UserError unless every box has a positive volume."""
    box = np.asarray(box, dtype=np.float64)
    if box.shape[-2:] != (3, 3):
        raise UserError(f"a box of shape {box.shape}", "(3, 3) or (frames, 3, 3): three lattice vectors")
    if not np.isfinite(box).all() or np.any(np.abs(np.linalg.det(box)) < 1e-12):
        raise UserError("a periodic box without volume", "three independent lattice vectors in nm", "leave the box out")
    return box


def displacement(first: np.ndarray, second: np.ndarray, box: np.ndarray | None = None) -> np.ndarray:
    """Shortest vector from `first` to `second` (..., 3) over all periodic images.

    `box` is (3, 3), or (frames, 3, 3) for positions (frames, ..., 3). Exact for reduced lattices: after rounding, the
    27 surrounding images are compared.
    """
    difference = np.asarray(second) - np.asarray(first)
    if box is None:
        return difference
    lattice = _aligned(check_box(box), difference.ndim)
    if _orthogonal(lattice):
        edges = np.diagonal(lattice, axis1=-2, axis2=-1)
        return (difference - np.round(difference / edges) * edges).astype(difference.dtype)
    rounded = difference - _times(np.round(_times(difference, np.linalg.inv(lattice))), lattice)
    shortest, length = rounded, np.sum(rounded**2, axis=-1)
    for shift in _SHIFTS[1:]:
        image = rounded + _times(shift, lattice)
        image_length = np.sum(image**2, axis=-1)
        nearer = image_length < length
        shortest, length = np.where(nearer[..., None], image, shortest), np.where(nearer, image_length, length)
    return shortest.astype(difference.dtype)


def wrap(positions: np.ndarray, box: np.ndarray | None = None) -> np.ndarray:
    """Positions (..., 3) moved into the cell that starts at the origin: fractional coordinates in [0, 1)."""
    positions = np.asarray(positions)
    if box is None:
        return positions
    lattice = _aligned(check_box(box), positions.ndim)
    inside = positions - _times(np.floor(_times(positions, np.linalg.inv(lattice))), lattice)
    return inside.astype(positions.dtype)


def make_whole(positions: np.ndarray, box: np.ndarray | None, bonds: np.ndarray) -> np.ndarray:
    """Molecules put together along their bonds: each atom in the image that is nearest to the one that it is bonded to.

    positions: (frames, atoms, 3), nm; box: (frames, 3, 3) or (3, 3) or None; bonds: (bonds, 2). The first atom of each
    molecule stays where it is. Bonds have to be shorter than half the box.
    """
    positions = np.array(positions)
    if box is None or len(bonds) == 0:
        return positions
    for parents, children in spanning_levels(bonds, positions.shape[1]):
        steps = displacement(positions[:, parents], positions[:, children], box)
        positions[:, children] = positions[:, parents] + steps
    return positions


def gather(positions: np.ndarray, box: np.ndarray | None, molecule: np.ndarray) -> np.ndarray:
    """Whole molecules moved to the image whose centre is nearest to that of the first molecule.

    positions: (frames, atoms, 3), nm; box: (frames, 3, 3) or (3, 3) or None; molecule: (atoms,), labels.
    """
    labels = np.unique(molecule)
    if box is None or len(labels) < 2:
        return positions
    positions = np.array(positions)
    first = positions[:, molecule == labels[0]].mean(axis=1)
    for label in labels[1:]:
        chosen = molecule == label
        centre = positions[:, chosen].mean(axis=1)
        positions[:, chosen] += (first + displacement(first, centre, box) - centre)[:, None]
    return positions


def spanning_levels(bonds: np.ndarray, atoms: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """A spanning forest of the bond graph, breadth first from the lowest atom of each molecule: (parents, children)."""
    lists = neighbours(atoms, bonds)
    level = np.full(atoms, -1)
    levels: list[tuple[list[int], list[int]]] = []
    for root in range(atoms):
        if level[root] >= 0:
            continue
        level[root], front = 0, [root]
        while front:
            following: list[int] = []
            for parent in front:
                for child in lists[parent]:
                    if level[child] >= 0:
                        continue
                    level[child] = depth = level[parent] + 1
                    if depth > len(levels):
                        levels.append(([], []))
                    levels[depth - 1][0].append(parent)
                    levels[depth - 1][1].append(child)
                    following.append(child)
            front = following
    return [(np.array(parents), np.array(children)) for parents, children in levels]


def molecules(bonds: np.ndarray, atoms: int) -> np.ndarray:
    """(atoms,) int64: the lowest atom of the molecule (connected component) of each atom."""
    result = np.arange(atoms)
    for parents, children in spanning_levels(bonds, atoms):
        result[children] = result[parents]
    return result


def _times(vectors: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return np.einsum("...i,...ij->...j", vectors, matrix)


def _aligned(box: np.ndarray, dimensions: int) -> np.ndarray:
    """Axes of length one put in, so that a box of each frame goes with positions (frames, ..., 3)."""
    if box.ndim == 2:
        return box
    return box.reshape(box.shape[:-2] + (1,) * (dimensions - box.ndim + 1) + (3, 3))


def _orthogonal(box: np.ndarray) -> bool:
    return bool(np.all(np.abs(box[..., ~np.eye(3, dtype=bool)]) < 1e-9))
