"""Cartesian coordinates of a molecule in free space: centred, in units of one length."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm
from jaxtyping import Array, Float, PRNGKeyArray

from twofold.chart.base import Chart
from twofold.chart.rigid import without_rigid_motion
from twofold.errors import UserError
from twofold.fixed import Fixed

THICKNESS = 0.1
"""Width of a plane, as a share of that of the data in it."""
SMALLEST_MODE = 1e-8
"""Least variance of a mode, as a share of the largest: keeps exactly rigid directions invertible."""


class CartesianChart(Chart, Fixed):
    """Positions without their mean over beads, divided by `length` in nm (the standard deviation of the centred data).

    Because orientation is free, the covariance of the coordinates is the same for the three axes and has none between
    them: `C = <x x^T>/3`, beads by beads. `modes` (beads, beads-1) and `variances` (beads-1,) are its eigenvectors and
    eigenvalues, smallest first, without the null mode of the removed mean. `axes` is 2 for a system in a plane, whose
    third component is no coordinate.
    """

    length: Array
    modes: Array
    variances: Array
    axes: int = eqx.field(static=True, default=3)

    @property
    def beads(self) -> int:
        """Number of beads."""
        return self.modes.shape[0]

    @property
    def dimension(self) -> int:
        return self.axes * (self.beads - 1)

    def encode(self, positions: Float[Array, "beads 3"]) -> Float[Array, "beads axes"]:
        return self.project(positions[:, : self.axes]) / self.length

    def decode(self, coordinates: Float[Array, "beads axes"]) -> Float[Array, "beads 3"]:
        return jnp.pad(coordinates * self.length, ((0, 0), (0, 3 - self.axes)))

    def spare(self, positions: Float[Array, "beads 3"]) -> Float[Array, " rest"]:
        # without their mean: nothing may pull on the molecule as a whole; in a unit that keeps them near the plane
        return self.project(positions[:, self.axes :]).ravel() / (THICKNESS * self.length)

    def scores_of(
        self, positions: Float[Array, "beads 3"], forces: Float[Array, "beads 3"]
    ) -> Float[Array, "beads axes"]:
        if self.axes == 3:
            forces = without_rigid_motion(positions, forces)
        return self.project(forces[:, : self.axes]) * self.length

    def log_jacobian(self, coordinates: Float[Array, "beads axes"]) -> Float[Array, ""]:
        return jnp.zeros((), coordinates.dtype)

    def project(self, noise: Float[Array, "beads axes"]) -> Float[Array, "beads axes"]:
        return noise - jnp.mean(noise, axis=0, keepdims=True)

    def wrap(self, coordinates: Float[Array, "beads axes"]) -> Float[Array, "beads axes"]:
        return coordinates

    def prior(self, key: PRNGKeyArray, sigma_max: float | Float[Array, ""]) -> Float[Array, "beads axes"]:
        """A draw from the Gaussian with the data's covariance and isotropic noise of `sigma_max` on top."""
        amplitude = jnp.sqrt(self.variances + sigma_max**2)
        normal = jax.random.normal(key, (self.beads - 1, self.axes), self.modes.dtype)
        return jnp.matmul(self.modes * amplitude, normal, precision=jax.lax.Precision.HIGHEST)

    def log_prior(
        self, coordinates: Float[Array, "beads axes"], sigma_max: float | Float[Array, ""]
    ) -> Float[Array, ""]:
        """Per volume of the space without the mean over beads."""
        amplitude = jnp.sqrt(self.variances + sigma_max**2)[:, None]
        along = jnp.matmul(self.modes.T, coordinates, precision=jax.lax.Precision.HIGHEST)
        return jnp.sum(norm.logpdf(along, scale=amplitude))


def cartesian_chart(positions: np.ndarray, weights: np.ndarray | None = None, axes: int = 3) -> CartesianChart:
    """Chart fitted to frames (frames, beads, 3) in nm with weights (frames,); statistics in float64.

    axes: 2 where all frames lie in the plane of the first two. Raises UserError for a single bead.
    """
    frames = np.asarray(positions, np.float64)[..., :axes]
    count = frames.shape[1]
    if count < 2:
        raise UserError("one bead in free space, which has no shape", "two beads or more", "choose other beads")
    share = np.ones(len(frames)) if weights is None else np.asarray(weights, np.float64)
    share = share / share.sum()
    centred = (frames - frames.mean(1, keepdims=True)) * np.sqrt(share)[:, None, None]
    rows = centred.swapaxes(1, 2).reshape(-1, count)
    covariance = rows.T @ rows / axes
    length = np.sqrt(np.trace(covariance) / count)
    values, vectors = np.linalg.eigh(_free_of_mean(covariance / length**2, count))
    values, vectors = values[1:], vectors[:, 1:]
    values = np.maximum(values, SMALLEST_MODE * values[-1])
    as_array = lambda table: jnp.asarray(table, jnp.float32)  # noqa: E731
    return CartesianChart(length=as_array(length), modes=as_array(vectors), variances=as_array(values), axes=axes)


def _free_of_mean(covariance: np.ndarray, count: int) -> np.ndarray:
    """The covariance with its null mode, the mean over beads, pushed below every other eigenvalue."""
    return covariance - np.full((count, count), 1.0 / count) * np.trace(covariance)
