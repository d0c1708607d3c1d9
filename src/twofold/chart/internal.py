"""Internal coordinates: whitened bonds, angles and stiff torsions on lines, soft torsions on circles.

The map to positions uses the natural extension reference frame (Parsons et al., J. Comput. Chem. 26, 1063, 2005): each
bead carries a frame whose first axis is its bond, and the frame of a child is that of its parent times a rotation by
angle and torsion. Frames are multiplied up the tree by pointer doubling, so that a chain of n beads takes log2(n)
rounds of batched products rather than n steps.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.nn import one_hot
from jax.scipy.stats import norm
from jaxtyping import Array, Float, PRNGKeyArray

from twofold.chart.base import Chart
from twofold.chart.rigid import without_rigid_motion
from twofold.chart.tree import BeadTree
from twofold.fixed import Fixed
from twofold.products import differences, product

STIFF_SPREAD = 0.4
"""Circular standard deviation in rad up to which a torsion may count as stiff."""
STIFF_REACH = 1.6
"""Largest deviation from its mean in rad that a stiff torsion may have in any frame."""
RIGID_BOND, RIGID_ANGLE = 1e-3, 1e-2
"""Least widths in nm and rad: bonds held by constraints would else be stiffer than any time step can follow. The
stiffest bonds without constraints are twice as wide at 300 K."""
TORSION_UNIT = 0.25
"""Unit of soft torsions in rad: about the width of a basin, so that their scores are of order one like all others."""


def wrap_angle(angle: Array) -> Array:
    """Angle in rad brought to [-pi, pi)."""
    return jnp.mod(angle + jnp.pi, 2 * jnp.pi) - jnp.pi


class ZMatrix(Fixed):
    """Bonds, angles and torsions of a tree of beads, and back. Arrays are indexed by place in the tree."""

    order: Array
    inverse_order: Array
    parent: Array
    grand: Array
    torsion_end: Array
    sibling: Array
    improper: Array
    ancestry: Array
    ancestors: tuple[Array, ...]

    def __init__(self, tree: BeadTree) -> None:
        count = len(tree)
        proper_end = tree.parent[np.maximum(tree.grand, 0)]
        self.order = jnp.asarray(tree.order)
        self.inverse_order = jnp.asarray(np.argsort(tree.order))
        self.parent = jnp.asarray(tree.parent)
        self.grand = jnp.asarray(tree.grand)
        self.torsion_end = jnp.asarray(np.where(tree.sibling >= 0, tree.sibling, proper_end))
        self.sibling = jnp.asarray(np.maximum(tree.sibling, 0))
        self.improper = jnp.asarray(tree.sibling >= 0)
        self.ancestry = jnp.asarray(tree.ancestry)
        jump, jumps = np.where(tree.parent >= 0, tree.parent, count), []
        while (jump < count).any():
            jumps.append(jnp.asarray(jump))
            jump = np.append(jump, count)[jump]
        self.ancestors = tuple(jumps)

    def measure(self, positions: Float[Array, "beads 3"]) -> tuple[Array, Array, Array]:
        """Bonds (beads-1,) in nm, angles (beads-2,) and torsions (beads-3,) in rad."""
        bead = one_hot(self.order, self.order.shape[0])
        parent, grand, end = bead[self.parent], bead[self.grand], bead[self.torsion_end]
        bond = differences(positions, bead[1:], parent[1:])
        back = differences(positions, grand[2:], parent[2:])
        lengths = jnp.linalg.norm(bond, axis=0)
        forward = bond[:, 1:]
        sine = jnp.linalg.norm(jnp.cross(back, forward, axis=0), axis=0)
        angles = jnp.arctan2(sine, jnp.sum(back * forward, 0))
        axis = -back[:, 1:]
        first = jnp.cross(axis, differences(positions, end[3:], grand[3:]), axis=0)
        second = jnp.cross(axis, bond[:, 2:], axis=0)
        scale = jnp.linalg.norm(axis, axis=0)
        torsions = jnp.arctan2(jnp.sum(jnp.cross(first, second, axis=0) * axis, 0) / scale, jnp.sum(first * second, 0))
        return lengths, angles, torsions

    def build(self, lengths: Array, angles: Array, torsions: Array) -> Float[Array, "beads 3"]:
        """Positions in nm: the root at the origin, its bond along x, the first angle in the xy plane."""
        angle = jnp.concatenate([jnp.array([jnp.pi, jnp.pi]), angles])
        own = jnp.concatenate([jnp.zeros(3), torsions])
        torsion = own + product(self.improper[:, None] * one_hot(self.sibling, own.shape[0]), own)
        steps = self._frames(angle, torsion)[:, 0] * jnp.concatenate([jnp.zeros(1), lengths])
        return product(self.ancestry[self.inverse_order], steps).T

    def _frames(self, angle: Array, torsion: Array) -> Float[Array, "3 3 beads"]:
        """Orientation of every bead, in columns: bond, normal to it in the plane of the angle, their product."""
        cos_a, sin_a, cos_t, sin_t = -jnp.cos(angle), jnp.sin(angle), jnp.cos(torsion), jnp.sin(torsion)
        rows = (
            (cos_a, -sin_a, jnp.zeros_like(angle)),
            (sin_a * cos_t, cos_a * cos_t, -sin_t),
            (sin_a * sin_t, cos_a * sin_t, cos_t),
        )
        frames = jnp.stack([jnp.stack(row) for row in rows])
        count = angle.shape[0]
        for jump in self.ancestors:
            # beyond the root there is nothing to turn by
            before = product(one_hot(jump, count), frames) + jnp.eye(3)[:, :, None] * (jump == count)
            frames = _multiply(before, frames)
        return frames


def _multiply(left: Float[Array, "3 3 beads"], right: Float[Array, "3 3 beads"]) -> Float[Array, "3 3 beads"]:
    """Products of 3 x 3 matrices as sums of elementwise products, which XLA fuses and never rounds to TF32."""
    return jnp.sum(left[:, :, None] * right[None], axis=1)


class InternalChart(Chart, Fixed):
    """Whitened internal coordinates of a tree of beads.

    The coordinate vector (3 beads - 6,) holds first the whitened deviations of bonds, angles and stiff torsions from
    their means (zero mean, unit covariance over the data), then the soft torsions in units of `TORSION_UNIT`.
    """

    zmatrix: ZMatrix
    mean: Array
    whitening: Array
    colouring: Array
    stiff: Array
    soft: Array

    @property
    def stiff_count(self) -> int:
        """Number of coordinates that live on lines."""
        return self.mean.shape[0]

    @property
    def soft_count(self) -> int:
        """Number of torsions that live on circles."""
        return self.soft.shape[0]

    @property
    def dimension(self) -> int:
        return self.stiff_count + self.soft_count

    @property
    def narrowest(self) -> Float[Array, ""]:
        # stiff coordinates are whitened, and soft torsions hardly narrower
        return jnp.ones(())

    def _lines(self, lengths: Array, angles: Array, torsions: Array) -> Array:
        reference = self.mean[lengths.shape[0] + angles.shape[0] :]
        near = reference + wrap_angle(product(one_hot(self.stiff, torsions.shape[0]), torsions) - reference)
        return jnp.concatenate([lengths, angles, near])

    def encode(self, positions: Float[Array, "beads 3"]) -> Float[Array, " coordinates"]:
        lengths, angles, torsions = self.zmatrix.measure(positions)
        deviation = self._lines(lengths, angles, torsions) - self.mean
        turning = product(one_hot(self.soft, torsions.shape[0]), torsions)
        return jnp.concatenate([product(self.whitening, deviation), turning / TORSION_UNIT])

    def internal(self, coordinates: Float[Array, " coordinates"]) -> tuple[Array, Array, Array]:
        """Bonds in nm, angles and torsions in rad."""
        lines = self.mean + product(self.colouring, coordinates[: self.stiff_count])
        beads = self.zmatrix.order.shape[0]
        lengths, angles, near = lines[: beads - 1], lines[beads - 1 : 2 * beads - 3], lines[2 * beads - 3 :]
        place = one_hot(jnp.concatenate([self.stiff, self.soft]), beads - 3)
        torsions = product(place.T, jnp.concatenate([near, self.soft_torsions(coordinates)]))
        return lengths, angles, torsions

    def soft_torsions(self, coordinates: Float[Array, " coordinates"]) -> Float[Array, " soft"]:
        """Soft torsions in rad."""
        return TORSION_UNIT * coordinates[self.stiff_count :]

    def decode(self, coordinates: Float[Array, " coordinates"]) -> Float[Array, "beads 3"]:
        return self.zmatrix.build(*self.internal(coordinates))

    def scores_of(self, positions: Float[Array, "beads 3"], forces: Float[Array, "beads 3"]) -> Array:
        """By `U_q = U_x - ln J`: the forces along the coordinates, and the slope of the Jacobian.

        What turns or shifts the whole molecule is left out: it would pull on whatever the molecule is held by.
        """
        coordinates = self.encode(positions)
        standard, pull = jax.vjp(self.decode, coordinates)
        first = self.zmatrix.order[:3]
        turn = product(_frame(positions[first]), _frame(standard[first]))
        (along,) = pull(product(turn, without_rigid_motion(positions, forces)))
        return along + jax.grad(self.log_jacobian)(coordinates)

    def log_jacobian(self, coordinates: Float[Array, " coordinates"]) -> Float[Array, ""]:
        """`ln prod b^2 prod sin(theta)`, up to the constant determinant of the whitening."""
        lengths, angles, _ = self.internal(coordinates)
        return 2.0 * jnp.sum(jnp.log(jnp.abs(lengths))) + jnp.sum(jnp.log(jnp.abs(jnp.sin(angles))))

    def project(self, noise: Float[Array, " coordinates"]) -> Float[Array, " coordinates"]:
        return noise

    def wrap(self, coordinates: Float[Array, " coordinates"]) -> Float[Array, " coordinates"]:
        torsions = wrap_angle(self.soft_torsions(coordinates))
        return jnp.concatenate([coordinates[: self.stiff_count], torsions / TORSION_UNIT])

    def prior(self, key: PRNGKeyArray, sigma_max: float | Float[Array, ""]) -> Float[Array, " coordinates"]:
        lines, circles = jax.random.split(key)
        deviation = jnp.sqrt(1.0 + sigma_max**2) * jax.random.normal(lines, (self.stiff_count,))
        torsions = jax.random.uniform(circles, (self.soft_count,), minval=-jnp.pi, maxval=jnp.pi)
        return jnp.concatenate([deviation, torsions / TORSION_UNIT])

    def log_prior(
        self, coordinates: Float[Array, " coordinates"], sigma_max: float | Float[Array, ""]
    ) -> Float[Array, ""]:
        lines = norm.logpdf(coordinates[: self.stiff_count], scale=jnp.sqrt(1.0 + sigma_max**2))
        return jnp.sum(lines) - self.soft_count * math.log(2 * math.pi / TORSION_UNIT)


def _frame(corner: Float[Array, "3 3"]) -> Float[Array, "3 3"]:
    """Three perpendicular unit vectors, as columns, fixed to three beads (rows) that are not on a line."""
    along = corner[1] - corner[0]
    along = along / jnp.linalg.norm(along)
    across = corner[2] - corner[1]
    across = across - jnp.dot(across, along) * along
    across = across / jnp.linalg.norm(across)
    return jnp.stack([along, across, jnp.cross(along, across)], axis=1)


def measure_frames(tree: BeadTree, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bonds in nm, angles and torsions in rad of all frames (frames, ...), in float64."""
    lengths, angles, torsions = jax.jit(jax.vmap(ZMatrix(tree).measure))(jnp.asarray(positions, jnp.float32))
    return np.asarray(lengths, np.float64), np.asarray(angles, np.float64), np.asarray(torsions, np.float64)


