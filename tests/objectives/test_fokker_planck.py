"""The Fokker-Planck residual on densities whose diffusion is known exactly."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from precision import products
from synthetic import Gaussian, Line
from twofold import architectures
from twofold.energy.base import Energy, trainable
from twofold.ensemble import Ensemble
from twofold.objectives.fokker_planck import fokker_planck, residual, residuals
from twofold.objectives.traces import exact_probes
from twofold.systems.catalogue import SYSTEMS
from twofold.systems.mixture import GaussianMixture
from twofold.systems.toys import LANDSCAPES

SIGMAS = (0.01, 0.1, 0.5, 2.0, 8.0)
VARIANCE = np.array([0.5, 1.0, 2.0])


class Exact(Energy):
    """The mixture's own energy, with an offset that no residual may see."""

    mixture: GaussianMixture

    def energy(self, system, x, sigma):
        return self.mixture.energy(x, sigma) + 3.0 * jnp.sin(sigma)


@pytest.fixture(scope="module")
def mixture():
    return GaussianMixture.of(np.array([[-2.0, -1.0, 0.5], [2.0, 1.0, 0.0]]), [0.2, 0.8])


def noised(mixture, sigma, number, seed=0):
    rng = np.random.default_rng(seed)
    x = mixture.sample(number, rng) + sigma * rng.standard_normal((number, mixture.dimension))
    return jnp.asarray(x, jnp.float32)


RESIDUAL = jax.jit(residual)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_nothing_is_left_of_an_exact_mixture_but_its_offset(mixture, sigma):
    y = noised(mixture, sigma, 200)
    found = RESIDUAL(Exact(mixture), None, Line(3), y, jnp.full(200, sigma))
    # the terms that cancel are of the order of sigma |s|^2
    np.testing.assert_allclose(found, -3.0 * np.cos(sigma), atol=2e-4)


@pytest.mark.parametrize("sigma", [0.1, 1.0])
def test_a_wrong_gaussian_leaves_what_it_should(sigma):
    """Scores a times the exact ones leave `sigma [(a - a^2) |y|^2 / (v + sigma^2)^2 + a D / (v + sigma^2)]` summed."""
    scale, y = 0.6, jax.random.normal(jax.random.key(0), (50, 3))
    total = VARIANCE + sigma**2
    found = RESIDUAL(Gaussian.of(np.diag(VARIANCE), scale), None, Line(3), y, jnp.full(50, sigma))
    expected = sigma * ((scale - scale**2) * np.asarray(y) ** 2 / total**2 + scale / total).sum(-1)
    np.testing.assert_allclose(found, expected, rtol=2e-5)


def test_random_probes_are_unbiased(mixture):
    y, sigma = noised(mixture, 0.5, 1)[0], jnp.float32(0.5)
    signs = jax.random.rademacher(jax.random.key(0), (20_000, 3), jnp.float32)
    estimates = np.asarray(jax.jit(residuals)(Exact(mixture), None, y, sigma, signs), np.float64)
    exact = float(jnp.mean(residuals(Exact(mixture), None, y, sigma, exact_probes(y, Line(3)))))
    assert estimates.mean() == pytest.approx(exact, abs=4 * estimates.std() / np.sqrt(20_000) + 1e-5)


LOSS = jax.jit(fokker_planck, static_argnames="exact")


def test_penalty_of_a_right_model_is_nil_and_of_a_wrong_one_its_variance(mixture):
    sigma = jnp.array([0.2, 0.5, 1.5])
    y = jnp.stack([noised(mixture, float(level), 256, seed) for seed, level in enumerate(sigma)])
    key = jax.random.key(1)
    np.testing.assert_allclose(LOSS(Exact(mixture), None, Line(3), y, sigma, key, exact=True), 0.0, atol=1e-6)
    wrong = Gaussian.of(np.diag(VARIANCE), 0.6)
    exact = LOSS(wrong, None, Line(3), y, sigma, key, exact=True)
    total = VARIANCE + np.asarray(sigma)[:, None, None] ** 2
    offset = np.asarray(sigma)[:, None] * ((0.6 - 0.36) * np.asarray(y) ** 2 / total**2).sum(-1)
    np.testing.assert_allclose(exact, np.asarray(sigma) ** 2 * offset.var(1, ddof=1) / 9, rtol=1e-4)


def test_two_probes_make_an_unbiased_square(mixture):
    """The mean over probes is the exact penalty, though one estimate of the trace has a variance of its own."""
    rotated = np.array([[1.0, 0.6, 0.2], [0.6, 1.5, 0.3], [0.2, 0.3, 0.8]])
    model, sigma = Gaussian.of(rotated, 0.6), jnp.array([0.5])
    y = noised(mixture, 0.5, 32)[None]
    exact = float(LOSS(model, None, Line(3), y, sigma, jax.random.key(0), exact=True)[0])
    keys = jax.random.split(jax.random.key(2), 4000)
    draws = np.asarray(jax.jit(jax.vmap(lambda k: fokker_planck(model, None, Line(3), y, sigma, k)[0]))(keys))
    assert draws.std() > 1e-5
    assert draws.mean() == pytest.approx(exact, abs=4 * draws.std() / np.sqrt(len(draws)))


def suited(name, chain_ensemble):
    """Frames of something that the architecture is for."""
    if name == "flat":
        return LANDSCAPES["double-well-2d"].ensemble(200, 0)
    if name == "particles":
        cluster = SYSTEMS["dw4"]
        return Ensemble.build(cluster.beads, cluster.starts(64, np.random.default_rng(0)), cluster.temperature)
    return chain_ensemble


@pytest.mark.parametrize("name", architectures.BUILDERS)
def test_products_are_never_rounded(name, chain_ensemble):
    """On a GPU the products of a network may be rounded to ten bits, which would drown the residual and its slopes."""
    frames = suited(name, chain_ensemble)
    built = architectures.build(name, frames, jax.random.key(0), width=8, depth=1)
    y, sigma = jax.vmap(built.chart.encode)(jnp.asarray(frames.positions[:4])), jnp.array([0.3, 0.4])
    parameters, frozen = eqx.partition(built.energy, trainable(built.energy))

    def penalty(parameters):
        model, grouped = eqx.combine(parameters, frozen), y.reshape(2, 2, *y.shape[1:])
        return jnp.sum(fokker_planck(model, None, built.chart, grouped, sigma, jax.random.key(1)))

    of_residual = products(lambda y: residual(built.energy, None, built.chart, y, jnp.repeat(sigma, 2)), y)
    of_slopes = products(jax.grad(penalty), parameters)
    assert len(of_slopes) > len(of_residual) > 5
    assert all(of_residual)
    assert all(of_slopes)


def test_products_that_may_be_rounded_are_seen():
    """In branches, loops and what has a derivative of its own."""

    @jax.custom_jvp
    def twice(a):
        return jax.lax.scan(lambda b, _: (b @ b, None), a, length=2)[0]

    twice.defjvps(lambda slope, _, a: slope)

    @jax.jit
    def either(a):
        exact = jnp.matmul(a, a, precision=jax.lax.Precision.HIGHEST)
        return jax.lax.cond(a[0, 0] > 0, twice, lambda a: a, exact)

    assert products(either, jnp.eye(2)) == [True, False]
