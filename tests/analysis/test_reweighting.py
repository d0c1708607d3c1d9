"""Weights whose tail and effective size are known."""

import numpy as np
import pytest
from scipy.stats import genpareto

from twofold.analysis.reweighting import (
    importance_weights,
    pareto_fit,
    pareto_quantiles,
    reweight,
    smooth,
    tail_length,
)
from twofold.errors import UserError
from twofold.units import thermal_energy


def exponential(rate: float, number: int = 40_000, seed: int = 0) -> np.ndarray:
    """Log weights of draws from exp(-x) for the target `rate` exp(-rate x): Pareto with k = 1 - rate, exactly."""
    draws = np.random.default_rng(seed).exponential(size=number)
    return np.log(rate) + (1 - rate) * draws


def normal(shift: float, width: float, number: int = 40_000, seed: int = 0) -> np.ndarray:
    """Log weights of standard normal draws for a normal target."""
    x = np.random.default_rng(seed).standard_normal(number)
    return 0.5 * x**2 - 0.5 * ((x - shift) / width) ** 2 - np.log(width)


def test_a_target_that_is_the_proposal():
    result = reweight(np.full(1000, 3.5))
    np.testing.assert_allclose(result.weights, 1e-3)
    assert len(result) == 1000
    assert result.pareto_k == 0.0
    assert result.effective_size == pytest.approx(1000)
    assert result.perplexity == pytest.approx(1000)
    assert result.log_mean == pytest.approx(3.5)
    jitter = 1e-3 * np.random.default_rng(0).standard_normal(1000)
    noisy = reweight(jitter)
    assert noisy.pareto_k < 0.3
    assert noisy.effective_size > 999.9


@pytest.mark.parametrize("shift", [0.3, 0.7, 1.0])
def test_a_shifted_gaussian(shift):
    """E[w]^2 / E[w^2] = exp(-shift^2), and KL(target, samples) = shift^2 / 2."""
    result = reweight(normal(shift, 1.0))
    assert result.effective_size / 40_000 == pytest.approx(np.exp(-(shift**2)), rel=0.04)
    assert np.log(40_000 / result.perplexity) == pytest.approx(shift**2 / 2, rel=0.04)
    assert result.log_mean == pytest.approx(0.0, abs=0.02)
    assert result.pareto_k < result.threshold == 0.7


def test_a_narrower_gaussian_has_bounded_weights():
    result = reweight(normal(0.0, 0.5))
    assert result.effective_size / 40_000 == pytest.approx(0.5 * np.sqrt(2 - 0.25), rel=0.02)
    assert result.pareto_k < 0


@pytest.mark.parametrize("shape", [0.2, 0.4, 0.6, 0.9])
def test_the_shape_of_a_known_tail(shape):
    """Within the error of the fit, (1 + k) / sqrt(tail), over ten sets together."""
    found = [reweight(exponential(1 - shape, seed=seed), force=True).pareto_k for seed in range(10)]
    error = (1 + shape) / np.sqrt(tail_length(40_000, 40_000))
    assert np.mean(found) == pytest.approx(shape, abs=3 * error / np.sqrt(10) + 0.01)
    assert np.std(found, ddof=1) == pytest.approx(error, rel=0.7)


def test_effective_size_under_a_heavy_tail():
    """k = 0.3: (2 rate - 1) / rate^2 with rate 0.7."""
    assert reweight(exponential(0.7)).effective_size / 40_000 == pytest.approx(0.4 / 0.49, rel=0.03)


def test_smoothing_lessens_the_error_of_a_mean():
    """k = 0.6, no variance: the mean weight, which is 1, over 100 sets."""
    raw, smoothed = [], []
    for seed in range(100):
        logs = exponential(0.4, 1000, seed)
        raw.append(np.exp(logs).mean())
        smoothed.append(np.exp(reweight(logs, force=True).log_mean))
    assert np.std(smoothed) < 0.8 * np.std(raw)
    assert np.mean(smoothed) == pytest.approx(1.0, abs=0.08)


def test_reweighted_averages_are_those_of_the_target():
    x = np.random.default_rng(0).standard_normal(40_000)
    share = reweight(normal(0.8, 0.9)).weights
    assert share.sum() == pytest.approx(1.0)
    assert share @ x == pytest.approx(0.8, abs=0.02)
    assert share @ (x - 0.8) ** 2 == pytest.approx(0.81, abs=0.03)


@pytest.mark.parametrize("shape", [-0.5, 1e-14, 0.5])
def test_quantiles_are_those_of_the_distribution(shape):
    place = np.linspace(0.01, 0.99, 9)
    np.testing.assert_allclose(pareto_quantiles(place, shape, 2.0), genpareto.ppf(place, shape, scale=2.0), rtol=1e-9)


