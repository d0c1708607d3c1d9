"""A residual network with one scalar output, modulated by the noise level."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

LEVEL_FEATURES = 17


def level_features(sigma: Float[Array, ""]) -> Float[Array, " features"]:
    """Smooth bumps on a grid of log sigma, from 1e-3 to 1e2 in the unit of the chart."""
    centres = jnp.linspace(jnp.log(1e-3), jnp.log(1e2), LEVEL_FEATURES)
    spacing = centres[1] - centres[0]
    return jnp.exp(-0.5 * ((jnp.log(sigma) - centres) / spacing) ** 2)


class ResidualNetwork(eqx.Module):
    """`depth` residual layers with SiLU; every layer is scaled and shifted by functions of log sigma."""

    first: Array
    hidden: list[Array]
    modulation: list[Array]
    readout: Array

    def __init__(self, inputs: int, width: int, depth: int, key: PRNGKeyArray) -> None:
        keys = jax.random.split(key, 2 * depth + 1)
        self.first = jax.random.normal(keys[0], (width, inputs)) / jnp.sqrt(inputs)
        self.hidden = [jax.random.normal(k, (width, width)) / jnp.sqrt(width) for k in keys[1:depth]]
        shape = (2 * width, LEVEL_FEATURES)
        self.modulation = [0.1 * jax.random.normal(k, shape) for k in keys[depth : 2 * depth]]
        self.readout = jnp.zeros((width, LEVEL_FEATURES))

    def __call__(self, inputs: Float[Array, " inputs"], sigma: Float[Array, ""]) -> Float[Array, ""]:
        level = level_features(sigma)
        state = self._layer(self.first, inputs, self.modulation[0], level)
        for matrix, modulation in zip(self.hidden, self.modulation[1:], strict=True):
            state = state + self._layer(matrix, state, modulation, level)
        return state @ jnp.inner(level, self.readout)

    @staticmethod
    def _layer(matrix: Array, state: Array, modulation: Array, level: Array) -> Array:
        # vectors stand to the left of matrices: a batch then comes first in every array, forwards and backwards, and
        # nothing is transposed between products (half of the time of a training step else)
        scale, shift = (level @ half.T for half in jnp.split(modulation, 2))
        return jax.nn.silu((state @ matrix.T) * (1.0 + scale) + shift)
