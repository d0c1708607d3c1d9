"""Hard cores: against the exact chi-square probability, noise, types, boxes, lists and padding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import ncx2

from twofold.energy.base import trainable
from twofold.energy.pairs import Particles
from twofold.energy.repulsion import SOFTNESS, repulsion, wall

FRAMES = np.array([[[0, 0, 0], [1.0, 0, 0], [1.0, 2.0, 0]], [[0, 0, 0], [1.5, 0, 0], [1.5, 0, 1.9]]])
TYPES = ("A", "B", "A")
"""Contacts: A and B at 1, A and A at sqrt(5) in the first frame; B and B never meet."""
X = jnp.array([[0.0, 0, 0], [0.9, 0, 0], [0.9, 0, 1.1]])


def exact(distance, contact, sigma):
    """-ln of what a Gaussian about `distance` in space leaves outside of the sphere."""
    width = np.sqrt((SOFTNESS * contact) ** 2 + 2 * sigma**2)
    return -ncx2.logsf((contact / width) ** 2, 3, (distance / width) ** 2)


@pytest.fixture(scope="module")
def energy():
    return repulsion(TYPES, FRAMES)


@pytest.mark.parametrize("sigma", [0.0, 0.05, 0.3, 1.0, 10.0])
def test_a_wall_is_what_noise_leaves_of_hard_spheres(sigma):
    distance = np.array([1e-3, 0.1, 0.6, 0.8, 0.95, 1.0, 1.05, 1.2, 2.0, 5.0])
    found = np.asarray(wall(jnp.asarray(distance), jnp.float32(1.0), jnp.float32(sigma)))
    expected = exact(distance, 1.0, sigma)
    some = np.isfinite(expected) & (expected < 100)  # where SciPy tells
    assert some.sum() >= 7
    np.testing.assert_allclose(found[some], expected[some], rtol=2e-4, atol=2e-6)
    assert np.all(found >= -1e-6)
    assert np.all(np.diff(found) <= 1e-6)


def test_deep_inside_it_is_a_parabola_and_far_out_nothing():
    assert float(wall(jnp.float32(0.2), jnp.float32(1.0), jnp.float32(0.0))) == pytest.approx(128, rel=0.05)
    slope = jax.grad(wall)
    # of forces too, at coinciding particles as far out
    for distance, sigma in ((1e-3, 0.004), (1e-3, 6.0), (30.0, 0.004), (1.0, 0.004)):
        assert np.isfinite(slope(jnp.float32(distance), jnp.float32(1.0), jnp.float32(sigma)))
    assert abs(float(slope(jnp.float32(1.0), jnp.float32(1.0), jnp.float32(20.0)))) < 1e-4


def test_contacts_are_those_of_types_in_the_frames(energy):
    np.testing.assert_allclose(energy.contact, [[np.sqrt(5), 1], [1, 0]], rtol=1e-6)
    assert energy.like_beads
    assert not any(jax.tree.leaves(trainable(energy)))


def test_energy_is_the_sum_over_pairs_and_force_its_slope(energy):
    sigma, contact = 0.2, float(energy.contact[0, 0])
    pairs = exact(0.9, 1.0, sigma) + exact(1.1, 1.0, sigma) + exact(np.hypot(0.9, 1.1), contact, sigma)
    assert float(energy.energy(None, X, jnp.float32(sigma))) == pytest.approx(pairs, rel=1e-4)
    score = energy.score(None, X, jnp.float32(sigma))
    ends = [energy.energy(None, X.at[1, 0].add(step), jnp.float32(sigma)) for step in (0.01, -0.01)]
    assert float(score[1, 0]) == pytest.approx(-float(ends[0] - ends[1]) / 0.02, rel=1e-2)
    np.testing.assert_allclose(score.sum(axis=0), 0.0, atol=1e-4)
    assert np.isfinite(energy.score(None, jnp.zeros((3, 3)), jnp.float32(0.004))).all()


@pytest.mark.parametrize("edges", [None, jnp.full(3, 8.0)])
@pytest.mark.parametrize("listed", [False, True])
def test_padding_has_no_walls(energy, edges, listed):
    lists = jnp.array([[1, 2], [0, 2], [0, 1], [5, 5], [5, 5]]) if listed else None
    filled = Particles(jnp.array([0, 1, 0, 0, 0]), jnp.arange(5) < 3, lists, edges)
    longer, sigma = jnp.concatenate([X, jnp.zeros((2, 3))]), jnp.float32(0.1)
    if edges is not None:
        longer = longer.at[1, 0].add(16.0)
    value, slope = jax.value_and_grad(energy.energy, argnums=1)(filled, longer, sigma)
    assert float(value) == pytest.approx(float(energy.energy(None, X, sigma)), rel=1e-4)
    assert not np.any(slope[3:])
