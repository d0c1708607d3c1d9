import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from twofold.analysis import divergence


def test_jensen_shannon_of_known_histograms():
    assert divergence.js_divergence(np.array([1, 2, 3]), np.array([2, 4, 6])) == 0
    assert divergence.js_divergence(np.array([1, 0]), np.array([0, 5])) == pytest.approx(np.log(2))
    by_hand = 0.5 * (np.log(1 / 0.75) + 0.5 * np.log(0.5 / 0.75) + 0.5 * np.log(0.5 / 0.25))
    assert divergence.js_divergence(np.array([1.0, 0.0]), np.array([1.0, 1.0])) == pytest.approx(by_hand)


def test_jensen_shannon_is_the_square_of_scipys_distance():
    p, q = np.random.default_rng(0).poisson(0.8, (2, 5, 40))
    expected = [jensenshannon(a, b) ** 2 for a, b in zip(p, q, strict=True)]
    assert divergence.js_divergence(p, q) == pytest.approx(expected)


def test_pmf_error_by_hand():
    p, q = np.array([3.0, 1.0, 0.0, 0.0]), np.array([1.0, 0.0, 1.0, 0.0])
    filled = np.array([[0.75, 0.5], [0.25, 1e-6], [1e-6, 0.5]])
    weight = filled.mean(axis=1) / filled.mean(axis=1).sum()
    expected = np.sum(weight * np.log(filled[:, 0] / filled[:, 1]) ** 2)
    assert divergence.pmf_error(p, q) == pytest.approx(expected)


def test_pmf_edges_have_two_open_bins():
    edges = divergence.pmf_edges(64, -np.pi, np.pi)
    assert len(edges) == 65
    assert np.allclose(np.diff(edges[1:-1]), 2 * np.pi / 62)
    assert divergence.digitise(np.array([-9.0, -np.pi, 3.1, 9.0]), edges).tolist() == [0, 1, 62, 63]


def test_planes_match_numpy_histograms_with_weights():
    rng = np.random.default_rng(1)
    x, y = rng.uniform(-np.pi, np.pi, (2, 300, 2))
    weights = rng.random(300)
    edges = np.linspace(-np.pi, np.pi, 21)
    p, q = (np.histogram2d(*s.T, bins=[edges, edges], weights=w)[0].ravel() for s, w in ((x, weights), (y, None)))
    assert divergence.js_2d(x, y, 20, x_weights=weights) == pytest.approx(float(divergence.js_divergence(p, q)))
    edges = np.linspace(-np.pi, np.pi, 19)
    p, q = (np.histogram2d(*s.T, bins=[edges, edges], weights=w)[0].ravel() for s, w in ((x, weights), (y, None)))
    # The window holds everything, so that the outer bins are empty and change nothing.
    assert divergence.pmf_error_2d(x, y, 20, x_weights=weights) == pytest.approx(float(divergence.pmf_error(p, q)))


def test_pooled_window_spans_both_sets():
    x, y = np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([[3.0, 3.0], [4.0, 4.0]])
    assert divergence.js_2d(x, y, 4, window=None) == pytest.approx(np.log(2))


def test_wasserstein_of_fine_histograms_is_exact_for_smooth_densities():
    rng = np.random.default_rng(4)
    x = 0.15 + 0.003 * rng.standard_normal(20_000)
    edges = np.linspace(0.12, 0.18, 1001)
    p, q = np.histogram(x, edges)[0], np.histogram(x + 1e-5, edges)[0]
    assert divergence.wasserstein_histogram(p, q, edges[1] - edges[0]) == pytest.approx(1e-5, rel=0.03)


def test_weights_act_like_repeated_frames():
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((2, 40, 2))
    counts = rng.integers(1, 5, 40)
    repeated = np.repeat(x, counts, axis=0)
    assert divergence.js_2d(x, y, 10, x_weights=counts) == pytest.approx(divergence.js_2d(repeated, y, 10))
