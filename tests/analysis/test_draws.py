import numpy as np
import pytest

from twofold.analysis import comparison, divergence, metrics
from twofold.analysis.draws import drawable, equal_draws, systematic
from twofold.analysis.uncertainty import block_groups, effective_size

BINS = 12
PLANE = metrics.joint_js(metrics.joint_edges(np.zeros((1, 2)), BINS, periodic=True))


def circle(rng, frames):
    """Points on two circles, density falling off from (0, 0)."""
    return np.angle(np.exp(1j * rng.normal(0, [0.8, 1.2], (frames, 2))))


def weighted_circle(rng, frames):
    """The same density from flat frames with weights, the wrapped normals by their images."""
    points = rng.uniform(-np.pi, np.pi, (frames, 2))
    images = 2 * np.pi * np.arange(-3, 4)
    axes = zip(points.T, (0.8, 1.2), strict=True)
    density = [np.exp(-0.5 * ((x[:, None] + images) / s) ** 2).sum(axis=1) / s for x, s in axes]
    return points, np.prod(density, axis=0)


def part(points, weights=None, labels=None):
    weights = np.ones(len(points)) if weights is None else weights
    return PLANE.part(points, weights, block_groups(labels, len(points)))


def test_equal_draws_of_equal_weights_use_every_frame_once():
    draws = equal_draws(np.ones(60), 20, np.random.default_rng(0))
    assert [len(d) for d in draws] == [20, 20, 20]
    assert sorted(np.concatenate(draws)) == list(range(60))


def test_draws_that_do_not_divide_leave_no_frame_out():
    draws = equal_draws(np.ones(65), 20, np.random.default_rng(0))
    assert all(len(set(d)) == 20 for d in draws)
    assert set(np.concatenate(draws)) == set(range(65))


def test_drawable_size_bounds():
    assert drawable(np.ones(100)) == 100
    weights = np.random.default_rng(0).random(2000)
    exact = weights.sum() / weights.max()
    assert drawable(weights, duplicates=0.0) == pytest.approx(exact, abs=1)
    assert exact <= drawable(weights) < effective_size(weights)
    assert drawable(np.array([1.0, 0.0])) == 1


def test_weighted_draws_have_few_copies_and_the_right_mean():
    rng = np.random.default_rng(1)
    x = rng.random(5000)
    size = drawable(x)
    means = []
    for _ in range(20):
        index = systematic(x, size, rng)
        assert len(np.unique(index)) >= 0.985 * size
        means.append(x[index].mean())
    assert np.mean(means) == pytest.approx(2 / 3, abs=0.01)


def test_a_perfect_sampler_scores_the_floor():
    rng = np.random.default_rng(2)
    ratios = []
    for _ in range(60):
        held, other, own = (part(circle(rng, n)) for n in (900, 2100, 1500))
        score = comparison.estimate(PLANE.statistic, own, held, 700, rng).value
        ratios.append(score / comparison.estimate(PLANE.statistic, other, held, 700, rng).value)
    assert np.mean(ratios) == pytest.approx(1, abs=4 * np.std(ratios) / np.sqrt(60))
    assert np.std(ratios) / np.sqrt(60) < 0.03


def test_a_perfect_sampler_scores_the_floor_of_a_weighted_reference():
    rng = np.random.default_rng(3)
    scores, floors = [], []
    for _ in range(60):
        points, weights = weighted_circle(rng, 6000)
        held = part(*weighted_circle(rng, 4000))
        size = drawable(weights) // 2
        scores.append(comparison.estimate(PLANE.statistic, part(circle(rng, 3 * size)), held, size, rng).value)
        floors.append(comparison.estimate(PLANE.statistic, part(points, weights), held, size, rng).value)
    off = np.array(scores) - floors
    assert np.mean(off) == pytest.approx(0, abs=4 * np.std(off) / np.sqrt(60))
    assert np.std(off) / np.sqrt(60) < 0.04 * np.mean(floors)


def test_weighted_frames_at_equal_kish_size_would_not_be_fair():
    rng = np.random.default_rng(4)
    fair, unfair = [], []
    for _ in range(30):
        points, weights = weighted_circle(rng, 3000)
        held = part(circle(rng, 4000)).totals().sum(axis=0)
        size = int(effective_size(weights))
        unfair.append(PLANE.statistic(part(points, weights).totals().sum(axis=0), held))
        fair.append(PLANE.statistic(part(circle(rng, size)).totals().sum(axis=0), held))
    assert np.mean(unfair) < 0.85 * np.mean(fair)


def test_a_correlated_reference_raises_the_floor_and_a_correlated_set_its_score():
    rng = np.random.default_rng(5)
    held = part(circle(rng, 2000))
    free, stuck = part(circle(rng, 2000)), part(np.repeat(circle(rng, 200), 10, axis=0))
    low, high = (comparison.estimate(PLANE.statistic, p, held, 1000, rng) for p in (free, stuck))
    assert high.value > 2 * low.value
    assert high.error > low.error


def test_bias_follows_the_law_of_sample_sizes():
    rng = np.random.default_rng(6)
    p = np.full(BINS**2, 1 / BINS**2)
    scores = [divergence.js_divergence(rng.multinomial(5000, p), rng.multinomial(8000, p)) for _ in range(100)]
    assert np.mean(scores) == pytest.approx((BINS**2 - 1) / 8 * (1 / 5000 + 1 / 8000), rel=0.03)


def test_errors_cover_the_spread():
    rng = np.random.default_rng(7)
    values, errors = [], []
    for _ in range(60):
        found = comparison.estimate(PLANE.statistic, part(circle(rng, 600)), part(circle(rng, 800)), 600, rng)
        values.append(found.value)
        errors.append(found.error)
    # A degenerate statistic: the jackknife errs on the large side, by at most sqrt 2 in theory.
    assert 0.9 < np.sqrt(np.mean(np.square(errors))) / np.std(values) < 1.9
