"""Sums over lists of neighbours, and their first and second derivatives, against sums over all pairs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from precision import products
from twofold.energy.listening import AT_ONCE, Sent, Ways, heard, heard_from_lists

COUNT, WIDTH, RADIAL = AT_ONCE + 5, 4, 3
NEAR = np.triu(np.random.default_rng(0).random((COUNT, COUNT)) < 0.3, 1)
NEAR = NEAR | NEAR.T


def lists():
    """Partners of each particle, filled up with the number of particles."""
    partners = np.full((COUNT, NEAR.sum(1).max() + 1), COUNT)
    for place, row in enumerate(NEAR):
        partners[place, : row.sum()] = np.flatnonzero(row)
    return partners


def ways_between(x, to, near):
    step = jnp.where(near[..., None], to - x[:, None], 1.0)
    distance = jnp.sqrt(jnp.sum(step**2, -1))
    radial = jnp.exp(-distance[..., None] * jnp.arange(1, RADIAL + 1))
    return Ways(step / distance[..., None], jnp.where(near, 1.0 / (1.0 + distance), 0.0), radial)


def of_lists(filters, sent, x):
    partners = lists()
    padded = jnp.concatenate([x, jnp.zeros((1, 3))])
    return heard_from_lists(filters, sent, ways_between(x, padded[partners], partners < COUNT), partners)


def of_all(filters, sent, x):
    return jax.vmap(lambda way: heard(filters, sent, way))(ways_between(x, x[None], jnp.asarray(NEAR)))


@pytest.fixture(scope="module", params=["vectors", "none"])
def inputs(request):
    """With vectors to carry, and without, as in the first round."""
    keys = jax.random.split(jax.random.key(0), 5)
    shapes = ((RADIAL, WIDTH), (COUNT, WIDTH), (COUNT, 3, WIDTH), (COUNT, WIDTH), (COUNT, 3))
    filters, *sent, x = (jax.random.normal(key, shape) for key, shape in zip(keys, shapes, strict=True))
    told = Sent(*sent)
    return filters, told if request.param == "vectors" else told._replace(carried=None), x


def energy(hears):
    def total(filters, sent, x):
        numbers, vectors = hears(filters, sent, x)
        return jnp.sum(jnp.tanh(numbers)) + jnp.sum(jnp.sin(vectors))

    return total


def force_size(hears):
    """What a loss of scores is made of."""
    slope = jax.grad(energy(hears), argnums=2)
    return lambda filters, sent, x: jnp.sum(slope(filters, sent, x) ** 2)


def close(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-3)


def test_sums_and_their_gradients(inputs):
    close(jax.jit(of_lists)(*inputs), of_all(*inputs))
    one, other = (jax.jit(jax.grad(energy(hears), argnums=(0, 1, 2)))(*inputs) for hears in (of_lists, of_all))
    close(one, other)


def test_gradients_of_forces(inputs):
    """Backwards over backwards, as in training, and forwards over backwards, as in the Fokker-Planck residual."""
    one, other = (jax.jit(jax.grad(force_size(hears), argnums=(0, 1)))(*inputs) for hears in (of_lists, of_all))
    close(one, other)
    filters, sent, x = inputs
    way = jax.random.normal(jax.random.key(1), x.shape)
    one, other = (
        jax.jit(
            lambda x, hears=hears: jax.jvp(lambda x: jax.grad(energy(hears), 2)(filters, sent, x), (x,), (way,))[1]
        )(x)
        for hears in (of_lists, of_all)
    )
    close(one, other)


def test_gradients_that_are_taken_outside_are_as_exact_as_the_energy(inputs):
    """The way back has a code of its own, which is traced where nobody asks for full products any more."""
    filters, *others = inputs

    def exact(filters):
        with jax.default_matmul_precision("float32"):
            return energy(of_lists)(filters, *others)

    found = products(jax.grad(exact), filters)
    assert len(found) > len(products(exact, filters)) > 0
    assert all(found)


def test_batches_of_systems(inputs):
    filters, sent, x = inputs
    both = jnp.stack([x, 1.1 * x])
    found = jax.vmap(jax.grad(energy(of_lists), 2), (None, None, 0))(filters, sent, both)
    close(found[1], jax.grad(energy(of_all), 2)(filters, sent, both[1]))
