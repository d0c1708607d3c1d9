"""Correctors: dynamics at one level of noise, between or after the steps of the reverse diffusion."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from twofold.chart.base import Chart
from twofold.energy.base import Energy, System
from twofold.sampling.solvers import score

RELAXATION = 0.01
"""Step of `relax` over the variance of the stiffest coordinate."""
ANGLE = 0.9
"""Time step of `settle` times the frequency of the stiffest mode: seven steps in its period. A mode of a few frames
that is five times as stiff is not stable, while it lasts."""
FRICTION = 0.2
"""Of `settle` for its first `LEAST` steps, over that frequency: energy is exchanged with the bath within a period."""
POWERS, LOOKED_AT, STIFF = 8, 64, 0.9
"""Power iterations, frames and the quantile among these by which the stiffest mode is told."""
LEAST, MOST = 100, 800
"""Steps of `settle`, at least and at most."""
EVEN, CLEAR = 0.06, 2.0
"""How far from one half the part of the energies that rise may be, and errors of that to be sure. Of an excess that
falls as the inverse of time about a tenth of the spread of their changes is left at that edge."""
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


class _Moving(NamedTuple):
    """What moves, and its energy in kT (batch,), zero at the start."""

    y: Array
    velocity: Array
    force: Array
    energy: Array


class Settling(NamedTuple):
    """How energies fared: steps that were taken, and from the second quarter of these to the last the part of energies
    that rose, less one half, with what it may be by chance.
    """

    steps: Int[Array, ""] | int
    rising: Float[Array, ""] | float
    error: Float[Array, ""] | float

    @property
    def sure(self) -> Any:
        """Whether as many rose as fell, within `EVEN` of one half, whatever chance does."""
        return abs(self.rising) + CLEAR * self.error < EVEN

    @property
    def settled(self) -> bool | None:
        """Whether energies had settled. None where so few cannot tell: what is found may be chance, or is within
        `EVEN`, but not for sure.
        """
        if self.sure:
            return True
        return False if abs(self.rising) > max(EVEN, CLEAR * self.error) else None


def settle(
    model: Energy,
    system: System,
    chart: Chart,
    y: Float[Array, "batch ..."],
    sigma: Array,
    key: PRNGKeyArray,
    least: int | Array = LEAST,
    most: int | Array = MOST,
) -> tuple[Float[Array, "batch ..."], Settling]:
    """Langevin dynamics with inertia at level sigma, for coordinates of which any may be stiff.

    Cartesian coordinates know no width that all directions have: a bond is stiff along itself and free to turn. The
    time step is therefore a seventh of the period of the stiffest mode of the model, with unit masses, by the splitting
    BAOAB (Leimkuhler, Matthews, AMRX 2013, 34), whose harmonic positions are exact. The longer it lasts the softer are
    the modes that are left, and the less friction they bear: it falls as the inverse of time. Of beads that overlap
    scores are cut off, so that these come apart without being thrown.

    There are `least` steps, and twice as many again and again, `most` at most, until energies have settled: until from
    the second quarter of all steps to the last as many rise as fall (see `Settling`). The change of an energy is the
    work of the score on the way, by the trapezoid rule; the score has to be its gradient. What one mode gains and
    another loses at the same time is not seen.
    """
    looking, first, path = jax.random.split(key, 3)
    frequency = _stiffest(model, system, chart, y[:LOOKED_AT], sigma, looking)
    step = ANGLE / frequency
    strongest = FARTHEST * frequency * jnp.sqrt(chart.dimension)

    def normal(key: PRNGKeyArray) -> Array:
        return jax.vmap(chart.project)(jax.random.normal(key, y.shape))

    def pull(y: Array) -> Array:
        found = score(model, system, y, sigma)
        return found * jnp.minimum(1.0, strongest / jnp.maximum(_lengths(found), 1e-12))

    def move(place: Array, state: _Moving) -> _Moving:
        keep = jnp.exp(-ANGLE * FRICTION * jnp.minimum(1.0, LEAST / (place + 1)))
        half = state.velocity + 0.5 * step * state.force
        turned = keep * half + jnp.sqrt(1.0 - keep**2) * normal(jax.random.fold_in(path, place))
        moved = 0.5 * step * (half + turned)
        y = jax.vmap(chart.wrap)(state.y + moved)
        force = pull(y)
        work = jnp.sum(0.5 * (state.force + force) * moved, axis=tuple(range(1, y.ndim)))
        return _Moving(y, turned + 0.5 * step * force, force, state.energy - work)

    def unsettled(carry: tuple[_Moving, Array, Array, Settling]) -> Array:
        *_, found = carry
        return (found.steps < most) & ~found.sure

    def longer(carry: tuple[_Moving, Array, Array, Settling]) -> tuple[_Moving, Array, Array, Settling]:
        state, end, before, found = carry

        def add(place: Array, carry: tuple[_Moving, Array]) -> tuple[_Moving, Array]:
            state = move(place, carry[0])
            return state, carry[1].at[4 * place // end].add(state.energy)

        # the second half of the steps so far is the second quarter of twice as many
        sums = jnp.zeros((4, len(y))).at[1].set(before)
        # one loop for all: the compiler would take a force for each of several
        state, sums = jax.lax.fori_loop(found.steps, end, add, (state, sums))
        return state, 2 * end, sums[2] + sums[3], Settling(end, *_rising(sums[1], sums[3]))

    state = _Moving(y, normal(first), pull(y), jnp.zeros(len(y)))
    begin = state, jnp.asarray(least), jnp.zeros(len(y)), Settling(jnp.asarray(0), jnp.asarray(0.5), jnp.asarray(0.5))
    state, *_, found = jax.lax.while_loop(unsettled, longer, begin)
    return state.y, found


def _rising(before: Float[Array, " batch"], now: Float[Array, " batch"]) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The part of values that rise, less one half, and its error by chance. Those that are far off count as others do.

    Both are one half where no value is finite.
    """
    known = jnp.isfinite(before) & jnp.isfinite(now)
    number = jnp.sum(known)
    signs = jnp.sum(jnp.where(known, jnp.sign(now - before), 0.0))
    rising = jnp.where(number > 0, signs / (2 * jnp.maximum(number, 1)), 0.5)
    return rising, 0.5 / jnp.sqrt(jnp.maximum(number, 1))


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
    values = jax.lax.scan(power, start, length=POWERS)[1][-1]
    return jnp.sqrt(jnp.nanquantile(values, STIFF))


def _lengths(values: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
    """Of the whole of each frame, in a shape that multiplies it."""
    return jnp.sqrt(jnp.sum(values**2, axis=tuple(range(1, values.ndim)), keepdims=True))
