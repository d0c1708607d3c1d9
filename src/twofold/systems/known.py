"""Systems whose energy is known, so that whatever is learned of them can be checked."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from twofold.beads import Beads
from twofold.ensemble import Ensemble
from twofold.units import BOLTZMANN


class KnownSystem(eqx.Module):
    """Particles with a known energy, and how reference chains of them are run.

    thermal: kT in kJ/mol, which sets the temperature. mass: amu. timestep_fs, friction (1/ps), frame_ps: of Langevin
    chains; burn_in_ps: how long they forget `starts` before the first frame.
    """

    name: eqx.AbstractClassVar[str]
    timestep_fs: eqx.AbstractClassVar[float]
    frame_ps: eqx.AbstractClassVar[float]
    thermal: ClassVar[float] = 1.0
    mass: ClassVar[float] = 1.0
    friction: ClassVar[float] = 1.0
    burn_in_ps: ClassVar[float] = 0.0

    @property
    def temperature(self) -> float:
        """K."""
        return self.thermal / BOLTZMANN

    @property
    @abstractmethod
    def beads(self) -> Beads:
        """The particles."""

    @abstractmethod
    def energy(self, positions: Float[Array, "beads 3"]) -> Float[Array, ""]:
        """Energy in kJ/mol of positions in nm."""

    @abstractmethod
    def starts(self, replicas: int, rng: np.random.Generator) -> np.ndarray:
        """Positions (replicas, beads, 3) in nm from which chains start."""

    @abstractmethod
    def ensemble(self, number: int, seed: int) -> Ensemble:
        """`number` reference frames."""

    def energies(self, positions: np.ndarray) -> np.ndarray:
        """Energies in kT (frames,), float64, of positions (frames, beads, 3) in nm."""
        return np.asarray(_energies(self, jnp.asarray(positions, jnp.float32)), np.float64) / self.thermal

    def forces(self, positions: np.ndarray) -> np.ndarray:
        """Forces in kJ/mol/nm (frames, beads, 3) at positions in nm; over kT they are the score of the density."""
        return np.asarray(_forces(self, jnp.asarray(positions, jnp.float32)))


@eqx.filter_jit
def _energies(system: KnownSystem, positions: Array) -> Array:
    return jax.lax.map(system.energy, positions, batch_size=1024)


@eqx.filter_jit
def _forces(system: KnownSystem, positions: Array) -> Array:
    return -jax.lax.map(jax.grad(system.energy), positions, batch_size=1024)
