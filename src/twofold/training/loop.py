"""The training step and its compiled scan."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from twofold.chart.base import Chart
from twofold.energy.base import Energy, System, trainable
from twofold.energy.experts import Experts
from twofold.energy.rotations import random_rotations, rotate
from twofold.energy.together import together
from twofold.noise import NoiseSchedule, TimeSchedule, along_frames
from twofold.objectives import (
    LOSSES,
    MIXTURES,
    classification,
    draw_noise,
    fokker_planck,
    force_share,
    fractional,
    level_weight,
    other_level,
    pinning,
    stable_noise,
)
from twofold.training.accumulate import value_and_gradient
from twofold.training.data import TrainingData, draw_frames, draw_index
from twofold.training.optimiser import build_optimiser
from twofold.training.settings import TrainingSettings

PINNED = 4
"""Of so many frames of a batch one is asked for its energy as well, where energies are known."""


class Drawn(NamedTuple):
    """Frames of a batch with their noise (frames, ...), levels and weights (frames,).

    known, share: forces as scores, and what they count for in the labels; None without forces.
    """

    x: Array
    noise: Array
    sigma: Array
    weight: Array
    known: Array | None
    share: Array | None


class TrainingState(NamedTuple):
    """All that a step needs to continue exactly."""

    parameters: Any
    average: Any
    optimiser: Any
    key: PRNGKeyArray
    step: Int[Array, ""]


class Trainer(eqx.Module):
    """Everything about a training run that does not change from step to step.

    steps: updates of the whole run; an array, so that runs of any length share compiled code. variance: J, the mean
    square of a coordinate of the forces in kT, in a shape that multiplies coordinates; where there are forces.
    directions: what it is of, in columns, if not of the coordinates.
    """

    frozen: Energy
    chart: Chart
    system: System
    schedule: NoiseSchedule
    settings: TrainingSettings = eqx.field(static=True)
    steps: Int[Array, ""] = eqx.field(converter=jnp.asarray)
    variance: Array | None = None
    directions: Array | None = None

    @property
    def _optimiser(self) -> optax.GradientTransformation:
        return build_optimiser(self.settings, self.steps)

    @property
    def _loss(self) -> str:
        return self.settings.loss or "antithetic"

    def initial(self, model: Energy, key: PRNGKeyArray) -> TrainingState:
        """State before the first step."""
        parameters = eqx.filter(model, trainable(model))
        state = TrainingState(
            parameters,
            parameters,
            self._optimiser.init(parameters),
            jax.random.key_data(key),
            jnp.array(0),
        )
        # the buffers of a state are donated to the next step, so that none may be held twice
        state = jax.tree.map(jnp.copy, state)
        return state._replace(key=jax.random.wrap_key_data(state.key))

    def model(self, parameters: Any) -> Energy:
        """The energy with these parameters."""
        return eqx.combine(parameters, self.frozen)

    def loss(self, parameters: Any, data: TrainingData, key: PRNGKeyArray) -> Float[Array, ""]:
        """Weighted mean denoising loss of one batch."""
        return self._sum(parameters, self._drawn(data, key))

    def _drawn(self, data: TrainingData, key: PRNGKeyArray) -> Drawn:
        """Frames of one batch, with their noise and what they teach; for experts levels are in ascending order."""
        frames, levels, noise, pairing, turn = jax.random.split(key, 5)
        batch = self.settings.batch or 1
        index = draw_index(data, frames, batch)
        x, known = data.coordinates[index], None if data.scores is None else data.scores[index]
        x, known = self._turned(turn, x), None if known is None else self._turned(turn, known)
        # frames come in order of time and levels in ascending order: pair them at random
        sigma = self.schedule.draw(levels, batch)
        if isinstance(self.frozen, Experts):
            order = jax.random.permutation(pairing, batch)
            x, known = x[order], None if known is None else known[order]
        else:
            sigma = jax.random.permutation(pairing, sigma)
        share = None if known is None else self._share(sigma)
        weight = self._weight(sigma, share) / (batch * self.chart.dimension)
        if isinstance(self.schedule, TimeSchedule):
            weight = self.schedule.weight(sigma) * weight
        alpha = self.settings.stability
        eps = draw_noise(noise, self.chart, x) if alpha == 2 else stable_noise(noise, self.chart, x, alpha)
        return Drawn(x, eps, sigma, weight, known, share)

    def _sum(self, parameters: Any, drawn: Drawn) -> Float[Array, ""]:
        """Weighted sum of the losses of frames."""
        return jnp.sum(drawn.weight * self._matching(self.model(parameters), drawn))

    def _at_once(self, data: TrainingData) -> int:
        """Frames of a batch that are best worked on together; all where experts share it out by the level."""
        if isinstance(self.frozen, Experts):
            return self.settings.batch or 1
        noised = 2 if self._loss == "antithetic" else 1
        return max(1, together(self.frozen.entries(self.system, data.coordinates.shape[1])) // noised)

    def _share(self, sigma: Float[Array, " batch"]) -> Array:
        """What forces count for in the label, in a shape that multiplies coordinates."""
        assert self.variance is not None
        share = force_share(sigma, self.variance)
        return jnp.ones_like(share) if self.settings.forces == "only" else share

    def _weight(self, sigma: Float[Array, " batch"], share: Array | None) -> Float[Array, " batch"]:
        """Of a level: the same with forces among the labels as without, or one for all, if they are all of the label.

        What is noise in a force comes again whenever its frame is drawn: with more weight at small levels, as their
        lesser mean square suggests, it would be learned by heart.
        """
        if share is None or self.settings.forces != "only":
            return level_weight(sigma, self.settings.softening or 0.0)
        assert self.variance is not None
        return jnp.ones_like(sigma) / jnp.mean(self.variance)

    def _matching(self, model: Energy, drawn: Drawn) -> Float[Array, " batch"]:
        """Score matching loss of each frame at its level."""
        stability = self.settings.stability
        loss: Any = LOSSES[self._loss] if stability == 2 else partial(fractional, stability=stability)
        labels: tuple[Array, ...] = (drawn.x, drawn.noise, drawn.sigma)
        if drawn.known is not None and drawn.share is not None:
            loss = partial(MIXTURES[self._loss], directions=self.directions)
            labels = (*labels, drawn.known, drawn.share)
        if not isinstance(model, Experts):
            return loss(model, self.system, *labels)
        pieces = model.pieces(self.schedule.edges(len(drawn.sigma)))
        values = [loss(part, self.system, *(label[some] for label in labels)) for some, part in pieces]
        return jnp.concatenate(values)

    def _turned(self, key: PRNGKeyArray, x: Array) -> Array:
        """Frames at random orientations, the same for the same key, where the model has to learn that all are alike."""
        if not self.frozen.augment_rotation:
            return x
        return rotate(random_rotations(key, x.shape[0], x.shape[-1]), x)

    def _levels(self, smallest: float | None = None, largest: float | None = None) -> NoiseSchedule:
        """Log-uniform levels that have an energy, between the two where they are given."""
        top = min(largest or self.schedule.largest, self.schedule.largest, self.frozen.conservative_to)
        return NoiseSchedule(min(max(smallest or 0.0, self.schedule.smallest), top), top)

    def consistency(self, parameters: Any, data: TrainingData, key: PRNGKeyArray, step: Array) -> Float[Array, ""]:
        """What is added to the loss so that energies at different levels of noise belong together; 0 unless asked for.

        The Fokker-Planck residual is looked at every few updates, and weighs so much more then.
        """
        settings, total = self.settings, jnp.zeros(())
        diffusion, telling = jax.random.split(key)
        if settings.fokker_planck:
            every = settings.fokker_planck_every
            asked = step % every == every - 1
            value = jax.lax.cond(
                asked, lambda: self._fokker_planck(self.model(parameters), data, diffusion), lambda: jnp.zeros(())
            )
            total = total + settings.fokker_planck * every * value
        if settings.classification:
            total = total + settings.classification * self._classification(self.model(parameters), data, telling)
        if settings.energy_weight and data.energies is not None:
            frames = jax.random.fold_in(key, 2)
            index = draw_index(data, frames, max(2, (settings.batch or 1) // PINNED))
            x = self._turned(jax.random.fold_in(frames, 1), data.coordinates[index])
            labels = x, data.energies[index], jnp.asarray(self.schedule.smallest)
            total = total + settings.energy_weight * pinning(self.model(parameters), self.system, self.chart, *labels)
        return total

    def _fokker_planck(self, model: Energy, data: TrainingData, key: PRNGKeyArray) -> Float[Array, ""]:
        settings = self.settings
        groups, members = settings.fokker_planck_groups, settings.fokker_planck_members
        frames, order, levels, noise, probes = jax.random.split(key, 5)
        sigma = self._levels(settings.fokker_planck_smallest, settings.fokker_planck_largest).draw(levels, groups)
        # frames come in order of time
        x = jax.random.permutation(order, draw_frames(data, frames, groups * members))
        x = self._turned(jax.random.fold_in(frames, 1), x)
        y = x + along_frames(jnp.repeat(sigma, members), x) * draw_noise(noise, self.chart, x)
        grouped = y.reshape(groups, members, *y.shape[1:])
        exact = settings.fokker_planck_exact
        return jnp.mean(fokker_planck(model, self.system, self.chart, grouped, sigma, probes, exact=exact))

    def _classification(self, model: Energy, data: TrainingData, key: PRNGKeyArray) -> Float[Array, ""]:
        frames, levels, noise, pairing, partner = jax.random.split(key, 5)
        batch = self.settings.batch or 1
        x = self._turned(jax.random.fold_in(frames, 1), draw_frames(data, frames, batch))
        schedule = self._levels()
        sigma = jax.random.permutation(pairing, schedule.draw(levels, batch))
        other = other_level(partner, sigma, schedule, self.chart)
        return jnp.mean(classification(model, self.system, x, draw_noise(noise, self.chart, x), sigma, other))

    def step(self, state: TrainingState, data: TrainingData) -> tuple[TrainingState, Float[Array, ""]]:
        """One update of parameters and average; gives the denoising loss."""
        key, now, tying = jax.random.split(state.key, 3)
        drawn = self._drawn(data, now)
        value, gradient = value_and_gradient(self._sum, state.parameters, drawn, self._at_once(data))
        tied = jax.grad(self.consistency)(state.parameters, data, tying, state.step)
        gradient = jax.tree.map(jnp.add, gradient, tied)
        update, optimiser_state = self._optimiser.update(gradient, state.optimiser, state.parameters)
        parameters = optax.apply_updates(state.parameters, update)
        # at first the average reaches back over a ninth of the steps so far, so that it forgets the random start
        decay = jnp.minimum(self.settings.ema, (1.0 + state.step) / (10.0 + state.step))
        average = jax.tree.map(lambda old, new: decay * old + (1.0 - decay) * new, state.average, parameters)
        return TrainingState(parameters, average, optimiser_state, key, state.step + 1), value

    def many(self, steps: int) -> Callable[[TrainingState, TrainingData], tuple[TrainingState, Array]]:
        """Compiled function that does `steps` updates in one scan and returns the losses (steps,)."""
        return lambda state, data: _updates((self, data), state, steps)


@eqx.filter_jit(donate="all-except-first")
def _updates(
    arguments: tuple[Trainer, TrainingData], state: TrainingState, steps: int
) -> tuple[TrainingState, Float[Array, " steps"]]:
    trainer, data = arguments
    return jax.lax.scan(lambda carry, _: trainer.step(carry, data), state, length=steps)
