"""Is a force the gradient of an energy?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from twofold.diagnosis import thresholds
from twofold.diagnosis.checks import Check
from twofold.diagnosis.verdict import judged

Force = Callable[[Float[Array, "beads 3"]], Float[Array, "beads 3"]]
PAIRS = 4
"""Pairs of directions for each frame."""


def relative_curl(force: Callable[[Array], Array], positions: Any, directions: Any) -> float:
    """Root mean square of `u.Jv - v.Ju` over that of `|u.Jv| + |v.Ju|`, with J the Jacobian of the force.

    A force that is the gradient of anything has a symmetric Jacobian, and 0; one whose Jacobian is antisymmetric has 1.
    positions: (frames, ...), in any coordinates; directions: (frames, pairs, 2, ...).
    """
    return relative(*_products(force, jnp.asarray(positions, jnp.float32), jnp.asarray(directions, jnp.float32)))


def relative(forth: Array, back: Array) -> float:
    """Root mean square of a difference over that of the sum of sizes."""
    a, b = np.asarray(forth, np.float64), np.asarray(back, np.float64)
    above, below = np.mean(np.square(a - b)), np.mean(np.square(np.abs(a) + np.abs(b)))
    return float(np.sqrt(above / below)) if below > 0 else 0.0


@eqx.filter_jit
def _products(force: Force, positions: Array, directions: Array) -> tuple[Array, Array]:
    """`u.Jv` and `v.Ju`, (frames, pairs)."""

    def one(pair: tuple[Array, Array]) -> tuple[Array, Array]:
        _, push = jax.linearize(force, pair[0])

        def both(uv: Array) -> tuple[Array, Array]:
            return jnp.sum(uv[0] * push(uv[1])), jnp.sum(uv[1] * push(uv[0]))

        return jax.vmap(both)(pair[1])

    with jax.default_matmul_precision("float32"):
        return jax.lax.map(one, (positions, directions), batch_size=32)


def curl_check(force: Force, positions: np.ndarray, seed: int = 0) -> Check:
    """Whether the force is conservative."""
    count, beads, _ = positions.shape
    directions = np.random.default_rng(seed).standard_normal((count, PAIRS, 2, beads, 3))
    value = relative_curl(force, positions, directions)
    sentences = {
        "pass": "The force is the gradient of an energy: the work done along a closed path is zero.",
        "fail": "The force is not the gradient of an energy: a simulation with it gains or loses energy on closed "
        "paths, and does not sample any density that the model knows.",
    }
    return judged("symmetry.curl", "conservative force", value, thresholds.CURL, sentences)
