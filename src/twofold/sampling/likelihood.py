"""Log-likelihood of conformations: the probability flow, followed from a conformation up to the noise.

Along the flow `dy/dsigma = -sigma s(y, sigma)` of variance-exploding noise the density changes as the flow contracts
(instantaneous change of variables, Chen et al., NeurIPS 2018, theorem 1; Song et al., ICLR 2021, eq. 39):

    d ln p_sigma(y(sigma)) / dsigma = -div(-sigma s) = sigma div s

    ln p_sigma(y) = ln p_max(y(sigma_max)) - int sigma' div s dsigma'        from sigma to sigma_max

At the largest level p_max is the Gaussian (uniform on circles) from which samples start. Only the score is needed: the
likelihood is normalised though the energy is not, and where there is no energy it exists all the same. It is the
density of the samples that the flow gives, whatever the score is, and not that of the reverse diffusion, which is
another one unless the score is exact.
"""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PRNGKeyArray

from twofold.chart.base import Chart
from twofold.energy.base import Energy
from twofold.energy.fractional import FractionalEnergy
from twofold.errors import UserError
from twofold.noise import NoiseSchedule
from twofold.objectives.traces import exact_probes, mean_trace, random_probes, trace_probes

BATCH = 256
STEPS = 100
"""Those of the sampler too, unless it is told otherwise."""
PROBES = 8
"""Random probes of each divergence, where it has too many coordinates to be exact."""
TERMS = 12
"""Of the series of the last step's determinant, and rounds of its inversion: errors fall as 2^-TERMS or faster."""
SETTLED = 0.02
"""Largest last term in nats, and last move of a coordinate in units of the noise, of what counts as converged."""


def log_likelihood(
    network: Energy,
    chart: Chart,
    schedule: NoiseSchedule,
    positions: ArrayLike,
    *,
    steps: int = STEPS,
    seed: int = 0,
    noise: float | None = None,
    probes: int | None = None,
    coordinates: bool = False,
    batch: int = BATCH,
) -> np.ndarray:
    """Log-likelihood (frames,) in nats, float64, of conformations (frames, beads, 3) in nm.

    It is the density of what `draw_samples(solver="ode")` draws with the same `noise`: by default of samples without
    blur, after the last step of the flow from the smallest level to none; with `noise` the density `p_sigma` at that
    level, which `positions` are then taken to be frames of. It is per volume of positions up to a constant, the one
    that the chart's `log_jacobian` leaves out and the volume of place and orientation; with `coordinates` it is per
    volume of the chart's coordinates and normalised. Components that are no coordinates (`chart.spare`) do not enter.
    Frames that the flow cannot give have one that is not a number.

    steps: of Heun's method, on the levels of the sampler; the error falls as their square. probes: random ones of each
    divergence; as many as coordinates make it exact, which it is by default for few of them. Estimates are unbiased
    and differ with `seed`. batch: frames at a time. Raises UserError for numbers out of range, for charts that do not
    know the density of their largest noise and for models of the fractional score, whose noise is not Gaussian.
    """
    if isinstance(network, FractionalEnergy):
        raise UserError("a model with heavy-tailed noise", "one with Gaussian noise, whose density is known")
    _check(steps, seed, noise, probes, batch, schedule)
    frames = jnp.asarray(positions, jnp.float32)
    if frames.ndim != 3 or frames.shape[-1] != 3:
        raise UserError(f"positions of shape {frames.shape}", "(frames, beads, 3) in nm")
    levels = schedule.descent(steps) if noise is None else NoiseSchedule(noise, schedule.largest).descent(steps)
    number = len(frames)
    batch = max(1, min(batch, number))
    # whole batches, so that what one of them does is compiled once
    frames = jnp.pad(frames, ((0, -number % batch), (0, 0), (0, 0)), mode="edge") if number else frames
    key = jax.random.key(seed)
    found, jacobian = _densities(network, chart, levels[::-1], frames, key, probes, batch, noise is None)
    found, jacobian = np.asarray(found[:number], np.float64), np.asarray(jacobian[:number], np.float64)
    return found if coordinates else found - jacobian


def _check(steps: int, seed: int, noise: float | None, probes: int | None, batch: int, schedule: NoiseSchedule) -> None:
    if min(steps, batch) < 1 or (probes is not None and probes < 1):
        raise UserError(f"{steps} steps, {probes} probes, batches of {batch}", "at least one of each")
    if not 0 <= seed < 2**32:
        raise UserError(f"seed {seed}", "a whole number from 0 to 4294967295")
    if noise is not None and not schedule.smallest <= noise < schedule.largest:
        expected = f"from {schedule.smallest:g} to {schedule.largest:g}, the range that was trained"
        raise UserError(f"noise {noise:g}", expected)