def internal_chart(tree: BeadTree, positions: np.ndarray, weights: np.ndarray) -> InternalChart:
    """Chart fitted to frames (frames, beads, 3) in nm with weights (frames,).

    A torsion is stiff, and so lives on a line, if its circular spread is below `STIFF_SPREAD` and no frame lies
    farther than `STIFF_REACH` from its mean.
    """
    share = np.asarray(weights, np.float64) / np.sum(weights)
    lengths, angles, torsions = measure_frames(tree, positions)
    resultant = share @ np.exp(1j * torsions)
    centre = np.angle(resultant)
    spread = np.sqrt(-2.0 * np.log(np.clip(np.abs(resultant), 1e-12, 1.0)))
    deviation = np.angle(np.exp(1j * (torsions - centre)))
    is_stiff = (spread < STIFF_SPREAD) & (np.abs(deviation).max(0) < STIFF_REACH)
    stiff, soft = np.flatnonzero(is_stiff), np.flatnonzero(~is_stiff)
    lines = np.concatenate([lengths, angles, centre[stiff] + deviation[:, stiff]], axis=1)
    mean = share @ lines
    variance = share @ (lines - mean) ** 2
    scale = np.sqrt(variance + _missing(variance, lengths.shape[1]))
    standard = (lines - mean) / scale
    covariance = standard.T @ (standard * share[:, None])
    # rigid ones have unit width as well, the rest of it from the noise of `loosening`
    values, vectors = np.linalg.eigh(covariance + np.diag(1.0 - np.diag(covariance)))
    values = np.maximum(values, 1e-5)
    root = vectors @ np.diag(values**0.5) @ vectors.T
    inverse_root = vectors @ np.diag(values**-0.5) @ vectors.T
    return InternalChart(
        zmatrix=ZMatrix(tree),
        mean=jnp.asarray(mean, jnp.float32),
        whitening=jnp.asarray(inverse_root / scale, jnp.float32),
        colouring=jnp.asarray(scale[:, None] * root, jnp.float32),
        stiff=jnp.asarray(stiff),
        soft=jnp.asarray(soft),
    )


