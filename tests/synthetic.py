"""Molecules whose distribution is known: chains built from independent internal coordinates, and Gaussian energies."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from twofold.beads import Beads
from twofold.chart.base import Chart
from twofold.chart.tree import BeadTree, bead_tree
from twofold.energy.base import Energy
from twofold.ensemble import Ensemble

CHAIN_BONDS = ((0, 1), (1, 2), (2, 3), (3, 4))
BRANCHED_BONDS = ((0, 1), (1, 2), (2, 3), (3, 4), (2, 5), (3, 6))
BASINS = ((-1.2, 0.7), (1.1, 0.3))
"""Centre in rad and population of the two basins of every soft torsion."""

TINY = {
    "architecture": "internal",
    "width": 16,
    "depth": 2,
    "batch": 64,
    "steps": 40,
    "chunk": 10,
    "warmup": 5,
    "fokker_planck": 0.0,
}
"""Settings of a fit that takes a second beyond compiling, to which the Fokker-Planck term would add ten."""


def dipeptide() -> Beads:
    """C N CA C N: five beads with one phi and one psi."""
    return Beads(
        names=("C", "N", "CA", "C", "N"),
        types=("C", "N", "CA", "C", "N"),
        masses=np.array([12.0, 14.0, 13.0, 12.0, 14.0]),
        charges=np.zeros(5),
        bonds=np.array(CHAIN_BONDS),
        residue_names=("ACE", "ALA", "ALA", "ALA", "NME"),
        residue_ids=np.array([1, 2, 2, 2, 3]),
        chains=np.zeros(5, int),
    )


def branched() -> Beads:
    """Seven beads with two branches."""
    return Beads.anonymous(7, bonds=BRANCHED_BONDS)


def frames(beads: Beads, number: int, seed: int = 0) -> np.ndarray:
    """(number, beads, 3) nm: bonds 0.15(2 pm), angles 1.95(50 mrad), impropers 2.1(50 mrad), two basins a torsion."""
    rng = np.random.default_rng(seed)
    plan = bead_tree(len(beads), beads.bonds)
    lengths = rng.normal(0.15, 0.002, (number, len(beads) - 1))
    angles = rng.normal(1.95, 0.05, (number, len(beads) - 2))
    first = rng.random((number, len(beads) - 3)) < BASINS[0][1]
    soft = np.where(first, BASINS[0][0], BASINS[1][0]) + rng.normal(0, 0.25, first.shape)
    torsions = np.where(plan.sibling[3:] >= 0, rng.normal(2.1, 0.05, first.shape), soft)
    shift = rng.normal(0, 1, (number, 1, 3)).astype(np.float32)
    return placed(plan, lengths, angles, torsions) @ rotation(seed) + shift


def placed(plan: BeadTree, lengths: np.ndarray, angles: np.ndarray, torsions: np.ndarray) -> np.ndarray:
    """(number, beads, 3) float32, nm: bead after bead, from the three before it, unlike how the chart builds."""
    x = np.zeros((len(lengths), len(plan), 3))
    x[:, 1, 0] = lengths[:, 0]
    x[:, 2, 0] = lengths[:, 0] - lengths[:, 1] * np.cos(angles[:, 0])
    x[:, 2, 1] = lengths[:, 1] * np.sin(angles[:, 0])
    for k in range(3, len(plan)):
        c, b = x[:, plan.parent[k]], x[:, plan.grand[k]]
        a = x[:, plan.sibling[k] if plan.sibling[k] >= 0 else plan.parent[plan.grand[k]]]
        along = unit(c - b)
        normal = unit(np.cross(b - a, c - b))
        angle, torsion = angles[:, k - 2, None], torsions[:, k - 3, None]
        across = np.cos(torsion) * np.cross(normal, along) + np.sin(torsion) * normal
        x[:, k] = c + lengths[:, k - 1, None] * (np.sin(angle) * across - np.cos(angle) * along)
    return x[:, np.argsort(plan.order)].astype(np.float32)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def rotation(seed: int) -> np.ndarray:
    """A random proper rotation (3, 3), float32."""
    matrix, upper = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))
    matrix = matrix * np.sign(np.diag(upper))
    matrix[:, 0] *= np.linalg.det(matrix)
    return matrix.astype(np.float32)


def ensemble(beads: Beads, number: int, seed: int = 0, **options) -> Ensemble:
    return Ensemble.build(beads, frames(beads, number, seed), 300.0, frame_ps=1.0, **options)


def tree(beads: Beads) -> BeadTree:
    return bead_tree(len(beads), beads.bonds)


class Line(Chart):
    """Coordinates (dimension,) as they are: Gaussian data need no more."""

    size: int = eqx.field(static=True)

    @property
    def dimension(self) -> int:
        return self.size

    def encode(self, positions):
        return positions.reshape(-1)[: self.size]

    def decode(self, coordinates):
        return coordinates.reshape(-1, 3)

    def log_jacobian(self, coordinates):
        return jnp.zeros(())

    def project(self, noise):
        return noise

    def wrap(self, coordinates):
        return coordinates

    def prior(self, key, sigma_max):
        return sigma_max * jax.random.normal(key, (self.size,))

    def log_prior(self, coordinates, sigma_max):
        return jnp.sum(jax.scipy.stats.norm.logpdf(coordinates, scale=jnp.sqrt(1.0 + sigma_max**2)))


def root(matrix):
    """The symmetric square root of a covariance."""
    values, vectors = np.linalg.eigh(matrix)
    return vectors * np.sqrt(values) @ vectors.T


class Gaussian(Energy):
    """Energy of noised Gaussian data with mean zero and `covariance`; the score is `scale` times the exact one.

    By the eigenvectors of the covariance: batched solvers of LAPACK can wait for each other for ever on a busy machine.
    """

    variances: jax.Array
    axes: jax.Array
    scale: jax.Array

    @staticmethod
    def of(covariance, scale: float = 1.0) -> "Gaussian":
        variances, axes = np.linalg.eigh(np.asarray(covariance, np.float64))
        return Gaussian(jnp.asarray(variances, jnp.float32), jnp.asarray(axes, jnp.float32), jnp.float32(scale))

    @property
    def covariance(self):
        return (self.axes * self.variances) @ self.axes.T

    def energy(self, system, x, sigma):
        return 0.5 * self.scale * jnp.sum((x @ self.axes) ** 2 / (self.variances + sigma**2))


def with_random_readout(energy: Energy, seed: int = 7) -> Energy:
    """The energy with a network that says something: a fresh one has a readout of zeros."""
    readout = energy.network.readout
    return eqx.tree_at(
        lambda e: e.network.readout, energy, 0.3 * jax.random.normal(jax.random.key(seed), readout.shape)
    )