def test_the_fit_has_the_scale_of_the_values():
    values = np.sort(genpareto.rvs(0.4, scale=1.0, size=5000, random_state=0))
    shape, scale = pareto_fit(values)
    again = pareto_fit(1e-6 * values)
    assert shape == pytest.approx(0.4, abs=0.06)
    assert scale == pytest.approx(1.0, rel=0.06)
    assert again == (pytest.approx(shape), pytest.approx(1e-6 * scale))


def test_the_fit_to_few_values_is_drawn_to_one_half():
    """Exponential values have k = 0; ten values of 1/2 beside twenty of them make 1/6."""
    rng = np.random.default_rng(0)
    shapes = [pareto_fit(np.sort(rng.exponential(size=20)))[0] for _ in range(400)]
    assert np.mean(shapes) == pytest.approx(1 / 6, abs=0.05)


def test_smoothing_keeps_order_and_the_rest():
    weights = np.exp(exponential(0.4, 500))
    smoothed, _ = smooth(weights, 68)
    assert tail_length(500, 500) == 68
    order = np.argsort(weights)
    np.testing.assert_array_equal(smoothed[order[:-68]], weights[order[:-68]])
    assert (np.diff(smoothed[order]) >= 0).all()
    assert smoothed.max() <= weights.max()


def test_a_constant_changes_only_the_mean():
    logs = exponential(0.7, 1000)
    here, there = reweight(logs), reweight(logs - 2e4)
    np.testing.assert_allclose(here.weights, there.weights, rtol=1e-9)
    assert here.log_mean - there.log_mean == pytest.approx(2e4)


def test_frames_that_follow_each_other_count_less():
    logs = exponential(0.7)
    all_of_them, tenth = reweight(logs), reweight(logs, independent=4000)
    assert tail_length(40_000, 40_000) == 600
    assert tail_length(40_000, 4000) == 1898
    assert tenth.effective_size == pytest.approx(all_of_them.effective_size / 10, rel=0.02)
    assert reweight(logs, independent=100, least=1).threshold == pytest.approx(0.5)


def test_a_heavy_tail_is_refused_unless_forced():
    logs = exponential(0.1)
    with pytest.raises(UserError, match=r"(?s)Pareto shape is 0\.[89].*at most 0\.70 for 40000 frames"):
        reweight(logs)
    forced = reweight(logs, force=True)
    assert forced.pareto_k > 0.8
    assert forced.weights.sum() == pytest.approx(1.0)


def test_too_few_effective_frames_are_refused_unless_forced():
    logs = normal(0.0, 0.3, number=200)
    with pytest.raises(UserError, match=r"200 frames are worth [789]\d\. Expected at least 100"):
        reweight(logs)
    assert reweight(logs, least=50).effective_size < 100
    assert reweight(logs, force=True).effective_size == reweight(logs, least=50).effective_size


def test_a_few_frames_with_all_weight():
    logs = np.full(1000, -np.inf)
    logs[:30] = 0.0
    with pytest.raises(UserError, match="Pareto shape is inf"):
        reweight(logs, least=1)
    forced = reweight(logs, force=True)
    assert forced.effective_size == pytest.approx(30)
    logs[:600] = np.random.default_rng(0).uniform(-1, 0, 600)
    assert 300 < reweight(logs).effective_size < 600


@pytest.mark.parametrize(
    ("logs", "match"),
    [
        (np.zeros(24), "25"),
        (np.zeros((30, 2)), "shape"),
        (np.append(np.zeros(99), np.nan), "1 of 100"),
        (np.append(np.zeros(99), np.inf), "1 of 100"),
        (np.full(50, -np.inf), "weight"),
    ],
)
def test_what_no_force_makes_weights_of(logs, match):
    with pytest.raises(UserError, match=match):
        reweight(logs, force=True)


@pytest.mark.parametrize("independent", [0, 101, float("nan")])
def test_independent_frames_out_of_range(independent):
    with pytest.raises(UserError, match="independent"):
        reweight(np.zeros(100), independent=independent)


def test_weights_from_energies_and_likelihoods():
    kt = thermal_energy(300.0)
    np.testing.assert_allclose(importance_weights([kt, 3 * kt], 300.0, [-1.0, 2.0]), [0.0, -5.0])
    with pytest.raises(UserError, match="Energies"):
        importance_weights(np.zeros(3), 300.0, np.zeros(4))
    with pytest.raises(UserError, match=r"(?i)temperature"):
        importance_weights(np.zeros(3), 0.0, np.zeros(3))
