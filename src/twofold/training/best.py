"""The average that does best on held-out frames: few frames are learned by heart if training goes on for too long.

How long is too long depends on the frames, and nobody has to know it beforehand. The end of a run is worth something,
as the learning rate has come down by then: an earlier average takes its place only where held-out frames tell the two
apart.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from twofold.training.loop import Trainer, TrainingData

ERRORS = 3.0
"""Standard errors, over draws of noise, by which the end of a run has to be worse than its best."""
WORTH = 0.5
"""Nats a frame by which it has to be worse."""
DRAWS = 8
"""Draws of noise for the held-out loss, the same every time."""


class Best(NamedTuple):
    """The best average so far, the held-out losses that it had for each draw of noise, and its step."""

    average: Any
    losses: Float[Array, " draws"]
    step: Int[Array, ""]


def nothing_yet(average: Any) -> Best:
    """Before the held-out loss is known; the average is that of the start."""
    # finite, as all of a checkpoint is
    return Best(jax.tree.map(jnp.copy, average), jnp.full(DRAWS, jnp.finfo(jnp.float32).max), jnp.array(0))


def better(best: Best, average: Any, losses: Float[Array, " draws"], step: int) -> Best:
    """The one of both with the smaller mean loss."""
    if not jnp.mean(losses) < jnp.mean(best.losses):
        return best
    return Best(jax.tree.map(jnp.copy, average), losses, jnp.array(step))


def overtaken(best: Best, losses: Float[Array, " draws"], nats: float) -> bool:
    """Whether the held-out losses of the end are worse than those of the best, by more than noise and by enough.

    nats: what a loss of one is worth (`nats_of`). Other frames would have other populations of basins, which no draw of
    noise tells: that is why it has to be so much.
    """
    if not np.isfinite(losses).all():
        return int(best.step) > 0
    excess = np.asarray(losses, np.float64) - np.asarray(best.losses, np.float64)
    error = np.std(excess, ddof=1) / len(excess) ** 0.5
    return bool(excess.mean() > max(ERRORS * error, WORTH / nats))


def nats_of(trainer: Trainer) -> float:
    """What a loss of one is worth in nats a frame.

    With the weight `sigma^2` the integral of the excess of the loss over `ln sigma`, twice, times the coordinates, is
    what the divergence from the data is at most (Song et al., NeurIPS 2021).
    """
    schedule = trainer.schedule
    return 2.0 * trainer.chart.dimension * math.log(schedule.largest / schedule.smallest)


def learned_by_heart(step: int, steps: int, kept: bool) -> str:
    """What a user is told where the end of `steps` was overtaken by the average after `step`, which may be `kept`."""
    said = "the energy is that of then" if kept else f"give --steps {step}, or keep: best (--config)"
    return f"Held-out frames did best after {step} of {steps} updates, before frames were learned by heart: {said}."


@eqx.filter_jit
def held_out_losses(trainer: Trainer, parameters: Any, data: TrainingData, key: PRNGKeyArray) -> Float[Array, " draws"]:
    """Losses of `DRAWS` batches of held-out frames."""
    keys = jax.random.split(key, DRAWS)
    return jax.lax.map(lambda one: trainer.loss(parameters, data, one), keys)
