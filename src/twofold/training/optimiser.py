"""The optimiser: Muon for the large matrices, Adam for everything else, with a cosine schedule."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, ArrayLike, Float
from optax.contrib import MuonDimensionNumbers

from twofold.training.settings import TrainingSettings

SMALLEST_SIDE = 32
"""Matrices whose smaller side is shorter than this gain nothing from an orthogonal update."""
RMS = 0.2
"""Root mean square of an orthogonal update relative to the learning rate: that of a typical update of Adam."""


def learning_rate(settings: TrainingSettings, steps: ArrayLike) -> Callable[[ArrayLike], Float[Array, ""]]:
    """Linear warm-up and cosine decay over `steps` updates, which need not be known when this is compiled."""
    total = jnp.asarray(steps)
    warm = jnp.minimum(settings.warmup, total // 10 + 1)
    most, least = settings.learning_rate or 0.0, settings.last_learning_rate

    def rate(count: ArrayLike) -> Float[Array, ""]:
        past = jnp.clip((count - warm) / (total + 1 - warm), 0.0, 1.0)
        rise, fall = most * count / jnp.maximum(warm, 1), 0.5 * (1.0 + jnp.cos(jnp.pi * past))
        return jnp.where(count < warm, rise, least + (most - least) * fall)

    return rate


def build_optimiser(settings: TrainingSettings, steps: ArrayLike) -> optax.GradientTransformation:
    """Clipped gradients, `learning_rate` over `steps` updates, decoupled weight decay.

    Without weight decay the loss at small noise, which is implicit score matching on the frames, is lowered by a
    spike of the density at every frame: the held-out loss then rises within minutes.

    Muon (Jordan et al. 2024) replaces the momentum of a matrix by its nearest orthogonal matrix. On the energies here
    it needs about half the steps of Adam, which `optimiser: adam` in the settings gives back.
    """
    rate = learning_rate(settings, steps)
    decay = settings.weight_decay or 0.0
    clip = optax.clip_by_global_norm(settings.clip)
    if settings.optimiser == "adam":
        return optax.chain(clip, optax.adamw(rate, b2=settings.adam_b2, weight_decay=decay))
    muon = optax.contrib.muon(
        rate,
        adam_b2=settings.adam_b2,
        weight_decay=decay,
        adam_weight_decay=decay,
        muon_weight_dimension_numbers=matrix_axes,
        consistent_rms=RMS,
    )
    return optax.chain(clip, muon)


def matrix_axes(parameters: Any) -> Any:
    """For each array the axes of its matrices, the last two; None for arrays that are left to Adam."""

    def axes(array: jax.Array) -> MuonDimensionNumbers | None:
        if array.ndim < 2 or min(array.shape[-2:]) < SMALLEST_SIDE:
            return None
        return MuonDimensionNumbers(array.ndim - 1, array.ndim - 2)

    return jax.tree.map(axes, parameters)
