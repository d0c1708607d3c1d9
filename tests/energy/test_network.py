"""The residual network: one scalar, smooth in sigma, zero before training."""

import jax
import jax.numpy as jnp
import numpy as np

from twofold.energy.network import ResidualNetwork, level_features


def test_a_fresh_network_says_nothing():
    network = ResidualNetwork(6, 16, 2, jax.random.key(0))
    assert float(network(jnp.ones(6), jnp.float32(0.3))) == 0.0


def test_level_features_tell_levels_apart_and_overlap():
    sigma = np.geomspace(1e-3, 1e2, 200)
    features = np.asarray(jax.jit(jax.vmap(level_features))(jnp.asarray(sigma)))
    assert features.sum(1).min() > 1.0
    assert features.max() <= 1.0
    assert np.linalg.norm(np.diff(features, axis=0), axis=1).min() > 0.01


def test_seeds_give_different_networks_of_the_same_shape():
    first, second = (ResidualNetwork(6, 16, 3, jax.random.key(seed)) for seed in (0, 1))
    for left, right in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        assert left.shape == right.shape
    assert not np.allclose(first.first, second.first)
    assert len(first.hidden) == 2
