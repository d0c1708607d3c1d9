"""Coordinates of a particle in an external potential: all are kept, none is invariant."""

from __future__ import annotations

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm
from jaxtyping import Array, Float, PRNGKeyArray

from twofold.chart.base import Chart
from twofold.fixed import Fixed


class FlatChart(Chart, Fixed):
    """The first `count` of all Cartesian components, less their mean `centre` in nm, divided by `length` in nm.

    `covariance` (count, count) is that of the coordinates. Components beyond `count` are zero.
    """

    centre: Array
    length: Array
    covariance: Array
    beads: int = eqx.field(static=True)
    free: ClassVar[bool] = False

    @property
    def count(self) -> int:
        """Number of coordinates."""
        return self.centre.shape[0]

    @property
    def dimension(self) -> int:
        return self.count

    @property
    def narrowest(self) -> Float[Array, ""]:
        # a valley may be as narrow as the smallest noise shows
        return jnp.zeros(())

    def encode(self, positions: Float[Array, "beads 3"]) -> Float[Array, " coordinates"]:
        return (positions.reshape(-1)[: self.count] - self.centre) / self.length

    def decode(self, coordinates: Float[Array, " coordinates"]) -> Float[Array, "beads 3"]:
        rest = jnp.zeros(3 * self.beads - self.count, coordinates.dtype)
        return jnp.concatenate([self.centre + self.length * coordinates, rest]).reshape(self.beads, 3)

    def spare(self, positions: Float[Array, "beads 3"]) -> Float[Array, " rest"]:
        return positions.reshape(-1)[self.count :] / self.length

    def scores_of(self, positions: Float[Array, "beads 3"], forces: Float[Array, "beads 3"]) -> Array:
        return forces.reshape(-1)[: self.count] * self.length

    def log_jacobian(self, coordinates: Float[Array, " coordinates"]) -> Float[Array, ""]:
        return jnp.zeros((), coordinates.dtype)

    def project(self, noise: Float[Array, " coordinates"]) -> Float[Array, " coordinates"]:
        return noise

    def wrap(self, coordinates: Float[Array, " coordinates"]) -> Float[Array, " coordinates"]:
        return coordinates

    def prior(self, key: PRNGKeyArray, sigma_max: float | Float[Array, ""]) -> Float[Array, " coordinates"]:
        """A draw from the Gaussian with the data's covariance and isotropic noise of `sigma_max` on top."""
        data, noise = jax.random.split(key)
        root = jnp.linalg.cholesky(self.covariance)
        normal = jax.random.normal(data, (self.count,))
        return root @ normal + sigma_max * jax.random.normal(noise, (self.count,))

    def log_prior(
        self, coordinates: Float[Array, " coordinates"], sigma_max: float | Float[Array, ""]
    ) -> Float[Array, ""]:
        values, vectors = jnp.linalg.eigh(self.covariance)
        amplitude = jnp.sqrt(jnp.maximum(values, 0.0) + sigma_max**2)
        along = jnp.matmul(vectors.T, coordinates, precision=jax.lax.Precision.HIGHEST)
        return jnp.sum(norm.logpdf(along, scale=amplitude))


def flat_chart(positions: np.ndarray, weights: np.ndarray, count: int) -> FlatChart:
    """Chart fitted to frames (frames, beads, 3) in nm with weights (frames,); the unit is the root of the variance."""
    beads = positions.shape[1]
    points = np.asarray(positions, np.float64).reshape(len(positions), -1)[:, :count]
    share = np.asarray(weights, np.float64) / np.sum(weights)
    centre = share @ points
    centred = points - centre
    covariance = (centred * share[:, None]).T @ centred
    length = np.sqrt(np.trace(covariance) / count)
    return FlatChart(
        centre=jnp.asarray(centre, jnp.float32),
        length=jnp.asarray(length, jnp.float32),
        covariance=jnp.asarray(covariance / length**2, jnp.float32),
        beads=beads,
    )
