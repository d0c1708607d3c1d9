"""Uniform random rotations, in space and in a plane."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray


def random_rotations(key: PRNGKeyArray, number: int, axes: int = 3) -> Float[Array, "number axes axes"]:
    """Rotation matrices from the uniform (Haar) measure: unit quaternions with a uniform direction in four dimensions.

    Products of rotations about fixed axes by uniform angles are not uniform. axes: 2 for rotations of a plane.
    """
    if axes == 2:
        angle = jax.random.uniform(key, (number,), maxval=2 * jnp.pi)
        cosine, sine = jnp.cos(angle), jnp.sin(angle)
        return jnp.stack([jnp.stack([cosine, -sine], -1), jnp.stack([sine, cosine], -1)], -2)
    quaternion = jax.random.normal(key, (number, 4))
    w, x, y, z = (quaternion / jnp.linalg.norm(quaternion, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return jnp.stack([jnp.stack(row, -1) for row in rows], -2)


def rotate(
    rotations: Float[Array, "number axes axes"], x: Float[Array, "number beads axes"]
) -> Float[Array, "number beads axes"]:
    """Each conformation turned by its own rotation, without rounding to TF32."""
    return jnp.einsum("bij,bnj->bni", rotations, x, precision=jax.lax.Precision.HIGHEST)
