"""Invariant features of each bead's surroundings, of raw and of Wiener-filtered coordinates.

The Wiener filter `y^ = C (C + sigma^2)^-1 y` is the best linear denoiser of coordinates with covariance `C`. Distances
and dihedrals of y^ say more about a chain than those of y when the noise is as large as a bond.
"""

from __future__ import annotations

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from twofold.bond_graph import bonds_apart, neighbours
from twofold.chart.cartesian import CartesianChart
from twofold.energy.tables import NoiseTable, tabulate
from twofold.fixed import Fixed

_EXACT = jax.lax.Precision.HIGHEST
"""Differences of coordinates must not be rounded to the ten bits of TF32 on a GPU."""
SMALLEST_SQUARE = 1e-8
"""Added to squared lengths (units of the chart) so that coinciding beads have a gradient."""
FLATNESS = 0.03
"""Squared sine of an angle below which directions normal to it fade out instead of turning abruptly."""
LARGEST = 5.0
"""Standardised features saturate at so many widths."""


class WienerFilter(Fixed):
    """Coordinates along the modes of the data's covariance, and their shrinking by `l/(l + sigma^2)`."""

    modes: Array
    variances: Array

    def __init__(self, chart: CartesianChart) -> None:
        self.modes, self.variances = chart.modes, chart.variances

    def project(self, x: Float[Array, "beads 3"]) -> Float[Array, "3 modes"]:
        """Components of the coordinates along the modes; the mean over beads drops out."""
        return jnp.matmul((x - jnp.mean(x, axis=0)).T, self.modes, precision=_EXACT)

    def shrink(self, components: Float[Array, "3 modes"], sigma: Float[Array, ""]) -> Float[Array, "3 modes"]:
        """Best linear estimate of the components before noise."""
        return components * (self.variances / (self.variances + sigma**2))

    def __call__(self, x: Float[Array, "beads 3"], sigma: Float[Array, ""]) -> Float[Array, "beads 3"]:
        """Wiener-filtered coordinates."""
        return jnp.matmul(self.modes, self.shrink(self.project(x), sigma).T, precision=_EXACT)


@dataclass(frozen=True)
class Surroundings:
    """What each bead looks at.

    `partners` (beads, K) are its nearest beads by number of bonds, then by mean distance; the first two span its plane.
    `torsions` (T, 4) holds one quadruple for each bond that has one; `torsions_of` (beads, M) the nearest of them.
    """

    partners: np.ndarray
    torsions: np.ndarray
    torsions_of: np.ndarray


