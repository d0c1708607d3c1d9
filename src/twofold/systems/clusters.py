"""Clusters of like particles on which samplers are compared: DW4, LJ-13, LJ-55."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from twofold.beads import Beads
from twofold.ensemble import Ensemble
from twofold.systems.chains import chain_of, chains
from twofold.systems.known import KnownSystem


class Cluster(KnownSystem):
    """Like particles in free space, in a plane or in three dimensions, with kT = 1 and a length of 1 nm.

    count: particles. axes: 2 or 3; the axes that are left out are held near zero by springs. spacing: nm, of the
    lattice that chains start from.
    """

    count: eqx.AbstractClassVar[int]
    axes: ClassVar[int] = 3
    spacing: ClassVar[float] = 1.1

    @property
    def beads(self) -> Beads:
        beads = Beads.anonymous(self.count)
        return replace(beads, types=("X",) * self.count, masses=np.full(self.count, self.mass))

    @abstractmethod
    def potential(self, x: Float[Array, "particles axes"]) -> Float[Array, ""]:
        """Energy in kT."""

    def energy(self, positions: Float[Array, "beads 3"]) -> Float[Array, ""]:
        """Energy in kJ/mol."""
        springs = 0.5 * jnp.sum(positions[:, self.axes :] ** 2)
        return self.thermal * (self.potential(positions[:, : self.axes]) + springs)

    def starts(self, replicas: int, rng: np.random.Generator) -> np.ndarray:
        """The points of a cubic lattice nearest to a random point, shaken a little."""
        side = np.arange(-4, 5) * self.spacing
        lattice = np.stack(np.meshgrid(*[side] * self.axes, indexing="ij"), -1).reshape(-1, self.axes)
        found = np.zeros((replicas, self.count, 3), np.float32)
        for one in found:
            away = np.linalg.norm(lattice - self.spacing * rng.random(self.axes), axis=1)
            one[:, : self.axes] = lattice[np.argsort(away)[: self.count]]
        found[..., : self.axes] += 0.02 * self.spacing * rng.standard_normal(found[..., : self.axes].shape)
        return found - found.mean(axis=1, keepdims=True)

    def ensemble(self, number: int, seed: int) -> Ensemble:
        """Frames of reference chains, without their mean, with their exact forces in kJ/mol/nm."""
        positions = np.array(chains(self, number, seed))
        positions[..., self.axes :] = 0.0
        positions -= positions.mean(axis=1, keepdims=True)
        forces = self.forces(positions)
        energies = self.thermal * self.energies(positions)
        source = {"cluster": self.name, "axes": self.axes}
        return Ensemble.build(
            self.beads, positions, self.temperature, forces=forces, energies=energies,
            trajectory=chain_of(number), frame_ps=self.frame_ps, source=source,
        )  # fmt: skip


def _distances(x: Float[Array, "particles axes"]) -> Float[Array, " pairs"]:
    i, j = np.triu_indices(len(x), 1)
    return jnp.sqrt(jnp.sum((x[i] - x[j]) ** 2, axis=-1))


class DoubleWell4(Cluster):
    """DW4: four particles in a plane, every pair in a double well (Koehler, Klein and Noe, ICML 2020)."""

    name: ClassVar[str] = "dw4"
    count: ClassVar[int] = 4
    axes: ClassVar[int] = 2
    spacing: ClassVar[float] = 3.0
    timestep_fs: ClassVar[float] = 20.0
    frame_ps: ClassVar[float] = 5.0
    burn_in_ps: ClassVar[float] = 500.0

    def potential(self, x: Float[Array, "particles axes"]) -> Float[Array, ""]:
        away = _distances(x) - 4.0
        return jnp.sum(0.9 * away**4 - 4.0 * away**2)


class LennardJones(Cluster):
    """Lennard-Jones particles in a weak harmonic trap about their centre.

    `2 sum_{i<j} (r^-12 - 2 r^-6) + 1/2 sum |x - mean|^2`: wells are two kT deep, because the published sum runs over
    ordered pairs (Koehler et al. 2020; Akhound-Sadegh et al., ICML 2024; checked by equipartition on their frames).
    """

    timestep_fs: ClassVar[float] = 4.0
    frame_ps: ClassVar[float] = 2.0
    burn_in_ps: ClassVar[float] = 200.0

    def potential(self, x: Float[Array, "particles axes"]) -> Float[Array, ""]:
        sixth = _distances(x) ** -6
        return 2.0 * jnp.sum(sixth**2 - 2.0 * sixth) + 0.5 * jnp.sum((x - jnp.mean(x, axis=0)) ** 2)


class LennardJones13(LennardJones):
    """LJ-13."""

    name: ClassVar[str] = "lj13"
    count: ClassVar[int] = 13


class LennardJones55(LennardJones):
    """LJ-55."""

    name: ClassVar[str] = "lj55"
    count: ClassVar[int] = 55
    burn_in_ps: ClassVar[float] = 500.0


CLUSTERS: dict[str, Cluster] = {kind.name: kind() for kind in (DoubleWell4, LennardJones13, LennardJones55)}
"""By the name that `twofold fit` knows."""
