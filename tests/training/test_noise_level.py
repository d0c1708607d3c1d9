"""The noise level of the force field, on cases whose answer is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import Line
from twofold.energy.base import Energy
from twofold.errors import UserError
from twofold.noise import NoiseSchedule
from twofold.training.noise_level import LEVELS, _block_error, _decide, choose_noise_level

FAULT = 0.04


class Faulty(Energy):
    """Gaussian data of unit variance; the score is too strong by a factor 1 + (FAULT/sigma)^2."""

    fault: jax.Array

    def energy(self, system, x, sigma):
        return 0.5 * jnp.sum(x**2) / (1 + sigma**2) * (1 + (self.fault / sigma) ** 2)


@pytest.fixture(scope="module")
def scan():
    x = np.random.default_rng(0).standard_normal((1000, 2))
    x = jnp.asarray((x - x.mean(0)) / x.std(0), jnp.float32)
    return choose_noise_level(Faulty(jnp.float32(FAULT)), Line(2), NoiseSchedule(0.02, 5.0), x, np.ones(1000))


def test_loss_is_the_closed_form(scan):
    """s = -k x with k = (1 + (fault/sigma)^2)/(1 + sigma^2): the loss is 2 (k^2/2 - k) for two unit variances."""
    sigma = np.array(scan.sigma)
    k = (1 + (FAULT / sigma) ** 2) / (1 + sigma**2)
    np.testing.assert_allclose(scan.loss, 2 * (0.5 * k**2 - k), rtol=1e-3)
    assert len(sigma) == LEVELS


def test_the_level_where_fault_and_blur_cancel_is_found(scan):
    """k = 1 at sigma = sqrt(fault), where the model's score is that of the clean data."""
    best = int(np.argmin(scan.loss))
    assert best == int(np.argmin(np.abs(np.log(np.array(scan.sigma) / np.sqrt(FAULT)))))
    chosen = scan.sigma.index(scan.chosen)
    assert chosen >= best
    assert scan.loss[chosen] - scan.loss[best] <= scan.difference_error[chosen] or chosen == best
    assert scan.chosen < 0.5


def test_ties_go_to_the_larger_level_and_stop_at_the_first_worse_one():
    rng = np.random.default_rng(0)
    shared = rng.standard_normal(400)
    rows = [shared + 1.0, shared, shared + 1e-4 * rng.standard_normal(400), shared + 1.0, shared]
    scan = _decide(np.arange(1.0, 6.0), np.stack(rows), np.full(400, 1 / 400))
    assert scan.chosen in (2.0, 3.0)
    rows[2] = shared
    assert _decide(np.arange(1.0, 6.0), np.stack(rows), np.full(400, 1 / 400)).chosen == 3.0


def test_a_level_without_a_finite_loss_is_never_chosen():
    rows = np.stack([np.full(100, np.nan), np.zeros(100), np.full(100, np.nan), np.full(100, np.nan)])
    assert _decide(np.arange(1.0, 5.0), rows, np.full(100, 0.01)).chosen == 2.0


def test_no_level_at_all_is_an_error_of_the_data():
    with pytest.raises(UserError, match="not finite"):
        _decide(np.arange(1.0, 4.0), np.full((3, 100), np.nan), np.full(100, 0.01))


def test_jackknife_error_is_that_of_a_mean():
    values = np.random.default_rng(0).standard_normal(20_000)
    assert _block_error(values, np.full(20_000, 1 / 20_000)) == pytest.approx(1 / np.sqrt(20_000), rel=0.4)


def test_weights_count():
    x = jnp.asarray(np.random.default_rng(0).standard_normal((1000, 2)), jnp.float32)
    weights = np.where(np.arange(1000) < 500, 2.0, 0.0)
    model, schedule = Faulty(jnp.float32(FAULT)), NoiseSchedule(0.02, 5.0)
    whole = choose_noise_level(model, Line(2), schedule, x, weights, most=1000)
    k = (1 + (FAULT / whole.sigma[5]) ** 2) / (1 + whole.sigma[5] ** 2)
    square = float(np.mean(np.sum(np.asarray(x[:500], np.float64) ** 2, -1)))
    assert whole.loss[5] == pytest.approx(0.5 * k**2 * square - 2 * k, rel=1e-3)


def test_every_other_frame_may_be_without_weight():
    """The frames that are looked at are some of those with a weight, and spread over them."""
    x = jnp.asarray(np.random.default_rng(0).standard_normal((1000, 2)), jnp.float32)
    weights = np.arange(1000) % 2
    model, schedule = Faulty(jnp.float32(FAULT)), NoiseSchedule(0.02, 5.0)
    heard: list[tuple[int, int]] = []
    found = choose_noise_level(
        model, Line(2), schedule, x, weights, most=100, progress=lambda *told: heard.append(told)
    )
    assert heard == [(done, LEVELS) for done in range(LEVELS)]
    alone = choose_noise_level(model, Line(2), schedule, x[1::2], np.ones(500), most=100)
    np.testing.assert_allclose(found.loss, alone.loss, rtol=1e-6)
    assert found.chosen == alone.chosen
