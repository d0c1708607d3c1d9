"""Energy of a few coordinates in an external potential: a Gaussian and a network."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from twofold.chart.flat import FlatChart
from twofold.energy.base import Energy, System
from twofold.energy.network import ResidualNetwork
from twofold.products import product

WAVES = 2
"""Waves along each direction, the first with a wavelength of about four standard deviations of the data."""


def directions(count: int) -> Float[Array, "directions coordinates"]:
    """Unit vectors along the axes and the diagonals of each two of them.

    Waves along the axes alone make a sum of functions of single coordinates the easiest thing to learn, which has
    ghosts of its minima wherever coordinates of different ones meet.
    """
    axes = np.eye(count)
    diagonals = [(axes[i] + sign * axes[j]) / np.sqrt(2.0) for i in range(count) for j in range(i) for sign in (1, -1)]
    return jnp.asarray(np.array([*axes, *diagonals]), jnp.float32)


class FlatEnergy(Energy):
    """Gaussian of the data's width plus noise, which is right at large noise, plus a network on the coordinates.

    The network sees the coordinates with their scale taken out, and waves along them and their diagonals, damped by the
    noise as the means of noised waves are.
    """

    network: ResidualNetwork

    @staticmethod
    def build(chart: FlatChart, key: PRNGKeyArray, *, width: int, depth: int) -> FlatEnergy:
        """Energy with a fresh network of `depth` layers of `width`."""
        return FlatEnergy(ResidualNetwork(chart.count * (1 + 2 * WAVES * chart.count), width, depth, key))

    def energy(self, system: System, x: Float[Array, " coordinates"], sigma: Float[Array, ""]) -> Float[Array, ""]:
        total = 1.0 + sigma**2
        waves = 1.5 * jnp.arange(1, WAVES + 1)[:, None]
        damping = jnp.exp(-0.5 * (waves * sigma) ** 2)
        along = product(directions(x.shape[0]), x)
        features = jnp.concatenate(
            [
                x / jnp.sqrt(total),
                (damping * jnp.sin(waves * along)).ravel(),
                (damping * jnp.cos(waves * along)).ravel(),
            ]
        )
        return 0.5 * jnp.sum(x**2) / total + self.network(features, sigma)
