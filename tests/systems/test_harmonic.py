"""Springs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twofold.systems.harmonic import Harmonic
from twofold.units import thermal_energy


def test_energy_and_force():
    chain = Harmonic.chain([100.0, 200.0])
    positions = jnp.array([[0.0, 0, 0], [0.1, 0, 0], [0.1, 0.2, 0]])
    assert float(chain.energy(positions)) == pytest.approx(0.5 * 100 * 0.01 + 0.5 * 200 * 0.04)
    force = -jax.grad(chain.energy)(positions)
    np.testing.assert_allclose(force, [[10, 0, 0], [-10, 40, 0], [0, -40, 0]], atol=1e-4)


def test_covariance_of_wells_and_of_a_chain():
    np.testing.assert_allclose(
        Harmonic.wells([100.0, 50.0]).covariance(300.0), thermal_energy(300.0) * np.diag([0.01, 0.02]), rtol=1e-6
    )
    spread = Harmonic.chain([100.0]).covariance(300.0)
    assert spread[0, 0] + spread[1, 1] - 2 * spread[0, 1] == pytest.approx(thermal_energy(300.0) / 100, rel=1e-6)
    np.testing.assert_allclose(spread.sum(axis=0), 0, atol=1e-9)


def test_samples_have_the_covariance():
    chain = Harmonic.chain([100.0, 200.0, 50.0])
    x = chain.sample(40000, 300.0, np.random.default_rng(0)).astype(np.float64)
    np.testing.assert_allclose(np.einsum("fix,fjx->ij", x, x) / 120000, chain.covariance(300.0), atol=3e-4)


def test_frequencies():
    masses = np.array([12.0, 16.0])
    reduced = 12 * 16 / 28
    np.testing.assert_allclose(Harmonic.chain([100.0]).frequencies(masses), [0, np.sqrt(100 / reduced)], atol=2e-3)
