"""Products with constant matrices against those written the other way round."""

import jax
import jax.numpy as jnp
import numpy as np

from twofold.products import differences, product


def test_product_is_the_matrix_on_the_last_axis():
    rng = np.random.default_rng(0)
    matrix, values = rng.normal(size=(3, 4)), rng.normal(size=(5, 2, 4))
    np.testing.assert_allclose(product(matrix, values), np.einsum("rc,abc->abr", matrix, values), rtol=1e-5)


def test_differences_are_exact_and_have_components_first():
    positions = jnp.asarray(np.random.default_rng(1).normal(size=(6, 3)) + 7.0, jnp.float32)
    to, start = np.array([1, 5, 2]), np.array([0, 0, 4])
    found = differences(positions, jax.nn.one_hot(to, 6), jax.nn.one_hot(start, 6))
    np.testing.assert_array_equal(found, (positions[to] - positions[start]).T)
