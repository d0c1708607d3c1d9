"""Energy of a few coordinates in an external potential: a Gaussian and a network."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from twofold.chart.flat import FlatChart
from twofold.energy.base import Energy, System
from twofold.energy.network import ResidualNetwork

WAVES = 4
"""Sines of each coordinate, the first with a wavelength of about four standard deviations of the data."""


class FlatEnergy(Energy):
    """Gaussian of the data's width plus noise, which is right at large noise, plus a network on the coordinates.

    The network sees the coordinates with their scale taken out and sines of them, damped by the noise as the means of
    noised sines are.
    """

    network: ResidualNetwork

    @staticmethod
    def build(chart: FlatChart, key: PRNGKeyArray, *, width: int, depth: int) -> FlatEnergy:
        """Energy with a fresh network of `depth` layers of `width`."""
        return FlatEnergy(ResidualNetwork(chart.count * (1 + 2 * WAVES), width, depth, key))

    def energy(self, system: System, x: Float[Array, " coordinates"], sigma: Float[Array, ""]) -> Float[Array, ""]:
        total = 1.0 + sigma**2
        waves = 1.5 * jnp.arange(1, WAVES + 1)[:, None]
        damping = jnp.exp(-0.5 * (waves * sigma) ** 2)
        features = jnp.concatenate(
            [x / jnp.sqrt(total), (damping * jnp.sin(waves * x)).ravel(), (damping * jnp.cos(waves * x)).ravel()]
        )
        return 0.5 * jnp.sum(x**2) / total + self.network(features, sigma)