@eqx.filter_jit
def _densities(
    network: Energy,
    chart: Chart,
    levels: Float[Array, " levels"],
    positions: Float[Array, "frames beads 3"],
    key: PRNGKeyArray,
    probes: int | None,
    batch: int,
    clean: bool,
) -> tuple[Float[Array, " frames"], Float[Array, " frames"]]:
    """Log-densities in the coordinates, and logarithms of the Jacobian.

    `levels` ascend; `clean` frames have no noise, others that of the first level.
    """

    def one(pair: tuple[Array, PRNGKeyArray]) -> tuple[Array, Array, Array]:
        position, key = pair
        y = chart.encode(position)
        jacobian, change = chart.log_jacobian(y), jnp.zeros(())
        first, path = jax.random.split(key)
        if clean:
            y, change = _blur(network, chart, y, levels[0], _probes(y, chart, first, probes))
        end, growth = _ascend(network, chart, y, levels, path, probes)
        return end, change + growth, jacobian

    with jax.default_matmul_precision("float32"):
        keys = jax.random.split(key, positions.shape[0])
        ends, changes, jacobians = jax.lax.map(one, (positions, keys), batch_size=batch)
        return jax.vmap(lambda end: chart.log_prior(end, levels[-1]))(ends) - changes, jacobians


def _ascend(
    network: Energy, chart: Chart, y: Array, levels: Float[Array, " levels"], key: PRNGKeyArray, count: int | None
) -> tuple[Array, Float[Array, ""]]:
    """Coordinates at the last level, and the change of `ln p` on the way there.

    Heun's steps for both. Fresh probes in each step, so that their errors average out over levels.
    """

    def step(carry: tuple[Array, Array], now_after_key: tuple[Array, Array, Array]) -> tuple[tuple[Array, Array], None]:
        (y, change), (now, after, key) = carry, now_after_key
        probes = _probes(y, chart, key, count)

        # both evaluations in a loop, so that the score is compiled once
        def evaluate(point: Array, sigma: Array) -> tuple[Array, tuple[Array, Array]]:
            slope, rate = _slopes(network, point, sigma, probes)
            return y + (after - now) * slope, (slope, rate)

        _, (slopes, rates) = jax.lax.scan(evaluate, y, jnp.stack([now, after]))
        moved = chart.wrap(y + (after - now) * jnp.mean(slopes, axis=0))
        return (moved, change + (after - now) * jnp.mean(rates)), None

    keys = jax.random.split(key, levels.shape[0] - 1)
    return jax.lax.scan(step, (y, jnp.zeros(())), (levels[:-1], levels[1:], keys))[0]


def _slopes(network: Energy, y: Array, sigma: Array, probes: Array) -> tuple[Array, Float[Array, ""]]:
    """`dy/dsigma = -sigma s` and `d ln p/dsigma = sigma div s`."""
    score, push = _linearized(network, y, sigma)
    return -sigma * score, sigma * mean_trace(probes, jax.vmap(push)(probes))


def _blur(network: Energy, chart: Chart, x: Array, sigma: Array, probes: Array) -> tuple[Array, Float[Array, ""]]:
    """The frame y that deblurring takes to x, and `ln p_sigma(y) - ln p(x)`, without an error of the step.

    The inverse of `x = y + sigma^2 s(y) / 2` by iteration, and `ln det(1 + A)`, `A = sigma^2 grad s / 2`, by series.
    As `1 + 2 A` is the covariance of the clean data given y in units of sigma^2, no eigenvalue of A is below -1/2. One
    above 1, where both diverge, takes a ridge between modes that are themselves narrower than sigma: not a number.
    """

    def step(y: Array, _: None) -> tuple[Array, Array]:
        after = x - 0.5 * sigma**2 * network.score(None, y, sigma)
        return after, jnp.max(jnp.abs(after - y))

    y, moves = jax.lax.scan(step, x, length=TERMS)
    _, push = _linearized(network, y, sigma)

    def term(powers: Array, order: Array) -> tuple[Array, Array]:
        # powers of -A, applied to the probes
        powers = -0.5 * sigma**2 * jax.vmap(push)(powers)
        return powers, -mean_trace(probes, powers) / order

    terms = jax.lax.scan(term, probes, jnp.arange(1.0, TERMS + 1.0))[1]
    settled = (moves[-1] < SETTLED * sigma) & (jnp.abs(terms[-1]) < SETTLED)
    return chart.wrap(y), jnp.where(settled, jnp.sum(terms), jnp.nan)


def _linearized(network: Energy, y: Array, sigma: Array) -> tuple[Array, Callable[[Array], Array]]:
    """The score at y, and the product of its Jacobian with a vector."""
    return jax.linearize(lambda z: network.score(None, z, sigma), y)


def _probes(y: Array, chart: Chart, key: PRNGKeyArray, count: int | None) -> Float[Array, "probes ..."]:
    if count is None:
        return trace_probes(y, chart, key, PROBES)
    return exact_probes(y, chart) if count >= y.size else random_probes(y, chart, key, count)
