import numpy as np
import pytest

from twofold.analysis import uncertainty


def autoregressive(rng, frames, keep, replicas=1):
    noise = rng.standard_normal((replicas, frames)) * np.sqrt(1 - keep**2)
    series = np.empty((replicas, frames))
    series[:, 0] = rng.standard_normal(replicas)
    for t in range(1, frames):
        series[:, t] = keep * series[:, t - 1] + noise[:, t]
    return series


def test_kish_size():
    assert uncertainty.effective_size(np.full(7, 3.0)) == pytest.approx(7)
    assert uncertainty.effective_size(np.array([1.0, 0.0, 0.0])) == pytest.approx(1)
    assert uncertainty.effective_size(np.array([2.0, 1.0, 1.0])) == pytest.approx(16 / 6)


def test_jackknife_of_a_mean_is_its_standard_error():
    x = np.random.default_rng(0).standard_normal(500)
    value, error = uncertainty.jackknife(lambda index: x[index].mean(), np.arange(500))
    assert value == pytest.approx(x.mean())
    assert error == pytest.approx(x.std(ddof=1) / np.sqrt(500))


def test_jackknife_of_unequal_blocks_is_right_on_average():
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(30), rng.integers(5, 60, 30))
    squares = []
    for _ in range(300):
        x = rng.standard_normal(len(groups))
        squares.append(uncertainty.jackknife(lambda index, x=x: x[index].mean(), groups)[1] ** 2)
    assert np.mean(squares) == pytest.approx(1 / len(groups), rel=0.1)


def test_jackknife_over_blocks_sees_correlation():
    rng = np.random.default_rng(2)
    x = np.repeat(rng.standard_normal(100), 20)
    naive = x.std() / np.sqrt(len(x))
    _, error = uncertainty.jackknife(lambda index: x[index].mean(), uncertainty.block_groups(None, len(x)))
    assert error > 3 * naive


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.9])
def test_statistical_inefficiency_of_an_autoregressive_series(keep):
    series = autoregressive(np.random.default_rng(3), 2000, keep, replicas=40)
    exact = (1 + keep) / (1 - keep)
    assert uncertainty.statistical_inefficiency(list(series)) == pytest.approx(exact, rel=0.15)


def test_replicas_that_never_mix_are_worth_one_frame_each():
    series = [np.full(50, value) + 1e-3 * np.sin(np.arange(50)) for value in (-1.0, 1.0, 1.0, -1.0)]
    assert 200 / uncertainty.statistical_inefficiency(series) == pytest.approx(4, rel=0.05)


def test_constant_series_and_series_of_unequal_length():
    assert uncertainty.statistical_inefficiency([np.ones(10)]) == 1
    rng = np.random.default_rng(4)
    pieces = [rng.standard_normal(n) for n in (3, 500, 1000)]
    assert uncertainty.statistical_inefficiency(pieces) < 1.5


def test_groups_join_labels_and_cut_long_series():
    labels = np.repeat(np.arange(200), 7)
    groups = uncertainty.block_groups(labels, len(labels))
    assert len(np.unique(groups)) == 20
    assert all(len(np.unique(groups[labels == name])) == 1 for name in range(200))
    cut = uncertainty.block_groups(np.repeat([0, 1], 100), 200)
    assert np.bincount(cut).tolist() == [10] * 20
    assert uncertainty.block_groups(None, 3).tolist() == [0, 1, 2]


def test_blocks_without_weight_are_left_aside():
    values = np.random.default_rng(0).standard_normal(5)
    left_out = (values.sum() - values) / 4
    expected = uncertainty.jackknife_error(left_out)
    for nothing in (0.0, 1e-300):
        with_nothing = uncertainty.jackknife_error(
            np.append(left_out, values.mean()), np.array([1, 1, 1, 1, 1, nothing])
        )
        assert with_nothing == pytest.approx(expected)
    assert np.isnan(uncertainty.jackknife_error(np.array([np.nan, 1.0]), np.array([1.0, 0.0])))
