"""Correctors on densities that are known."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import Gaussian, Line, root
from twofold.chart.cartesian import CartesianChart, cartesian_chart
from twofold.energy.base import Energy
from twofold.noise import NoiseSchedule
from twofold.sampling.correctors import FRICTION, LEAST, RELAXATION, Settling, _rising, relax, settle
from twofold.sampling.draw import draw_samples

COVARIANCE = np.array([[1.0, 0.6], [0.6, 0.5]])
MODEL = Gaussian.of(COVARIANCE)
SETTLE = jax.jit(settle, static_argnums=1)


class Valley(Line):
    """A line that may be as narrow as the noise."""

    @property
    def narrowest(self):
        return jnp.zeros(())


def test_relaxation_keeps_the_density_and_draws_outliers_in():
    """Langevin steps of a Gaussian in closed form: the mean shrinks by (1 - h/v) a step, the variance stays v."""
    sigma, steps, count = 0.7, 200, 20_000
    total = COVARIANCE + sigma**2 * np.eye(2)
    normal = np.random.default_rng(0).standard_normal((count, 2))
    shift = np.array([4.0, -1.0])
    relaxed = jax.jit(relax, static_argnums=(1, 2, 6))(
        MODEL, None, Valley(2), jnp.asarray(normal @ root(total) + shift), jnp.float32(sigma), jax.random.key(0), steps
    )
    length = RELAXATION * sigma**2
    expected = np.linalg.matrix_power(np.eye(2) - length * np.linalg.inv(total), steps) @ shift
    np.testing.assert_allclose(np.mean(relaxed, 0), expected, atol=4 * np.sqrt(total.max() / count))
    np.testing.assert_allclose(np.cov(np.asarray(relaxed).T), total, rtol=0.03)


@pytest.mark.parametrize(("sigma", "steps"), [(0.05, LEAST), (0.5, LEAST), (0.05, 8 * LEAST)])
def test_settling_keeps_a_density_of_stiff_and_soft_directions(sigma, steps):
    """Positions of harmonic modes are exact at any time step and friction, and those of stiff ones soon forgotten."""
    model, count = Gaussian.of(np.diag([1.0, 0.01])), 20_000
    total = np.diag([1.0, 0.01]) + sigma**2 * np.eye(2)
    start = np.random.default_rng(0).standard_normal((count, 2)) @ root(total)
    far = start + np.array([0.0, 2.0 * total[1, 1] ** 0.5])
    for y in (start, far):
        y = jnp.asarray(y, jnp.float32)
        settled = SETTLE(model, None, Line(2), y, jnp.float32(sigma), jax.random.key(1), steps, steps)[0]
        np.testing.assert_allclose(np.cov(np.asarray(settled).T), total, atol=0.03 * total.max())
        assert np.var(settled[:, 1]) == pytest.approx(total[1, 1], rel=0.04)
        assert np.mean(settled[:, 1]) == pytest.approx(0, abs=4 * np.sqrt(total[1, 1] / count))
    assert 0 < FRICTION < 1


def modes(stiff):
    """Variances of twelve soft modes and a stiff one."""
    return np.append(np.full(12, 1.0), stiff)


def soft_modes(spread, stiff=2e-3, count=2000, far=20):
    """Frames (count, 13) at level 0.01 of soft modes that are so many times as wide as they should be; some far off."""
    start = np.random.default_rng(0).standard_normal((count, 13)) * np.sqrt(modes(stiff))
    start[:, :12] *= spread**0.5
    start[:far] *= 30.0
    return jnp.asarray(start + 0.01 * np.random.default_rng(1).standard_normal(start.shape), jnp.float32)


def settled_from(start, seed, *limits, stiff=2e-3):
    model = Gaussian.of(np.diag(modes(stiff)))
    return SETTLE(model, None, Line(13), start, jnp.float32(0.01), jax.random.key(seed), *limits)


@pytest.mark.parametrize(
    ("spread", "stiff", "steps"), [(1.0, 2e-3, 100), (1.6, 2e-3, 400), (0.6, 2e-3, 400), (1.6, 8e-4, 800)]
)
def test_settling_goes_on_for_as_long_as_energies_change(spread, stiff, steps):
    """Soft modes forget in a time that goes with their friction; a few frames that are far off do not hide it."""
    start = soft_modes(spread, stiff)
    settled, found = settled_from(start, 1, stiff=stiff)
    assert found.steps == steps
    assert found.sure
    assert np.var(np.asarray(settled)[20:, :12]) == pytest.approx(1.0, abs=0.035)
    np.testing.assert_array_equal(settled_from(start, 1, steps, steps, stiff=stiff)[0], settled)
    assert settled_from(start, 1, 7, 7, stiff=stiff)[1].steps == 7


def test_what_has_settled_is_left_alone():
    """What the start does to velocities must not count. Of a thousand frames one draw in fourteen goes on by chance."""
    frames = soft_modes(1.0, count=4000, far=0)
    assert [int(settled_from(frames, seed)[1].steps) for seed in range(12)] == [100] * 12


def test_few_samples_cannot_tell_and_go_on_to_the_end():
    found = settled_from(soft_modes(1.0, count=250, far=0), 0)[1]
    assert found.steps == 800
    assert found.settled is None


def test_settled_is_what_rises_as_often_as_it_falls():
    """Three answers: that it is so for sure, that it is not, and that nothing can be told."""

    def answers(change):
        return Settling(0, *_rising(np.zeros(len(change)), change)).settled

    change = np.where(np.arange(1000) % 2, 1.0, -1.0)
    uneven = np.where(np.arange(1000) % 5 < 2, 1.0, -1.0)
    assert answers(change) is True
    assert answers(np.zeros(1000)) is True
    assert answers(uneven) is False
    assert answers(change[:250]) is answers(uneven[:60]) is None
    # 55 of a hundred rise: more than by chance, and hardly more than is allowed
    assert answers(np.where(np.arange(2000) % 20 < 11, 1.0, -1.0)) is None
    assert answers(np.where(np.arange(1000) < 300, np.nan, change)) is True
    assert answers(np.full(1000, np.nan)) is None
    rising, error = _rising(np.zeros(1000), uneven)
    assert rising == pytest.approx(-0.1)
    assert error == pytest.approx(0.5 / 1000**0.5)


class StiffPair(Energy):
    """Two beads at a distance of about one, stiff along it and free to turn."""

    width: float = 0.02

    def energy(self, system, x, sigma):
        away = jnp.linalg.norm(x[0] - x[1]) - 1.0
        return 0.5 * away**2 / (self.width**2 + 2.0 * sigma**2)


def pairs(count=400):
    """Frames (count, 2, 3) of a stiff pair at level 0.01, and the chart that they are in."""
    rng = np.random.default_rng(0)
    way = rng.standard_normal((count, 3))
    bond = (1.0 + StiffPair.width * rng.standard_normal(count))[:, None] * way / np.linalg.norm(way, axis=1)[:, None]
    positions = np.stack([0.5 * bond, -0.5 * bond], axis=1)
    chart = cartesian_chart(positions)
    unit = CartesianChart(jnp.float32(1.0), chart.modes, chart.variances)
    noise = jax.vmap(unit.project)(jax.random.normal(jax.random.key(1), positions.shape))
    return jnp.asarray(positions, jnp.float32) + 0.01 * noise, unit


def lengths(y):
    return np.linalg.norm(np.asarray(y)[:, 0] - np.asarray(y)[:, 1], axis=-1)


@pytest.mark.parametrize("steps", [LEAST, 8 * LEAST])
def test_settling_bears_bonds_in_cartesian_coordinates(steps):
    """The modes of a Cartesian chart hold the turning of a bond: they say nothing of how stiff it is along itself."""
    y, chart = pairs()
    assert chart.narrowest is None
    settled = SETTLE(StiffPair(), None, chart, y, jnp.float32(0.01), jax.random.key(2), steps, steps)[0]
    assert np.std(lengths(settled)) == pytest.approx(np.std(lengths(y)), rel=0.15)
    assert np.mean(lengths(settled)) == pytest.approx(1.0, abs=0.01)
    turned = np.asarray(settled)[:, 0] - np.asarray(y)[:, 0]
    assert np.linalg.norm(turned, axis=1).mean() > 0.1


def test_what_is_far_off_comes_back_without_being_thrown():
    y, chart = pairs()
    odd = y.at[:3].multiply(jnp.array([0.1, 3.0, 0.5])[:, None, None])
    settled = lengths(SETTLE(StiffPair(), None, chart, odd, jnp.float32(0.01), jax.random.key(2), 200, 200)[0])
    np.testing.assert_allclose(settled, 1.0, atol=0.15)


class SpoiltAbove(Gaussian):
    """A score that is a quarter of the right one above a level of noise."""

    def energy(self, system, x, sigma):
        return super().energy(system, x, sigma) * jnp.where(sigma > 0.2, 0.25, 1.0)


def drawn_in_steps(model, corrector, number=2048, **options):
    schedule = NoiseSchedule(0.02, 5.0)
    given = {"steps": 40, "batch": 2048, "trusted": 0.1, "corrector": corrector} | options
    return draw_samples(model, Line(3), schedule, number, **given)


def test_samples_in_positions_settle_at_the_trusted_level():
    exact = np.array([0.01, 0.02, 0.02])
    model = SpoiltAbove(jnp.asarray(exact, jnp.float32), jnp.eye(3), jnp.float32(1.0))
    drawn = [drawn_in_steps(model, corrector) for corrector in (0, None)]
    without, settled = (np.var(samples.positions[:, 0], axis=0) for samples in drawn)
    assert np.all(without > 1.2 * exact)
    np.testing.assert_allclose(settled, exact, rtol=0.12)
    assert "corrected_at" not in drawn[0].settings
    assert drawn[0].settings["corrector"] == 0
    assert drawn[1].settings["corrector"] in (100, 200, 400)
    assert drawn[1].settings["corrected_at"] == pytest.approx(0.1, rel=0.2)
    assert [samples.settled for samples in drawn] == [None, True]
    assert drawn[1].about()["settled"] is True
    assert drawn[1].about()["settling"]["steps"] == drawn[1].settings["corrector"]
    json.dumps(drawn[1].about())


class PlainScore(Gaussian):
    """A score that is said to have no energy at any level."""

    @property
    def conservative_to(self):
        return 0.0


def test_steps_of_samples_are_those_of_the_first_batch_and_are_told():
    """Where scores have no energy, a hundred; the flow has none; what is told draws the same again."""
    model = Gaussian.of(np.diag([0.01, 0.02, 0.02]))
    few = drawn_in_steps(model, None, 130, batch=65)
    assert few.settings["corrector"] == 800
    assert few.settled is None
    same = drawn_in_steps(model, 800, 130, batch=65)
    np.testing.assert_array_equal(few.positions, same.positions)
    plain = PlainScore(jnp.asarray([0.01, 0.02, 0.02]), jnp.eye(3), jnp.float32(1.0))
    assert drawn_in_steps(plain, None, 64).settings["corrector"] == 100
    assert drawn_in_steps(model, None, 64, solver="ode").settings["corrector"] == 0
    assert drawn_in_steps(model, 100, 64, solver="ode").settings["corrector"] == 0
