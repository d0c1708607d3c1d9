import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import Gaussian, Line
from twofold.energy.base import Energy
from twofold.noise import VIEWS, NoiseSchedule, TimeSchedule
from twofold.training.data import TrainingData
from twofold.training.loop import Trainer
from twofold.training.settings import TrainingSettings

SCHEDULE = NoiseSchedule(0.02, 5.0)
VARIANCE = np.array([0.5, 2.0])
TIMES = np.array([0.002, 0.05, 0.3, 0.7, 0.95])


def test_one_level_from_each_stratum():
    draws = np.asarray(jax.vmap(lambda key: SCHEDULE.draw(key, 32))(jax.random.split(jax.random.key(0), 200)))
    place = np.log(draws / 0.02) / np.log(250.0) * 32
    strata = np.floor(place - np.arange(32) + 1e-4)
    assert np.abs(strata).max() <= 1  # rounding may put a draw on the edge of its stratum
    assert (strata == 0).mean() > 0.999
    inside = place - np.arange(32)
    np.testing.assert_allclose(inside.mean(0), 0.5, atol=0.09)


def test_ends():
    np.testing.assert_allclose(SCHEDULE.at(np.array([0.0, 0.5, 1.0])), [0.02, np.sqrt(0.1), 5.0], rtol=1e-5)


def test_descent_goes_from_the_largest_to_the_smallest():
    levels = np.asarray(SCHEDULE.descent(40))
    assert len(levels) == 41
    np.testing.assert_allclose(levels[[0, -1]], [5.0, 0.02], rtol=1e-4)
    assert (np.diff(levels) < 0).all()
    np.testing.assert_allclose(np.diff(levels ** (1 / 7), 2), 0.0, atol=1e-5)


def scale_of(name, time):
    """The published alpha(t), float64."""
    time = np.asarray(time, np.float64)
    if name == "vp-linear":
        return np.exp(-0.25 * time**2 * 19.9 - 0.05 * time)
    angle = np.pi / 2 / 1.008
    return np.cos((time + 0.008) * angle) / np.cos(0.008 * angle)


class Normalised(Energy):
    """-ln of the noised Gaussian density, with its constant of sigma."""

    def energy(self, system, x, sigma):
        total = VARIANCE + sigma**2
        return 0.5 * jnp.sum(x**2 / total + jnp.log(2 * jnp.pi * total))


