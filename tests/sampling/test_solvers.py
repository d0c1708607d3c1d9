"""Reverse-time solvers on a Gaussian, whose flow is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import Gaussian, Line
from twofold.chart.cartesian import CartesianChart, cartesian_chart
from twofold.energy.base import Energy
from twofold.noise import NoiseSchedule
from twofold.sampling.solvers import RELAXATION, SOLVERS, deblur, relax

COVARIANCE = np.array([[1.0, 0.6], [0.6, 0.5]])
MODEL, LINE = Gaussian.of(COVARIANCE), Line(2)
LARGEST, SMALLEST = 20.0, 0.05
SOLVE = {name: jax.jit(solver) for name, solver in SOLVERS.items()}


def root(matrix):
    values, vectors = np.linalg.eigh(matrix)
    return vectors * np.sqrt(values) @ vectors.T


def levels(steps):
    return NoiseSchedule(SMALLEST, LARGEST).descent(steps)


@pytest.fixture(scope="module")
def start():
    normal = np.random.default_rng(0).standard_normal((20_000, 2))
    normal = (normal - normal.mean(0)) @ np.linalg.inv(root(np.cov(normal.T)))
    return normal @ root(COVARIANCE + LARGEST**2 * np.eye(2))


def test_flow_is_the_exact_map_of_a_gaussian(start):
    """The probability flow takes y to (C + s1^2)^(1/2) (C + s0^2)^(-1/2) y; Heun's error falls as the step squared."""
    end = np.linalg.inv(root(COVARIANCE + LARGEST**2 * np.eye(2))) @ root(COVARIANCE + SMALLEST**2 * np.eye(2))
    errors = []
    for steps in (60, 120):
        y = SOLVE["ode"](MODEL, None, LINE, jnp.asarray(start, jnp.float32), levels(steps), jax.random.key(0))
        errors.append(np.abs(np.asarray(y) - start @ end).max())
    assert errors[0] < 0.03
    assert errors[1] < 0.35 * errors[0]


@pytest.mark.parametrize("name", SOLVERS)
def test_samples_have_the_exact_covariance(start, name):
    y = SOLVE[name](MODEL, None, LINE, jnp.asarray(start, jnp.float32), levels(120), jax.random.key(1))
    np.testing.assert_allclose(np.cov(np.asarray(y).T), COVARIANCE + SMALLEST**2 * np.eye(2), atol=0.035)


def test_reverse_diffusion_depends_on_its_key_and_the_flow_does_not(start):
    y = jnp.asarray(start, jnp.float32)
    ends = {
        name: [SOLVE[name](MODEL, None, LINE, y, levels(60), jax.random.key(k)) for k in (0, 1)] for name in SOLVERS
    }
    np.testing.assert_array_equal(*ends["ode"])
    assert np.abs(np.asarray(ends["sde"][0] - ends["sde"][1])).mean() > 0.1


@pytest.mark.parametrize("sigma", [0.1, 0.4])
def test_deblur_is_right_to_the_fourth_order(start, sigma):
    """Variance v + sigma^2 becomes v + sigma^4 / (4 (v + sigma^2)); a full Tweedie step leaves v - sigma^2."""
    y = start @ np.linalg.inv(root(COVARIANCE + LARGEST**2 * np.eye(2))) @ root(COVARIANCE + sigma**2 * np.eye(2))
    clean = np.asarray(jax.jit(deblur)(MODEL, None, LINE, jnp.asarray(y, jnp.float32), jnp.float32(sigma)))
    exact = COVARIANCE + sigma**4 / 4 * np.linalg.inv(COVARIANCE + sigma**2 * np.eye(2))
    np.testing.assert_allclose(np.cov(clean.T), exact, rtol=2e-3)


def test_relaxation_keeps_the_density_and_draws_outliers_in():
    """Langevin steps of a Gaussian in closed form: the mean shrinks by (1 - h/v) a step, the variance stays v."""
    sigma, steps, count = 0.7, 200, 20_000
    total = COVARIANCE + sigma**2 * np.eye(2)
    normal = np.random.default_rng(0).standard_normal((count, 2))
    shift = np.array([4.0, -1.0])
    relaxed = jax.jit(relax, static_argnums=(1, 2, 6))(
        MODEL, None, LINE, jnp.asarray(normal @ root(total) + shift), jnp.float32(sigma), jax.random.key(0), steps
    )
    length = RELAXATION * sigma**2
    expected = np.linalg.matrix_power(np.eye(2) - length * np.linalg.inv(total), steps) @ shift
    np.testing.assert_allclose(np.mean(relaxed, 0), expected, atol=4 * np.sqrt(total.max() / count))
    np.testing.assert_allclose(np.cov(np.asarray(relaxed).T), total, rtol=0.03)


class StiffPair(Energy):
    """Two beads at a distance of about one, stiff along it and free to turn."""

    width: float = 0.02

    def energy(self, system, x, sigma):
        away = jnp.linalg.norm(x[0] - x[1]) - 1.0
        return 0.5 * away**2 / (self.width**2 + 2.0 * sigma**2)


def test_relaxation_bears_bonds_in_cartesian_coordinates():
    """The modes of a Cartesian chart hold the turning of a bond: they say nothing of how stiff it is along itself."""
    rng = np.random.default_rng(0)
    way = rng.standard_normal((400, 3))
    bond = (1.0 + StiffPair.width * rng.standard_normal(400))[:, None] * way / np.linalg.norm(way, axis=1)[:, None]
    positions = np.stack([0.5 * bond, -0.5 * bond], axis=1)
    chart = cartesian_chart(positions)
    assert float(chart.narrowest) == 0.0
    unit = CartesianChart(jnp.float32(1.0), chart.modes, chart.variances)
    sigma = jnp.float32(0.01)
    keys = jax.random.split(jax.random.key(1), 2)
    noise = jax.vmap(unit.project)(jax.random.normal(keys[0], positions.shape))
    y = jnp.asarray(positions, jnp.float32) + sigma * noise
    relaxed = jax.jit(relax, static_argnums=(1, 6))(StiffPair(), None, unit, y, sigma, keys[1], 30)
    before, after = (np.std(np.linalg.norm(z[:, 0] - z[:, 1], axis=-1)) for z in (np.asarray(y), np.asarray(relaxed)))
    assert after == pytest.approx(before, rel=0.15)
