"""The energy of landscapes: its directions, and what it is before it has learned."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twofold.chart.flat import FlatChart
from twofold.energy.flat import FlatEnergy, directions


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (2, 4), (3, 9)])
def test_directions_are_unit_vectors_along_axes_and_diagonals(count, expected):
    found = np.asarray(directions(count))
    assert found.shape == (expected, count)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, rtol=1e-6)
    # no two of them are parallel
    overlap = np.abs(found @ found.T) - np.eye(expected)
    assert overlap.max() < 0.8


def test_before_it_learns_the_energy_is_that_of_the_noised_gaussian():
    chart = FlatChart(jnp.zeros(2), jnp.ones(()), jnp.eye(2), beads=1)
    energy = FlatEnergy.build(chart, jax.random.key(0), width=16, depth=2)
    x = jnp.array([0.3, -1.2])
    np.testing.assert_allclose(energy.energy(None, x, jnp.float32(0.5)), 0.5 * float(x @ x) / 1.25, rtol=1e-6)
