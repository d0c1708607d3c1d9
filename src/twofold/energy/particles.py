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
from typing import ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from twofold.energy.base import Energy, System
from twofold.energy.listening import Sent, Ways, heard, heard_from_lists
from twofold.energy.network import LEVEL_FEATURES, level_features
from twofold.fixed import Fixed

CUTOFF = 8.0
"""Distance beyond which particles do not speak to each other, in standard deviations of the data."""
RADIAL = 24
"""Functions of the distance."""
DECAY = 0.6
"""Per unit: radial functions are bumps on an even grid of exp(-decay * distance), denser where particles touch."""
SOFTEST = 1e-6
"""Least square of a distance, where directions of coinciding particles would not be finite."""


SOFTNESS = (0.02, 0.06, 0.2)
"""Widths of walls without noise, units of the chart."""


class Bonds(NamedTuple):
    """Pairs of particles, filled up with the number of particles, with their length and width in units of the chart."""

    pairs: Int[Array, "bonds 2"]
    length: Float[Array, " bonds"]
    width: Float[Array, " bonds"]


class Particles(NamedTuple):
    """What does not move: types (particles,), and where systems of different size share a batch which ones are real.

    neighbours: (particles, most) indices of those that may be within the cut-off, filled up with the number of
    particles (see `twofold.energy.neighbours`), symmetric: a partner has the particle on its list; None lets all see
    all. edges: of a periodic box, in the unit of the coordinates, which are not scaled then; None is free space. What
    only some terms of an energy ask for: charges, elementary; excluded, pairs that do not see each other's charge,
    filled up like lists; bonds.
    """

    types: Int[Array, " particles"]
    real: Bool[Array, " particles"]
    neighbours: Int[Array, "particles most"] | None = None
    edges: Float[Array, " 3"] | None = None
    charges: Float[Array, " particles"] | None = None
    excluded: Int[Array, "pairs 2"] | None = None
    bonds: Bonds | None = None


class ParticleTypes(Fixed):
    """The particles of the one molecule that a model was fitted to."""

    types: Array

    @property
    def particles(self) -> Particles:
        return Particles(self.types, jnp.ones(self.types.shape, bool))


class Pairs(NamedTuple):
    """Each particle and its partners: unit vectors to them, distances, and weights that fall to zero at the cut-off."""

    direction: Float[Array, "particles partners 3"]
    distance: Float[Array, "particles partners"]
    weight: Float[Array, "particles partners"]


def pairs_of(x: Float[Array, "particles 3"], particles: Particles, cutoff: float) -> Pairs:
    """Partners within `cutoff` of each particle; padding has no weight."""
    count = x.shape[0]
    if particles.neighbours is None:
        other, real = x[None], particles.real[None] & ~jnp.eye(count, dtype=bool)
    else:
        padded = jnp.concatenate([x, jnp.zeros((1, 3), x.dtype)])
        other, real = padded[particles.neighbours], jnp.append(particles.real, False)[particles.neighbours]
    step = _nearest(other - x[:, None], particles)
    # a particle is its own partner in the dense table: a step of one keeps its gradient finite
    step = jnp.where(real[..., None], step, 1.0)
    distance = jnp.sqrt(jnp.sum(step**2, axis=-1) + SOFTEST)
    near = jnp.minimum(distance / cutoff, 1.0)
    # one at contact, zero with two derivatives at the cut-off
    smooth = (1.0 - near) ** 3 * (1.0 + 3.0 * near + 6.0 * near**2)
    return Pairs(step / distance[..., None], distance, jnp.where(real & particles.real[:, None], smooth, 0.0))


def of_pairs(table: Float[Array, "types types ..."], particles: Particles) -> Float[Array, "particles partners ..."]:
    """What a table of each two types has for each particle and its partners, in the order of `pairs_of`."""
    types = jnp.append(particles.types, 0)
    other = types[None, :-1] if particles.neighbours is None else types[particles.neighbours]
    return table[particles.types[:, None], other]


def steps_of(
    x: Float[Array, "particles 3"], pairs: Int[Array, "pairs 2"], particles: Particles
) -> Float[Array, "pairs 3"]:
    """Vectors from the first to the second of each pair, between nearest images; ones where a pair is filled up."""
    count = x.shape[0]
    first, second = jnp.concatenate([x, jnp.zeros((1, 3), x.dtype)])[pairs.T]
    return jnp.where(jnp.all(pairs < count, axis=-1)[:, None], _nearest(second - first, particles), 1.0)


def _nearest(step: Float[Array, "... 3"], particles: Particles) -> Float[Array, "... 3"]:
    if particles.edges is None:
        return step
    return step - particles.edges * jnp.round(step / particles.edges)


def in_space(x: Float[Array, "particles axes"]) -> Float[Array, "particles 3"]:
    """A plane lies in space."""
    return jnp.pad(x, ((0, 0), (0, 3 - x.shape[1])))


