"""Message passing between particles: an energy that does not mind which of two like particles is which.

Every particle carries scalars and vectors. Neighbours exchange them, filtered by their distance (as in PaiNN, Schuett
et al., ICML 2021); within a particle vectors are mixed, multiplied and crossed. Turning or shifting all particles, or
exchanging like ones, changes nothing; a mirror image is another molecule, because the triple product of three vectors
changes its sign there.

In free space distances are seen in a unit that grows with the noise, `sqrt(1 + sigma^2)`, so that the cloud is as large
at every level. In a periodic box they are what they are, between nearest images, and there is no Gaussian.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from twofold.energy.base import Energy, System
from twofold.energy.listening import Sent, Ways, heard, heard_from_lists
from twofold.energy.network import LEVEL_FEATURES, level_features
from twofold.energy.pair_energy import PairEnergy
from twofold.energy.pairs import Pairs, Particles, in_space, pairs_of, radial_functions
from twofold.energy.type_walls import TypeWalls
from twofold.fixed import Fixed

CUTOFF = 8.0
"""Distance beyond which particles do not speak to each other, in standard deviations of the data."""
RADIAL = 24
"""Functions of the distance that filter messages."""


class ParticleTypes(Fixed):
    """The particles of the one molecule that a model was fitted to."""

    types: Array

    @property
    def particles(self) -> Particles:
        return Particles(self.types, jnp.ones(self.types.shape, bool))


class Messages(eqx.Module):
    """One round of messages, and what each particle makes of them. In the first round nobody has vectors to tell."""

    level: Array
    send: Array
    filter: Array
    mix: Array
    update: Array
    answer: Array

    def __init__(self, width: int, key: PRNGKeyArray) -> None:
        keys = jax.random.split(key, 6)

        def normal(place: int, *shape: int) -> Array:
            return jax.random.normal(keys[place], shape) / np.sqrt(shape[0])

        self.level = 0.3 * normal(0, LEVEL_FEATURES, 2 * width)
        self.send = normal(1, width, 3 * width)
        self.filter = normal(2, RADIAL, width)
        self.mix = normal(3, width, 3 * width)
        self.update = normal(4, 3 * width, width)
        self.answer = normal(5, width, 5 * width)

    def __call__(
        self,
        scalars: Float[Array, "particles width"],
        vectors: Float[Array, "particles 3 width"] | None,
        pairs: Pairs,
        radial: Float[Array, "particles partners radial"],
        particles: Particles,
        level: Float[Array, " features"],
    ) -> tuple[Float[Array, "particles width"], Float[Array, "particles 3 width"]]:
        scale, shift = jnp.split(level @ self.level, 2)
        news = jax.nn.silu(scalars * (1.0 + scale) + shift) @ self.send
        plain, carried, pointing = jnp.split(news, 3, axis=-1)
        # one filter serves all three messages: it is what costs time, since every pair has its own
        told = None if vectors is None else carried[:, None] * vectors
        sent, ways = Sent(plain, told, pointing), Ways(pairs.direction, pairs.weight, radial)
        if particles.neighbours is None:
            numbers, arrows = jax.vmap(partial(heard, self.filter, sent))(ways)
        else:
            numbers, arrows = heard_from_lists(self.filter, sent, ways, particles.neighbours)
        return self._within(scalars + numbers, arrows if vectors is None else vectors + arrows)

    def _within(self, scalars: Array, vectors: Array) -> tuple[Array, Array]:
        left, right, third = jnp.split(vectors @ self.mix, 3, axis=-1)
        left, right, third = (_shortened(one) for one in (left, right, third))
        across = jnp.cross(left, right, axis=1)
        overlap, volume = jnp.sum(left * right, axis=1), jnp.sum(across * third, axis=1)
        seen = jnp.concatenate([scalars, overlap, volume], axis=-1)
        keep, by_overlap, by_volume, along, around = jnp.split(
            jax.nn.silu(seen @ self.update) @ self.answer, 5, axis=-1
        )
        scalars = scalars + keep + by_overlap * overlap + by_volume * volume
        return scalars, vectors + along[:, None] * left + around[:, None] * across


def _shortened(vectors: Float[Array, "particles 3 width"]) -> Float[Array, "particles 3 width"]:
    """Vectors of the same directions and at most unit length: products of long ones would outgrow everything."""
    return vectors / jnp.sqrt(1.0 + jnp.sum(vectors**2, axis=1, keepdims=True))


class ParticleEnergy(Energy):
    """Gaussian of the data's width plus noise, which is right at large noise, energies of pairs, and a network.

    Walls and any function of the distance, for each two types: what is left to the network is what pairs do not tell.
    """

    like_beads: ClassVar[bool] = True

    molecule: ParticleTypes
    walls: TypeWalls
    by_distance: PairEnergy
    embedding: Array
    layers: list[Messages]
    hidden: Array
    readout: Array
    cutoff: float = eqx.field(static=True)

    @staticmethod
    def build(
        types: np.ndarray, contact: np.ndarray, key: PRNGKeyArray, *, width: int, depth: int, cutoff: float = CUTOFF
    ) -> ParticleEnergy:
        """Energy of particles of `types` (particles,) with `depth` fresh rounds of messages.

        contact: (types, types), least distances in the data in units of the chart. cutoff: in that unit.
        """
        embedding, hidden, *keys = jax.random.split(key, depth + 2)
        return ParticleEnergy(
            ParticleTypes(jnp.asarray(types)),
            TypeWalls(contact),
            PairEnergy(len(contact)),
            jax.random.normal(embedding, (len(contact), width)),
            [Messages(width, one) for one in keys],
            jax.random.normal(hidden, (width, width)) / np.sqrt(width),
            jnp.zeros((width, LEVEL_FEATURES)),
            cutoff,
        )

    def entries(self, system: System, count: int) -> int:
        lists = None if system is None else system.neighbours
        return count * (count if lists is None else lists.shape[-1])

    def energy(self, system: System, x: Float[Array, "particles axes"], sigma: Float[Array, ""]) -> Float[Array, ""]:
        x = in_space(x)
        particles = self.molecule.particles if system is None else system
        free = particles.edges is None
        spread = 1.0 + sigma**2 if free else 1.0
        pairs = pairs_of(x / jnp.sqrt(spread), particles, self.cutoff)
        radial, level = radial_functions(pairs.distance, RADIAL), level_features(sigma)
        # nobody carries a vector at first
        scalars, vectors = self.embedding[particles.types], None
        for layer in self.layers:
            scalars, vectors = layer(scalars, vectors, pairs, radial, particles, level)
        each = jax.nn.silu(scalars @ self.hidden) @ (self.readout @ level)
        prior = 0.5 * jnp.sum(jnp.where(particles.real[:, None], x, 0.0) ** 2) / spread if free else 0.0
        walls = self.walls(pairs.distance * jnp.sqrt(spread), pairs.weight, particles, sigma)
        by_pairs = walls + self.by_distance(pairs, particles, sigma)
        return prior + by_pairs + jnp.sum(jnp.where(particles.real, each, 0.0))
