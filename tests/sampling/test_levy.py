"""Reverse diffusion of heavy-tailed noise on stable data, whose density is stable at every level."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import Gaussian, Line
from twofold.energy.base import Energy
from twofold.energy.fractional import FractionalEnergy
from twofold.errors import UserError
from twofold.model import Model
from twofold.noise import NoiseSchedule
from twofold.objectives import stable_noise
from twofold.sampling.draw import draw_samples
from twofold.sampling.levy import levy_deblur, levy_prior, levy_sde
from twofold.sampling.solvers import heun, reverse_sde
from twofold.systems.toys import LANDSCAPES
from twofold.training.fit import fit_ensembles
from twofold.training.settings import TrainingSettings

COUNT, LARGEST, SMALLEST = 40_000, 20.0, 0.05
LEVELS = NoiseSchedule(SMALLEST, LARGEST).descent(80)


class Stable(Energy):
    """Data with the characteristic function exp(-(width |u|)^alpha / alpha).

    With noise the transform is that of width (w^alpha + sigma^alpha)^(1/alpha), and S = -y / (w^alpha + sigma^alpha).
    """

    width: float
    alpha: float

    def energy(self, system, x, sigma):
        return 0.5 * sigma ** (self.alpha - 2) * jnp.sum(x**2) / (self.width**self.alpha + sigma**self.alpha)

    def level(self, sigma):
        return (self.width**self.alpha + sigma**self.alpha) ** (1 / self.alpha)


def draws(alpha, width, seed=0):
    return width * stable_noise(jax.random.key(seed), Line(2), jnp.zeros((COUNT, 2)), alpha)


def check(y, alpha, width, slack=0.0):
    """The characteristic function in three directions, within its statistical error and `slack`."""
    for u in ([0.5, 0.0], [0.0, -1.0], [1.2, 1.6]):
        values = np.cos(np.asarray(y, np.float64) @ u / width)
        error = 4 * values.std() / np.sqrt(COUNT) + slack
        assert values.mean() == pytest.approx(np.exp(-(np.linalg.norm(u) ** alpha) / alpha), abs=error)


@pytest.mark.parametrize("alpha", [1.3, 1.7, 2.0])
@pytest.mark.parametrize("width", [0.0, 1.0])
def test_marginals_are_exact(alpha, width):
    """For a point the flow is exact in one step of any length; for stable data up to the error of Heun's steps."""
    model = Stable(width, alpha)
    start = draws(alpha, model.level(LARGEST))
    run = jax.jit(lambda y, key: levy_sde(model, None, Line(2), y, LEVELS, key, alpha))
    check(run(start, jax.random.key(1)), alpha, model.level(SMALLEST), 0.004)


def test_the_flow_is_the_same_for_every_stability():
    model = Stable(1.0, 1.5)
    end = jax.jit(lambda y: heun(model, None, Line(2), y, LEVELS, jax.random.key(0)))(draws(1.5, 1.0)[:100])
    # dy/dsigma = sigma^(alpha-1) y / (w^alpha + sigma^alpha): y grows as the width of the density
    np.testing.assert_allclose(end, draws(1.5, 1.0)[:100] * model.level(SMALLEST) / model.level(LARGEST), rtol=5e-3)


def test_stability_two_is_the_gaussian_solver():
    model, y = Gaussian.of(np.diag([0.5, 2.0])), draws(2.0, LARGEST)[:200]
    both = [
        jax.jit(lambda y: levy_sde(model, None, Line(2), y, LEVELS, jax.random.key(3), 2.0))(y),
        jax.jit(lambda y: reverse_sde(model, None, Line(2), y, LEVELS, jax.random.key(3)))(y),
    ]
    np.testing.assert_allclose(*both, rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("alpha", [1.5, 2.0])
def test_deblur_leaves_an_error_of_second_order(alpha):
    """Width (1 + a)^(1/alpha) becomes (1 + a)^(1/alpha) (1 - a / (alpha (1 + a))), a = sigma^alpha."""
    y, sigma = draws(alpha, 1.0)[:50], 0.2
    found = levy_deblur(Stable(1.0, alpha), None, Line(2), y, jnp.float32(sigma), alpha)
    a = sigma**alpha
    np.testing.assert_allclose(found, y * (1 - a / (alpha * (1 + a))), rtol=1e-4)
    assert abs((1 + a) ** (1 / alpha) * (1 - a / (alpha * (1 + a))) - 1) < a**2


@pytest.mark.parametrize("alpha", [1.5, 2.0])
def test_prior_is_heavy_tailed(alpha):
    y = levy_prior(jax.random.key(0), Line(2), COUNT, jnp.float32(7.0), alpha)
    check(y, alpha, 7.0)  # the data of this chart have no width


def test_samples_of_a_fractional_model():
    """The median distance from zero is that of the data, and nothing is left out or far outside of the box."""
    alpha, box = 1.5, 50.0 * jnp.ones(3)
    model = FractionalEnergy(Stable(1.0, alpha), alpha, -box, box)
    exact = np.median(np.linalg.norm(stable_noise(jax.random.key(5), Line(3), jnp.zeros((COUNT, 3)), alpha), axis=1))
    drawn = draw_samples(model, Line(3), NoiseSchedule(SMALLEST, LARGEST), 2000, steps=40, batch=2000)
    y = drawn.positions.reshape(-1, 3)
    assert (len(y), drawn.not_finite) == (2000, 0)
    assert np.median(np.linalg.norm(y, axis=1)) == pytest.approx(exact, rel=0.1)
    # the last step takes out 1/alpha of the noise that is left, which may hold a jump
    assert np.quantile(np.abs(y), 0.999) < 51.0


def test_a_jump_is_brought_back_into_the_box():
    box = jnp.ones(2)
    model = FractionalEnergy(Gaussian.of(np.eye(2)), 1.5, -box, box)
    y, sigma = jnp.array([100.0, 0.3]), jnp.float32(0.5)
    np.testing.assert_allclose(y + sigma**2 * model.score(None, y, sigma), [1.0, 0.3 / 1.25], rtol=1e-4)


def test_there_is_no_force_field():
    with pytest.raises(UserError, match="fractional score"):
        FractionalEnergy(Gaussian.of(np.eye(2)), 1.5, -jnp.ones(2), jnp.ones(2)).at_level(0.1)


@pytest.mark.slow
def test_a_fit_with_heavy_tails_and_a_published_schedule(tmp_path):
    """From settings to a stored model that samples and refuses to simulate."""
    landscape = LANDSCAPES["double-well-2d"]
    training, unseen = landscape.ensemble(200, 0), landscape.ensemble(60, 1)
    size = {"width": 8, "depth": 1, "batch": 64, "steps": 10, "chunk": 5, "warmup": 2, "architecture": "flat"}
    settings = TrainingSettings(**size, stability=1.5, schedule="vp-linear")
    model = fit_ensembles(training, unseen, tmp_path / "run", settings)
    assert type(model.schedule) is NoiseSchedule
    assert model.schedule.largest == pytest.approx(152.2, abs=0.1)
    again = Model.load(tmp_path / "run" / "model")
    assert isinstance(again.network, FractionalEnergy)
    drawn = again.sample(20, steps=5).positions
    assert np.isfinite(drawn).all()
    np.testing.assert_array_equal(drawn, model.sample(20, steps=5).positions)
    with pytest.raises(UserError, match="fractional score"):
        again.force_field()
    with pytest.raises(UserError, match="antithetic"):
        fit_ensembles(training, unseen, tmp_path / "b", TrainingSettings(**size, stability=1.5, loss="antithetic"))
