"""The state that does best on held-out frames: few frames are learned by heart if training goes on for too long.

How long is too long depends on the frames, and nobody has to know it beforehand. A run that held-out frames tell to
have gone on for too long goes back to its best state, and on from there to an end at twice the updates of that, over
which the learning rate falls to zero.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from twofold.training.data import TrainingData
from twofold.training.loop import Trainer, TrainingState

ERRORS = 3.0
"""Standard errors, over draws of noise, by which a run has to be worse than its best."""
WORTH = 0.5
"""Nats a frame by which it has to be worse."""
DRAWS = 8
"""Draws of noise for the held-out loss, the same every time."""


class Best(NamedTuple):
    """The state whose average did best so far, and the held-out losses of it for each draw of noise."""

    state: TrainingState
    losses: Float[Array, " draws"]

    @property
    def step(self) -> int:
        return int(self.state.step)


def nothing_yet(state: TrainingState) -> Best:
    """Before the held-out loss is known; the state is that of the start."""
    # finite, as all of a checkpoint is
    return Best(copied(state), jnp.full(DRAWS, jnp.finfo(jnp.float32).max))


def better(best: Best, state: TrainingState, losses: Float[Array, " draws"]) -> Best:
    """The one of both with the smaller mean loss."""
    return Best(copied(state), losses) if jnp.mean(losses) < jnp.mean(best.losses) else best


def copied(state: TrainingState) -> TrainingState:
    """A state of its own: the buffers of one that training goes on from are given away."""
    return jax.tree.map(jnp.copy, state)


def overtaken(best: Best, losses: Float[Array, " draws"], nats: float) -> bool:
    """Whether held-out losses are worse than those of the best, by more than noise and by enough.

    nats: what a loss of one is worth (`nats_of`). Other frames would have other populations of basins, which no draw of
    noise tells: that is why it has to be so much.
    """
    if not np.isfinite(losses).all():
        return best.step > 0
    excess = np.asarray(losses, np.float64) - np.asarray(best.losses, np.float64)
    error = np.std(excess, ddof=1) / len(excess) ** 0.5
    return bool(excess.mean() > max(ERRORS * error, WORTH / nats))


def nats_of(trainer: Trainer) -> float:
    """What a loss of one is worth in nats a frame.

    With the weight `sigma^2` the integral of the excess of the loss over `ln sigma`, twice, times the coordinates, is
    what the divergence from the data is at most (Song et al., NeurIPS 2021). Forces alone weigh alike at all levels, by
    their inverse mean square: their excess counts as if it all lay where that is `sigma^2` and noise tells as much.
    """
    schedule = trainer.schedule
    return 2.0 * trainer.chart.dimension * math.log(schedule.largest / schedule.smallest)


def learned_by_heart(best: Best, steps: int, remedy: str) -> str:
    """What a user is told where one of `steps` updates is overtaken by the best state."""
    return f"Held-out frames did best after {best.step} of {steps} updates; then frames are learned by heart: {remedy}."


@eqx.filter_jit
def held_out_losses(trainer: Trainer, parameters: Any, data: TrainingData, key: PRNGKeyArray) -> Float[Array, " draws"]:
    """Losses of `DRAWS` batches of held-out frames."""
    keys = jax.random.split(key, DRAWS)
    return jax.lax.map(lambda one: trainer.loss(parameters, data, one), keys)
