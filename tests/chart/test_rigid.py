"""Forces without what they would do to a rigid body."""

import jax.numpy as jnp
import numpy as np
import pytest

from twofold.chart.rigid import without_rigid_motion

BENT = np.random.default_rng(0).standard_normal((5, 3))
LINE = np.outer(np.arange(4), [1.0, 2.0, -0.5])


@pytest.mark.parametrize("positions", [BENT, LINE, LINE[:2]], ids=["bent", "line", "pair"])
def test_neither_a_net_force_nor_a_torque_is_left(positions):
    rng = np.random.default_rng(1)
    x, forces = jnp.asarray(positions + 3.0, jnp.float32), rng.standard_normal(positions.shape)
    found = np.asarray(without_rigid_motion(x, jnp.asarray(forces, jnp.float32)), np.float64)
    np.testing.assert_allclose(found.sum(0), 0, atol=1e-5)
    np.testing.assert_allclose(np.cross(positions, found).sum(0), 0, atol=1e-4)
    # a projection: what has been taken away is a rigid motion, and nothing more can be
    np.testing.assert_allclose(without_rigid_motion(x, jnp.asarray(found, jnp.float32)), found, atol=1e-4)
    taken = forces - found
    assert np.sum(taken * found) == pytest.approx(0.0, abs=1e-4)


def test_forces_of_an_energy_of_distances_are_left_as_they_are():
    step = BENT[:, None] - BENT
    forces = -(step * (np.linalg.norm(step, axis=-1, keepdims=True) - 1.0)).sum(1)
    found = without_rigid_motion(jnp.asarray(BENT, jnp.float32), jnp.asarray(forces, jnp.float32))
    np.testing.assert_allclose(found, forces, rtol=1e-4, atol=1e-4)
