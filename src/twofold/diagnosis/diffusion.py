"""Do the energies at all levels of noise belong to one diffusing density, and are the scores their gradients?

Everything happens in the coordinates of the chart, on frames noised as in training.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from twofold.chart.base import Chart
from twofold.diagnosis import thresholds
from twofold.diagnosis.checks import Check, Curve, Findings, Line
from twofold.diagnosis.curl import PAIRS, relative_curl
from twofold.diagnosis.floor import floor_check, floor_of
from twofold.diagnosis.losses import Coordinates, gap_check, loss_figure, loss_gap, losses_of
from twofold.diagnosis.verdict import judged, skipped
from twofold.energy.base import Energy, scores
from twofold.noise import NoiseSchedule
from twofold.objectives.denoising import draw_noise
from twofold.objectives.fokker_planck import residuals
from twofold.objectives.traces import trace_probes

LEVELS = 12
PROBES = 8
"""Random probes in each of two sets, which make unbiased variances where traces are not exact."""
CURL_LEVELS = 4
QUIET = 0.05
"""Nats per e-fold of sigma and coordinate: with less than this the density hardly changes with the level of noise."""
NODES = 8
"""Points of the quadrature along a segment."""
STEP = 0.5
"""Length of a segment over the width of the noised data."""
SMALLEST_STEP = 0.05
"""Least length of a segment in units of the chart: shorter ones drown in the rounding of the energy."""

Score = Callable[[Array, Array], Array]
"""Coordinates and level of noise to a score."""


class Residuals(NamedTuple):
    """Standard deviation over frames of `sigma R / D` and of its two terms, at each level of noise (levels,)."""

    sigma: np.ndarray
    residual: np.ndarray
    rate: np.ndarray
    transport: np.ndarray

    @property
    def relative(self) -> np.ndarray:
        """Residual over the hypotenuse of its terms: 0 where they cancel, 1 where they are strangers."""
        return self.residual / np.maximum(np.hypot(self.rate, self.transport), 1e-30)

    @property
    def pooled(self) -> float:
        """Root mean square of `relative`; levels at which nothing happens (terms below `QUIET`) hardly count."""
        terms = self.rate**2 + self.transport**2
        weight = terms / (terms + QUIET**2)
        return float(np.sqrt(np.sum(weight * self.relative**2) / max(np.sum(weight), 1e-30)))


def diffusion(
    energy: Energy,
    chart: Chart,
    schedule: NoiseSchedule,
    training: Coordinates,
    unseen: Coordinates,
    *,
    most: int = 512,
    seed: int = 0,
) -> Findings:
    """All checks of the diffusion. training, unseen: coordinates of frames that training saw and did not see.

    The loss is read from all of them, residuals and integrals, which cost more, from up to `most`, at levels where the
    score is the gradient of an energy.
    """
    sigma = np.geomspace(schedule.smallest, schedule.largest, LEVELS)
    key = jax.random.key(seed)
    few = slice(None, None, max(1, -(-len(unseen.x) // most)))
    part = Coordinates(unseen.x[few], unseen.weights[few], unseen.block[few])
    first, second = jax.random.split(key)
    seen, fresh = (losses_of(energy, chart, sigma, *pair) for pair in ((training, first), (unseen, second)))
    floor = floor_of(chart, sigma, training, unseen, second)
    known = [gap_check(*loss_gap(seen, fresh)), floor_check(fresh, floor)]
    if energy.conservative_to < schedule.largest:
        known.append(score_curl(energy, chart, schedule, part, second))
    curve = loss_figure(seen, fresh, floor, chart.dimension)
    if not energy.conservative_to > schedule.smallest:
        reason = "Does not apply: the model has a score, but no energy."
        return Findings((*known, skipped("diffusion.residual", "Fokker-Planck residual", reason)), (curve,))
    levels = np.geomspace(schedule.smallest, min(schedule.largest, energy.conservative_to), LEVELS)
    found = residual_curve(energy, chart, levels, part, key)
    integral = integral_check(energy, chart, levels, part, key)
    return Findings((_residual_check(found), *known, integral), (residual_figure(found), curve))


def score_curl(energy: Energy, chart: Chart, schedule: NoiseSchedule, frames: Coordinates, key: PRNGKeyArray) -> Check:
    """Curl of the score at levels where it is no gradient by construction, but that of a plain network; the largest."""
    lowest = max(schedule.smallest, energy.conservative_to)
    found = []
    for number, level in enumerate(np.geomspace(lowest, schedule.largest, CURL_LEVELS + 1)[1:]):
        one, other = jax.random.split(jax.random.fold_in(key, number))
        y = frames.x + level * draw_noise(one, chart, frames.x)
        directions = jax.random.normal(other, (len(y), PAIRS, 2, *y.shape[1:]))
        field = jax.tree_util.Partial(_score_at, energy, jnp.float32(level))
        found.append(relative_curl(field, y, directions))
    sentences = {
        "pass": "The plain score at large noise is nearly the gradient of a density.",
        "fail": "The plain score at large noise is not the gradient of a density: what is sampled there has no energy, "
        "and likelihoods are wrong. Fit longer, or without experts_plain.",
    }
    return judged("diffusion.curl", "curl of the plain score", max(found), thresholds.LEARNED, sentences)


def _score(energy: Energy, y: Array, sigma: Array) -> Array:
    return scores(energy, None, y[None], sigma[None])[0]


def _score_at(energy: Energy, sigma: Array, y: Array) -> Array:
    return _score(energy, y, sigma)


def residual_curve(
    energy: Energy, chart: Chart, sigma: np.ndarray, frames: Coordinates, key: PRNGKeyArray
) -> Residuals:
    """The Fokker-Planck residual of `twofold.objectives.fokker_planck` and its two terms on noised frames.

    `sigma R = A - B` with `A = -dU/d(ln sigma)` and `B = sigma^2 (div s + |s|^2)`, each up to a constant of the level.
    With random probes, B is seen twice with errors that are independent, and variances are covariances of the two.
    """
    rows = []
    for number, level in enumerate(sigma):
        one, other = jax.random.split(jax.random.fold_in(key, number))
        found = _terms(energy, chart, frames.x, jnp.float32(level), one, other)
        rate, first, second = (np.asarray(values, np.float64) / chart.dimension for values in found)
        share = frames.weights / frames.weights.sum()
        pairs = ((rate - first, rate - second), (rate, rate), (first, second))
        rows.append([_deviation(a, b, share) for a, b in pairs])
    return Residuals(sigma, *np.array(rows).T)


def _deviation(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> float:
    """Root of the weighted covariance, 0 where noise makes it negative."""
    product = (first - share @ first) * (second - share @ second)
    return float(np.sqrt(max(share @ product, 0.0) / max(1 - share @ share, 1e-12)))


@eqx.filter_jit
def _terms(
    energy: Energy, chart: Chart, x: Array, sigma: Array, key: PRNGKeyArray, probe_key: PRNGKeyArray
) -> tuple[Array, Array, Array]:
    """`A`, and `B` twice: (frames,) each."""
    y = jax.vmap(chart.wrap)(x + sigma * draw_noise(key, chart, x))

    def one(pair: tuple[Array, PRNGKeyArray]) -> tuple[Array, Array, Array]:
        place, key = pair
        with jax.default_matmul_precision("float32"):
            rate = -jax.grad(energy.energy, argnums=2)(None, place, sigma)
        means = [
            jnp.mean(residuals(energy, None, place, sigma, trace_probes(place, chart, one, PROBES)))
            for one in jax.random.split(key)
        ]
        return rate, rate - means[0], rate - means[1]

    found = jax.lax.map(one, (y, jax.random.split(probe_key, x.shape[0])), batch_size=32)
    rate, first, second = (sigma * values for values in found)
    return rate, first, second


def _residual_check(found: Residuals) -> Check:
    worst = int(np.argmax(found.residual))
    sentences = {
        "pass": "Energies at neighbouring levels of noise belong to one diffusing density.",
        "warn": f"Energies at neighbouring levels of noise hardly belong to one diffusing density (worst at sigma "
        f"{found.sigma[worst]:.3g}); a longer fit brings them closer.",
        "fail": "Energies at neighbouring levels of noise do not belong to one diffusing density (worst at sigma "
        f"{found.sigma[worst]:.3g}): samples and simulations of this model need not agree. Fit longer, or with a "
        "weight on the Fokker-Planck term.",
    }
    return judged("diffusion.residual", "Fokker-Planck residual", found.pooled, thresholds.RESIDUAL, sentences)


def residual_figure(found: Residuals) -> Curve:
    """The residual over the levels of noise, beside its two terms."""
    lines = (
        Line("residual", found.sigma, found.residual),
        Line("change with the level", found.sigma, found.rate),
        Line("diffusion and score", found.sigma, found.transport),
    )
    caption = (
        "Spread over noised held-out frames of the Fokker-Planck residual, for each coordinate, in nats per e-fold of "
        "sigma, beside that of the two terms whose difference it is. A right model has a residual far below both."
    )
    title = "Fokker-Planck residual"
    return Curve("diffusion.residual", title, "sigma", "spread of sigma R / D", lines, caption, True, True)


def integral_check(
    energy: Energy,
    chart: Chart,
    sigma: np.ndarray,
    frames: Coordinates,
    key: PRNGKeyArray,
    score: Score | None = None,
) -> Check:
    """Whether the score is the gradient of the energy along short segments from one noised frame towards another.

    `U(b) - U(a) = -int s dl`, by Gauss-Legendre quadrature. score: one other than that of the energy.
    """
    field = score or jax.tree_util.Partial(_score, energy)
    found = [
        _segments(energy, field, chart, frames.x, jnp.float32(level), jax.random.fold_in(key, number))
        for number, level in enumerate(sigma)
    ]
    difference, integral = (np.concatenate([np.asarray(pair[k], np.float64) for pair in found]) for k in (0, 1))
    value = np.sqrt(np.mean(np.square(difference - integral)) / max(np.mean(np.square(difference)), 1e-30))
    sentences = {
        "pass": "Energy differences are the line integrals of the score.",
        "fail": "Energy differences are not the line integrals of the score: the energy that decides a simulation and "
        "the score that decides the samples are not of one function.",
    }
    return judged("diffusion.integral", "energy and score", value, thresholds.LINE_INTEGRAL, sentences)


@eqx.filter_jit
def _segments(
    energy: Energy, score: Score, chart: Chart, x: Array, sigma: Array, key: PRNGKeyArray
) -> tuple[Array, Array]:
    """Differences of energy, and line integrals of the gradient, over one segment for each frame: (frames,) each."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    y = jax.vmap(chart.wrap)(x + sigma * draw_noise(key, chart, x))
    length = jnp.maximum(STEP * sigma, SMALLEST_STEP)

    def one(pair: tuple[Array, Array]) -> tuple[Array, Array]:
        start, goal = pair
        way = chart.wrap(goal - start)
        way = length * way / jnp.maximum(jnp.sqrt(jnp.sum(way**2)), 1e-6)
        slopes = jax.vmap(lambda t: jnp.sum(score(start + t * way, sigma) * way))(jnp.asarray((nodes + 1) / 2))
        with jax.default_matmul_precision("float32"):
            ends = energy.energy(None, start + way, sigma) - energy.energy(None, start, sigma)
        return ends, -jnp.sum(jnp.asarray(weights / 2) * slopes)

    return jax.lax.map(one, (y, jnp.roll(y, 1, axis=0)), batch_size=32)
