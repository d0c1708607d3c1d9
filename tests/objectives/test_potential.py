"""Forces as labels, on Gaussian data, where every mean and variance is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import synthetic
from twofold.objectives.potential import antithetic_mixture, force_share, plain_mixture

VARIANCE = 0.25
COUNT = 200_000


def draws(sigma, seed=0):
    """Data, noise, level and forces of a Gaussian in two dimensions."""
    keys = jax.random.split(jax.random.key(seed), 2)
    x = jnp.sqrt(VARIANCE) * jax.random.normal(keys[0], (COUNT, 2))
    return x, jax.random.normal(keys[1], x.shape), jnp.full(COUNT, sigma), -x / VARIANCE


def model(scale=1.0):
    return synthetic.Gaussian.of(VARIANCE * np.eye(2), scale)


@pytest.mark.parametrize("sigma", [0.05, 0.5, 2.0])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_every_mixture_is_least_at_the_exact_score(sigma, share):
    """The loss of `scale` times the exact score is a parabola with its bottom at one, whatever the share."""
    x, noise, level, forces = draws(sigma)
    weight = jnp.full((COUNT, 1), share)
    for loss in (plain_mixture, antithetic_mixture):
        values = [
            np.asarray(loss(model(s), None, x, noise, level, forces, weight), np.float64) for s in (0.5, 1.0, 1.5)
        ]
        low, middle, high = values
        slope, curvature = (high - low), (high - 2 * middle + low) / 0.25
        bottom = 1.0 - slope.mean() / curvature.mean()
        error = slope.std() / np.sqrt(COUNT) / curvature.mean()
        assert abs(bottom - 1.0) < 4 * error + 1e-3
        assert error < 0.05


@pytest.mark.parametrize("sigma", [0.1, 0.5, 1.5])
def test_the_best_share_has_the_least_second_moment(sigma):
    _, noise, _, forces = draws(sigma)
    square = 1 / VARIANCE
    best = float(force_share(jnp.array([sigma]), jnp.array([square]))[0, 0])
    assert best == pytest.approx(1 / (1 + square * sigma**2))

    def moment(share):
        return float(jnp.mean((share * forces - (1 - share) * noise / sigma) ** 2))

    assert moment(best) == pytest.approx(square / (1 + square * sigma**2), rel=0.02)
    assert moment(best) < min(moment(best - 0.1), moment(best + 0.1))


def test_antithetic_is_the_mean_of_both_signs():
    x, noise, level, forces = (values[:50] for values in draws(0.3))
    share = jnp.full((50, 1), 0.4)
    both = [plain_mixture(model(0.7), None, x, sign * noise, level, forces, share) for sign in (1, -1)]
    target = jnp.stack([0.4 * forces - sign * 0.6 * noise / 0.3 for sign in (1, -1)])
    constant = 0.25 * jnp.sum(target**2, axis=(0, 2))
    found = antithetic_mixture(model(0.7), None, x, noise, level, forces, share)
    np.testing.assert_allclose(found, 0.5 * (both[0] + both[1]) - constant, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("sigma", [0.05, 0.5, 2.0])
def test_of_a_gaussian_the_matrix_leaves_no_noise_in_the_label(sigma):
    """`W = (1 + sigma^2 J)^-1` with J the inverse covariance: the label is the score itself, frame by frame."""
    covariance = np.array([[1.0, 0.6], [0.6, 0.5]])
    keys = jax.random.split(jax.random.key(1), 2)
    x = jax.random.normal(keys[0], (500, 2)) @ jnp.asarray(np.linalg.cholesky(covariance).T)
    forces, noise = -x @ jnp.asarray(np.linalg.inv(covariance)), jax.random.normal(keys[1], x.shape)
    level = jnp.full(500, sigma)
    values, directions = (jnp.asarray(part, jnp.float32) for part in np.linalg.eigh(np.linalg.inv(covariance)))
    exact = synthetic.Gaussian.of(covariance, 1.0)
    labels = (exact, None, x, noise, level, forces, force_share(level, values))
    assert float(plain_mixture(*labels, directions).max()) < 1e-5 / sigma
    # which numbers for the coordinates cannot do
    assert float(plain_mixture(*labels).mean()) > 0.01
    # and plus and minus together are least there: twice the plain loss less |label|^2 of both
    wrong = synthetic.Gaussian.of(covariance, 1.2)
    assert float(antithetic_mixture(*labels, directions).mean()) < float(
        antithetic_mixture(wrong, *labels[1:], directions).mean()
    )


def test_forces_take_the_variance_out_at_small_noise():
    """Of the gradient of the plain loss with respect to the scale: with noise alone it explodes."""
    x, noise, level, forces = draws(0.02)

    def slopes(share):
        weight = jnp.full((COUNT, 1), share)
        both = [plain_mixture(model(s), None, x, noise, level, forces, weight) for s in (0.9, 1.1)]
        return np.asarray(both[1] - both[0], np.float64) / 0.2

    share = float(force_share(jnp.array([0.02]), jnp.array([1 / VARIANCE]))[0, 0])
    assert slopes(share).std() < 0.1 * slopes(0.0).std()
