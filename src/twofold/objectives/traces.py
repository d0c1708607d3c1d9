"""Probes in place of a trace (Hutchinson, Commun. Stat. Simul. Comput. 19, 433, 1990), exact where that is cheap."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from twofold.chart.base import Chart

EXACT = 24
"""Coordinates up to which `trace_probes` makes traces exact."""


def random_probes(y: Float[Array, ...], chart: Chart, key: PRNGKeyArray, count: int) -> Float[Array, "probes ..."]:
    """Random signs: the mean of `v.Av` over probes is an unbiased estimate of the trace of A."""
    return jax.vmap(chart.project)(jax.random.rademacher(key, (count, *y.shape), y.dtype))


def exact_probes(y: Float[Array, ...], chart: Chart) -> Float[Array, "probes ..."]:
    """As many probes as coordinates, scaled rows of the unit matrix: the mean of `v.Av` is the trace of A."""
    rows = jnp.eye(y.size, dtype=y.dtype).reshape(y.size, *y.shape)
    return jnp.sqrt(y.size) * jax.vmap(chart.project)(rows)


def trace_probes(y: Float[Array, ...], chart: Chart, key: PRNGKeyArray, count: int) -> Float[Array, "probes ..."]:
    """`exact_probes` for up to `EXACT` coordinates, beyond that `count` random ones."""
    return exact_probes(y, chart) if y.size <= EXACT else random_probes(y, chart, key, count)


def mean_trace(probes: Float[Array, "probes ..."], products: Float[Array, "probes ..."]) -> Float[Array, ""]:
    """The mean of `v.Av` over probes v, from `products` A v."""
    return jnp.sum(probes * products) / probes.shape[0]