def loosening(chart: InternalChart, positions: np.ndarray, weights: np.ndarray) -> np.ndarray | None:
    """Matrix (coordinates, stiff) by which normal numbers give rigid bonds and angles their least width.

    None where nothing is rigid. positions: (frames, beads, 3) nm, those that the chart was fitted to, with weights
    (frames,).
    """
    colouring, bonds = np.asarray(chart.colouring, np.float64), positions.shape[1] - 1
    # the chart tells whether any coordinate has just its least width, which spares most data the work below
    if not _missing(0.99 * np.sum(colouring**2, axis=1), bonds).any():
        return None
    share = np.asarray(weights, np.float64) / np.sum(weights)
    coordinates = jax.jit(jax.vmap(chart.encode))(jnp.asarray(positions, jnp.float32))
    deviation = np.asarray(coordinates[:, : chart.stiff_count], np.float64) @ colouring.T
    missing = _missing(share @ deviation**2, bonds)
    lines = np.asarray(chart.whitening) * np.sqrt(missing)
    return np.concatenate([lines, np.zeros((chart.soft_count, chart.stiff_count))]).astype(np.float32)


def _missing(variance: np.ndarray, bonds: int) -> np.ndarray:
    """What variances (coordinates,) of `bonds` bonds, then angles, lack of their least."""
    least = np.where(np.arange(len(variance)) < bonds, RIGID_BOND, RIGID_ANGLE) ** 2
    # measured in single precision, a coordinate of just the least width lacks nothing
    return np.where(variance < 0.999 * least, least - variance, 0.0)
