"""Telling noise levels apart: weights of basins that the score does not see.

Where two basins do not touch, the score inside each is blind to how much of the density it holds. But with noise they
merge, and a model whose energies are comparable between levels can be asked from which of two levels a frame came: the
answer is the logistic function of `U(y, b) - U(y, a)`, and the cross-entropy of that classifier is least for the true
ratio of densities, basin weights and normalisation included (Grenioux et al., ICML 2026, for many levels at once).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from twofold.chart.base import Chart
from twofold.energy.base import Energy, System, energies
from twofold.noise import NoiseSchedule, along_frames

REACH = 3.0
"""Distance of two levels in ln sigma, times the root of twice the number of coordinates: the levels of a Gaussian then
differ by about so many standard deviations of `|y|^2 / sigma^2`, which neither is trivial nor teaches nothing."""


def other_level(
    key: PRNGKeyArray, sigma: Float[Array, " batch"], schedule: NoiseSchedule, chart: Chart
) -> Float[Array, " batch"]:
    """A level above or below each of `sigma`, evenly spread in ln sigma as far as `REACH` allows.

    What would leave the range of the schedule is reflected at its end, so that for log-uniform `sigma` either order of
    a pair of levels stays equally likely.
    """
    farthest = REACH / jnp.sqrt(2.0 * chart.dimension)
    low, high = jnp.log(schedule.smallest), jnp.log(schedule.largest)
    place = jnp.log(sigma) + farthest * jax.random.uniform(key, sigma.shape, minval=-1.0, maxval=1.0)
    place = low + jnp.abs(place - low)
    return jnp.exp(high - jnp.abs(high - place))


def classification(
    model: Energy,
    system: System,
    x: Float[Array, "batch ..."],
    noise: Float[Array, "batch ..."],
    sigma: Float[Array, " batch"],
    other: Float[Array, " batch"],
) -> Float[Array, " batch"]:
    """Cross-entropy in nats of telling `sigma` from `other`, for `y = x + sigma noise`.

    Either order of a pair of levels must be equally likely.
    """
    y = x + along_frames(sigma, x) * noise
    both = energies(model, system, jnp.concatenate([y, y]), jnp.concatenate([sigma, other]))
    here, there = jnp.split(both, 2)
    return jax.nn.softplus(here - there)
