"""Denoising score matching, plain and antithetic, and the implicit loss that measures a score without labels."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from twofold.chart.base import Chart
from twofold.energy.base import Energy, System, scores
from twofold.energy.together import over, together
from twofold.noise import along_frames
from twofold.objectives.traces import mean_trace, trace_probes


def squares(values: Array) -> Float[Array, " batch"]:
    """Squared norm of each frame."""
    return jnp.sum(values.reshape(values.shape[0], -1) ** 2, -1)


def products(left: Array, right: Array) -> Float[Array, " batch"]:
    """Scalar product for each frame."""
    return jnp.sum((left * right).reshape(left.shape[0], -1), -1)


def draw_noise(key: PRNGKeyArray, chart: Chart, x: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
    """Standard Gaussian noise in the coordinates of the chart."""
    return jax.vmap(chart.project)(jax.random.normal(key, x.shape))


def plain(
    model: Energy, system: System, x: Float[Array, "batch ..."], noise: Array, sigma: Float[Array, " batch"]
) -> Float[Array, " batch"]:
    """`1/2 |s(y) + eps/sigma|^2` with `y = x + sigma eps` (Vincent, Neural Comput. 23, 1661, 2011)."""
    level = along_frames(sigma, x)
    return 0.5 * squares(scores(model, system, x + level * noise, sigma) + noise / level)


def antithetic(
    model: Energy, system: System, x: Float[Array, "batch ..."], noise: Array, sigma: Float[Array, " batch"]
) -> Float[Array, " batch"]:
    """Denoising loss on the pair `y+- = x +- sigma eps`, less its part that does not depend on the model.

    `L = (|s+|^2 + |s-|^2)/4 + eps.(s+ - s-)/(2 sigma)`: the mean of the two plain losses without
    `|eps|^2/(2 sigma^2)`. As sigma goes to zero the second term becomes Hutchinson's estimate of the divergence of the
    score, and the loss implicit score matching: its variance stays bounded where that of the plain one explodes.
    """
    level = along_frames(sigma, x)
    both = jnp.concatenate([x + level * noise, x - level * noise])
    plus, minus = jnp.split(scores(model, system, both, jnp.concatenate([sigma, sigma])), 2)
    return 0.25 * (squares(plus) + squares(minus)) + products(noise, plus - minus) / (2.0 * sigma)


def level_weight(sigma: Float[Array, " batch"], softening: float) -> Float[Array, " batch"]:
    """`sigma^2 + tau^2`: in proportion to the inverse standard deviation of the antithetic loss at either end."""
    return sigma**2 + softening**2


LOSSES: dict[str, Callable[..., Float[Array, " batch"]]] = {"antithetic": antithetic, "denoising": plain}


MOST_AT_ONCE = 64
PAIRS_AT_ONCE = 10_000
"""Frames that are worked on together, and pairs of their coordinates: all probes of 64 frames of 55 particles at once
take 7 GB, and 1.4 times as long as those of a few."""
PROBES = 24
"""Random probes of the divergence, where it has too many coordinates to be exact."""


def implicit(
    model: Energy,
    system: System,
    chart: Chart,
    x: Float[Array, "batch ..."],
    sigma: Float[Array, ""],
    key: PRNGKeyArray,
) -> Float[Array, " batch"]:
    """`1/2 |s|^2 + div s` on clean frames (Hyvarinen, JMLR 6, 695, 2005).

    Up to a constant of the data it is half the squared error of the score at level `sigma`, taken as the score of the
    clean density: it holds the bias of the blur and the error of the network. The divergence is exact for few
    coordinates, otherwise Hutchinson's estimate with random signs, the same for every `sigma` with the same `key`.
    """

    def one(frame: Array, key: PRNGKeyArray) -> Array:
        def score(y: Array) -> Array:
            return model.score(system, y, sigma)

        probes = trace_probes(frame, chart, key, PROBES)
        value, push = jax.linearize(score, frame)
        return 0.5 * jnp.sum(value**2) + mean_trace(probes, over(push, (probes,), entries))

    entries = model.entries(system, x.shape[1])
    most = min(MOST_AT_ONCE, PAIRS_AT_ONCE // x[0].size ** 2, together(entries * min(PROBES, x[0].size)))
    with jax.default_matmul_precision("float32"):
        return jax.lax.map(lambda pair: one(*pair), (x, jax.random.split(key, x.shape[0])), batch_size=max(1, most))