def radial_functions(distance: Float[Array, ...]) -> Float[Array, "... radial"]:
    """Gaussian bumps in `exp(-DECAY distance)`."""
    centres = jnp.linspace(0.0, 1.0, RADIAL)
    return jnp.exp(-0.5 * ((jnp.exp(-DECAY * distance)[..., None] - centres) * (RADIAL - 1)) ** 2)


class Messages(eqx.Module):
    """One round of messages, and what each particle makes of them."""

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
        vectors: Float[Array, "particles 3 width"],
        pairs: Pairs,
        radial: Float[Array, "particles partners radial"],
        particles: Particles,
        level: Float[Array, " features"],
    ) -> tuple[Float[Array, "particles width"], Float[Array, "particles 3 width"]]:
        scale, shift = jnp.split(level @ self.level, 2)
        news = jax.nn.silu(scalars * (1.0 + scale) + shift) @ self.send
        plain, carried, pointing = jnp.split(news, 3, axis=-1)
        # one filter serves all three messages: it is what costs time, since every pair has its own
        sent, ways = Sent(plain, carried[:, None] * vectors, pointing), Ways(pairs.direction, pairs.weight, radial)
        if particles.neighbours is None:
            numbers, arrows = jax.vmap(partial(heard, self.filter, sent))(ways)
        else:
            numbers, arrows = heard_from_lists(self.filter, sent, ways, particles.neighbours)
        return self._within(scalars + numbers, vectors + arrows)

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


class TypeWalls(Fixed):
    """Contact distances (types, types) of the data, in units of the chart."""

    contact: Array


class Repulsion(eqx.Module):
    """Walls between particles, with heights that are learned for each two types; they rise where no frame has been."""

    walls: TypeWalls
    height: Array

    def __init__(self, contact: np.ndarray) -> None:
        self.walls = TypeWalls(jnp.asarray(contact, jnp.float32))
        self.height = jnp.zeros((*contact.shape, len(SOFTNESS), LEVEL_FEATURES))

    def __call__(
        self, distance: Float[Array, "particles partners"], weight: Array, particles: Particles, sigma: Array
    ) -> Float[Array, ""]:
        # the distance of two particles is blurred by the noise of both
        width = jnp.sqrt(jnp.asarray(SOFTNESS) ** 2 + 2.0 * sigma**2)
        overlap = jax.nn.softplus((of_pairs(self.walls.contact, particles) - distance)[..., None] / width)
        height = self.height @ level_features(sigma)
        both = of_pairs(0.5 * (height + height.swapaxes(0, 1)), particles)
        # every pair is met twice
        return 0.5 * jnp.sum(weight * jnp.sum(both * overlap, axis=-1))


class ParticleEnergy(Energy):
    """Gaussian of the data's width plus noise, which is right at large noise, walls, and a message-passing network."""

    like_beads: ClassVar[bool] = True

    molecule: ParticleTypes
    repulsion: Repulsion
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
            Repulsion(contact),
            jax.random.normal(embedding, (len(contact), width)),
            [Messages(width, one) for one in keys],
            jax.random.normal(hidden, (width, width)) / np.sqrt(width),
            jnp.zeros((width, LEVEL_FEATURES)),
            cutoff,
        )

    def energy(self, system: System, x: Float[Array, "particles axes"], sigma: Float[Array, ""]) -> Float[Array, ""]:
        x = in_space(x)
        particles = self.molecule.particles if system is None else system
        free = particles.edges is None
        spread = 1.0 + sigma**2 if free else 1.0
        pairs = pairs_of(x / jnp.sqrt(spread), particles, self.cutoff)
        radial, level = radial_functions(pairs.distance), level_features(sigma)
        scalars = self.embedding[particles.types]
        vectors = jnp.zeros((x.shape[0], 3, scalars.shape[1]))
        for layer in self.layers:
            scalars, vectors = layer(scalars, vectors, pairs, radial, particles, level)
        each = jax.nn.silu(scalars @ self.hidden) @ (self.readout @ level)
        prior = 0.5 * jnp.sum(jnp.where(particles.real[:, None], x, 0.0) ** 2) / spread if free else 0.0
        walls = self.repulsion(pairs.distance * jnp.sqrt(spread), pairs.weight, particles, sigma)
        return prior + walls + jnp.sum(jnp.where(particles.real, each, 0.0))


def contacts_by_type(positions: np.ndarray, types: np.ndarray) -> np.ndarray:
    """Least distance (types, types) of two particles of each two types in frames (frames, particles, 3), in their unit.

    Types of which there is no pair never meet, and get a contact at zero.
    """
    kinds = int(types.max()) + 1
    least = np.full((kinds, kinds), np.inf)
    for i, j in zip(*np.triu_indices(len(types), 1), strict=True):
        closest = np.sqrt(np.min(np.sum((positions[:, i].astype(np.float64) - positions[:, j]) ** 2, axis=-1)))
        for a, b in ((types[i], types[j]), (types[j], types[i])):
            least[a, b] = min(least[a, b], closest)
    return np.where(np.isfinite(least), least, 0.0)
