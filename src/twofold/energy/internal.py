"""Energy of a chain in whitened internal coordinates.

    U(q, sigma) = sum z^2 / (2 (1 + sigma^2)) + excluded volume + network(features(q), log sigma)

The first term is exact for Gaussian stiff coordinates z; the second holds far pairs apart; the network learns the rest:
the torsions, their coupling to each other and to the stiff coordinates, and through the distances of the rebuilt chain
what is close in space.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax.nn import one_hot
from jaxtyping import Array, Float, PRNGKeyArray

from twofold.chart.base import Chart
from twofold.chart.internal import TORSION_UNIT, InternalChart
from twofold.energy.base import Energy, System
from twofold.energy.contacts import ExcludedVolume
from twofold.energy.network import ResidualNetwork
from twofold.fixed import Fixed
from twofold.products import differences, product

FAR = 4
"""Bonds between two beads from which on nothing but torsions decides how near they are."""


class ChainFeatures(Fixed):
    """Inputs of the network: stiff coordinates, harmonics of the torsions, distances of far pairs.

    Coordinates and harmonics are of order one at any noise level; distances, in units of their width in the data, reach
    tens where noise turns torsions by a quarter to half a radian. A harmonic of order k is damped by
    `exp(-k^2 blur^2 / 2)`, `blur` the noise of a torsion in rad, the factor by which noise damps its mean; distances
    are faded out where that noise exceeds `fade`.
    """

    chart: InternalChart
    orders: Array
    pairs: Array
    log_mean: Array
    log_scale: Array
    contact: Array
    fade: float

    @property
    def count(self) -> int:
        """Number of features."""
        return self.chart.stiff_count + 2 * self.orders.shape[0] + 2 * self.pairs.shape[0]

    def __call__(self, q: Array, distances: Array, sigma: Array) -> Float[Array, " features"]:
        stiff = q[: self.chart.stiff_count] / jnp.sqrt(1.0 + sigma**2)
        phase = product(self.orders, self.chart.soft_torsions(q))
        blur = TORSION_UNIT * sigma
        damping = jnp.exp(-0.5 * blur**2 * jnp.sum(self.orders**2, -1))
        gate = 1.0 / (1.0 + (blur / self.fade) ** 2)
        ratio = (self.contact / distances) ** 4
        far = jnp.concatenate([(jnp.log(distances) - self.log_mean) / self.log_scale, 2.0 * ratio / (1.0 + ratio)])
        return jnp.concatenate([stiff, damping * jnp.sin(phase), damping * jnp.cos(phase), gate * far])

    def distances(self, positions: Float[Array, "beads 3"]) -> Float[Array, " pairs"]:
        """Distances of the far pairs in nm."""
        if not self.pairs.shape[0]:
            return jnp.zeros(0)
        first, second = one_hot(self.pairs.T, positions.shape[0])
        return jnp.sqrt(jnp.sum(differences(positions, first, second) ** 2, 0) + 1e-8)


def torsion_orders(chart: InternalChart, harmonics: int) -> np.ndarray:
    """Integer vectors k (orders, soft torsions) of the harmonics `sin k.t` and `cos k.t`.

    Single torsions to order `harmonics`; sums and differences of each two torsions about bonds that share a bead.
    """
    count = chart.soft_count
    orders = [k * np.eye(count, dtype=int)[i] for i in range(count) for k in range(1, harmonics + 1)]
    parent, grand = np.asarray(chart.zmatrix.parent), np.asarray(chart.zmatrix.grand)
    axes = [{int(parent[3 + t]), int(grand[3 + t])} for t in np.asarray(chart.soft)]
    for i in range(count):
        for j in range(i):
            if len(axes[i] & axes[j]) == 1:
                orders += [np.eye(count, dtype=int)[i] + sign * np.eye(count, dtype=int)[j] for sign in (1, -1)]
    return np.array(orders, np.float32).reshape(len(orders), count)


def far_pairs(apart: np.ndarray) -> np.ndarray:
    """Pairs (pairs, 2) `FAR` or more bonds apart; `apart` (beads, beads) is the number of bonds between beads."""
    return np.argwhere(np.triu(apart >= FAR))


def chain_features(
    chart: InternalChart, pairs: np.ndarray, distances: np.ndarray, *, harmonics: int = 2, fade: float = 0.5
) -> ChainFeatures:
    """Features for a chart, scaled by the distances (frames, pairs) in nm of the far `pairs` in training frames."""
    logs = np.log(np.maximum(distances, 1e-3))
    return ChainFeatures(
        chart=chart,
        orders=jnp.asarray(torsion_orders(chart, harmonics)),
        pairs=jnp.asarray(pairs),
        log_mean=jnp.asarray(logs.mean(0), jnp.float32),
        log_scale=jnp.asarray(logs.std(0) + 1e-3, jnp.float32),
        contact=jnp.asarray(np.quantile(distances, 1e-3, axis=0), jnp.float32),
        fade=fade,
    )


class InternalEnergy(Energy):
    """Gaussian prior on the stiff coordinates, walls between far pairs, and a network on chain features."""

    features: ChainFeatures
    volume: ExcludedVolume
    network: ResidualNetwork

    @staticmethod
    def build(
        features: ChainFeatures, volume: ExcludedVolume, key: PRNGKeyArray, *, width: int, depth: int
    ) -> InternalEnergy:
        """Energy with a fresh network of `depth` layers of `width`."""
        return InternalEnergy(features, volume, ResidualNetwork(features.count, width, depth, key))

    def energy(self, system: System, x: Float[Array, " coordinates"], sigma: Float[Array, ""]) -> Float[Array, ""]:
        return self.at(x, self.features.distances(self.features.chart.decode(x)), sigma)

    def of_positions(
        self, system: System, chart: Chart, positions: Float[Array, "beads 3"], sigma: Float[Array, ""]
    ) -> Float[Array, ""]:
        # the positions are known here: no need to build them again from the coordinates
        q = chart.encode(positions)
        return self.at(q, self.features.distances(positions), sigma) + chart.log_jacobian(q)

    def at(self, q: Array, distances: Array, sigma: Array) -> Float[Array, ""]:
        """Energy from coordinates and far-pair distances, for callers that know the positions already."""
        stiff = q[: self.features.chart.stiff_count]
        prior = 0.5 * jnp.sum(stiff**2) / (1.0 + sigma**2)
        return prior + self.volume(distances, sigma) + self.network(self.features(q, distances, sigma), sigma)
