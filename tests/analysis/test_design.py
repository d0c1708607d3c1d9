from dataclasses import replace

import numpy as np
import pytest

from twofold.analysis import comparison, design, metrics
from twofold.analysis.kinetics import slowest_inefficiency
from twofold.analysis.uncertainty import block_groups

GRID = np.linspace(-np.pi, np.pi, 4001)
DENSITY = 0.9 * np.exp(-0.5 * ((GRID + 1.5) / 0.3) ** 2) / 0.3 + 0.1 * np.exp(-0.5 * ((GRID - 1.0) / 0.25) ** 2) / 0.25
CUMULATIVE = np.cumsum(DENSITY + 1e-4) / np.sum(DENSITY + 1e-4)
NORMAL_GRID = np.linspace(-6, 6, 4001)
NORMAL = np.cumsum(np.exp(-0.5 * NORMAL_GRID**2)) / np.sum(np.exp(-0.5 * NORMAL_GRID**2))

PLANE = metrics.joint_edges(np.zeros((1, 2)), 30, periodic=True)
RANGE = np.array([[-4.0, -4.0], [4.0, 4.0]])
METRICS = {
    "plane JS": metrics.joint_js(PLANE),
    "PMF error": metrics.joint_pmf([(-np.pi, np.pi)] * 2, bins=30),
    "circle JS": metrics.line_js(np.zeros((1, 2)), periodic=True),
    "W1": metrics.line_wasserstein(RANGE, "nm"),
    "mean": metrics.mean_shift("nm"),
    "width": metrics.width_change(),
}


def walk(rng, replicas, length, memory, columns):
    """Stationary standard normal Ornstein-Uhlenbeck processes, (replicas * length, columns), replica after replica."""
    x = np.empty((length, replicas, columns))
    x[0] = rng.standard_normal((replicas, columns))
    kicks = np.sqrt(1 - memory**2) * rng.standard_normal((length, replicas, columns))
    for t in range(1, length):
        x[t] = memory * x[t - 1] + kicks[t]
    return x.transpose(1, 0, 2).reshape(replicas * length, columns)


def motion(rng, replicas, length, slow=0.99, fast=0.5):
    """Two columns, a slow process on top of a fast one, standard normal in all."""
    parts = [walk(rng, replicas, length, memory, 2) for memory in (slow, fast)]
    return np.sqrt(0.7) * parts[0] + np.sqrt(0.3) * parts[1]


def angles(x):
    """Torsions with two basins by a map of standard normal numbers."""
    return np.interp(np.interp(x, NORMAL_GRID, NORMAL), CUMULATIVE, GRID)


def seen(name, x):
    return angles(x) if name in ("plane JS", "PMF error", "circle JS") else x


def part(name, x, labels=None):
    values = seen(name, x)
    return METRICS[name].part(values, np.ones(len(values)), block_groups(labels, len(values)))


def score_and_floor(name, rng, x, replica, most=None):
    """Score, floor and effective size of a set `x`, judged as `Judge` does."""
    metric, own = METRICS[name], part(name, x, replica)
    clusters = design.clusters_of(replica, len(x), lambda: slowest_inefficiency(seen(name, x), replica))
    worth = metric.worth(own, clusters)
    n = int(min(worth, most or len(x)))
    held, other = (part(name, rng.standard_normal((frames, 2))) for frames in (20_000, 16_000))
    size = comparison.draw_size(n, worth, len(x))
    score = comparison.estimate(metric.statistic, own, held, size, rng).value
    return score, comparison.estimate(metric.statistic, other, held, n, rng, most=12).value, worth


@pytest.mark.parametrize("name", METRICS)
def test_independent_frames_are_worth_their_number(name):
    rng = np.random.default_rng(0)
    for replica in (np.repeat(np.arange(100), 30), np.repeat(np.arange(3), 1000)):
        clusters = design.clusters_of(replica, 3000, lambda: 1.0)
        effects = []
        for _ in range(12):
            own = part(name, rng.standard_normal((3000, 2)))
            effects.append(3000 / METRICS[name].worth(own, clusters))
        # Never more than the number of frames, so the mean effect is a little above 1.
        assert 1 <= np.mean(effects) < 1.12


def test_cluster_variance_is_exact_for_shuffled_counts():
    # 6 frames, 3 of which are in the bin; all ways to deal them to clusters of 3, 2 and 1, of which two follow.
    from itertools import combinations

    found = []
    for chosen in combinations(range(6), 3):
        inside = np.isin(np.arange(6), chosen).astype(float)
        sums = np.array([inside[:3].sum(), inside[3:5].sum(), inside[5]])
        found.append(design.cluster_variance(sums, np.array([3.0, 2.0, 1.0]), np.array([True, False])))
    assert np.mean(found) == pytest.approx(0.25 / 5)


def test_the_largest_shift_counts_most():
    rng = np.random.default_rng(6)
    replica = np.repeat(np.arange(200), 60)
    x = np.concatenate([walk(rng, 200, 60, 0.98, 1), rng.standard_normal((len(replica), 9))], axis=1)
    own = METRICS["mean"].part(x, np.ones(len(x)), np.zeros(len(x), dtype=np.int64))
    worth = METRICS["mean"].worth(own, design.clusters_of(replica, len(x), lambda: 1.0))
    # 60 frames of memory 0.98: a design effect of 40 in one of ten columns.
    shifts = np.abs(rng.standard_normal((20_000, 10)))
    independent = shifts.max(axis=1).mean()
    shifts[:, 0] *= np.sqrt(40)
    assert worth == pytest.approx(len(x) * (independent / shifts.max(axis=1).mean()) ** 2, rel=0.3)


