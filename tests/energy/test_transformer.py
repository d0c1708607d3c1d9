import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from energy import molecules
from twofold.energy.transformer import HEAD_WIDTH, Attention, TransformerSettings, build_transformer, diffusion_time


def naive_attention(layer: Attention, hidden, x, step: eqx.nn.Linear):
    """The published form: a tensor of pairs, its projection added to the keys and values of each pair."""
    count = len(hidden)
    edges = jax.vmap(jax.vmap(lambda d: layer.edge(step(d))))(x[None] - x[:, None])
    query = jax.vmap(layer.query)(hidden).reshape(count, layer.heads, HEAD_WIDTH)
    keys, values = jnp.split(jax.vmap(layer.key_value)(hidden), 2, axis=-1)
    keys = (keys[None] + edges).reshape(count, count, layer.heads, HEAD_WIDTH)
    values = (values[None] + edges).reshape(count, count, layer.heads, HEAD_WIDTH)
    attention = jax.nn.softmax(jnp.einsum("ihd,ijhd->hij", query, keys) / np.sqrt(HEAD_WIDTH), axis=-1)
    return jax.vmap(layer.out)(jnp.einsum("hij,ijhd->ihd", attention, values).reshape(count, -1))


@pytest.mark.parametrize("count", [2, 7])
def test_attention_equals_the_published_pair_tensor(count):
    keys = jax.random.split(jax.random.key(0), 4)
    layer, step = Attention(24, 4, keys[0]), eqx.nn.Linear(3, 24, key=keys[1])
    hidden, x = jax.random.normal(keys[2], (count, 24)), 2.0 * jax.random.normal(keys[3], (count, 3))
    np.testing.assert_allclose(layer(hidden, x, step), naive_attention(layer, hidden, x, step), atol=2e-5)


def test_parameters_as_published():
    """647,297 for alanine dipeptide; here the index and the bias of the input map are one table."""
    model = build_transformer(molecules.beads(5, np.zeros((0, 2))), jax.random.key(0), TransformerSettings(96, 2, 8))
    number = sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(model, eqx.is_inexact_array)))
    assert number == 647_297 - 96


def test_score_is_the_predicted_noise_over_sigma():
    model = build_transformer(molecules.beads(5, np.zeros((0, 2))), jax.random.key(0), TransformerSettings(16, 1, 2))
    y = jax.random.normal(jax.random.key(1), (5, 3))
    y = y - y.mean(0)
    for sigma in (0.05, 1.0, 6.0):
        level = jnp.float32(sigma)
        noise = jax.grad(model.network)(y / jnp.sqrt(1 + level**2), diffusion_time(level))
        noise = noise - noise.mean(0)
        score = -jax.grad(model.energy, argnums=1)(None, y, level)
        np.testing.assert_allclose(score, -noise / sigma, rtol=1e-4, atol=1e-5 / sigma)


def test_time_matches_the_cosine_schedule():
    time = np.array([0.0, 0.02, 0.3, 0.9])
    kept = (np.cos((time + 0.008) / 1.008 * np.pi / 2) / np.cos(0.008 / 1.008 * np.pi / 2)) ** 2
    sigma = np.sqrt(1 / kept - 1)
    np.testing.assert_allclose(jax.vmap(diffusion_time)(jnp.asarray(sigma, jnp.float32)), time, atol=1e-4)


def test_gradient_agrees_with_finite_differences():
    with jax.enable_x64(True):
        model = build_transformer(molecules.beads(4, np.zeros((0, 2))), jax.random.key(0), TransformerSettings(8, 1, 2))
        model = jax.tree.map(lambda a: a.astype(jnp.float64) if eqx.is_inexact_array(a) else a, model)
        y = jnp.asarray(np.random.default_rng(0).standard_normal((4, 3)))
        check_grads(
            jax.jit(lambda z: model.energy(None, z, jnp.float64(0.3))),
            (y,),
            order=1,
            modes=["rev"],
            rtol=1e-5,
            eps=1e-6,
        )
