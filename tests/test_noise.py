import jax
import numpy as np

from twofold.noise import NoiseSchedule

SCHEDULE = NoiseSchedule(0.02, 5.0)


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
