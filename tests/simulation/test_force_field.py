"""What is derived from an energy."""

import jax.numpy as jnp
import numpy as np

from twofold.simulation.force_field import (
    as_force_field,
    curvature_along,
    energies_and_forces,
    fingerprint,
    net_force_ratio,
)
from twofold.systems.harmonic import Harmonic

from .springs import CHAIN, starts


def test_plain_functions_and_own_batches_agree_with_the_gradient():
    class Batched(Harmonic):
        def energies_and_forces(self, positions):
            forces = -jnp.einsum("ij,rjx->rix", self.stiffness, positions)
            return -0.5 * jnp.sum(forces * positions, axis=(1, 2)), forces

    positions = jnp.asarray(starts())
    energies, forces = energies_and_forces(CHAIN, positions)
    for other in (as_force_field(CHAIN.energy), as_force_field(lambda x: CHAIN.energy(x)), Batched(CHAIN.stiffness)):
        found = energies_and_forces(other, positions)
        np.testing.assert_allclose(found[0], energies, rtol=1e-5)
        np.testing.assert_allclose(found[1], forces, rtol=1e-4, atol=1e-2)


def test_curvature_is_the_hessian():
    vector = np.random.default_rng(0).normal(size=(6, 3, 3)).astype(np.float32)
    expected = np.einsum("ij,rjx->rix", np.asarray(CHAIN.stiffness), vector)
    np.testing.assert_allclose(
        curvature_along(CHAIN, jnp.asarray(starts()), jnp.asarray(vector)), expected, rtol=1e-4, atol=1.0
    )


def test_fingerprint_tells_parameters_apart():
    assert fingerprint(CHAIN) == fingerprint(Harmonic(CHAIN.stiffness))
    assert fingerprint(CHAIN) != fingerprint(Harmonic(CHAIN.stiffness + 1))


def test_net_force():
    free = np.array([[[1.0, 0, 0], [-1.0, 0, 0]]])
    assert net_force_ratio(free) == 0
    assert net_force_ratio(np.abs(free)) == 1
    assert net_force_ratio(np.full((1, 2, 3), np.nan)) == 0
