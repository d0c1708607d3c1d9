"""The energy of a chain: symmetries, forces, noise that makes it forget."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import synthetic
from twofold.chart.internal import TORSION_UNIT

SIGMA = jnp.float32(0.3)
REFLECTION = np.diag([1.0, 1.0, -1.0]).astype(np.float32)


@pytest.fixture(scope="module")
def functions(untrained):
    """Energy in kT and its gradient, of batches of positions in nm."""

    def energy(positions, sigma):
        return untrained.network.of_positions(None, untrained.chart, positions, sigma)

    return (jax.jit(jax.vmap(energy, (0, None))), jax.jit(jax.vmap(jax.grad(energy), (0, None))))


@pytest.fixture(scope="module")
def positions(chain_ensemble):
    return chain_ensemble.positions[:40]


def test_rotation_and_translation_change_nothing(functions, positions):
    energy = functions[0]
    moved = positions @ synthetic.rotation(3) + np.float32([0.3, -0.2, 0.5])
    np.testing.assert_allclose(energy(moved, SIGMA), energy(positions, SIGMA), atol=2e-3)


def test_forces_turn_with_the_molecule(functions, positions):
    gradient, turn = functions[1], synthetic.rotation(3)
    found, expected = np.asarray(gradient(positions @ turn, SIGMA)), np.asarray(gradient(positions, SIGMA)) @ turn
    assert np.abs(found - expected).max() < 2e-3 * np.abs(expected).max()


def test_no_net_force_and_no_net_torque(functions, positions):
    centred = positions - positions.mean(1, keepdims=True)
    force = np.asarray(functions[1](centred, SIGMA), np.float64)
    scale = np.abs(force).max()
    assert np.abs(force.sum(1)).max() < 1e-4 * scale
    assert np.abs(np.cross(centred, force).sum(1)).max() < 1e-4 * scale * np.abs(centred).max()


@pytest.mark.parametrize("sigma", [0.05, 1.0])
def test_mirror_images_differ(functions, positions, sigma):
    energy = functions[0]
    gap = energy(positions @ REFLECTION, jnp.float32(sigma)) - energy(positions, jnp.float32(sigma))
    assert np.abs(np.asarray(gap)).mean() > 0.05


def test_torsions_are_periodic(untrained, positions):
    chart = untrained.chart
    energy = jax.jit(lambda q: untrained.network.energy(None, q, SIGMA))
    for frame in positions[:3]:
        q = chart.encode(jnp.asarray(frame))
        turned = q.at[-1].add(2 * jnp.pi / TORSION_UNIT)
        assert float(energy(turned)) == pytest.approx(float(energy(q)), abs=2e-3)


def test_energy_of_coordinates_and_of_positions_agree(untrained, functions, positions):
    """U_x = U_q + ln J, whichever way it is computed."""
    chart, network = untrained.chart, untrained.network

    def from_coordinates(x):
        q = chart.encode(x)
        return network.energy(None, q, SIGMA) + chart.log_jacobian(q)

    expected = jax.jit(jax.vmap(from_coordinates))(positions)
    np.testing.assert_allclose(functions[0](positions, SIGMA), expected, atol=2e-3)


def test_large_noise_leaves_the_gaussian_of_the_stiff_coordinates(untrained, positions):
    """When torsions are uniform the energy cannot depend on them."""
    network, chart = untrained.network, untrained.chart
    energy = jax.jit(lambda q: network.energy(None, q, jnp.float32(14.0)))
    q = chart.encode(jnp.asarray(positions[0]))
    values = [float(energy(q.at[chart.stiff_count :].add(shift))) for shift in (0.0, 3.0, 7.0)]
    assert np.ptp(values) < 0.05


def test_far_pairs_are_those_four_bonds_apart(untrained):
    pairs = np.asarray(untrained.network.features.pairs)
    np.testing.assert_array_equal(pairs, [[0, 4]])
    assert untrained.network.features.count == len(untrained.network.network.first[0])
