"""Does the model know frames that training did not see as well as those it saw?"""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from twofold.analysis.uncertainty import block_groups, jackknife_error
from twofold.chart.base import Chart
from twofold.diagnosis import thresholds
from twofold.diagnosis.checks import Check, Curve, Line
from twofold.diagnosis.verdict import judged
from twofold.energy.base import Energy
from twofold.objectives.denoising import antithetic, draw_noise


class Coordinates(NamedTuple):
    """Frames in the coordinates of a chart (frames, ...), their weights and their blocks of time (frames,)."""

    x: Array
    weights: np.ndarray
    block: np.ndarray


def losses(energy: Energy, chart: Chart, sigma: float, x: Array, key: PRNGKeyArray) -> tuple[np.ndarray, np.ndarray]:
    """`sigma^2` times the antithetic denoising loss, and `(|eps|^2 - D)/2`, whose mean is zero: (frames,) each."""
    loss, excess = _losses(energy, chart, x, jnp.float32(sigma), key)
    return np.asarray(loss, np.float64), np.asarray(excess, np.float64)


@eqx.filter_jit
def _losses(energy: Energy, chart: Chart, x: Array, sigma: Array, key: PRNGKeyArray) -> tuple[Array, Array]:
    noise = draw_noise(key, chart, x)

    def one(pair: tuple[Array, Array]) -> Array:
        return antithetic(energy, None, pair[0][None], pair[1][None], sigma[None])[0]

    loss = jax.lax.map(one, (x, noise), batch_size=64)
    return sigma**2 * loss, 0.5 * (jnp.sum(noise.reshape(len(x), -1) ** 2, -1) - chart.dimension)


def loss_gap(
    energy: Energy, chart: Chart, sigma: np.ndarray, training: Coordinates, unseen: Coordinates, key: PRNGKeyArray
) -> tuple[float, float, Curve]:
    """By how much the model knows training frames better, in nats a frame: gap, error, and the two curves.

    `2 int sigma^2 (L_unseen - L_training) d(ln sigma)`, since `KL(p || model) <= int sigma^2 E|s - s_model|^2 d(ln
    sigma)` (Song et al., NeurIPS 2021) and the denoising loss L is half that error up to a constant of the data.
    Errors by blocks of time; the norm of the noise, whose mean is known, takes out what it explains of the scatter.
    """
    rows = {"training": [], "held out": []}
    parts = {"training": training, "held out": unseen}
    for number, level in enumerate(sigma):
        both = {}
        for place, (name, part) in enumerate(parts.items()):
            both[name] = losses(energy, chart, level, part.x, jax.random.fold_in(key, 2 * number + place))
        loss, excess = (np.concatenate([values[k] for values in both.values()]) for k in (0, 1))
        slope = np.cov(loss, excess)[0, 1] / max(np.var(excess), 1e-30)
        for name, (values, known) in both.items():
            rows[name].append(values - slope * known)
    steps = np.gradient(np.log(sigma))
    steps[[0, -1]] /= 2
    lines, total, variance = [], 0.0, 0.0
    for name, part in parts.items():
        table = np.array(rows[name])
        means, errors, whole, error = _block_means(table, part, steps)
        lines.append(Line(name, sigma, means / chart.dimension, errors / chart.dimension))
        total += 2 * whole * (1 if name == "held out" else -1)
        variance += (2 * error) ** 2
    caption = (
        "Denoising loss on frames that training saw and on frames it did not see, with errors from blocks of time. "
        "Where the second lies above the first the model has learned its frames by heart."
    )
    title = "Loss on seen and unseen frames"
    curve = Curve("diffusion.loss", title, "sigma", "sigma^2 loss / D", tuple(lines), caption, True)
    return total, float(np.sqrt(variance)), curve


def _block_means(
    table: np.ndarray, part: Coordinates, steps: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Weighted means (levels,) of `table` (levels, frames) with errors, and their sum with `steps` and its error."""
    groups = block_groups(part.block, table.shape[1])
    names, sizes = np.unique(groups, return_counts=True)

    def means(keep: np.ndarray) -> np.ndarray:
        share = part.weights * keep
        return table @ (share / max(share.sum(), 1e-30))

    left_out = np.array([means(groups != name) for name in names])
    whole = means(np.ones(len(groups), bool))
    errors = np.asarray(jackknife_error(left_out, sizes))
    return whole, errors, float(whole @ steps), float(jackknife_error(left_out @ steps, sizes))


def gap_check(gap: float, error: float) -> Check:
    """Whether training frames are known better by more than their noise."""
    sentences = {
        "pass": "Frames that training did not see are known as well as those it saw.",
        "fail": f"Training frames are known better by {gap:.2g} nats each: the model has learned its frames by "
        "heart, or the held-out frames are of another kind. Give more data, or train for a shorter time.",
    }
    return judged(
        "diffusion.overfit", "seen against unseen", gap, thresholds.OVERFIT_NATS, sentences, error, "nats a frame"
    )
