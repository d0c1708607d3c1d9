"""The double well."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twofold.systems.double_well import DoubleWell


def test_energy_is_the_profile_and_wells_are_minima():
    well = DoubleWell(barrier=5.0, minimum=0.1, tilt=0.0, stiffness=1000.0)
    for x, expected in ((0.0, 5.0), (0.1, 0.0), (-0.1, 0.0), (0.2, 45.0)):
        assert float(well.energy(jnp.array([[x, 0.0, 0.0]]))) == pytest.approx(expected, abs=1e-4)
        assert float(well.profile(np.array(x))) == pytest.approx(expected, rel=1e-6, abs=1e-6)
    np.testing.assert_allclose(jax.grad(well.energy)(jnp.array([[0.1, 0.01, 0.0]])), [[0, 10, 0]], atol=1e-3)


def test_probabilities():
    edges = np.linspace(-0.2, 0.2, 9)
    even = DoubleWell().probabilities(edges, 300.0)
    assert even.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(even, even[::-1])
    fine = DoubleWell(tilt=1.0).probabilities(np.linspace(-0.2, 0.2, 4001), 300.0)
    np.testing.assert_allclose(
        DoubleWell(tilt=1.0).probabilities(edges, 300.0), fine.reshape(8, 500).sum(axis=1), rtol=1e-8
    )
