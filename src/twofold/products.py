"""Products with constant matrices, in full precision and in the order that batches like.

Of `A @ v` under `vmap` the batch comes last, of what autodiff makes of it first: XLA then transposes between any two
products, which costs more than they do. Indexing is worse, as it scatters on the way back. A product with the batch
first, be its matrix of zeros and ones, is the cheapest of all that moves numbers about.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def product(matrix: Float[Array, "rows columns"], values: Float[Array, "... columns"]) -> Float[Array, "... rows"]:
    """`matrix` times the last axis of `values`, never in reduced precision."""
    return jnp.matmul(values, matrix.T, precision=jax.lax.Precision.HIGHEST)


def differences(
    positions: Float[Array, "beads 3"], to: Float[Array, "pairs beads"], start: Float[Array, "pairs beads"]
) -> Float[Array, "3 pairs"]:
    """Vectors from the beads that `start` picks to those that `to` picks, by rows of zeros and a one; exact."""
    return product(to - start, positions.T)
