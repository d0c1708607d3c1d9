"""The integrators against the exact stationary state of a linear system."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twofold.simulation.integrators import SCHEMES, init, langevin, maxwell_velocities
from twofold.systems.harmonic import Harmonic
from twofold.units import thermal_energy

TEMPERATURE, MASS, STIFFNESS = 300.0, 12.0, 30000.0
OMEGA = np.sqrt(STIFFNESS / MASS)


def stationary(scheme: str, ratio: float, friction: float) -> np.ndarray:
    """Covariance of position and velocity along x, by the map of one step, which is linear: (2, 2)."""
    force_field = Harmonic.wells([STIFFNESS])
    constants = langevin(np.array([MASS]), TEMPERATURE, friction, ratio / OMEGA)

    def step(position, velocity, noise):
        along = jnp.array([[[1.0, 0.0, 0.0]]])
        state = init(force_field, position * along, velocity * along)
        state = SCHEMES[scheme](force_field, constants, state, noise * along)
        return np.array([state.positions[0, 0, 0], state.velocities[0, 0, 0]], dtype=np.float64)

    move = np.stack([step(1.0, 0.0, 0.0), step(0.0, 1.0, 0.0)], axis=1)
    push = step(0.0, 0.0, 1.0)[:, None]
    flat = np.linalg.solve(np.eye(4) - np.kron(move, move), (push @ push.T).ravel())
    return flat.reshape(2, 2)


@pytest.mark.parametrize("ratio", [0.2, 1.0, 1.8])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_harmonic_positions_are_exact_at_any_stable_step(scheme, ratio):
    variance = stationary(scheme, ratio, friction=20.0)[0, 0]
    assert variance == pytest.approx(thermal_energy(TEMPERATURE) / STIFFNESS, rel=1e-3)


@pytest.mark.parametrize("ratio", [0.2, 1.0, 1.8])
def test_kinetic_temperature_is_exact_for_middle_and_known_for_baoab(ratio):
    unit = MASS / thermal_energy(TEMPERATURE)
    assert unit * stationary("langevin-middle", ratio, 20.0)[1, 1] == pytest.approx(1.0, rel=1e-3)
    assert unit * stationary("baoab", ratio, 20.0)[1, 1] == pytest.approx(1 - ratio**2 / 4, rel=2e-3)


def test_step_beyond_the_limit_is_unstable():
    force_field = Harmonic.wells([STIFFNESS])
    constants = langevin(np.array([MASS]), TEMPERATURE, 0.0, 2.1 / OMEGA)
    state = init(force_field, jnp.full((1, 1, 3), 0.01), jnp.zeros((1, 1, 3)))
    for _ in range(60):
        state = SCHEMES["baoab"](force_field, constants, state, jnp.zeros((1, 1, 3)))
    assert float(jnp.abs(state.positions).max()) > 1e3


def test_without_friction_energy_is_conserved():
    force_field = Harmonic.chain([3000.0, 5000.0])
    masses = np.array([12.0, 14.0, 16.0])
    constants = langevin(masses, TEMPERATURE, 0.0, 0.0005)
    positions = jnp.asarray(force_field.sample(4, TEMPERATURE, np.random.default_rng(0)))
    state = init(force_field, positions, maxwell_velocities(jax.random.key(0), masses, TEMPERATURE, 4))

    def total(state):
        return state.potential + 0.5 * (masses[:, None] * state.velocities**2).sum(axis=(1, 2))

    step = jax.jit(lambda state: SCHEMES["baoab"](force_field, constants, state, jnp.ones_like(positions)))
    after = state
    for _ in range(200):
        after = step(after)
    np.testing.assert_allclose(total(after), total(state), rtol=1e-3)
    assert not np.allclose(after.potential, state.potential, rtol=0.05)


def test_maxwell_velocities():
    masses = np.array([12.0, 1.0])
    velocities = np.asarray(maxwell_velocities(jax.random.key(1), masses, TEMPERATURE, 20000), dtype=np.float64)
    expected = thermal_energy(TEMPERATURE) / masses
    np.testing.assert_allclose(velocities.var(axis=(0, 2)), expected, rtol=0.02)
