"""Reverse-time solvers on a Gaussian, whose flow is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import Gaussian, Line, root
from twofold.noise import NoiseSchedule
from twofold.sampling.solvers import SOLVERS, deblur

COVARIANCE = np.array([[1.0, 0.6], [0.6, 0.5]])
MODEL, LINE = Gaussian.of(COVARIANCE), Line(2)
LARGEST, SMALLEST = 20.0, 0.05
SOLVE = {name: jax.jit(solver) for name, solver in SOLVERS.items()}


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
