"""What is derived from an energy once for all architectures."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from synthetic import Gaussian
from twofold.energy.base import Energy, energies, scores, trainable
from twofold.fixed import Fixed


class Table(Fixed):
    values: jax.Array


class Parts(Energy):
    weight: jax.Array
    count: jax.Array
    table: Table
    nested: list

    def energy(self, system, x, sigma):
        return jnp.sum(self.weight * x)


def test_scores_are_those_of_the_noised_gaussian():
    variance, sigma = np.array([0.5, 2.0]), np.array([0.1, 1.0, 3.0])
    x = np.random.default_rng(0).standard_normal((3, 2))
    found = jax.jit(scores)(Gaussian.of(np.diag(variance)), None, jnp.asarray(x), jnp.asarray(sigma))
    np.testing.assert_allclose(found, -x / (variance + sigma[:, None] ** 2), rtol=1e-4)


def test_energies_at_their_own_levels():
    sigma = np.array([0.1, 1.0, 3.0])
    found = jax.jit(energies)(Gaussian.of(np.eye(2)), None, jnp.ones((3, 2)), jnp.asarray(sigma))
    np.testing.assert_allclose(found, 1 / (1 + sigma**2), rtol=1e-5)


def test_tables_and_integers_are_not_trained():
    model = Parts(jnp.ones(2), jnp.arange(3), Table(jnp.ones(4)), [Table(jnp.ones(1)), jnp.ones(5)])
    kept = eqx.filter(model, trainable(model))
    assert [leaf.shape for leaf in jax.tree.leaves(kept)] == [(2,), (5,)]
