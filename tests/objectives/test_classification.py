"""Cross-entropy between noise levels: least for the true weights of basins that do not touch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import Line
from twofold.energy.base import Energy
from twofold.noise import NoiseSchedule
from twofold.objectives import antithetic
from twofold.objectives.classification import classification, other_level
from twofold.systems.mixture import GaussianMixture

MEANS = np.array([[-6.0], [6.0]])
NEAR, FAR = 1.0, 8.0
NUMBER = 40_000


class Misweighted(Energy):
    """The mixture 20/80 at all levels above `FAR`, one with another weight at levels below."""

    share: jax.Array

    def energy(self, system, x, sigma):
        true, false = (
            GaussianMixture(jnp.asarray(MEANS), jnp.stack([share, 1 - share]), jnp.float32(1.0))
            for share in (jnp.float32(0.2), self.share)
        )
        return jnp.where(sigma < FAR, false.energy(x, sigma), true.energy(x, sigma))


@pytest.fixture(scope="module")
def draws():
    mixture = GaussianMixture.of(MEANS, [0.2, 0.8])
    x = jnp.asarray(mixture.sample(NUMBER, np.random.default_rng(0)), jnp.float32)
    return x, jax.random.normal(jax.random.key(0), x.shape)


def test_weights_of_basins_are_seen(draws):
    """Half of the frames at either level: the loss is least at the true weight, the denoising loss does not care."""
    half = NUMBER // 2
    levels = jnp.where(jnp.arange(NUMBER) < half, NEAR, FAR)
    shares = np.array([0.1, 0.15, 0.2, 0.25, 0.3])
    entropy = jax.jit(
        lambda share: classification(Misweighted(share), None, *draws, levels, NEAR + FAR - levels).mean()
    )
    blind = jax.jit(lambda share: antithetic(Misweighted(share), None, *draws, jnp.full(NUMBER, NEAR)).mean())
    found = np.array([float(entropy(share)) for share in shares])
    bend, slope, _ = np.polyfit(shares, found, 2)
    assert -slope / (2 * bend) == pytest.approx(0.2, abs=0.02)
    denoising = np.array([float(blind(share)) for share in shares])
    assert np.ptp(denoising) < 0.01 * np.ptp(found)


def test_value_for_gaussians_in_closed_form():
    """softplus of the difference of two normalised energies."""
    one = GaussianMixture.of(np.zeros((1, 2)), [1.0])

    class Exact(Energy):
        def energy(self, system, x, sigma):
            return one.energy(x, sigma)

    x, noise = jnp.array([[1.0, 0.0]]), jnp.array([[0.5, -1.0]])
    y = np.array([1.5, -1.0])
    gap = [0.5 * (y @ y) / (1 + s**2) + np.log(2 * np.pi * (1 + s**2)) for s in (1.0, 1.5)]
    found = classification(Exact(), None, x, noise, jnp.array([1.0]), jnp.array([1.5]))
    np.testing.assert_allclose(found, np.log1p(np.exp(gap[0] - gap[1])), rtol=1e-5)


def test_partner_levels_lie_on_both_sides_and_nearer_in_many_dimensions():
    sigma, schedule = jnp.full(1000, 0.7), NoiseSchedule(0.01, 100.0)
    spread = [np.log(np.asarray(other_level(jax.random.key(0), sigma, schedule, Line(d))) / 0.7) for d in (2, 50)]
    assert all(abs(x.mean()) < 0.1 * np.ptp(x) for x in spread)
    assert np.ptp(spread[0]) == pytest.approx(5 * np.ptp(spread[1]), rel=1e-3)


def test_partners_of_evenly_spread_levels_are_evenly_spread():
    schedule = NoiseSchedule(0.1, 10.0)
    sigma = schedule.draw(jax.random.key(0), 20_000)
    partner = np.asarray(other_level(jax.random.key(1), sigma, schedule, Line(2)))
    counts = np.histogram(np.log(partner), 20, np.log([0.1, 10.0]))[0]
    assert counts.sum() == 20_000
    assert np.abs(counts / 1000 - 1).max() < 0.15
