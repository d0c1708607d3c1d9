"""Gradients of sums over frames, a few frames at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from twofold.energy.together import part_size


def value_and_gradient(
    function: Callable[[Any, Any], Float[Array, ""]], parameters: Any, frames: Any, at_once: int
) -> tuple[Float[Array, ""], Any]:
    """A sum over frames and its gradient with respect to `parameters`, of at most `at_once` frames at a time.

    function: of parameters and of a tree of arrays, such as `frames`, whose first axis is that of frames. What is kept
    for the gradient of a few frames is forgotten before the next ones.
    """
    count = len(jax.tree.leaves(frames)[0])
    size = part_size(count, at_once)
    if size == count:
        return jax.value_and_grad(function)(parameters, frames)

    def add(total: tuple[Array, Any], part: Any) -> tuple[tuple[Array, Any], None]:
        return jax.tree.map(jnp.add, total, jax.value_and_grad(function)(parameters, part)), None

    even = count // size * size
    parts = jax.tree.map(lambda array: array[:even].reshape(-1, size, *array.shape[1:]), frames)
    nothing = jnp.zeros(()), jax.tree.map(jnp.zeros_like, parameters)
    total, _ = jax.lax.scan(add, nothing, parts)
    return total if even == count else add(total, jax.tree.map(lambda array: array[even:], frames))[0]
