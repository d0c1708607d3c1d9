"""Correctors: dynamics at one level of noise, between or after the steps of the reverse diffusion."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from twofold.chart.base import Chart
from twofold.energy.base import Energy, System
from twofold.sampling.solvers import score

RELAXATION = 0.01
"""Step of `relax` over the variance of the stiffest coordinate."""
ANGLE = 0.63
"""Time step of `settle` times the frequency of the stiffest mode: ten steps in its period."""
FRICTION = 0.2
"""Of `settle`, over that frequency: energy is exchanged with the bath within a period."""
ROUNDS, LOOKED_AT, STIFF = 8, 64, 0.9
"""Power iterations, frames and the quantile among these by which the stiffest mode is told."""
FARTHEST = 3.0
"""Scores count up to so many times what they are where all modes are as stiff as the stiffest."""


def relax(
    model: Energy,
    system: System,
    chart: Chart,
    y: Float[Array, "batch ..."],
    sigma: Array,
    key: PRNGKeyArray,
    steps: int,
) -> Float[Array, "batch ..."]:
    """`steps` of overdamped Langevin dynamics at level sigma: the corrector of Song et al. (ICLR 2021, algorithm 4).

    What the reverse diffusion leaves where it should not be, such as beads that overlap a little, is pushed out within
    a few steps. A step is a hundredth of the variance of the stiffest coordinate, noise included: short enough to widen
    it by no more than half a percent.
    """
    assert chart.narrowest is not None
    length = RELAXATION * (chart.narrowest + sigma**2)

    def step(y: Array, key: PRNGKeyArray) -> tuple[Array, None]:
        noise = jax.vmap(chart.project)(jax.random.normal(key, y.shape))
        moved = y + length * score(model, system, y, sigma) + jnp.sqrt(2.0 * length) * noise
        return jax.vmap(chart.wrap)(moved), None

    return jax.lax.scan(step, y, jax.random.split(key, steps))[0]


def settle(
    model: Energy,
    system: System,
    chart: Chart,
    y: Float[Array, "batch ..."],
    sigma: Array,
    key: PRNGKeyArray,
    steps: int,
) -> Float[Array, "batch ..."]:
    """`steps` of Langevin dynamics with inertia at level sigma, for coordinates of which any may be stiff.

    Cartesian coordinates know no width that all directions have: a bond is stiff along itself and free to turn. The
    time step is therefore a tenth of the period of the stiffest mode of the model, with unit masses, by the splitting
    BAOAB (Leimkuhler, Matthews, AMRX 2013, 34), whose harmonic positions are exact. A hundred steps are ten such
    periods, enough for the energy of a cluster to settle. Of beads that overlap scores are cut off, so that these
    come apart without being thrown.
    """
    begin, path = jax.random.split(key)
    frequency = _stiffest(model, system, chart, y[:LOOKED_AT], sigma, begin)
    step, keep = ANGLE / frequency, jnp.exp(-FRICTION * ANGLE)
    most = FARTHEST * frequency * jnp.sqrt(chart.dimension)

    def normal(key: PRNGKeyArray) -> Array:
        return jax.vmap(chart.project)(jax.random.normal(key, y.shape))

    def pull(y: Array) -> Array:
        found = score(model, system, y, sigma)
        return found * jnp.minimum(1.0, most / jnp.maximum(_lengths(found), 1e-12))

    def move(state: tuple[Array, Array, Array], key: PRNGKeyArray) -> tuple[tuple[Array, Array, Array], None]:
        y, velocity, force = state
        velocity = velocity + 0.5 * step * force
        y = y + 0.5 * step * velocity
        velocity = keep * velocity + jnp.sqrt(1.0 - keep**2) * normal(key)
        y = jax.vmap(chart.wrap)(y + 0.5 * step * velocity)
        force = pull(y)
        return (y, velocity + 0.5 * step * force, force), None

    first, rest = jax.random.split(path)
    return jax.lax.scan(move, (y, normal(first), pull(y)), jax.random.split(rest, steps))[0][0]


def _stiffest(
    model: Energy, system: System, chart: Chart, y: Float[Array, "batch ..."], sigma: Array, key: PRNGKeyArray
) -> Float[Array, ""]:
    """Frequency of the stiffest mode of most frames: the root of the largest eigenvalue of the Hessian, by its powers.

    Not that of all: among samples there may be one with beads that overlap, which is as stiff as nothing else.
    """

    def curved(direction: Array) -> Array:
        return -jax.jvp(lambda y: score(model, system, y, sigma), (y,), (direction,))[1]

    def power(direction: Array, _: None) -> tuple[Array, Array]:
        image = curved(direction / jnp.maximum(_lengths(direction), 1e-12))
        return image, _lengths(image).reshape(-1)

    start = jax.vmap(chart.project)(jax.random.normal(key, y.shape))
    values = jax.lax.scan(power, start, length=ROUNDS)[1][-1]
    return jnp.sqrt(jnp.nanquantile(values, STIFF))


def _lengths(values: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
    """Of the whole of each frame, in a shape that multiplies it."""
    return jnp.sqrt(jnp.sum(values**2, axis=tuple(range(1, values.ndim)), keepdims=True))
