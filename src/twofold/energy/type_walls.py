"""Walls between particles, one for each two types, which all pairs of these types teach.

Few frames hold a pair in contact. A wall of few parameters rises where no frame has ever been; what is learned more
freely beside it does not.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from twofold.energy.network import LEVEL_FEATURES
from twofold.energy.pair_energy import sum_over_pairs
from twofold.energy.pairs import Particles, of_pairs
from twofold.fixed import Fixed

SOFTNESS = (0.02, 0.06, 0.2)
"""Widths of walls without noise, units of the chart."""


class TypeContacts(Fixed):
    """Contact distances (types, types) of the data, in units of the chart."""

    distance: Array


class TypeWalls(eqx.Module):
    """Walls between particles, with heights that are learned for each two types; they rise where no frame has been."""

    contacts: TypeContacts
    height: Array

    def __init__(self, contact: np.ndarray) -> None:
        self.contacts = TypeContacts(jnp.asarray(contact, jnp.float32))
        self.height = jnp.zeros((*contact.shape, len(SOFTNESS), LEVEL_FEATURES))

    def __call__(
        self, distance: Float[Array, "particles partners"], weight: Array, particles: Particles, sigma: Array
    ) -> Float[Array, ""]:
        # the distance of two particles is blurred by the noise of both
        width = jnp.sqrt(jnp.asarray(SOFTNESS) ** 2 + 2.0 * sigma**2)
        overlap = jax.nn.softplus((of_pairs(self.contacts.distance, particles) - distance)[..., None] / width)
        return sum_over_pairs(self.height, overlap, weight, particles, sigma)
