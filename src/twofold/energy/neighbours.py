"""Lists of neighbours whose cost grows in proportion to the number of particles.

Particles are sorted into cells no narrower than the cut-off; the partners of a particle are in its own cell and the 26
around it (Allen and Tildesley, Computer Simulation of Liquids, 2017, section 5.3). All shapes are fixed beforehand, so
that lists can be made inside compiled loops; whether everything found its place is told, never assumed.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from scipy.spatial import KDTree

from twofold.errors import UserError

DENSE = 125
"""Particles up to which all see all. In the fluid of `benchmarks/scaling.py`, on one core of a CPU, a list and a force
take 22 ms against 24 where all of 125 see all, and 51 against 314 where all of 250 do."""
CELLS = 8
"""Cells for each particle, at most: a particle that has come loose must not fill the memory with empty ones."""
MARGIN = 1.5
"""Room in lists and cells over what was seen when they were laid out."""


class Layout(NamedTuple):
    """Sizes that are fixed beforehand: cells along each axis, particles in a cell, partners of a particle."""

    cells: tuple[int, int, int]
    in_cell: int
    partners: int


class Neighbours(NamedTuple):
    """index: (particles, partners), filled up with the number of particles. complete: whether no partner is missing."""

    index: Int[Array, "particles partners"]
    complete: Bool[Array, ""]


def neighbour_lists(
    x: np.ndarray, cutoff: float, box: np.ndarray | None = None
) -> Int[Array, "particles partners"] | None:
    """What `Particles` at `x` (particles, 3) take as their neighbours: None for few, which all see all, else lists.

    Lists hold for these positions; where many sets follow each other, one `layout` serves `neighbours` for all. cutoff:
    in the unit of x, which in free space at a level `sigma` is that of a `ParticleEnergy` times `sqrt(1 + sigma^2)`.
    box: edges (3,) or lattice vectors (3, 3) in that unit, None for free space. Raises UserError for a box without
    right angles, or narrower than two cut-offs: it shows a partner twice.
    """
    edges = None if box is None else _edges(box)
    if edges is not None and edges.min() < 2.0 * cutoff:
        raise UserError(f"a box {edges.min():g} wide", f"at least {2.0 * cutoff:g}, two cut-offs", "take a larger box")
    if len(x) <= DENSE:
        return None
    at, along = jnp.asarray(x), None if edges is None else jnp.asarray(edges, jnp.float32)
    found = neighbours(at, cutoff, layout(x, cutoff, edges), along)
    assert found.complete  # laid out for these positions
    return found.index


def _edges(box: np.ndarray) -> np.ndarray:
    box = np.asarray(box, np.float64)
    if box.ndim == 1:
        return box
    edges = np.diag(box)
    if np.abs(box - np.diag(edges)).max() > 1e-6 * edges.max():
        raise UserError("a box without right angles", "one with lattice vectors along the axes", "take such a box")
    return edges


def layout(x: np.ndarray, cutoff: float, edges: np.ndarray | None = None) -> Layout:
    """Sizes for particles about as dense as those at `x` (particles, 3); edges: (3,) of a periodic box, or None.

    A periodic box of fewer than three cells along an axis has one there: every particle then looks at all others.
    """
    x = np.asarray(x, np.float64)
    low, extent = (np.zeros(3), np.asarray(edges, np.float64)) if edges is not None else (x.min(0), np.ptp(x, axis=0))
    cells = _cells(extent, cutoff, len(x), edges is not None)
    place = _cell_of(jnp.asarray(x - low), jnp.asarray(extent), cells)
    fullest = int(np.bincount(np.asarray(place)).max())
    if edges is not None:
        x = np.mod(x, edges)
        x = np.where(x < edges, x, 0.0)  # the remainder of a tiny negative number is the edge itself
    tree = KDTree(x, boxsize=edges)
    nearest = int(tree.query_ball_point(tree.data, cutoff, return_length=True).max()) - 1
    room = [min(len(x), math.ceil(MARGIN * seen) + 2) for seen in (fullest, nearest)]
    return Layout(cells, room[0], max(1, min(room[1], len(x) - 1)))


def _cells(extent: np.ndarray, cutoff: float, particles: int, periodic: bool) -> tuple[int, int, int]:
    """Cells along each axis, no narrower than the cut-off; not many more than particles, of which some may be far."""
    # what is measured later in single precision must not find such a cell narrower than the cut-off
    cells = np.maximum(1, np.floor(extent / cutoff * (1 - 1e-6)))
    while np.prod(cells) > max(CELLS * particles, 27):
        cells[np.argmax(cells)] = np.ceil(cells.max() / 2)
    if periodic:
        cells[cells < 3] = 1
    first, second, third = (int(number) for number in cells)
    return first, second, third


def neighbours(
    x: Float[Array, "particles 3"], cutoff: float, sizes: Layout, edges: Float[Array, " 3"] | None = None
) -> Neighbours:
    """The partners within `cutoff` of each particle. edges: of a periodic box at whose corner the origin lies."""
    count = x.shape[0]
    wrapped = x - jnp.min(x, axis=0) if edges is None else x - edges * jnp.floor(x / edges)
    extent = jnp.max(wrapped, axis=0) if edges is None else edges
    cell = _cell_of(wrapped, extent, sizes.cells)
    table, stored = _table(cell, sizes, count)
    candidates = table[_around(sizes.cells, edges is not None)].reshape(math.prod(sizes.cells), -1)
    own = candidates[cell]
    padded = jnp.concatenate([x, jnp.full((1, 3), jnp.inf)])
    step = padded[own] - x[:, None]
    if edges is not None:
        step = step - edges * jnp.round(step / edges)
    squares = jnp.where((own < count) & (own != jnp.arange(count)[:, None]), jnp.sum(step**2, axis=-1), jnp.inf)
    squares = jnp.where(jnp.isnan(squares), jnp.inf, squares)
    partners = min(sizes.partners, own.shape[1])
    nearest, chosen = jax.lax.top_k(-squares, partners)
    index = jnp.where(nearest > -(cutoff**2), jnp.take_along_axis(own, chosen, axis=1), count)
    found = jnp.sum(squares < cutoff**2, axis=1)
    shape = jnp.asarray(sizes.cells)
    wide = jnp.all((shape == 1) | (extent / shape >= cutoff))
    if edges is not None:
        # in a narrower box a partner may be near twice
        wide &= jnp.all(edges >= 2 * cutoff)
    return Neighbours(index, stored & jnp.all(found <= partners) & wide)


def _cell_of(x: Float[Array, "particles 3"], extent: Float[Array, " 3"], cells: tuple[int, int, int]) -> Array:
    """Number of the cell of each particle, for x from zero to `extent`."""
    shape = jnp.asarray(cells)
    place = jnp.clip(jnp.floor(x / jnp.maximum(extent, 1e-30) * shape).astype(int), 0, shape - 1)
    return (place[:, 0] * cells[1] + place[:, 1]) * cells[2] + place[:, 2]


def _table(cell: Int[Array, " particles"], sizes: Layout, count: int) -> tuple[Array, Bool[Array, ""]]:
    """Particles of each cell (cells + 1, in_cell), filled up with `count`, and whether all found a place.

    The last row is that of a cell without particles.
    """
    order = jnp.argsort(cell)
    ordered = cell[order]
    rank = jnp.arange(count) - jnp.searchsorted(ordered, ordered, side="left")
    table = jnp.full((math.prod(sizes.cells) + 1, sizes.in_cell), count)
    return table.at[ordered, rank].set(order, mode="drop"), jnp.all(rank < sizes.in_cell)


def _around(cells: tuple[int, int, int], periodic: bool) -> np.ndarray:
    """Each cell and those around it (cells, at most 27); -1, the last row of a table, where a free cluster ends."""
    ranges = [range(-1, 2) if count > 1 else range(1) for count in cells]
    shifts = np.stack(np.meshgrid(*ranges, indexing="ij"), -1).reshape(-1, 3)
    place = np.stack(np.unravel_index(np.arange(math.prod(cells)), cells), -1)
    near = place[:, None] + shifts
    shape = np.array(cells)
    inside = np.ones(near.shape[:2], bool) if periodic else np.all((near >= 0) & (near < shape), axis=-1)
    number = np.ravel_multi_index(tuple(np.moveaxis(near % shape, -1, 0)), cells)
    return np.where(inside, number, -1)
