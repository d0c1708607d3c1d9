"""Statistics of noised data, tabulated over the noise level once and interpolated smoothly."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from twofold.fixed import Fixed

FIRST_SIGMA, LAST_SIGMA, LEVELS = 0.002, 12.0, 32
"""Range (in units of the chart) and number of noise levels of a table."""


def noise_levels() -> np.ndarray:
    """Noise levels of every table, evenly spaced in their logarithm."""
    return np.geomspace(FIRST_SIGMA, LAST_SIGMA, LEVELS)


class NoiseTable(Fixed):
    """Values (levels, ...) at `noise_levels`, once differentiable in between and constant outside.

    Cubic convolution (Keys, IEEE Trans. Acoust. 29, 1153, 1981) in ln sigma: a product with a vector of weights, which
    needs no gather when each member of a batch has its own noise level.
    """

    rows: Array
    shape: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, values: np.ndarray) -> None:
        table = np.asarray(values, np.float64).reshape(LEVELS, int(np.prod(values.shape[1:])))
        padded = np.concatenate([2 * table[:1] - table[1:2], table, 2 * table[-1:] - table[-2:-1]])
        self.rows = jnp.asarray(padded, jnp.float32)
        self.shape = tuple(values.shape[1:])

    def __call__(self, sigma: Float[Array, ""]) -> Array:
        return jnp.matmul(interpolation_weights(sigma), self.rows, precision=_EXACT).reshape(self.shape)


_EXACT = jax.lax.Precision.HIGHEST


def interpolation_weights(sigma: Float[Array, ""]) -> Float[Array, " rows"]:
    """Weights of the rows of a table, which has one row of padding at each end."""
    step = np.log(LAST_SIGMA / FIRST_SIGMA) / (LEVELS - 1)
    place = jnp.clip((jnp.log(sigma) - np.log(FIRST_SIGMA)) / step, 0.0, LEVELS - 1.0) + 1.0
    t = jnp.abs(place - np.arange(LEVELS + 2))
    near = (1.5 * t - 2.5) * t * t + 1.0
    far = ((-0.5 * t + 2.5) * t - 4.0) * t + 2.0
    return jnp.where(t < 1.0, near, jnp.where(t < 2.0, far, 0.0))


def noised(frames: np.ndarray, sigma: float, seed: int) -> np.ndarray:
    """Centred frames (frames, beads, 3) plus Gaussian noise without mean over beads, float32."""
    noise = np.random.default_rng([seed, round(1e6 * sigma)]).standard_normal(frames.shape, np.float32)
    noise -= noise.mean(1, keepdims=True)
    return (frames + sigma * noise).astype(np.float32)


def drawn_frames(coordinates: np.ndarray, weights: np.ndarray | None, number: int, seed: int) -> np.ndarray:
    """`number` frames at most, drawn in proportion to their weights, for making tables."""
    if weights is None and len(coordinates) <= number:
        return np.asarray(coordinates, np.float32)
    share = None if weights is None else np.asarray(weights, np.float64) / np.sum(weights)
    chosen = np.random.default_rng(seed).choice(len(coordinates), number, p=share, replace=share is not None)
    return np.asarray(coordinates[np.sort(chosen)], np.float32)


def tabulate(quantity: Callable[[Array, Array], Array], frames: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (levels, ...) over noised frames of `quantity(x, sigma)`, in float64."""

    @jax.jit
    def moments(x: Array, sigma: Array) -> tuple[Array, Array]:
        values = jax.vmap(lambda one: quantity(one, sigma))(x)
        mean = jnp.mean(values, axis=0)
        return mean, jnp.sqrt(jnp.mean((values - mean) ** 2, axis=0))

    pairs = [moments(noised(frames, level, seed), jnp.float32(level)) for level in noise_levels()]
    means, widths = zip(*pairs, strict=True)
    return np.asarray(means, np.float64), np.asarray(widths, np.float64)
