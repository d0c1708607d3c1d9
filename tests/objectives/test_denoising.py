"""Losses on Gaussian data, where every expected value has a closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import Gaussian, Line
from twofold.objectives import antithetic, draw_noise, implicit, level_weight, plain

VARIANCE = np.array([0.5, 1.0, 2.0])
LINE = Line(3)
BATCH = 40_000


@pytest.fixture(scope="module")
def draws():
    """Data x ~ N(0, VARIANCE) and noise."""
    data, noise = jax.random.split(jax.random.key(0))
    x = jax.random.normal(data, (BATCH, 3)) * np.sqrt(VARIANCE)
    return x, draw_noise(noise, LINE, x)


LOSSES = {"plain": jax.jit(plain), "antithetic": jax.jit(antithetic)}
IMPLICIT = jax.jit(implicit)


def values(name, scale, sigma, draws):
    model = Gaussian.of(np.diag(VARIANCE), scale)
    return np.asarray(LOSSES[name](model, None, *draws, jnp.full(BATCH, sigma)), np.float64)


def expected(name, scale, sigma):
    """s = -scale y/(v + sigma^2): E|s|^2 = scale^2 sum 1/(v + sigma^2), E s.eps/sigma = -scale sum 1/(v + sigma^2)."""
    inverse = np.sum(1 / (VARIANCE + sigma**2))
    constant = len(VARIANCE) / (2 * sigma**2) if name == "plain" else 0.0
    return (0.5 * scale**2 - scale) * inverse + constant


@pytest.mark.parametrize("sigma", [0.1, 0.7, 3.0])
@pytest.mark.parametrize("scale", [1.0, 0.6])
@pytest.mark.parametrize("name", LOSSES)
def test_expected_value(name, scale, sigma, draws):
    found = values(name, scale, sigma, draws)
    error = found.std() / np.sqrt(BATCH)
    assert found.mean() == pytest.approx(expected(name, scale, sigma), abs=4 * error)


@pytest.mark.parametrize("sigma", [0.1, 1.0])
def test_the_exact_score_minimises(sigma, draws):
    scales = np.array([0.8, 0.9, 1.0, 1.1, 1.2])
    for name in LOSSES:
        loss = [values(name, scale, sigma, draws).mean() for scale in scales]
        minimum = -np.polyfit(scales, loss, 2)[1] / (2 * np.polyfit(scales, loss, 2)[0])
        assert minimum == pytest.approx(1.0, abs=0.03), name


@pytest.mark.parametrize("sigma", [0.3, 2.0])
def test_antithetic_is_the_mean_of_the_pair_without_the_constant(sigma, draws):
    x, noise = draws
    pair = 0.5 * (values("plain", 0.6, sigma, (x, noise)) + values("plain", 0.6, sigma, (x, -noise)))
    constant = np.sum(np.asarray(noise, np.float64) ** 2, -1) / (2 * sigma**2)
    np.testing.assert_allclose(values("antithetic", 0.6, sigma, draws), pair - constant, rtol=1e-3, atol=2e-3)


def test_variance_stays_bounded_as_the_noise_goes_to_zero(draws):
    spread = {name: [values(name, 0.6, sigma, draws).std() for sigma in (0.2, 0.02)] for name in LOSSES}
    assert spread["plain"][1] > 50 * spread["plain"][0]
    assert spread["antithetic"][1] < 1.2 * spread["antithetic"][0]


def test_loss_goes_to_the_implicit_one(draws):
    """As sigma goes to zero the antithetic loss with one probe is implicit score matching with the same probe."""
    x, noise = (np.asarray(part, np.float64) for part in draws)
    limit = 0.5 * np.sum((0.6 * x / VARIANCE) ** 2, -1) - 0.6 * np.sum(noise**2 / VARIANCE, -1)
    np.testing.assert_allclose(values("antithetic", 0.6, 0.01, draws), limit, rtol=1e-2, atol=2e-2)


@pytest.mark.parametrize("sigma", [0.0, 0.5])
def test_implicit_loss_is_exact_for_each_frame(sigma, draws):
    x = np.asarray(draws[0][:300])
    inverse = 1 / (VARIANCE + sigma**2)
    model = Gaussian.of(np.diag(VARIANCE))
    found = IMPLICIT(model, None, LINE, x, jnp.float32(sigma), jax.random.key(0))
    np.testing.assert_allclose(found, 0.5 * np.sum((x * inverse) ** 2, -1) - inverse.sum(), rtol=2e-4, atol=2e-4)


def test_implicit_loss_of_many_coordinates_is_right_on_average():
    """Beyond `traces.EXACT` coordinates the divergence is Hutchinson's estimate."""
    size = 30
    mixing = np.random.default_rng(0).standard_normal((size, size)) / np.sqrt(size) + np.eye(size)
    covariance = mixing @ mixing.T
    x = np.random.default_rng(1).standard_normal((600, size)) @ mixing.T
    found = IMPLICIT(Gaussian.of(covariance), None, Line(size), jnp.asarray(x), jnp.float32(1.0), jax.random.key(0))
    inverse = np.linalg.inv(covariance + np.eye(size))
    exact = 0.5 * np.sum((x @ inverse) ** 2, -1) - np.trace(inverse)
    error = np.asarray(found, np.float64) - exact
    assert error.mean() == pytest.approx(0.0, abs=4 * error.std() / np.sqrt(600))
    assert error.std() > 0


def test_level_weight():
    np.testing.assert_allclose(level_weight(jnp.array([0.0, 3.0]), 4.0), [16.0, 25.0])