def test_pieces_of_few_replicas():
    replica = np.tile(np.arange(3), 400)
    clusters = design.clusters_of(replica, 1200, lambda: 10.0)
    assert clusters.labels.max() + 1 == 60
    assert np.bincount(clusters.labels).tolist() == [20] * 60
    assert np.flatnonzero(~clusters.follows).tolist() == [19, 39]
    assert set(clusters.labels[replica == 1]) == set(range(20, 40))
    assert design.clusters_of(replica, 1200, lambda: 1e9).labels.max() + 1 == 12
    assert design.clusters_of(np.arange(1200), 1200, lambda: 1.0).labels.max() + 1 == design.MOST_CLUSTERS
    assert design.clusters_of(None, 1, lambda: 1.0).labels.tolist() == [0]


def test_effective_size_of_a_mean_is_exact():
    rng = np.random.default_rng(1)
    memory, length = 0.9, 50
    lags = np.arange(1, length)
    exact = 1 + 2 * np.sum((1 - lags / length) * memory**lags)
    x = walk(rng, 2000, length, memory, 1)
    own = METRICS["mean"].part(x, np.ones(len(x)), np.zeros(len(x), dtype=np.int64))
    replicas = design.clusters_of(np.repeat(np.arange(2000), length), len(x), lambda: 1.0)
    assert len(x) / METRICS["mean"].worth(own, replicas) == pytest.approx(exact, rel=0.15)
    long = walk(rng, 2, 20_000, memory, 8)
    own = METRICS["mean"].part(long, np.ones(len(long)), np.zeros(len(long), dtype=np.int64))
    replica = np.repeat([0, 1], 20_000)
    pieces = design.clusters_of(replica, len(long), lambda: slowest_inefficiency(long, replica))
    assert len(long) / METRICS["mean"].worth(own, pieces) == pytest.approx(19, rel=0.25)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize(("replicas", "length"), [(200, 60), (4, 3000)])
def test_an_ideal_simulation_scores_the_floor(name, replicas, length):
    rng = np.random.default_rng(2)
    replica = np.repeat(np.arange(replicas), length)
    found = np.array([score_and_floor(name, rng, motion(rng, replicas, length), replica) for _ in range(30)])
    score, floor, worth = found.T
    ratio = score.mean() / floor.mean()
    error = np.std(score / floor) / np.sqrt(len(score))
    assert worth.mean() < 0.75 * replicas * length
    assert ratio == pytest.approx(1, abs=3 * error + 0.03)
    assert error < 0.2


@pytest.mark.parametrize("name", ["plane JS", "circle JS", "W1"])
def test_a_draw_of_a_simulation_scores_the_floor_of_a_small_reference(name):
    rng = np.random.default_rng(3)
    replica = np.repeat(np.arange(200), 60)
    found = [score_and_floor(name, rng, motion(rng, 200, 60, 0.9), replica, most=1500) for _ in range(12)]
    score, floor, _ = np.mean(found, axis=0)
    assert score / floor == pytest.approx(1, abs=0.08)


@pytest.mark.parametrize("name", METRICS)
def test_a_biased_simulation_is_detected(name):
    rng = np.random.default_rng(4)
    replica = np.repeat(np.arange(200), 60)
    score, floor, worth = score_and_floor(name, rng, 1.25 * motion(rng, 200, 60, 0.9) + 0.3, replica)
    assert worth > 500
    assert score > 2 * floor


def test_weighted_frames_count_by_their_weights():
    rng = np.random.default_rng(5)
    x, replica = motion(rng, 200, 60), np.repeat(np.arange(200), 60)
    clusters = design.clusters_of(replica, len(x), lambda: 1.0)
    one = part("plane JS", x)
    some = replace(one, weights=np.where(np.arange(len(x)) % 2 == 0, 2.0, 0.0))
    metric = METRICS["plane JS"]
    assert one.bins is not None
    half = replace(one, weights=one.weights[::2], groups=one.groups[::2], bins=one.bins[::2])
    fewer = design.Clusters(clusters.labels[::2], clusters.follows)
    assert metric.worth(some, clusters) == pytest.approx(metric.worth(half, fewer))


@pytest.mark.parametrize(("rigid", "expected"), [(0.0, 99.0), (1e-3, 0.0)])
def test_widths_of_rigid_bonds_count_as_the_least(rigid, expected):
    """A model gives a bond of constant length the least width that it has for bonds, which is no error of its."""
    metric, normal = metrics.width_change(rigid), np.random.default_rng(0).standard_normal((4000, 1))
    model, reference = (
        metric.part(0.15 + width * normal, np.ones(4000), np.zeros(4000, int)).totals().sum(axis=0)
        for width in (1e-3, 1e-5)
    )
    assert metric.statistic(model, reference) == pytest.approx(expected, rel=0.05, abs=0.03)
