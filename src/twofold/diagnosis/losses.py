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


class Losses(NamedTuple):
    """Losses of frames at levels of noise.

    sigma: (levels,). loss: `sigma^2` times the antithetic denoising loss; excess: `(|eps|^2 - D)/2` of the noise, whose
    mean is zero; both (levels, frames). weights, block: those of the frames (frames,).
    """

    sigma: np.ndarray
    loss: np.ndarray
    excess: np.ndarray
    weights: np.ndarray
    block: np.ndarray

    def means(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weighted means (levels,) of `values` (levels, frames), with errors from blocks of time."""
        whole, left_out, sizes = self._jackknife(values)
        return whole, np.asarray(jackknife_error(left_out, sizes))

    def nats(self, values: np.ndarray, counted: np.ndarray | float = 1.0) -> tuple[float, float]:
        """`2 int values d(ln sigma)` over the levels that are `counted` (levels,), and its error."""
        steps = np.gradient(np.log(self.sigma))
        steps[[0, -1]] /= 2
        whole, left_out, sizes = self._jackknife(values)
        share = 2 * steps * counted
        return float(whole @ share), float(jackknife_error(left_out @ share, sizes))

    def _jackknife(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weighted means (levels,), those without each block of time (blocks, levels), sizes of blocks (blocks,)."""
        groups = block_groups(self.block, values.shape[1])
        names, sizes = np.unique(groups, return_counts=True)

        def means(keep: np.ndarray) -> np.ndarray:
            share = self.weights * keep
            return values @ (share / max(share.sum(), 1e-30))

        return means(np.ones(len(groups), bool)), np.array([means(groups != name) for name in names]), sizes


def losses_of(energy: Energy, chart: Chart, sigma: np.ndarray, part: Coordinates, key: PRNGKeyArray) -> Losses:
    """Losses of the frames of `part` at each of the levels `sigma` (levels,); the same `key` gives the same noise."""
    rows = [
        _losses(energy, chart, part.x, jnp.float32(level), jax.random.fold_in(key, number))
        for number, level in enumerate(sigma)
    ]
    loss, excess = (np.array([np.asarray(row[k], np.float64) for row in rows]) for k in (0, 1))
    return Losses(np.asarray(sigma, np.float64), loss, excess, part.weights, part.block)


@eqx.filter_jit
def _losses(energy: Energy, chart: Chart, x: Array, sigma: Array, key: PRNGKeyArray) -> tuple[Array, Array]:
    noise = draw_noise(key, chart, x)

    def one(pair: tuple[Array, Array]) -> Array:
        return antithetic(energy, None, pair[0][None], pair[1][None], sigma[None])[0]

    loss = jax.lax.map(one, (x, noise), batch_size=64)
    return sigma**2 * loss, 0.5 * (jnp.sum(noise.reshape(len(x), -1) ** 2, -1) - chart.dimension)


def calmed(*parts: Losses) -> list[np.ndarray]:
    """Losses (levels, frames) of each part less what the norm of the noise explains of the scatter of all of them."""
    loss, excess = (np.concatenate([part[k] for part in parts], axis=1) for k in (1, 2))
    centred = excess - excess.mean(axis=1, keepdims=True)
    slope = (loss * centred).sum(axis=1) / np.maximum((centred**2).sum(axis=1), 1e-30)
    return [part.loss - slope[:, None] * part.excess for part in parts]


def loss_gap(training: Losses, unseen: Losses) -> tuple[float, float]:
    """By how much the model knows training frames better, in nats a frame, and the error.

    `2 int sigma^2 (L_unseen - L_training) d(ln sigma)`, since `KL(p || model) <= int sigma^2 E|s - s_model|^2 d(ln
    sigma)` (Song et al., NeurIPS 2021) and the denoising loss L is half that error up to a constant of the data.
    Errors by blocks of time; the norm of the noise, whose mean is known, takes out what it explains of the scatter.
    """
    seen, fresh = calmed(training, unseen)
    (low, low_error), (high, high_error) = training.nats(seen), unseen.nats(fresh)
    return high - low, float(np.hypot(low_error, high_error))


def loss_figure(training: Losses, unseen: Losses, bar: Losses, dimension: int) -> Curve:
    """The loss on both parts, and on unseen frames that of `bar`, which needs no training."""
    seen, fresh = calmed(training, unseen)
    rows = (("training", training, seen), ("held out", unseen, fresh), ("without training", bar, calmed(bar)[0]))
    lines = []
    for name, part, values in rows:
        means, errors = part.means(values)
        lines.append(Line(name, part.sigma, means / dimension, errors / dimension))
    caption = (
        "Denoising loss on frames that training saw and on frames it did not see, with errors from blocks of time. "
        "Where the second lies above the first the model has learned its frames by heart; where it lies above the "
        "third, which is read off the training frames at once, it has learned too little."
    )
    title = "Loss on seen and unseen frames"
    return Curve("diffusion.loss", title, "sigma", "sigma^2 loss / D", tuple(lines), caption, True)


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
