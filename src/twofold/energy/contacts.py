"""Excluded volume: beads that are not held by bonds keep out of each other's way.

A pair comes close in few frames, too few for a network to learn a wall for every pair. Pairs of alike beads share one
here, which all of them teach, and which rises steadily where no frame has ever been.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from twofold.beads import Beads, pair_classes
from twofold.energy.network import LEVEL_FEATURES, level_features
from twofold.fixed import Fixed
from twofold.products import product

SOFTNESS = (0.01, 0.03, 0.1)
"""Widths of the walls without noise, nm."""
BLUR = 0.05
"""Width in nm that noise adds to a wall for each unit of sigma: about a fifth of a radian at a quarter of a nm."""


class Walls(Fixed):
    """Sums over the pairs of each class of `softplus((contact - d) / width)`, for each of `SOFTNESS`.

    contact: (pairs,) nm, the least distance of any pair of the class in the data. member: (pairs, classes), one where
    the pair is of the class; a pair of none has no wall.
    """

    contact: Array
    member: Array

    def __call__(self, distances: Float[Array, " pairs"], sigma: Float[Array, ""]) -> Float[Array, "widths classes"]:
        width = jnp.sqrt(jnp.asarray(SOFTNESS) ** 2 + (BLUR * sigma) ** 2)
        overlap = jax.nn.softplus((self.contact - distances) / width[:, None])
        return product(self.member.T, overlap)


class ExcludedVolume(eqx.Module):
    """Energy in kT of walls whose heights are learned, for each class of pairs and level of noise; none at first."""

    walls: Walls
    height: Array

    def __init__(self, walls: Walls) -> None:
        self.walls = walls
        self.height = jnp.zeros((walls.member.shape[1], len(SOFTNESS), LEVEL_FEATURES))

    def __call__(self, distances: Float[Array, " pairs"], sigma: Float[Array, ""]) -> Float[Array, ""]:
        height = level_features(sigma) @ self.height.reshape(-1, LEVEL_FEATURES).T
        return jnp.sum(height.reshape(self.height.shape[:2]).T * self.walls(distances, sigma))


def excluded_volume(
    beads: Beads, pairs: np.ndarray, distances: np.ndarray, free: np.ndarray | None = None
) -> ExcludedVolume:
    """Walls for `pairs` (pairs, 2) from their distances (frames, pairs) in nm; those with equal names share one.

    free: (pairs,) bool, which pairs have one; those that a ring holds near have none. All have unless it is given.
    """
    free = np.ones(len(pairs), bool) if free is None else free
    classes = pair_classes(beads, pairs[free])
    kinds = int(classes.max(initial=-1)) + 1
    closest, contact, member = np.full(kinds, np.inf), np.zeros(len(pairs)), np.zeros((len(pairs), kinds))
    np.minimum.at(closest, classes, distances[:, free].min(axis=0))
    contact[free], member[free] = closest[classes], np.eye(kinds)[classes]
    return ExcludedVolume(Walls(jnp.asarray(contact, jnp.float32), jnp.asarray(member)))