@pytest.mark.parametrize("name", VIEWS)
class TestView:
    def test_scale_and_width_are_those_published(self, name):
        alpha = scale_of(name, TIMES)
        np.testing.assert_allclose(VIEWS[name].scale(jnp.asarray(TIMES)), alpha, rtol=2e-5)
        np.testing.assert_allclose(VIEWS[name].width(jnp.asarray(TIMES)), np.sqrt(1 - alpha**2), rtol=2e-5)

    def test_there_and_back(self, name):
        view = VIEWS[name]
        times = np.concatenate([np.geomspace(view.first, 0.1, 50), np.linspace(0.1, view.last, 50)])
        np.testing.assert_allclose(view.time(view.sigma(jnp.asarray(times))), times, rtol=1e-4, atol=1e-6)
        sigma = np.geomspace(view.range.smallest, view.range.largest, 100)
        np.testing.assert_allclose(view.sigma(view.time(jnp.asarray(sigma))), sigma, rtol=2e-2)
        middle = sigma[sigma < 20]
        np.testing.assert_allclose(view.sigma(view.time(jnp.asarray(middle))), middle, rtol=2e-3)

    def test_score_is_that_of_the_marginal(self, name):
        """z = alpha x + sigma_vp eps of Gaussian data has variance alpha^2 v + 1 - alpha^2."""
        z = np.random.default_rng(0).standard_normal((5, 2))
        found = VIEWS[name].score(Gaussian.of(np.diag(VARIANCE)), None, jnp.asarray(z), jnp.asarray(TIMES))
        alpha = scale_of(name, TIMES)[:, None]
        np.testing.assert_allclose(found, -z / (alpha**2 * VARIANCE + 1 - alpha**2), rtol=1e-4)

    def test_energy_is_that_of_the_marginal(self, name):
        """Also between times, for an energy that is comparable between levels."""
        z = np.random.default_rng(0).standard_normal((5, 2))
        found = VIEWS[name].energy(Normalised(), None, jnp.asarray(z), jnp.asarray(TIMES), 2)
        alpha = scale_of(name, TIMES)[:, None]
        total = alpha**2 * VARIANCE + 1 - alpha**2
        np.testing.assert_allclose(found, 0.5 * np.sum(z**2 / total + np.log(2 * np.pi * total), 1), rtol=1e-4)

    def test_draws_are_strata_of_the_published_density(self, name):
        """Uniform times, or half of them before a tenth."""
        view = VIEWS[name]
        keys = jax.random.split(jax.random.key(0), 100)
        draws = np.asarray(jax.vmap(lambda key: view.time(TimeSchedule.of(view).draw(key, 40)))(keys))
        assert (np.diff(draws, axis=1) >= 0).all()
        np.testing.assert_allclose(view.time(jnp.asarray(TimeSchedule.of(view).edges(4)))[2], view.at(0.5), rtol=1e-3)
        ends = (view.first, view.last) if name == "vp-linear" else (view.first, view.middle, view.last)
        place = np.interp(draws, ends, np.linspace(0, 1, len(ends)))
        np.testing.assert_allclose(np.floor(place * 40 + 1e-3), np.broadcast_to(np.arange(40), (100, 40)), atol=1)
        np.testing.assert_allclose((place * 40 - np.arange(40)).mean(0), 0.5, atol=0.12)

    def test_either_side_of_the_middle_has_half_of_the_loss(self, name):
        view = VIEWS[name]
        times = view.at(jnp.linspace(0, 1, 4001))
        weight = np.asarray(view.weight(times))
        assert weight.mean() == pytest.approx(1.0, abs=2e-3)
        assert weight[np.asarray(times) <= view.middle].sum() / 4001 == pytest.approx(0.5, abs=2e-3)

    def test_loss_of_the_exact_score(self, name):
        """E w |sigma s + eps|^2 / (2 D) = mean of w v / (v + sigma^2) / 2 over times and coordinates."""
        view = VIEWS[name]
        rng = np.random.default_rng(0)
        x = rng.standard_normal((20_000, 2))
        x = (x - x.mean(0)) / x.std(0) * np.sqrt(VARIANCE)
        data = TrainingData(jnp.asarray(x, jnp.float32), jnp.linspace(1 / 20_000, 1.0, 20_000))
        settings = TrainingSettings(batch=20_000, loss="denoising", softening=0.0, schedule=name)
        model = Gaussian.of(np.diag(VARIANCE))
        trainer = Trainer(model, Line(2), None, TimeSchedule.of(view), settings, 1)
        found = jax.jit(lambda key: trainer.loss(model, data, key))(jax.random.key(3))
        times = np.linspace(view.first, view.last, 200_001)
        early = times <= view.middle
        weight = np.where(early, 0.5 / early.mean(), 0.5 / (1 - early.mean()))
        sigma = np.sqrt(scale_of(name, times) ** -2.0 - 1)[:, None]
        expected = 0.5 * np.mean(weight[:, None] * VARIANCE / (VARIANCE + sigma**2))
        assert float(found) == pytest.approx(expected, rel=0.02)


def test_levels_of_the_published_models():
    """The first of the thousand levels of Two for One, two others, and the first of ScoreMD."""
    cosine, linear = VIEWS["vp-cosine"], VIEWS["vp-linear"]
    np.testing.assert_allclose(cosine.width(jnp.array([1, 6, 101]) / 1000), [0.0064, 0.0179, 0.1686], atol=6e-5)
    assert linear.range.smallest == pytest.approx(1e-3, rel=1e-3)
    assert isinstance(TimeSchedule.of(linear), NoiseSchedule)