def surroundings(bonds: np.ndarray, mean_distances: np.ndarray, partners: int = 24, torsions: int = 8) -> Surroundings:
    """Surroundings from bonds (bonds, 2) and mean distances (beads, beads), with at most so many partners and torsions.

    Half of the partners (all that fit, in a small molecule) are nearest by bonds, the others nearest in space.
    """
    count = len(mean_distances)
    apart = bonds_apart(count, bonds)
    partners = min(partners, count - 1)
    chosen = []
    for bead in range(count):
        by_bonds = [k for k in np.lexsort((mean_distances[bead], apart[bead])) if k != bead]
        first = by_bonds[: max(2, partners // 2)]
        rest = [k for k in np.argsort(mean_distances[bead]) if k != bead and k not in first]
        chosen.append((first + rest)[:partners])
    quadruples = central_torsions(count, bonds)
    nearest = np.zeros((count, 0), int)
    if len(quadruples):
        reach = apart[:, quadruples].mean(-1) + 1e-3 * mean_distances[:, quadruples].mean(-1)
        nearest = np.argsort(reach, axis=1, kind="stable")[:, :torsions]
    return Surroundings(np.array(chosen, int).reshape(count, partners), quadruples, nearest)


def central_torsions(count: int, bonds: np.ndarray) -> np.ndarray:
    """One quadruple of bonded beads (torsions, 4) about each bond that is not at an end."""
    lists = neighbours(count, bonds)
    found = []
    for j, k in np.asarray(bonds, int).reshape(-1, 2):
        ends = [(i, n) for i in lists[j] for n in lists[k] if i != k and n != j and i != n]
        if ends:
            i, n = min(ends)
            found.append((i, j, k, n))
    return np.array(found, int).reshape(-1, 4)


def differences(count: int, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Matrix (beads, pairs) whose product with coordinates (3, beads) is `x[end] - x[start]`.

    A product with a constant beats a gather, whose gradient is a scatter.
    """
    matrix = np.zeros((count, len(start)))
    columns = np.arange(len(start))
    matrix[end, columns] += 1.0
    matrix[start, columns] -= 1.0
    return matrix


class BeadFeatures(Fixed):
    """Features (beads, width) of each bead: distances to its partners, their heights over the bead's plane, torsions.

    Every one is standardised by its mean and standard deviation at that noise level over the noised training data.
    Heights and sines of torsions change sign in a mirror image; the others do not.
    """

    filter: WienerFilter
    steps: Array
    torsion_choice: Array
    table: NoiseTable
    partners: int = eqx.field(static=True)
    torsions: int = eqx.field(static=True)

    def __init__(self, chart: CartesianChart, around: Surroundings, frames: np.ndarray, seed: int = 0) -> None:
        count, self.partners = around.partners.shape
        self.torsions = len(around.torsions)
        self.filter = WienerFilter(chart)
        modes = np.asarray(chart.modes, np.float64)
        self.steps = jnp.asarray(modes.T @ _step_matrix(count, around), jnp.float32)
        chosen = np.zeros((self.torsions, around.torsions_of.size))
        chosen[around.torsions_of.reshape(-1), np.arange(around.torsions_of.size)] = 1.0
        self.torsion_choice = jnp.asarray(chosen, jnp.float32)
        means, widths = tabulate(lambda x, sigma: self.measure(self.filter.project(x), sigma), frames, seed)
        inverse = np.where(widths > 1e-6, 1.0 / np.maximum(widths, 1e-6), 0.0)
        self.table = NoiseTable(np.stack([means, inverse], axis=1))

    @property
    def beads(self) -> int:
        return self.filter.modes.shape[0]

    @property
    def width(self) -> int:
        """Number of features of a bead."""
        return self.table.shape[-1]

    def __call__(self, x: Float[Array, "beads 3"], sigma: Float[Array, ""]) -> Float[Array, "beads width"]:
        """Standardised features."""
        return self.standardised(self.filter.project(x), sigma)

    def standardised(self, components: Float[Array, "3 modes"], sigma: Float[Array, ""]) -> Array:
        """Standardised features of coordinates given along the modes."""
        mean, inverse = self.table(sigma)
        deviation = (self.measure(components, sigma) - mean) * inverse
        return deviation * jax.lax.rsqrt(1.0 + (deviation / LARGEST) ** 2)

    def measure(self, components: Float[Array, "3 modes"], sigma: Float[Array, ""]) -> Float[Array, "beads width"]:
        """Features before standardisation: those of the raw coordinates, then those of the filtered ones."""
        both = jnp.stack([components, self.filter.shrink(components, sigma)])
        steps = jnp.matmul(both, self.steps, precision=_EXACT)
        beads, partners = self.beads, self.partners
        pairs = steps[..., : beads * partners].reshape(2, 3, beads, partners)
        parts = [jnp.sqrt(jnp.sum(pairs**2, axis=1) + SMALLEST_SQUARE)]
        if partners > 2:
            normal = _soft_normal(pairs[..., 0], pairs[..., 1])
            parts.append(jnp.sum(pairs[..., 2:] * normal[..., None], axis=1))
        if self.torsions:
            bonds = steps[..., beads * partners :].reshape(2, 3, 3, self.torsions)
            angles = jnp.stack(_soft_torsion(bonds[:, :, 0], bonds[:, :, 1], bonds[:, :, 2]), axis=1)
            spread = jnp.matmul(angles, self.torsion_choice, precision=_EXACT).reshape(2, 2, beads, -1)
            parts += [spread[:, 0], spread[:, 1]]
        return jnp.concatenate([part[k] for k in (0, 1) for part in parts], axis=-1)


def _step_matrix(count: int, around: Surroundings) -> np.ndarray:
    """Differences to all partners of all beads, then the three bonds of every torsion."""
    own = np.repeat(np.arange(count), around.partners.shape[1])
    pairs = differences(count, own, around.partners.reshape(-1))
    bonds = [differences(count, around.torsions[:, k], around.torsions[:, k + 1]) for k in range(3)]
    return np.concatenate([pairs, *bonds], axis=1)


def cross(a: Float[Array, "... 3 n"], b: Float[Array, "... 3 n"]) -> Float[Array, "... 3 n"]:
    """Cross products of vectors whose components are on the last axis but one."""
    (ax, ay, az), (bx, by, bz) = (tuple(v[..., k, :] for k in range(3)) for v in (a, b))
    return jnp.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-2)


def _soft_normal(a: Float[Array, "2 3 beads"], b: Float[Array, "2 3 beads"]) -> Float[Array, "2 3 beads"]:
    """Unit normal of the plane of two legs; shorter, down to zero, where they are almost parallel."""
    normal = cross(a, b)
    lengths = jnp.sum(a**2, axis=1) * jnp.sum(b**2, axis=1)
    square = jnp.sum(normal**2, axis=1) + FLATNESS * lengths
    return normal * jax.lax.rsqrt(square + SMALLEST_SQUARE**2)[:, None]


def _soft_torsion(a: Array, b: Array, c: Array) -> tuple[Array, Array]:
    """Cosine and sine (2, torsions) of the dihedral of three bonds (2, 3, torsions), faded where it is undefined."""
    first, second = cross(a, b), cross(b, c)
    middle = jnp.sum(b**2, axis=1)
    cosine = jnp.sum(first * second, axis=1)
    sine = jnp.sqrt(middle + SMALLEST_SQUARE) * jnp.sum(a * second, axis=1)
    flat = FLATNESS**2 * middle * jnp.sum(a**2, axis=1) * middle * jnp.sum(c**2, axis=1)
    scale = jax.lax.rsqrt(cosine**2 + sine**2 + flat + SMALLEST_SQUARE**4)
    return cosine * scale, sine * scale
