"""Mixtures of isotropic Gaussians: energy, score and noised density in closed form at every noise level."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


class GaussianMixture(eqx.Module):
    """`p(x) = sum_k weight_k N(x; mean_k, variance)`; noise of level sigma adds sigma^2 to the variance."""

    means: Float[Array, "kinds coordinates"]
    weights: Float[Array, " kinds"]
    variance: Float[Array, ""]

    @classmethod
    def of(cls, means: np.ndarray, weights: np.ndarray, variance: float = 1.0) -> GaussianMixture:
        """A mixture with means (kinds, coordinates) and weights (kinds,) of any sum."""
        share = np.asarray(weights, np.float64) / np.sum(weights)
        return cls(jnp.asarray(means, jnp.float32), jnp.asarray(share, jnp.float32), jnp.float32(variance))

    @property
    def dimension(self) -> int:
        """Number of coordinates."""
        return self.means.shape[1]

    def energy(self, x: Float[Array, " coordinates"], sigma: float | Float[Array, ""] = 0.0) -> Float[Array, ""]:
        """`-ln p_sigma(x)`, normalised."""
        variance = self.variance + jnp.square(sigma)
        squares = jnp.sum(jnp.square(x - self.means), axis=-1)
        norm = 0.5 * self.dimension * jnp.log(2 * jnp.pi * variance)
        return norm - jax.nn.logsumexp(jnp.log(self.weights) - 0.5 * squares / variance)

    def sample(self, number: int, rng: np.random.Generator) -> np.ndarray:
        """Independent points (number, coordinates), float64."""
        share = np.asarray(self.weights, np.float64)
        kind = rng.choice(len(share), size=number, p=share / share.sum())
        spread = np.sqrt(float(self.variance)) * rng.standard_normal((number, self.dimension))
        return np.asarray(self.means, np.float64)[kind] + spread
