import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energy import molecules
from twofold.chart.cartesian import cartesian_chart
from twofold.energy.features import WienerFilter
from twofold.energy.priors import (
    GaussianPrior,
    HandednessPrior,
    PairPrior,
    build_prior,
    fit_weights,
    stiff_centres,
    stiff_pairs,
)
from twofold.energy.tables import noise_levels, noised

NO_BONDS = np.zeros((0, 2), int)


def encoded(frames):
    chart = cartesian_chart(frames)
    return chart, np.asarray(jax.vmap(chart.encode)(jnp.asarray(frames, jnp.float32)))


@pytest.fixture(scope="module")
def chain():
    chart, frames = encoded(molecules.chain_frames(2000))
    return chart, frames, build_prior(chart, molecules.CHAIN_BONDS, frames)


@pytest.mark.parametrize("sigma", [0.05, 1.0])
def test_gaussian_prior_is_the_exact_score_of_gaussian_data(sigma):
    frames, covariance = molecules.gaussian_frames(50_000, 4)
    chart, coordinates = encoded(frames)
    prior, wiener = GaussianPrior(chart.variances), WienerFilter(chart)
    y = noised(coordinates[:8], sigma, seed=1)
    score = -jax.vmap(jax.grad(lambda one: prior.terms(wiener.project(one), sigma).sum()))(jnp.asarray(y))
    projector = np.eye(4) - 0.25
    noisy = covariance / float(chart.length) ** 2 + sigma**2 * projector
    expected = -np.einsum("ij,fjc->fic", np.linalg.pinv(noisy), y)
    assert np.abs(score - expected).max() < 0.03 * np.abs(expected).max()


def test_weights_of_gaussian_data_are_one():
    chart, coordinates = encoded(molecules.gaussian_frames(5_000, 4)[0])
    pairs = PairPrior(chart, np.zeros((0, 2), int), coordinates)
    weights = fit_weights(chart, pairs, coordinates)
    np.testing.assert_allclose(weights, 1.0, atol=0.05)


def test_pair_prior_is_exact_for_a_harmonic_pair():
    rng = np.random.default_rng(0)
    length = 1.0 + 0.02 * rng.standard_normal(4000)
    direction = molecules.rotations(4000, 1)[:, 0]
    frames = np.stack([-0.5 * length[:, None] * direction, 0.5 * length[:, None] * direction], axis=1)
    chart, coordinates = encoded(frames)
    prior = PairPrior(chart, np.array([[0, 1]]), coordinates)
    unit = float(chart.length)
    for sigma in (0.003, 0.05):
        variance = (0.02 / unit) ** 2 + 2 * sigma**2
        mean = 1.0 / unit + 2 * sigma**2 * unit
        x = jnp.asarray(coordinates[7])
        distance = float(jnp.linalg.norm(x[0] - x[1]))
        energy = float(prior.terms(WienerFilter(chart).project(x), jnp.float32(sigma))[0])
        assert energy == pytest.approx(0.5 * (distance - mean) ** 2 / variance, rel=0.15, abs=0.02)


def test_handedness_prior_is_the_log_odds_of_the_mirror_image(chain):
    chart, frames, prior = chain
    sigma = jnp.float32(0.4)
    wiener, handedness = WienerFilter(chart), prior.handedness
    assert handedness.number == 1
    y = jnp.asarray(noised(frames, 0.4, seed=5))
    volumes = np.asarray(jax.vmap(lambda one: handedness.volumes(wiener.project(one), sigma))(y))[:, 0]
    energies = np.asarray(jax.vmap(lambda one: handedness.terms(wiener.project(one), sigma))(y))[:, 0]
    mean, variance = volumes.mean(), volumes.var()
    odds = np.logaddexp(0.0, -2.0 * volumes * mean / variance)
    np.testing.assert_allclose(energies, odds, rtol=0.15, atol=0.05)


def test_handedness_prior_favours_the_hand_of_the_data(chain):
    chart, frames, prior = chain
    x = jnp.asarray(frames[0])
    mirrored = x * jnp.array([1.0, 1.0, -1.0])
    components = WienerFilter(chart).project
    for sigma in (0.01, 0.1):
        right = float(prior.handedness.terms(components(x), jnp.float32(sigma)).sum())
        wrong = float(prior.handedness.terms(components(mirrored), jnp.float32(sigma)).sum())
        assert right < 0.01
        assert wrong > 3.0


def test_fitted_weights_beat_either_prior_alone(chain):
    chart, frames, prior = chain
    modes = len(np.asarray(chart.variances))
    for level in (2, 14, 24):
        sigma = float(noise_levels()[level])
        y = jnp.asarray(noised(frames, sigma, seed=8))
        components = jax.vmap(WienerFilter(chart).project)(y)

        def loss(weights, components=components, sigma=sigma):
            def energy(one):
                terms = [prior.gaussian.terms(one, jnp.float32(sigma)), prior.pairs.terms(one, jnp.float32(sigma))]
                return jnp.dot(weights, jnp.concatenate(terms))

            score = -jax.vmap(jax.grad(energy))(components)
            target = (jax.vmap(WienerFilter(chart).project)(jnp.asarray(frames)) - components) / sigma**2
            return float(jnp.mean(jnp.sum((score - target) ** 2, axis=(1, 2))) * sigma**2)

        best = np.asarray(prior.weights(jnp.float32(sigma)))
        assert (best >= -1e-5).all()
        alone = [np.r_[np.ones(modes), np.zeros(len(best) - modes)], np.r_[np.zeros(modes), np.ones(len(best) - modes)]]
        assert loss(best) <= min(loss(weights) for weights in alone) * 1.01


def test_stiff_pairs_and_centres_of_the_chain(chain):
    _, frames, _ = chain
    pairs = {tuple(pair) for pair in stiff_pairs(molecules.CHAIN_BONDS, frames).tolist()}
    assert {(0, 1), (1, 2), (1, 3), (3, 4), (4, 5), (0, 2), (0, 3), (1, 4)} <= pairs
    assert (0, 5) not in pairs
    np.testing.assert_array_equal(stiff_centres(molecules.CHAIN_BONDS, frames), [[1, 0, 2, 3]])


def test_soft_molecules_have_no_stiff_terms():
    chart, coordinates = encoded(molecules.gaussian_frames(500, 5)[0])
    prior = build_prior(chart, NO_BONDS, coordinates)
    assert prior.pairs.number == 0
    assert prior.handedness.number == 0
    assert np.isfinite(float(prior.energy(jnp.asarray(coordinates[0]), jnp.float32(0.1))))


def test_constrained_bonds_keep_a_finite_energy():
    frames = molecules.chain_frames(500)
    frames[:] = frames[0] @ molecules.rotations(500, 3).astype(np.float32)
    chart, coordinates = encoded(frames)
    prior = build_prior(chart, molecules.CHAIN_BONDS, coordinates)
    gradient = jax.grad(prior.energy)(jnp.asarray(coordinates[0]), jnp.float32(0.002))
    assert np.isfinite(np.asarray(gradient)).all()
    assert isinstance(prior.handedness, HandednessPrior)
