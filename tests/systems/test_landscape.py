"""Landscapes: densities by quadrature, noised densities, reference chains."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twofold.errors import UserError
from twofold.systems.chains import chains
from twofold.systems.toys import LANDSCAPES, Checkerboard, MuellerBrown, Prinz
from twofold.units import thermal_energy


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TWOFOLD_CACHE", str(tmp_path))
    return tmp_path


def binned(landscape, points, cells):
    edges = [np.linspace(low, high, cells + 1) for low, high in landscape.window]
    counts = np.histogramdd(points, edges)[0]
    return counts / counts.sum(), landscape.probabilities(edges)


@pytest.mark.parametrize("name", LANDSCAPES)
def test_draws_follow_the_density(name):
    landscape = LANDSCAPES[name]
    points = landscape.draw(40_000, np.random.default_rng(0))
    found, expected = binned(landscape, points, 12)
    error = np.sqrt(expected / 40_000)
    assert np.abs(found - expected).max() < 5 * error.max()


@pytest.mark.parametrize("name", ["double-well-1d", "double-well-2d", "checkerboard"])
def test_exact_samples_follow_the_density(name):
    landscape = LANDSCAPES[name]
    found, expected = binned(landscape, landscape.reference(40_000, 1), 10)
    assert np.abs(found - expected).max() < 5 * np.sqrt(expected.max() / 40_000)


def test_quadrature_of_a_gaussian_mixture():
    share = LANDSCAPES["double-well-2d"].populations()
    assert share["left"] == pytest.approx(0.2, abs=1e-4)


def test_minima_of_mueller_brown_are_the_published_ones():
    values = 23 * LANDSCAPES["mueller-brown"].grid_energy(np.array([[-0.558, 1.442], [0.623, 0.028], [-0.05, 0.467]]))
    np.testing.assert_allclose(values, [-146.700, -108.167, -80.768], atol=2e-3)


def test_mueller_brown_is_simulated_and_compared_as_published():
    """kT of 23, mass of 0.5, friction of 1, steps of 0.005, a frame every 50 of them; numbers are over this window."""
    landscape = LANDSCAPES["mueller-brown"]
    assert (landscape.thermal, landscape.mass, landscape.friction) == (23.0, 0.5, 1.0)
    assert landscape.timestep_fs == 1000 * 5e-3
    assert landscape.frame_ps == 50 * 5e-3
    assert landscape.window == ((-1.8, 1.1), (-0.5, 2.0))
    assert thermal_energy(landscape.temperature) == pytest.approx(23.0)
    assert landscape.beads.masses.tolist() == [0.5]


@pytest.mark.parametrize("sigma", [0.0, 0.7])
def test_score_of_a_gaussian_mixture(sigma):
    points = np.random.default_rng(0).uniform(-8, 8, (50, 2))
    means, shares, variance = np.array([[-5.0, -5.0], [5.0, 5.0]]), np.array([0.2, 0.8]), 1 + sigma**2
    away = means - points[:, None]
    mass = shares * np.exp(-0.5 * (away**2).sum(-1) / variance)
    expected = (mass[..., None] * away).sum(1) / mass.sum(1, keepdims=True) / variance
    np.testing.assert_allclose(LANDSCAPES["double-well-2d"].score(points, sigma), expected, rtol=1e-4, atol=1e-5)


def test_score_of_mueller_brown_is_the_slope_of_its_formula():
    x, y = 0.3, 0.6
    heights, a, b, c = (-200, -100, -170, 15), (-1, -1, -6.5, 0.7), (0, 0, 11, 0.6), (-10, -10, -6.5, 0.7)
    slope = np.zeros(2)
    for height, xx, xy, yy, x0, y0 in zip(heights, a, b, c, (1, 0, -0.5, -1), (0, 0.5, 1.5, 1), strict=True):
        dx, dy = x - x0, y - y0
        value = height * np.exp(xx * dx**2 + xy * dx * dy + yy * dy**2)
        slope += value * np.array([2 * xx * dx + xy * dy, xy * dx + 2 * yy * dy])
    landscape = LANDSCAPES["mueller-brown"]
    np.testing.assert_allclose(landscape.score(np.array([[x, y]]))[0], -slope / 23, rtol=1e-4)
    with pytest.raises(UserError, match="closed form"):
        landscape.score(np.zeros((1, 2)), 0.1)


def test_populations_of_prinz_are_those_of_its_formula():
    q = np.linspace(-1.2, 1.2, 240_001)
    bumps = 0.8 * np.exp(-80 * q**2) + 0.2 * np.exp(-80 * (q - 0.5) ** 2) + 0.5 * np.exp(-40 * (q + 0.5) ** 2)
    mass = np.exp(-4 * (q**8 + bumps))
    expected = [mass[(q > low) & (q <= high)].sum() / mass.sum() for low, high in pairwise((-2, -0.5, 0, 0.5, 2))]
    np.testing.assert_allclose(list(LANDSCAPES["prinz"].populations().values()), expected, atol=2e-3)


def test_noise_of_the_checkerboard_is_a_convolution():
    """Averaged over noise, the even board has the density of the closed form."""
    board, sigma = Checkerboard(), 0.4
    rng = np.random.default_rng(0)
    points = board.reference(400_000, 2) + sigma * rng.standard_normal((400_000, 2))
    edges = [np.linspace(-5, 5, 21)] * 2
    found = np.histogramdd(points, edges)[0] / 400_000
    centres = np.stack(np.meshgrid(*[(side[1:] + side[:-1]) / 2 for side in edges], indexing="ij"), -1)
    fine = centres[..., None, None, :] + np.stack(np.meshgrid(*[np.linspace(-0.2, 0.2, 5)] * 2, indexing="ij"), -1)
    energy = jax.vmap(lambda x: board.noised(x, jnp.float32(sigma)))(jnp.asarray(fine.reshape(-1, 2)))
    expected = 0.25 * np.exp(-np.asarray(energy)).reshape(20, 20, 25).mean(-1)
    np.testing.assert_allclose(found, expected, atol=5 * np.sqrt(expected.max() / 400_000))


@pytest.mark.parametrize(("name", "sigma"), [("double-well-1d", 0.7), ("double-well-2d", 2.0), ("checkerboard", 0.3)])
def test_convolution_on_a_grid_is_the_closed_form(name, sigma):
    landscape = LANDSCAPES[name]
    axes, energy = landscape.noised_grid(sigma, 80)
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, landscape.dimension)
    exact = jax.vmap(lambda x: landscape.noised(x, jnp.float32(sigma)))(jnp.asarray(points, jnp.float32))
    exact = np.asarray(exact, np.float64).reshape(energy.shape)
    low = exact - exact.min() < 6
    np.testing.assert_allclose(energy[low], (exact - exact.min())[low], atol=0.03)


def test_noised_energies_are_finite_far_from_everything():
    for name in ("double-well-2d", "checkerboard"):
        slope = jax.grad(LANDSCAPES[name].noised)(jnp.array([30.0, -20.0]), jnp.float32(0.1))
        assert np.isfinite(np.asarray(slope)).all()


def test_chains_sample_the_density(cache):
    landscape = Prinz()
    found, expected = binned(landscape, landscape.reference(40_000, 0), 12)
    assert np.abs(found - expected).max() < 0.01
    assert len(list(cache.iterdir())) == 1


def test_chains_are_kept_and_depend_on_the_seed(cache):
    landscape = MuellerBrown()
    first, second = chains(landscape, 500, 0), chains(landscape, 500, 1)
    (file, _) = sorted(cache.iterdir())
    before = file.stat().st_mtime_ns
    np.testing.assert_array_equal(chains(landscape, 500, 0), first)
    assert file.stat().st_mtime_ns == before
    assert np.abs(first - second).max() > 0.1
