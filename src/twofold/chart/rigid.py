"""Forces without what they would do to a rigid body."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

SINGULAR = 1e-6
"""Added to the moments of inertia, as a share of their sum: beads on a line have no moment about it, nor a torque."""


def without_rigid_motion(
    positions: Float[Array, "beads 3"], forces: Float[Array, "beads 3"]
) -> Float[Array, "beads 3"]:
    """What is left of forces after the least-squares fit of a force and a torque on all beads alike.

    The mean force of a free molecule has neither, so that its estimate stays unbiased; those of single frames have both
    where there is a solvent, as noise.
    """
    away = positions - jnp.mean(positions, axis=0)
    forces = forces - jnp.mean(forces, axis=0)
    square = jnp.sum(away**2)
    inertia = (1.0 + SINGULAR) * square * jnp.eye(3) - jnp.sum(away[:, :, None] * away[:, None, :], axis=0)
    torque = jnp.sum(jnp.cross(away, forces), axis=0)
    return forces - jnp.cross(jnp.linalg.solve(inertia, torque), away)
