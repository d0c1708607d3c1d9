"""Do basins keep their weights from the large noise, where samples begin, to the small one, where dynamics run?

Where basins do not touch, the score says nothing about their weights, and a simulation inherits whatever the energy
gathered on its way down the levels of noise. With the residual `R` of the Fokker-Planck equation the logarithm of a
basin's odds in `exp(-U)` changes along that way by `int (<R>_in - <R>_out) dsigma` more than the density of the data,
averages over the noised frames of the basin and of the rest. That is exact where the score is right and basins are
apart, and the first-order error elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from twofold.analysis.uncertainty import block_groups, jackknife
from twofold.chart.base import Chart
from twofold.diagnosis import thresholds
from twofold.diagnosis.checks import Check, Curve, Findings, Line
from twofold.diagnosis.losses import Coordinates
from twofold.diagnosis.verdict import judged
from twofold.energy.base import Energy
from twofold.objectives.denoising import draw_noise
from twofold.objectives.fokker_planck import residuals
from twofold.objectives.traces import trace_probes

LEVELS = 24
FRAMES = 512
"""Frames of the basin, and as many of the rest."""
FEWEST = 20
"""Frames of a basin below which its weight cannot be judged."""
PROBES = 8
"""Random probes of a trace that has too many coordinates to be exact."""


def basins(
    energy: Energy,
    chart: Chart,
    range_of_noise: tuple[float, float],
    part: Coordinates,
    members: Mapping[str, np.ndarray],
    *,
    seed: int = 0,
) -> Findings:
    """One check for each basin. members: by name, which frames of `part` (frames,) are in it."""
    sigma = np.geomspace(*range_of_noise, LEVELS)
    checks, lines = [], []
    for name, inside in members.items():
        if min(inside.sum(), (~inside).sum()) < FEWEST:
            continue
        drift, error, curve = odds_drift(energy, chart, sigma, part, inside, seed)
        checks.append(_check(name, drift, error))
        lines.append(Line(name, sigma, curve))
    caption = (
        "How far the energy's odds of a basin have drifted from those of the data, from the largest level of noise "
        "down to this one, in kT. A simulation at a level has odds that are off by its value there."
    )
    figure = Curve("basins.drift", "Weights of basins", "sigma", "drift of the odds, kT", tuple(lines), caption, True)
    return Findings(tuple(checks), (figure,) if lines else ())


def odds_drift(
    energy: Energy, chart: Chart, sigma: np.ndarray, part: Coordinates, inside: np.ndarray, seed: int = 0
) -> tuple[float, float, np.ndarray]:
    """Drift of ln(inside / outside) from the largest level to the smallest, its error, and the drift at each level.

    The error is a jackknife over the blocks of time that the frames come from: all levels look at the same frames.
    """
    rng, key = np.random.default_rng(seed), jax.random.key(seed)
    steps = np.diff(np.log(sigma))
    weight = np.append(steps, 0.0) / 2 + np.append(0.0, steps) / 2
    means, errors = [], []
    for place, mask in enumerate((inside, ~inside)):
        share = part.weights * mask
        index = rng.choice(len(share), FRAMES, p=share / share.sum())
        keys = jax.random.split(jax.random.fold_in(key, place), len(sigma))
        rows = [
            _residuals(energy, chart, part.x[index], jnp.float32(level), own)
            for level, own in zip(sigma, keys, strict=True)
        ]
        values = np.asarray(jnp.stack(rows), np.float64)
        means.append(values.mean(axis=1))
        whole = weight @ values
        groups = block_groups(part.block[index], FRAMES)
        errors.append(jackknife(lambda kept, whole=whole: float(whole[kept].mean()), groups)[1])
    rate = means[0] - means[1]
    pieces = 0.5 * (rate[1:] + rate[:-1]) * steps
    # the energy is what is compared: a residual that rises with the level lowers the odds below it
    drift = -np.append(np.cumsum(pieces[::-1])[::-1], 0.0)
    return float(drift[0]), float(np.hypot(*errors)), drift


@eqx.filter_jit
def _residuals(energy: Energy, chart: Chart, x: Array, sigma: Array, key: Array) -> Array:
    """`sigma R` of each frame with fresh noise (frames,)."""
    noise, probes = jax.random.split(key)
    y = jax.vmap(chart.wrap)(x + sigma * draw_noise(noise, chart, x))

    def one(pair: tuple[Array, Array]) -> Array:
        place, own = pair
        return jnp.mean(residuals(energy, None, place, sigma, trace_probes(place, chart, own, PROBES)))

    return sigma * jax.lax.map(one, (y, jax.random.split(probes, x.shape[0])), batch_size=32)


def _check(name: str, drift: float, error: float) -> Check:
    factor = np.exp(drift)
    words = f"its odds in a simulation are about {factor:.2g} times those among samples"
    sentences: dict[str, str] = {
        "pass": "The basin keeps its weight from large noise to small.",
        "warn": f"The basin changes its weight on the way from large noise to small: {words}.",
        "fail": f"The basin loses its weight on the way from large noise to small: {words}. Fit longer, or with a "
        "larger weight on the Fokker-Planck term.",
    }
    return judged(f"basins.{name}", name, abs(drift), thresholds.BASIN, sentences, error, "kT")
