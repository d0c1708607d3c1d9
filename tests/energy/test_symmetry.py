"""Rotation and translation leave the energy as it is, mirror images have another one."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energy import molecules
from twofold.chart.cartesian import cartesian_chart
from twofold.energy.beadnet import BeadNetSettings, build_beadnet
from twofold.energy.rotations import random_rotations, rotate
from twofold.energy.tables import noised
from twofold.energy.transformer import TransformerSettings, build_transformer

LEVELS = [0.01, 0.2, 2.0]


@pytest.fixture(scope="module")
def case():
    frames = molecules.chain_frames(800)
    chart = cartesian_chart(frames)
    settings = BeadNetSettings(width=16, blocks=2, table_frames=500)
    model = build_beadnet(molecules.beads(6, molecules.CHAIN_BONDS), frames, chart, jax.random.key(0), settings)
    last = 0.3 * np.random.default_rng(0).standard_normal(model.last.shape)
    model = eqx.tree_at(lambda m: m.last, model, jnp.asarray(last, jnp.float32))
    return jax.vmap(chart.encode)(jnp.asarray(frames[:50])), jax.jit(jax.vmap(model.energy, (None, 0, None)))


@pytest.mark.parametrize("sigma", LEVELS)
def test_rotation_and_translation(case, sigma):
    x, energy = case
    y = jnp.asarray(noised(np.asarray(x), sigma, seed=1))
    turned = rotate(random_rotations(jax.random.key(3), len(y)), y)
    expected = np.asarray(energy(None, y, jnp.float32(sigma)))
    scale = np.abs(expected).max()
    np.testing.assert_allclose(energy(None, turned, jnp.float32(sigma)), expected, atol=1e-4 * scale)
    np.testing.assert_allclose(energy(None, y + 1.5, jnp.float32(sigma)), expected, atol=1e-3 * scale)


@pytest.mark.parametrize("sigma", LEVELS)
def test_mirror_images_differ(case, sigma):
    x, energy = case
    mirrored = x * jnp.array([-1.0, 1.0, 1.0])
    gap = energy(None, mirrored, jnp.float32(sigma)) - energy(None, x, jnp.float32(sigma))
    assert np.abs(np.asarray(gap)).min() > (0.5 if sigma < 0.1 else 0.0)
    assert np.abs(np.asarray(gap)).mean() > 0.01


def test_transformer_is_not_invariant_and_says_so():
    beads = molecules.beads(6, molecules.CHAIN_BONDS)
    model = build_transformer(beads, jax.random.key(0), TransformerSettings(16, 1, 2))
    x = jax.random.normal(jax.random.key(1), (6, 3))
    turned = x @ random_rotations(jax.random.key(2), 1)[0].T
    level = jnp.float32(0.5)
    assert model.augment_rotation
    assert abs(float(model.energy(None, x, level) - model.energy(None, turned, level))) > 1e-4
    assert float(model.energy(None, x + 2.0, level)) == pytest.approx(float(model.energy(None, x, level)), rel=1e-4)


def test_rotations_are_uniform():
    """Squared projections of body axes on laboratory axes average 1/3, and there are no reflections."""
    matrices = np.asarray(random_rotations(jax.random.key(0), 60_000), np.float64)
    np.testing.assert_allclose((matrices**2).mean(0), 1 / 3, atol=0.006)
    np.testing.assert_allclose(matrices.mean(0), 0.0, atol=0.01)
    np.testing.assert_allclose(np.linalg.det(matrices), 1.0, atol=1e-5)
    turns = np.asarray(random_rotations(jax.random.key(1), 60_000, 2), np.float64)
    np.testing.assert_allclose(turns @ turns.swapaxes(1, 2), np.broadcast_to(np.eye(2), turns.shape), atol=1e-6)
    np.testing.assert_allclose(np.linalg.det(turns), 1.0, atol=1e-5)
    np.testing.assert_allclose(turns.mean(0), 0.0, atol=0.01)
    # the angle of a uniform rotation has density (1 - cos)/pi
    cosine = (np.trace(matrices, axis1=1, axis2=2) - 1) / 2
    assert cosine.mean() == pytest.approx(-0.5, abs=0.01)
