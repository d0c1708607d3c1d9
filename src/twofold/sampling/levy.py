"""The reverse-time solver for heavy-tailed noise (after Yoon et al., NeurIPS 2023).

With `tau = sigma^alpha / alpha` the noised density obeys `dp/dtau = -(-lap)^(alpha/2) p = div(p S)`, where S is the
fractional score of `objectives.fractional`. It is thus carried by the flow `dy/dtau = -S`, and with
`S = sigma^(2-alpha) s` this is `dy/dsigma = -sigma s`: the flow of Gaussian noise, for every alpha. Adding the noise
of a step dtau backwards in time, and the flow that takes it out again, gives a reverse SDE with the same marginals,
`dy = 2 S dtau + dL`. (It keeps the density at every level, not the law of the paths: their jumps, seen backwards in
time, are not those of a stable process unless alpha = 2.)
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from twofold.chart.base import Chart
from twofold.energy.base import Energy, System
from twofold.objectives.fractional import stable_noise
from twofold.sampling.solvers import flow_step, score


def levy_prior(
    key: PRNGKeyArray, chart: Chart, count: int, sigma: Array, stability: float
) -> Float[Array, "batch ..."]:
    """Draws from the density that the data have at the largest noise level, a Gaussian of their covariance and noise.

    For alpha = 2 in distribution that of the chart.
    """
    data, noise = jax.random.split(key)
    x = jax.vmap(lambda one: chart.prior(one, jnp.zeros(())))(jax.random.split(data, count))
    return x + sigma * stable_noise(noise, chart, x, stability)


def levy_sde(
    model: Energy,
    system: System,
    chart: Chart,
    y: Float[Array, "batch ..."],
    levels: Array,
    key: PRNGKeyArray,
    stability: float,
) -> Float[Array, "batch ..."]:
    """Reverse SDE by splitting, as `reverse_sde`, which it is for alpha = 2.

    A step from level a to b first adds the noise of the SDE, which takes the samples to level
    `(2 a^alpha - b^alpha)^(1/alpha)`, and then follows the flow down to b.
    """

    def step(carry: tuple[Array, PRNGKeyArray], pair: tuple[Array, Array]) -> tuple[tuple[Array, PRNGKeyArray], None]:
        (y, key), (now, after) = carry, pair
        key, draw = jax.random.split(key)
        old = now**stability
        # the model knows no level above the first
        added = jnp.clip(levels[0] ** stability - old, 0.0, old - after**stability)
        y = y + added ** (1.0 / stability) * stable_noise(draw, chart, y, stability)
        return (flow_step(model, system, chart, y, (old + added) ** (1.0 / stability), after), key), None

    return jax.lax.scan(step, (y, key), (levels[:-1], levels[1:]))[0][0]


def levy_deblur(
    model: Energy, system: System, chart: Chart, y: Float[Array, "batch ..."], sigma: Array, stability: float
) -> Float[Array, "batch ..."]:
    """One step of the flow from sigma to zero, along which S hardly changes: `y + sigma^2 s / alpha`."""
    return jax.vmap(chart.wrap)(y + sigma**2 * score(model, system, y, sigma) / stability)
