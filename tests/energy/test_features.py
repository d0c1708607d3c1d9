import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energy import molecules
from twofold.chart.cartesian import cartesian_chart
from twofold.energy.features import BeadFeatures, WienerFilter, central_torsions, differences, surroundings
from twofold.energy.tables import NoiseTable, drawn_frames, noise_levels, noised, tabulate


@pytest.fixture(scope="module")
def chain():
    frames = molecules.chain_frames(2000)
    chart = cartesian_chart(frames)
    coordinates = np.asarray(jax.vmap(chart.encode)(jnp.asarray(frames)))
    distances = np.linalg.norm(coordinates[:, :, None] - coordinates[:, None], axis=-1).mean(0)
    around = surroundings(molecules.CHAIN_BONDS, distances)
    return chart, coordinates, around, BeadFeatures(chart, around, coordinates)


@pytest.mark.parametrize("sigma", [0.1, 0.7, 3.0])
def test_wiener_filter_is_the_best_linear_denoiser(sigma):
    frames, _ = molecules.gaussian_frames(40_000, 5)
    chart = cartesian_chart(frames)
    x = np.asarray(jax.vmap(chart.encode)(jnp.asarray(frames, jnp.float32)), np.float64)
    y = noised(x, sigma, seed=3).astype(np.float64)
    clean, dirty = (v.swapaxes(0, 1).reshape(5, -1) for v in (x, y))
    solution = np.linalg.lstsq(dirty.T, clean.T, rcond=1e-6)[0].T
    filtered = jax.vmap(lambda one: WienerFilter(chart)(one, jnp.float32(sigma)))(jnp.asarray(y, jnp.float32))
    expected = np.einsum("ij,fjc->fic", solution, y)
    assert np.abs(filtered - expected).max() < 0.02 * np.abs(expected).max()


def test_differences_are_exact():
    x = np.random.default_rng(0).standard_normal((3, 5))
    start, end = np.array([0, 4, 2]), np.array([1, 0, 3])
    np.testing.assert_array_equal(x @ differences(5, start, end), x[:, end] - x[:, start])


def test_features_are_distances_heights_and_torsions(chain):
    _, coordinates, around, features = chain
    x = jnp.asarray(coordinates[5])
    found = np.asarray(features.measure(features.filter.project(x), jnp.float32(1e-3)))
    partners = around.partners.shape[1]
    bead = 1
    vectors = coordinates[5][around.partners[bead]] - coordinates[5][bead]
    np.testing.assert_allclose(found[bead, :partners], np.linalg.norm(vectors, axis=-1), atol=1e-4)
    normal = np.cross(vectors[0], vectors[1])
    heights = vectors[2:] @ normal / np.linalg.norm(normal)
    np.testing.assert_allclose(found[bead, partners : 2 * partners - 2], heights, rtol=0.03)
    quadruple = around.torsions[around.torsions_of[bead, 0]]
    expected = _dihedral(coordinates[5][quadruple])
    first = 2 * partners - 2
    count = around.torsions_of.shape[1]
    assert found[bead, first] == pytest.approx(np.cos(expected), abs=0.01)
    assert found[bead, first + count] == pytest.approx(np.sin(expected), abs=0.01)


def _dihedral(points):
    a, b, c = np.diff(points, axis=0)
    first, second = np.cross(a, b), np.cross(b, c)
    return np.arctan2(np.linalg.norm(b) * a @ second, first @ second)


@pytest.mark.parametrize("sigma", [0.01, 0.3, 5.0])
def test_features_are_standardised_at_every_noise_level(chain, sigma):
    _, coordinates, _, features = chain
    y = jnp.asarray(noised(coordinates, sigma, seed=9))
    values = np.asarray(jax.vmap(lambda one: features(one, jnp.float32(sigma)))(y))
    moving = values.std(0) > 0
    assert moving.mean() > 0.9
    assert np.abs(values.mean(0)).max() < 0.2
    assert values.std(0)[moving].min() > 0.6
    assert values.std(0).max() < 1.1


def test_capped_surroundings_hold_neighbours_first():
    rng = np.random.default_rng(0)
    walk = np.cumsum(rng.standard_normal((40, 3)), axis=0)
    distances = np.linalg.norm(walk[:, None] - walk[None], axis=-1)
    bonds = np.stack([np.arange(39), np.arange(1, 40)], axis=1)
    around = surroundings(bonds, distances, partners=10, torsions=3)
    assert around.partners.shape == (40, 10)
    assert set(around.partners[20][:2]) == {19, 21}
    assert all(len(set(row)) == 10 and bead not in row for bead, row in enumerate(around.partners))
    assert around.torsions.shape == (37, 4)
    assert around.torsions_of.shape == (40, 3)


def test_torsions_of_rings_and_free_beads():
    ring = np.array([[0, 1], [1, 2], [0, 2]])
    assert len(central_torsions(3, ring)) == 0
    square = np.array([[0, 1], [1, 2], [2, 3], [0, 3]])
    assert len(central_torsions(4, square)) == 4
    assert central_torsions(4, np.zeros((0, 2), int)).shape == (0, 4)


def test_tables_interpolate_and_stay_constant_outside():
    levels = noise_levels()
    table = NoiseTable(np.stack([np.log(levels), levels**0], axis=1))
    for sigma in (levels[0], 0.0123, 0.5, levels[-1]):
        np.testing.assert_allclose(table(jnp.float32(sigma)), [np.log(sigma), 1.0], atol=2e-5)
    np.testing.assert_allclose(table(jnp.float32(1e-4)), [np.log(levels[0]), 1.0], atol=1e-5)
    slope = jax.grad(lambda sigma: table(sigma)[0])(jnp.float32(0.2))
    assert float(slope) == pytest.approx(5.0, rel=1e-3)


def test_tabulated_moments_of_noise():
    frames = np.zeros((4000, 4, 3), np.float32)
    means, widths = tabulate(lambda x, sigma: x[0, 0] / sigma, frames, seed=0)
    np.testing.assert_allclose(means, 0.0, atol=0.06)
    np.testing.assert_allclose(widths, np.sqrt(0.75), rtol=0.06)


def test_frames_are_drawn_by_weight():
    frames = np.arange(10.0).reshape(10, 1, 1) * np.ones((10, 2, 3))
    weights = np.zeros(10)
    weights[[2, 7]] = [1.0, 3.0]
    drawn = drawn_frames(frames, weights, 4000, seed=0)[:, 0, 0]
    assert set(drawn) == {2.0, 7.0}
    assert (drawn == 7.0).mean() == pytest.approx(0.75, abs=0.03)
