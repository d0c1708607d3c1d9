"""Reverse-time solvers: the probability-flow ODE and the reverse SDE of variance-exploding noise."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from twofold.chart.base import Chart
from twofold.energy.base import Energy, System, scores

Solver = Callable[..., Array]


def score(model: Energy, system: System, y: Array, sigma: Array) -> Array:
    """Scores of a batch at one level."""
    return scores(model, system, y, jnp.full(y.shape[0], sigma))


def flow_step(model: Energy, system: System, chart: Chart, y: Array, now: Array, after: Array) -> Array:
    """Heun's step of the probability flow `dy/dsigma = -sigma s(y, sigma)` from level `now` to `after`."""
    slope = -now * score(model, system, y, now)
    guess = y + (after - now) * slope
    corrected = -after * score(model, system, guess, after)
    return jax.vmap(chart.wrap)(y + 0.5 * (after - now) * (slope + corrected))


def heun(
    model: Energy, system: System, chart: Chart, y: Float[Array, "batch ..."], levels: Array, key: PRNGKeyArray
) -> Float[Array, "batch ..."]:
    """Probability flow from the first level to the last, by Heun's method.

    Karras et al., NeurIPS 2022, algorithm 1. `key` is not used.
    """
    del key

    def step(y: Array, pair: tuple[Array, Array]) -> tuple[Array, None]:
        return flow_step(model, system, chart, y, *pair), None

    return jax.lax.scan(step, y, (levels[:-1], levels[1:]))[0]


def reverse_sde(
    model: Energy, system: System, chart: Chart, y: Float[Array, "batch ..."], levels: Array, key: PRNGKeyArray
) -> Float[Array, "batch ..."]:
    """Reverse SDE `dy = -2 sigma s dsigma + sqrt(2 sigma) dW` (Song et al., ICLR 2021) by splitting.

    A step from level a to b first adds the noise of the SDE, of variance a^2 - b^2, which takes the samples to level
    `sqrt(2 a^2 - b^2)`, and then follows the probability flow down to b by Heun's method (Karras et al., NeurIPS 2022,
    algorithm 2, with the churn of the SDE). The fresh noise lets samples forget errors of the score at higher levels,
    which the flow would carry to the end.
    """

    def step(carry: tuple[Array, PRNGKeyArray], pair: tuple[Array, Array]) -> tuple[tuple[Array, PRNGKeyArray], None]:
        (y, key), (now, after) = carry, pair
        key, draw = jax.random.split(key)
        # the model knows no level above the first
        added = jnp.minimum(now**2 - after**2, levels[0] ** 2 - now**2)
        y = y + jnp.sqrt(added) * jax.vmap(chart.project)(jax.random.normal(draw, y.shape))
        return (flow_step(model, system, chart, y, jnp.sqrt(now**2 + added), after), key), None

    return jax.lax.scan(step, (y, key), (levels[:-1], levels[1:]))[0][0]


def deblur(
    model: Energy, system: System, chart: Chart, y: Float[Array, "batch ..."], sigma: Array
) -> Float[Array, "batch ..."]:
    """One step of the probability flow from sigma to zero, `y + sigma^2 s / 2`: takes the blur out of a frame.

    A full Tweedie step `y + sigma^2 s` would give the posterior mean, whose variance is too small by sigma^2.
    """
    return jax.vmap(chart.wrap)(y + 0.5 * sigma**2 * score(model, system, y, sigma))


@eqx.filter_jit
def deblur_positions(
    model: Energy, chart: Chart, positions: Float[Array, "frames beads 3"], sigma: Array
) -> Float[Array, "frames beads 3"]:
    """`deblur` for positions in nm."""

    def one(frame: Array) -> Array:
        return chart.decode(deblur(model, None, chart, chart.encode(frame)[None], sigma)[0])

    return jax.lax.map(one, positions, batch_size=1024)


SOLVERS: dict[str, Solver] = {"ode": heun, "sde": reverse_sde}
