"""Weights of basins along the levels of noise: kept by an exact mixture, lost by a known amount by a wrong one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import synthetic
from twofold.diagnosis.basins import basins, odds_drift
from twofold.diagnosis.losses import Coordinates
from twofold.energy.base import Energy
from twofold.systems.mixture import GaussianMixture

CHART = synthetic.Line(2)
MEANS = np.array([[-2.5, 0.0], [2.5, 1.0]])
TRUE = 0.3


class Drifting(Energy):
    """The mixture with the weight of its left mode going from `TRUE` at large noise to `share` at small noise."""

    share: float = TRUE

    def energy(self, system, x, sigma):
        odds = [np.log(p / (1 - p)) for p in (self.share, TRUE)]
        left = jax.nn.sigmoid(odds[0] + (odds[1] - odds[0]) * jax.nn.sigmoid(8 * jnp.log(sigma / 0.3)))
        weights = jnp.stack([left, 1 - left])
        return GaussianMixture(jnp.asarray(MEANS, jnp.float32), weights, jnp.float32(0.25)).energy(x, sigma)


@pytest.fixture(scope="module")
def frames():
    x = GaussianMixture.of(MEANS, [TRUE, 1 - TRUE], 0.25).sample(2000, np.random.default_rng(0))
    part = Coordinates(jnp.asarray(x, jnp.float32), np.ones(2000), np.arange(2000) // 100)
    return part, {"left": x[:, 0] < 0}


@pytest.mark.parametrize("share", [TRUE, 0.5, 0.1])
def test_drift_of_the_odds(frames, share):
    part, members = frames
    sigma = np.geomspace(0.05, 10, 48)
    drift, error, curve = odds_drift(Drifting(share), CHART, sigma, part, members["left"])
    expected = np.log(share / (1 - share)) - np.log(TRUE / (1 - TRUE))
    assert drift == pytest.approx(expected, abs=0.03 + 4 * error)
    assert curve[-1] == 0.0
    assert curve[0] == drift


def test_verdicts(frames):
    states = {}
    for share in (TRUE, 0.1):
        (check,) = basins(Drifting(share), CHART, (0.05, 10.0), *frames).checks
        states[share] = check.state
    assert states == {TRUE: "pass", 0.1: "fail"}


def test_basins_without_frames_are_left_out(frames):
    part, _ = frames
    assert basins(Drifting(), CHART, (0.05, 10.0), part, {"nowhere": np.zeros(2000, bool)}).checks == ()


def test_the_error_of_the_drift_is_its_scatter(frames):
    part, members = frames
    sigma = np.geomspace(0.05, 10, 12)
    found = [odds_drift(Drifting(0.1), CHART, sigma, part, members["left"], seed)[:2] for seed in range(12)]
    drifts, errors = np.array(found).T
    assert np.mean(errors) == pytest.approx(drifts.std(ddof=1), rel=0.6)
