"""The Fokker-Planck residual: whether energies at neighbouring noise levels belong to one diffusing density.

With variance-exploding noise the noised density obeys `dp/dsigma = sigma lap p`, and its logarithm

    d(ln p)/dsigma = sigma (lap ln p + |grad ln p|^2).

With `ln p = -U - c(sigma)` and `s = -grad U` the residual of a model is

    R = -dU/dsigma - sigma (div s + |s|^2)  =  c'(sigma) if the model is right,

the same number for all frames of a level. What is penalised is therefore its variance among frames that share a level,
which needs no knowledge of c. (Plainer et al., NeurIPS 2025, penalise R itself, by finite differences.)
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from twofold.chart.base import Chart
from twofold.energy.base import Energy, System
from twofold.objectives.traces import exact_probes, random_probes


def residuals(
    model: Energy, system: System, y: Float[Array, ...], sigma: Float[Array, ""], probes: Float[Array, "probes ..."]
) -> Float[Array, " probes"]:
    """`R` of one conformation, once with each probe in place of the trace (Hutchinson 1990).

    One sweep: reverse mode gives the score and `dU/dsigma` together, forward mode through it the curvature along each
    probe. Random probes make every entry an unbiased estimate, `exact_probes` the mean of the entries exact.
    """

    def slopes(y: Array) -> tuple[Array, Array]:
        along_y, along_sigma = jax.grad(model.energy, argnums=(1, 2))(system, y, sigma)
        return along_y, along_sigma

    with jax.default_matmul_precision("float32"):
        gradient, push, rate = jax.linearize(slopes, y, has_aux=True)
        curvatures = jnp.sum(jax.vmap(push)(probes) * probes, axis=tuple(range(1, probes.ndim)))
    return -rate - sigma * (jnp.sum(gradient**2) - curvatures)


def residual(
    model: Energy, system: System, chart: Chart, y: Float[Array, "batch ..."], sigma: Float[Array, " batch"]
) -> Float[Array, " batch"]:
    """`R` with exact traces."""
    return jax.vmap(lambda one, level: jnp.mean(residuals(model, system, one, level, exact_probes(one, chart))))(
        y, sigma
    )


def fokker_planck(
    model: Energy,
    system: System,
    chart: Chart,
    y: Float[Array, "groups members ..."],
    sigma: Float[Array, " groups"],
    key: PRNGKeyArray,
    *,
    exact: bool = False,
) -> Float[Array, " groups"]:
    """Variance of `sigma R / D` among the members of each group, who share a level; unbiased, and so maybe negative.

    `sigma R` is the residual of `d(ln p)/d(ln sigma)`; D is the number of coordinates. Two independent probes for each
    member make the product of their residuals an unbiased square: a single one would add the variance of the estimate
    of the trace, and so punish curvature.
    """
    groups, members = y.shape[:2]

    def pair(one: Array, level: Array, key: PRNGKeyArray) -> Array:
        if exact:
            value = jnp.mean(residuals(model, system, one, level, exact_probes(one, chart)))
            return jnp.stack([value, value])
        return residuals(model, system, one, level, random_probes(one, chart, key, 2))

    keys = jax.random.split(key, (groups, members))
    found = jax.vmap(lambda ys, level, ks: jax.vmap(lambda a, k: pair(a, level, k))(ys, ks))(y, sigma, keys)
    spread = found - jnp.mean(found, axis=1, keepdims=True)
    variance = jnp.sum(spread[..., 0] * spread[..., 1], axis=1) / (members - 1)
    return sigma**2 * variance / chart.dimension**2
