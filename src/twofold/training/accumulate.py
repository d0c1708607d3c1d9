"""Gradients of sums over frames, a few frames at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def value_and_gradient(
    function: Callable[[Any, Any], Float[Array, ""]], parameters: Any, frames: Any, at_once: int
) -> tuple[Float[Array, ""], Any]:
    """A sum over frames and its gradient with respect to `parameters`, of at most `at_once` frames at a time.

    function: of parameters and of a tree of arrays, such as `frames`, whose first axis is that of frames. What is kept
    for the gradient of a few frames is forgotten before the next ones. All parts have as many frames as the first.
    """
    count = len(jax.tree.leaves(frames)[0])
    size = max(size for size in range(1, min(at_once, count) + 1) if count % size == 0)
    if size == count:
        return jax.value_and_grad(function)(parameters, frames)
    parts = jax.tree.map(lambda array: array.reshape(-1, size, *array.shape[1:]), frames)

    def add(total: tuple[Array, Any], part: Any) -> tuple[tuple[Array, Any], None]:
        return jax.tree.map(jnp.add, total, jax.value_and_grad(function)(parameters, part)), None

    nothing = jnp.zeros(()), jax.tree.map(jnp.zeros_like, parameters)
    return jax.lax.scan(add, nothing, parts)[0]
