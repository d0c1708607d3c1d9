"""Basins of torsions."""

import numpy as np
import pytest

from twofold.analysis.barriers import about, barriers
from twofold.analysis.kinetics import crossings


def wrapped(angles):
    return np.mod(angles + np.pi, 2 * np.pi) - np.pi


def two_basins(first, second, share, rng, width=0.3, frames=20_000):
    centres = np.where(rng.random(frames) < share, second, first)
    return wrapped(centres + width * rng.standard_normal(frames))


@pytest.mark.parametrize(("first", "second"), [(-1.5, 1.5), (0.9, -3.0), (3.1, 0.2)])
def test_barriers_lie_between_the_basins(first, second):
    rng = np.random.default_rng(0)
    angles = two_basins(first, second, 0.2, rng)
    cuts = barriers(angles, np.ones(len(angles)))
    turned = about(angles, cuts)
    nearer = np.abs(wrapped(angles - first)) < np.abs(wrapped(angles - second))
    share = np.mean((turned > 0) == nearer)
    assert min(share, 1 - share) < 2e-3
    assert np.abs(turned).max() <= np.pi


def test_weights_count():
    rng = np.random.default_rng(1)
    angles = two_basins(-1.0, 2.0, 0.5, rng)
    assert barriers(angles, np.ones(len(angles))) is not None
    assert barriers(angles, np.where(angles > 0.5, 1e-4, 1.0)) is None


def test_one_basin_has_no_barrier():
    rng = np.random.default_rng(2)
    assert barriers(wrapped(2.5 + 0.5 * rng.standard_normal(20_000)), np.ones(20_000)) is None
    assert barriers(rng.uniform(-np.pi, np.pi, 20_000), np.ones(20_000)) is None


def test_crossings_of_a_path_are_counted():
    angles = wrapped(np.concatenate([np.full(50, 1.0), np.full(50, -2.8), np.full(50, 1.1)]))
    cuts = barriers(two_basins(1.0, -2.8, 0.5, np.random.default_rng(3)), np.ones(20_000))
    assert crossings(about(angles, cuts)).number == 2


def test_the_stretched_circle_is_whole():
    angles = np.linspace(-np.pi, np.pi, 1000, endpoint=False)
    turned = about(angles, (-2.0, 0.5))
    assert turned[np.argmin(np.abs(angles + 2.0))] == pytest.approx(0.0, abs=0.02)
    steps = wrapped(np.diff(turned))
    assert (steps > 0).all()
    assert np.sum(steps) == pytest.approx(2 * np.pi, rel=1e-2)
