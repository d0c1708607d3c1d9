"""Uniform random rotations."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray


def random_rotations(key: PRNGKeyArray, number: int) -> Float[Array, "number 3 3"]:
    """Rotation matrices from the uniform (Haar) measure: unit quaternions with a uniform direction in four dimensions.

    Products of rotations about fixed axes by uniform angles are not uniform.
    """
    quaternion = jax.random.normal(key, (number, 4))
    w, x, y, z = (quaternion / jnp.linalg.norm(quaternion, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return jnp.stack([jnp.stack(row, -1) for row in rows], -2)


def rotate(rotations: Float[Array, "number 3 3"], x: Float[Array, "number beads 3"]) -> Float[Array, "number beads 3"]:
    """Each conformation turned by its own rotation, without rounding to TF32."""
    return jnp.einsum("bij,bnj->bni", rotations, x, precision=jax.lax.Precision.HIGHEST)
