"""The training step and its compiled scan."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, ArrayLike, Float, Int, PRNGKeyArray

from twofold.chart.base import Chart
from twofold.energy.base import Energy, System, trainable
from twofold.energy.experts import Experts
from twofold.energy.rotations import random_rotations, rotate
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
from twofold.training.optimiser import build_optimiser
from twofold.training.settings import TrainingSettings

PINNED = 4
"""Of so many frames of a batch one is asked for its energy as well, where energies are known."""


class TrainingData(NamedTuple):
    """Frames in chart coordinates (frames, ...) and the cumulative sum of their weights (frames,), ending at one.

    scores: forces in kT as scores of the clean density (frames, ...), where there are forces. energies: those of the
    density in these coordinates (frames,) in kT, up to a constant, where energies are learned from.
    """

    coordinates: Array
    cumulative: Array
    scores: Array | None = None
    energies: Array | None = None


class TrainingState(NamedTuple):
    """All that a step needs to continue exactly."""

    parameters: Any
    average: Any
    optimiser: Any
    key: PRNGKeyArray
    step: Int[Array, ""]


def training_data(
    chart: Chart,
    positions: ArrayLike,
    weights: ArrayLike,
    forces: ArrayLike | None = None,
    energies: ArrayLike | None = None,
    loosening: ArrayLike | None = None,
) -> TrainingData:
    """Encode frames (frames, beads, 3) in nm with weights (frames,), and forces in kT/nm if the chart knows how.

    energies: (frames,) in kT, of positions. loosening: (coordinates, k), what k normal numbers add to coordinates.
    """
    coordinates = jax.jit(lambda x: jax.lax.map(chart.encode, x, batch_size=4096))(jnp.asarray(positions))
    if loosening is not None:
        loosening = jnp.asarray(loosening)
        # the same at every resume, since frames of a run are the same
        normal = jax.random.normal(jax.random.key(len(coordinates)), (len(coordinates), loosening.shape[1]))
        coordinates = coordinates + normal @ loosening.T
    # in double precision: sums of single ones would forget light frames beyond some ten million
    cumulative = np.cumsum(np.asarray(weights, np.float64))
    known = None if forces is None else _scores(chart, jnp.asarray(positions), jnp.asarray(forces))
    heights = None if energies is None else _heights(chart, coordinates, jnp.asarray(energies))
    cumulative = jnp.asarray(cumulative / cumulative[-1], jnp.float32)
    return TrainingData(coordinates, cumulative, known, heights)


@eqx.filter_jit
def _heights(chart: Chart, coordinates: Array, energies: Array) -> Array:
    return energies - jax.lax.map(chart.log_jacobian, coordinates, batch_size=4096)


@eqx.filter_jit
def _scores(chart: Chart, positions: Array, forces: Array) -> Array | None:
    return jax.lax.map(lambda pair: chart.scores_of(*pair), (positions, forces), batch_size=4096)


def draw_index(data: TrainingData, key: PRNGKeyArray, count: int) -> Int[Array, " count"]:
    """`count` frames in proportion to their weights, by systematic resampling, which spreads them evenly over time."""
    place = (jnp.arange(count) + jax.random.uniform(key)) / count
    index = jnp.searchsorted(data.cumulative, place, side="right")
    # a last place that rounds to one is of the last frame with a weight, which need not be the last one
    return jnp.minimum(index, jnp.searchsorted(data.cumulative, data.cumulative[-1]))


def draw_frames(data: TrainingData, key: PRNGKeyArray, count: int) -> Array:
    """Coordinates of the frames of `draw_index`."""
    return data.coordinates[draw_index(data, key, count)]


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
        value = self._weight(sigma, share) * self._matching(self.model(parameters), x, sigma, noise, known, share)
        if isinstance(self.schedule, TimeSchedule):
            value = self.schedule.weight(sigma) * value
        return jnp.mean(value) / self.chart.dimension

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

    def _matching(
        self, model: Energy, x: Array, sigma: Array, key: PRNGKeyArray, known: Array | None, share: Array | None
    ) -> Float[Array, " batch"]:
        """Score matching loss of each frame at its level; for experts the levels are in ascending order."""
        alpha, name = self.settings.stability, self.settings.loss or "antithetic"
        eps = draw_noise(key, self.chart, x) if alpha == 2 else stable_noise(key, self.chart, x, alpha)
        loss: Any = LOSSES[name] if alpha == 2 else partial(fractional, stability=alpha)
        labels: tuple[Array, ...] = (x, eps, sigma)
        if known is not None and share is not None:
            loss, labels = partial(MIXTURES[name], directions=self.directions), (*labels, known, share)
        if not isinstance(model, Experts):
            return loss(model, self.system, *labels)
        pieces = model.pieces(self.schedule.edges(len(sigma)))
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

        def objective(parameters: Any) -> tuple[Array, Array]:
            denoising = self.loss(parameters, data, now)
            return denoising + self.consistency(parameters, data, tying, state.step), denoising

        (_, value), gradient = jax.value_and_grad(objective, has_aux=True)(state.parameters)
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
