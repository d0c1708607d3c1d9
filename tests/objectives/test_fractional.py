"""Stable noise and the fractional score, against transforms and quadrature on a line."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import Gaussian, Line
from twofold.energy.base import Energy
from twofold.objectives import draw_noise, fractional, fractional_scores, plain, stable_noise
from twofold.objectives.fractional import variance_factor

ALPHAS = (1.2, 1.5, 1.8)
U = np.linspace(0.0, 40.0, 80_001)
STEP = U[1] - U[0]


def integral(values):
    """Trapezoidal rule over U, along the last axis."""
    return STEP * (values.sum(-1) - 0.5 * (values[..., 0] + values[..., -1]))


def density(z, transform):
    """p(z) for an even characteristic function on U."""
    return np.array([integral(np.cos(U * one) * transform) for one in z]) / np.pi


def fractional_gradient(z, transform, alpha):
    """(-lap)^((alpha-2)/2) dp/dz: its transform is |u|^(alpha-2) (-i u) times that of p."""
    return -np.array([integral(np.sin(U * one) * U ** (alpha - 1) * transform) for one in z]) / np.pi


@pytest.mark.parametrize("alpha", ALPHAS)
def test_variance_factor_has_its_laplace_transform(alpha):
    a = np.asarray(jax.jit(lambda key: variance_factor(key, 200_000, alpha))(jax.random.key(0)), np.float64)
    assert (a > 0).all()
    for rate in (0.1, 0.5, 2.0):
        values = np.exp(-rate * a)
        error = values.std() / np.sqrt(len(a))
        assert values.mean() == pytest.approx(np.exp(-((2 * rate) ** (alpha / 2)) / alpha), abs=4 * error)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_noise_has_its_characteristic_function_in_every_direction(alpha):
    x = jnp.zeros((200_000, 2))
    noise = np.asarray(jax.jit(lambda key: stable_noise(key, Line(2), x, alpha))(jax.random.key(1)), np.float64)
    for u in ([0.7, 0.0], [0.0, -2.0], [0.6, 0.8]):
        values = np.cos(noise @ u)
        assert values.mean() == pytest.approx(np.exp(-(np.linalg.norm(u) ** alpha) / alpha), abs=4 * values.std() / 447)


def test_stability_two_is_the_gaussian_case():
    x = jnp.asarray(np.random.default_rng(0).standard_normal((30, 3)), jnp.float32)
    noise, sigma = stable_noise(jax.random.key(2), Line(3), x, 2.0), jnp.linspace(0.1, 3.0, 30)
    np.testing.assert_array_equal(noise, draw_noise(jax.random.key(2), Line(3), x))
    model = Gaussian.of(np.eye(3), 0.7)
    values = [plain(model, None, x, noise, sigma), fractional(model, None, x, noise, sigma, 2.0)]
    np.testing.assert_array_equal(*values)


@pytest.mark.parametrize("alpha", [*ALPHAS, 2.0])
@pytest.mark.parametrize("sigma", [0.4, 1.0])
def test_label_is_the_fractional_score_of_the_noise(alpha, sigma):
    transform = np.exp(-((sigma * U) ** alpha) / alpha)
    z = np.array([0.05, 0.3, 0.9, 1.7])
    found = fractional_gradient(z, transform, alpha) / density(z, transform)
    np.testing.assert_allclose(found, -z / sigma**alpha, rtol=2e-4)


def exact_score(y, sigma, alpha):
    """Fractional score of N(0, 1) with stable noise."""
    transform = np.exp(-((sigma * U) ** alpha) / alpha - 0.5 * U**2)
    return fractional_gradient(y, transform, alpha) / density(y, transform)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_mean_label_is_the_fractional_score_of_the_data(alpha):
    sigma, y = 0.6, np.array([0.2, 1.0, 3.0, 8.0])
    x = np.linspace(-7, 7, 701)
    noise = density(np.linspace(-16, 16, 3201), np.exp(-((sigma * U) ** alpha) / alpha))
    weight = np.interp(y[:, None] - x, np.linspace(-16, 16, 3201), noise) * np.exp(-0.5 * x**2)
    mean = (weight * -(y[:, None] - x)).sum(1) / weight.sum(1) / sigma**alpha
    np.testing.assert_allclose(exact_score(y, sigma, alpha), mean, rtol=3e-3)


class Table(Energy):
    """A score that is read from a table."""

    points: jax.Array
    values: jax.Array
    factor: jax.Array

    def energy(self, system, x, sigma):
        raise NotImplementedError

    def score(self, system, x, sigma):
        return self.factor * jnp.interp(x, self.points, self.values)


def test_the_exact_fractional_score_minimises():
    """Stretched by f, the mean of the weighted loss is least at f = 1, and finite."""
    alpha, sigma, count = 1.5, 0.6, 100_000
    y = np.concatenate([np.linspace(0, 12, 121), np.geomspace(12.5, 1e5, 200)])
    near = y <= 12
    # far out only the noise remains, and E[x|y] goes to zero as 1/y does
    score = np.where(near, exact_score(np.where(near, y, 1.0), sigma, alpha), np.nan)
    mean = (score[near] * sigma**alpha + y[near])[-1]
    score[~near] = (mean * 12 / y[~near] - y[~near]) / sigma**alpha
    points, values = np.concatenate([-y[:0:-1], y]), np.concatenate([-score[:0:-1], score])
    values = jnp.asarray(values * sigma ** (alpha - 2), jnp.float32)
    x = jax.random.normal(jax.random.key(0), (count, 1))
    noise = stable_noise(jax.random.key(1), Line(1), x, alpha)

    @jax.jit
    def loss(factor):
        model = Table(jnp.asarray(points, jnp.float32), values, factor)
        return fractional(model, None, x, noise, jnp.full(count, sigma), alpha)

    factors = np.array([0.8, 0.9, 1.0, 1.1, 1.2])
    means = [float(np.mean(loss(jnp.float32(f)))) for f in factors]
    assert np.isfinite(means).all()
    second, first, _ = np.polyfit(factors, means, 2)
    assert -first / (2 * second) == pytest.approx(1.0, abs=0.02)
    model = Table(jnp.asarray(points, jnp.float32), values, jnp.float32(1.0))
    found = fractional_scores(model, None, jnp.array([[1.0]]), jnp.array([sigma]), alpha)
    np.testing.assert_allclose(found, exact_score(np.array([1.0]), sigma, alpha)[:, None], rtol=1e-3)
