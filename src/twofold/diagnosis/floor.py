"""What can be known of the noised data without training: the bar that the loss of a trained model has to stay below.

Two densities are read off the training frames: the Gaussian of their covariance, which is nearly right where the noise
is large, and the frames themselves under the noise, a Gaussian about each (Parzen, Ann. Math. Stat. 33, 1065, 1962),
which is nearly right where frames lie closer than the noise. At each level the better one counts. A model that is worse
than both has not learned what the data show at a glance.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from twofold.chart.base import Chart
from twofold.diagnosis import thresholds
from twofold.diagnosis.checks import Check
from twofold.diagnosis.losses import Coordinates, Losses, losses_of
from twofold.diagnosis.verdict import judged
from twofold.energy.base import Energy, System

FRAMES = 2048
"""Training frames that carry a Gaussian."""


class DataGaussian(Energy):
    """Gaussian with the covariance of the data, and even angles where the chart has some."""

    chart: Chart

    def energy(self, system: System, x: Float[Array, ...], sigma: Float[Array, ""]) -> Float[Array, ""]:
        return -self.chart.log_prior(x, sigma)


class FrameMixture(Energy):
    """Frames (frames, ...) in coordinates of the chart under the noise; the logarithms of their shares (frames,)."""

    chart: Chart
    frames: Array
    log_share: Array

    @staticmethod
    def of(chart: Chart, part: Coordinates) -> FrameMixture:
        """Up to `FRAMES` frames, evenly spread over time."""
        some = slice(None, None, max(1, -(-len(part.x) // FRAMES)))
        share = np.log(np.maximum(part.weights[some], 1e-30))
        return FrameMixture(chart, part.x[some], jnp.asarray(share, jnp.float32))

    def energy(self, system: System, x: Float[Array, ...], sigma: Float[Array, ""]) -> Float[Array, ""]:
        away = jax.vmap(lambda frame: jnp.sum(self.chart.wrap(x - frame) ** 2))(self.frames)
        return -jax.nn.logsumexp(self.log_share - 0.5 * away / sigma**2)


def floor_of(chart: Chart, sigma: np.ndarray, training: Coordinates, unseen: Coordinates, key: PRNGKeyArray) -> Losses:
    """The losses on unseen frames, at each level those of the density that is better there."""
    found = [
        losses_of(one, chart, sigma, unseen, key) for one in (DataGaussian(chart), FrameMixture.of(chart, training))
    ]
    means = np.array([part.means(part.loss)[0] for part in found])
    best = np.argmin(np.where(np.isfinite(means), means, np.inf), axis=0)
    return found[0]._replace(loss=np.where(best[:, None] == 0, *(part.loss for part in found)))


def floor_check(unseen: Losses, floor: Losses) -> Check:
    """Whether the model is at least as good as what needs no training, at every level: nats a frame that it is worse.

    `2 int sigma^2 max(L_model - L_floor, 0) d(ln sigma)`, a difference of the bounds of `losses.loss_gap`. Both losses
    have seen the same noise.
    """
    difference = unseen.loss - floor.loss
    excess, _ = unseen.means(difference)
    worse = excess > 0
    value, error = unseen.nats(difference, worse)
    where = unseen.sigma[np.nanargmax(excess)]
    sentences = {
        "pass": "At every level of noise the model is better than what can be read off the data without training.",
        "fail": f"The model is worse by {value:.2g} nats a frame than what can be read off the data without training "
        f"(most at sigma {where:.3g}): it has learned too little. Fit longer, or see whether the loss still falls.",
    }
    return judged(
        "diffusion.floor", "loss against its floor", value, thresholds.FLOOR_NATS, sentences, error, "nats a frame"
    )
