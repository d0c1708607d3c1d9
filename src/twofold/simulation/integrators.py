"""Langevin dynamics as compositions of exactly solvable pieces.

The Langevin equation splits into a kick by the force (B), a drift with constant velocity (A) and the
Ornstein-Uhlenbeck process of the velocities (O), each of which is solved exactly:

* BAOAB is B/2 A/2 O A/2 B/2 (Leimkuhler and Matthews 2013, J. Chem. Phys. 138, 174102);
* LangevinMiddle is B A/2 O A/2 (Zhang, Liu, Yan, Tuckerman and Liu 2019, J. Phys. Chem. A 123, 6056), the scheme
  of OpenMM's LangevinMiddleIntegrator.

The two are one chain of steps, looked at half a kick apart. So positions are sampled alike: exactly for a harmonic
force, at any stable time step. Velocities are not: of a harmonic mode of angular frequency w, LangevinMiddle has the
exact kinetic temperature T, and BAOAB has T (1 - (w dt)^2 / 4).

All 3N momenta are thermalised and none is removed. The friction is the same for all beads, so that the centre of mass
of a molecule in free space diffuses by itself, independently of everything else; kinetic temperatures therefore
count 3N degrees of freedom.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from twofold.simulation.force_field import ForceField, energies_and_forces
from twofold.units import thermal_energy


class State(NamedTuple):
    """Where the replicas are: all that the next step depends on, beside the noise."""

    positions: Float[Array, "replicas beads 3"]  # nm
    velocities: Float[Array, "replicas beads 3"]  # nm/ps
    forces: Float[Array, "replicas beads 3"]  # kJ/mol/nm, at the positions
    potential: Float[Array, " replicas"]  # kJ/mol, at the positions


def choose(which: Bool[Array, " replicas"], new: State, old: State) -> State:
    """The new state of the replicas in `which`, the old one of the others."""

    def one(after: Array, before: Array) -> Array:
        return jnp.where(which.reshape(-1, *[1] * (after.ndim - 1)), after, before)

    return jax.tree.map(one, new, old)


class Langevin(NamedTuple):
    """Constants of the dynamics; see `langevin`."""

    timestep: Float[Array, ""]  # ps
    inverse_mass: Float[Array, "beads 1"]  # 1/amu
    decay: Float[Array, ""]  # exp(-friction dt)
    spread: Float[Array, "beads 1"]  # standard deviation of the noise of a velocity, nm/ps


def langevin(masses: np.ndarray, temperature: float, friction: float, timestep_ps: float) -> Langevin:
    """Constants for beads of `masses` amu at `temperature` K, friction in 1/ps, time step in ps."""
    decay = math.exp(-friction * timestep_ps)
    scale = -math.expm1(-2 * friction * timestep_ps) * thermal_energy(temperature)
    masses = np.asarray(masses, dtype=np.float64)[:, None]
    return Langevin(
        jnp.float32(timestep_ps),
        jnp.asarray(1 / masses, jnp.float32),
        jnp.float32(decay),
        jnp.asarray(np.sqrt(scale / masses), jnp.float32),
    )


def init(
    force_field: ForceField, positions: Float[Array, "replicas beads 3"], velocities: Float[Array, "replicas beads 3"]
) -> State:
    """The state at given positions (nm) and velocities (nm/ps)."""
    energies, forces = energies_and_forces(force_field, positions)
    return State(positions, velocities, forces, energies)


def maxwell_velocities(
    key: Array, masses: np.ndarray, temperature: float, replicas: int
) -> Float[Array, "replicas beads 3"]:
    """Velocities in nm/ps from the Maxwell-Boltzmann distribution, all 3N components independent."""
    width = np.sqrt(thermal_energy(temperature) / np.asarray(masses, dtype=np.float64))[:, None]
    return jnp.asarray(width, jnp.float32) * jax.random.normal(key, (replicas, len(masses), 3))


def _kick(state: State, constants: Langevin, fraction: float) -> State:
    change = (fraction * constants.timestep * constants.inverse_mass) * state.forces
    return state._replace(velocities=state.velocities + change)


def _drift(state: State, constants: Langevin, fraction: float) -> State:
    return state._replace(positions=state.positions + (fraction * constants.timestep) * state.velocities)


def _thermalise(state: State, constants: Langevin, noise: Float[Array, "replicas beads 3"]) -> State:
    return state._replace(velocities=constants.decay * state.velocities + constants.spread * noise)


def _refresh(state: State, force_field: ForceField) -> State:
    return init(force_field, state.positions, state.velocities)


Scheme = Callable[[ForceField, Langevin, State, Float[Array, "replicas beads 3"]], State]


def langevin_middle(
    force_field: ForceField, constants: Langevin, state: State, noise: Float[Array, "replicas beads 3"]
) -> State:
    """One step B A/2 O A/2; `noise` is standard normal."""
    state = _kick(state, constants, 1.0)
    state = _drift(state, constants, 0.5)
    state = _thermalise(state, constants, noise)
    state = _drift(state, constants, 0.5)
    return _refresh(state, force_field)


def baoab(force_field: ForceField, constants: Langevin, state: State, noise: Float[Array, "replicas beads 3"]) -> State:
    """One step B/2 A/2 O A/2 B/2; `noise` is standard normal."""
    state = _kick(state, constants, 0.5)
    state = _drift(state, constants, 0.5)
    state = _thermalise(state, constants, noise)
    state = _drift(state, constants, 0.5)
    state = _refresh(state, force_field)
    return _kick(state, constants, 0.5)


SCHEMES: dict[str, Scheme] = {"langevin-middle": langevin_middle, "baoab": baoab}
