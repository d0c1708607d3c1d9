"""The compiled loop: all replicas, many steps, one call."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from twofold.simulation.exchange import Ladder, trade
from twofold.simulation.force_field import ForceField, curvature_along
from twofold.simulation.integrators import SCHEMES, Langevin, State, choose
from twofold.simulation.region import Region, Stops, diagnose, inside
from twofold.units import BOLTZMANN


class Dynamics(eqx.Module):
    """Everything that stays as it is during a simulation."""

    force_field: ForceField
    constants: Langevin
    masses: Float[Array, " beads"]
    fastest: Float[Array, "beads 1"]  # nm/ps, see region.speed_limit
    region: Region | None
    noise_key: Array
    probe_key: Array
    steps_per_frame: Int[Array, ""]
    probe_every: Int[Array, ""]
    ladder: Ladder | None
    replicas: int = eqx.field(static=True)  # walkers whose frames are recorded: those of the lowest rung
    integrator: str = eqx.field(static=True)
    recentre: bool = eqx.field(static=True)


class Progression(NamedTuple):
    """What a chunk hands to the next; `frame` counts recorded frames, and the step is `frame * steps_per_frame`.

    traded: trades so far across each step of the ladder; without a ladder there are none.
    """

    state: State
    stops: Stops
    traded: Int[Array, " steps"]
    frame: Int[Array, ""]


class Frames(NamedTuple):
    """Recorded frames of a chunk, (replicas, frames, ...); entries beyond the frames of the chunk mean nothing."""

    positions: Float[Array, "replicas frames beads 3"]  # nm
    potential: Float[Array, "replicas frames"]  # kJ/mol
    kinetic_temperature: Float[Array, "replicas frames"]  # K
    gradient_squared: Float[Array, "replicas frames"]  # (kJ/mol/nm)^2, NaN where not probed
    laplacian: Float[Array, "replicas frames"]  # kJ/mol/nm^2, NaN where not probed

    @classmethod
    def empty(cls, replicas: int, frames: int, beads: int) -> Frames:
        """Room for `frames` frames."""
        scalars = (jnp.zeros((replicas, frames), jnp.float32) for _ in cls._fields[1:])
        return cls(jnp.zeros((replicas, frames, beads, 3), jnp.float32), *scalars)


def allowed(dynamics: Dynamics, state: State) -> Bool[Array, " walkers"]:
    """Which walkers are as they should be; the region is that of the lowest rung."""
    return inside(dynamics.region, dynamics.fastest, state, dynamics.replicas)


def accept(dynamics: Dynamics, old: State, new: State, stops: Stops, step: Int[Array, ""]) -> tuple[State, Stops]:
    """Moves the replicas that are as they should be, freezes the others at their last good state."""
    running = stops.running
    fine = running & allowed(dynamics, new)
    stopped = running & ~fine

    def note(stops: Stops) -> Stops:
        reason, beads = diagnose(dynamics.region, dynamics.fastest, new, dynamics.replicas)
        return Stops(
            jnp.where(stopped, step, stops.step),
            jnp.where(stopped, reason, stops.reason),
            jnp.where(stopped[:, None], beads, stops.beads),
        )

    stops = jax.lax.cond(jnp.any(stopped), note, lambda stops: stops, stops)

    return choose(fine, new, old), stops


@eqx.filter_jit
def begin(dynamics: Dynamics, state: State) -> Progression:
    """The progression at the start; replicas that start outside the region are stopped at step 0."""
    if dynamics.recentre:
        state = state._replace(positions=_centred(dynamics, state.positions))
    _, stops = accept(dynamics, state, state, Stops.none(len(state.positions)), jnp.int32(0))
    rungs = dynamics.ladder.rungs if dynamics.ladder is not None else 1
    return Progression(state, stops, jnp.zeros(rungs - 1, jnp.int32), jnp.int32(0))


@eqx.filter_jit(donate="all-except-first")
def advance(
    fixed: tuple[Dynamics, Int[Array, ""]], progression: Progression, frames: Frames
) -> tuple[Progression, Frames]:
    """Runs as many frames as `fixed` says (at most those that `frames` has room for) and records them.

    The noise of a step depends on the seed and the number of the step alone, and every frame is the same compiled
    code, so that the trajectory is the same to the bit however it is cut into chunks. The number of frames is not
    compiled in. The memory of `progression` and `frames` is used again.
    """
    dynamics, number = fixed

    def one_frame(index: Int[Array, ""], carry: tuple[Progression, Frames]) -> tuple[Progression, Frames]:
        progression, frames = carry
        state, stops = _run_steps(dynamics, progression)
        traded = progression.traded
        if dynamics.ladder is not None:
            able = stops.running, partial(allowed, dynamics)
            state, taken = trade(dynamics.ladder, dynamics.force_field, state, *able, progression.frame)
            traded = traded + taken
        if dynamics.recentre:
            state = state._replace(positions=_centred(dynamics, state.positions))
        record = jax.tree.map(lambda all: all[: dynamics.replicas], _observe(dynamics, state, progression.frame))
        frames = jax.tree.map(
            lambda room, value: jax.lax.dynamic_update_index_in_dim(room, value, index, 1), frames, record
        )
        return Progression(state, stops, traded, progression.frame + 1), frames

    return jax.lax.fori_loop(0, number, one_frame, (progression, frames))


def _run_steps(dynamics: Dynamics, progression: Progression) -> tuple[State, Stops]:
    first = progression.frame * dynamics.steps_per_frame
    scheme = SCHEMES[dynamics.integrator]

    def one_step(index: Int[Array, ""], carry: tuple[State, Stops]) -> tuple[State, Stops]:
        state, stops = carry
        step = first + index
        noise = jax.random.normal(jax.random.fold_in(dynamics.noise_key, step), state.positions.shape)
        proposal = scheme(dynamics.force_field, dynamics.constants, state, noise)
        return accept(dynamics, state, proposal, stops, step + 1)

    return jax.lax.fori_loop(0, dynamics.steps_per_frame, one_step, (progression.state, progression.stops))


def _centred(dynamics: Dynamics, positions: Float[Array, "replicas beads 3"]) -> Float[Array, "replicas beads 3"]:
    share = dynamics.masses / jnp.sum(dynamics.masses)
    return positions - jnp.sum(share[:, None] * positions, axis=1, keepdims=True)


def _observe(dynamics: Dynamics, state: State, frame: Int[Array, ""]) -> Frames:
    """What is to know of one frame, (walkers, ...)."""
    doubled = jnp.sum(dynamics.masses[:, None] * jnp.square(state.velocities), axis=(1, 2))
    temperature = doubled / (3 * state.positions.shape[1] * BOLTZMANN)
    blank = jnp.full_like(state.potential, jnp.nan)

    def probe() -> tuple[Array, Array]:
        # Hutchinson's estimate of the trace of the Hessian, with one vector of random signs (1990).
        shape = state.positions.shape
        signs = jax.random.rademacher(jax.random.fold_in(dynamics.probe_key, frame), shape, jnp.float32)
        curvature = curvature_along(dynamics.force_field, state.positions, signs)
        return jnp.sum(jnp.square(state.forces), axis=(1, 2)), jnp.sum(signs * curvature, axis=(1, 2))

    squared, laplacian = jax.lax.cond(frame % dynamics.probe_every == 0, probe, lambda: (blank, blank))
    return Frames(state.positions, state.potential, temperature, squared, laplacian)
