"""Bonds given: values by hand, force, noise, boxes, padding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twofold.energy.pairs import Bonds, Particles
from twofold.energy.springs import springs
from twofold.errors import UserError

FRAMES = np.array([[[0, 0, 0], [0.9, 0, 0], [0.9, 2, 0]], [[0, 0, 0], [1.1, 0, 0], [1.1, 0, 2.2]]])
BONDS = np.array([(0, 1), (1, 2)])
"""Means 1 and 2.1, widths 0.1 and 0.1."""
X = jnp.array([[0.0, 0, 0], [1.2, 0, 0], [1.2, 0, 2.0]])


@pytest.fixture(scope="module")
def energy():
    return springs(BONDS, FRAMES)


def test_stretched_bonds_by_hand(energy):
    """Two widths and one: 1/2 (4 + 1) kT; noise adds to the width, and lets go where it exceeds the bond."""
    assert float(energy.energy(None, X, jnp.float32(1e-5))) == pytest.approx(2.5, rel=1e-4)
    sigma = 0.1
    each = np.array([0.2**2 / (1 + sigma**2), 0.1**2 / (1 + (sigma / 2.1) ** 2)]) / 2 / (0.01 + 2 * sigma**2)
    assert float(energy.energy(None, X, jnp.float32(sigma))) == pytest.approx(each.sum(), rel=1e-4)
    assert abs(energy.score(None, X, jnp.float32(100.0))).max() < 1e-6


def test_force_by_hand(energy):
    """Stretched by 0.2 at width 0.1: 20 kT a unit of length, along the bond."""
    score = energy.score(None, X, jnp.float32(1e-5))
    np.testing.assert_allclose(score, [[20, 0, 0], [-20, 0, -10], [0, 0, 10]], rtol=1e-3, atol=1e-3)
    ends = [energy.energy(None, X.at[1, 1].add(step), jnp.float32(0.1)) for step in (0.01, -0.01)]
    assert float(energy.score(None, X, jnp.float32(0.1))[1, 1]) == pytest.approx(
        -float(ends[0] - ends[1]) / 0.02, abs=1e-3
    )


def test_weights_count():
    weighted = springs(BONDS, FRAMES, np.array([3.0, 1.0]))
    np.testing.assert_allclose(weighted.length, [0.95, 2.05], rtol=1e-6)


@pytest.mark.parametrize("edges", [None, jnp.full(3, 6.0)])
def test_padding_is_bound_to_nothing(energy, edges):
    pairs = jnp.array([(0, 1), (1, 2), (5, 5), (2, 4)])
    bonds = Bonds(pairs, jnp.array([1.0, 2.1, 1.0, 1.0]), jnp.array([0.1, 0.1, 1.0, 1.0]))
    filled = Particles(jnp.zeros(5, int), jnp.arange(5) < 3, edges=edges, bonds=bonds)
    longer, sigma = jnp.concatenate([X, jnp.ones((2, 3))]), jnp.float32(0.1)
    if edges is not None:
        longer = longer.at[1, 0].add(12.0)
    value, slope = jax.value_and_grad(energy.energy, argnums=1)(filled, longer, sigma)
    assert float(value) == pytest.approx(float(energy.energy(None, X, sigma)), rel=1e-4)
    assert not np.any(slope[3:])
    assert jnp.isfinite(jax.grad(energy.energy, argnums=2)(filled, longer, sigma))


def test_what_is_missing_is_told(energy):
    with pytest.raises(UserError, match="bonds"):
        energy.energy(Particles(jnp.zeros(3, int), jnp.ones(3, bool)), X, jnp.float32(0.1))
    with pytest.raises(UserError, match="particles 0 to 2"):
        springs(np.array([(0, 3)]), FRAMES)
