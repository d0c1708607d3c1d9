"""Energies as labels, on Gaussian data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import synthetic
from twofold.chart.flat import FlatChart
from twofold.energy.base import energies
from twofold.objectives.pinning import pinning

COVARIANCE = np.array([[1.0, 0.3], [0.3, 0.5]])
CHART = FlatChart(jnp.zeros(2), jnp.ones(()), jnp.eye(2), beads=1)


def frames(count=100_000):
    return jax.random.normal(jax.random.key(0), (count, 2)) @ jnp.asarray(np.linalg.cholesky(COVARIANCE).T)


def known(x):
    return 0.5 * jnp.sum(x @ jnp.asarray(np.linalg.inv(COVARIANCE)) * x, -1) + 17.0


def test_nothing_is_left_of_the_exact_energy_and_no_constant_matters():
    x = frames(1000)
    assert float(pinning(synthetic.Gaussian.of(COVARIANCE), None, CHART, x, known(x), jnp.float32(1e-3))) < 1e-6


def test_the_noise_of_the_smallest_level_is_seen_through():
    """What the energy of the noised density would cost is of the order `sigma^4`, what its tangent leaves `sigma^8`."""
    x, sigma = frames(), jnp.float32(0.25)
    exact = synthetic.Gaussian.of(COVARIANCE)
    without = jnp.var(energies(exact, None, x, jnp.full(len(x), sigma)) - known(x)) / 2
    assert float(pinning(exact, None, CHART, x, known(x), sigma)) < 0.05 * float(without)


@pytest.mark.parametrize("scale", [0.5, 1.5])
def test_a_wrong_scale_costs_the_variance_of_what_is_wrong(scale):
    """`U` of a Gaussian in two dimensions has a variance of 1 (kT)^2."""
    x = frames()
    found = pinning(synthetic.Gaussian.of(COVARIANCE, scale), None, CHART, x, known(x), jnp.float32(1e-3))
    assert float(found) == pytest.approx((scale - 1) ** 2 / 2, rel=0.03)
