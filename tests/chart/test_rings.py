"""Rings in internal coordinates: what noise does to the bonds that close them, and which are too loose."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twofold.architectures import build
from twofold.beads import Beads
from twofold.bond_graph import bonds_apart
from twofold.chart.internal import internal_chart
from twofold.chart.noising import noised_positions
from twofold.chart.rings import closed_to
from twofold.chart.tree import bead_tree
from twofold.choice import choose
from twofold.ensemble import Ensemble
from twofold.errors import UserError

HEXAGON = [(k, (k + 1) % 6) for k in range(6)]
WHEEL = Beads.anonymous(12, bonds=[*HEXAGON, *((k, k + 6) for k in range(6))])
"""A hexagon with a bead on each corner, as benzene."""


def wheels(number, seed=0):
    """Frames (number, 12, 3) nm: corners move by 3 pm along each axis."""
    turn = 2 * np.pi * np.arange(6) / 6
    corner = np.stack([np.cos(turn), np.sin(turn), np.zeros(6)], axis=-1)
    mean = np.concatenate([0.14 * corner, 0.25 * corner])
    return (mean + np.random.default_rng(seed).normal(0, 0.003, (number, 12, 3))).astype(np.float32)


@pytest.fixture(scope="module")
def wheel():
    return Ensemble.build(WHEEL, wheels(4000), 300.0)


@pytest.fixture(scope="module")
def chart(wheel):
    return internal_chart(bead_tree(12, WHEEL.bonds), wheel.positions, wheel.weights)


def test_positions_come_back(wheel, chart):
    back = np.asarray(jax.jit(jax.vmap(lambda x: chart.decode(chart.encode(x))))(wheel.positions[:100]))
    apart = [np.linalg.norm(x[:, :, None] - x[:, None], axis=-1) for x in (back, wheel.positions[:100])]
    np.testing.assert_allclose(*apart, atol=3e-6)


def test_noise_widens_the_closing_bond_like_the_others(wheel, chart):
    """By sqrt(1 + sigma^2), and what is curved within the tolerance."""
    tree, sigma = bead_tree(12, WHEEL.bonds), 0.3
    noised = noised_positions(chart, wheel.positions, sigma, seed=1)

    def width(frames, bond):
        return np.linalg.norm(frames[:, bond[0]] - frames[:, bond[1]], axis=-1).std()

    for bond in [*tree.bonds, *tree.closing]:
        assert width(noised, bond) / width(wheel.positions, bond) == pytest.approx(np.sqrt(1 + sigma**2), rel=0.06)


def test_a_stiff_ring_gets_internal_coordinates(wheel):
    name, reason = choose(wheel)
    assert name == "internal"
    assert "1 stiff ring" in reason


def test_what_a_ring_holds_near_has_no_wall_but_is_seen(wheel):
    built = build("internal", wheel, jax.random.key(0), width=8, depth=2)
    pairs = np.asarray(built.energy.features.pairs)
    closing = tuple(bead_tree(12, WHEEL.bonds).closing[0])
    assert closing in {tuple(pair) for pair in pairs}
    walled = np.asarray(built.energy.volume.walls.member).any(axis=1)
    np.testing.assert_array_equal(walled, bonds_apart(12, WHEEL.bonds)[tuple(pairs.T)] >= 4)
    assert walled.any()
    assert np.isfinite(built.energy.energy(None, built.chart.encode(jnp.asarray(wheel.positions[0])), jnp.float32(0.1)))


def puckered(height, number=2000, invert=False):
    """Frames of six beads of a crown, `height` nm above and below its plane in turns; may be turned inside out."""
    turn = 2 * np.pi * np.arange(6) / 6
    sign = np.random.default_rng(0).choice([-1, 1] if invert else [1], (number, 1))
    flat = [np.tile(0.14 * one, (number, 1)) for one in (np.cos(turn), np.sin(turn))]
    crown = np.stack([*flat, height * sign * (-1.0) ** np.arange(6)], axis=-1)
    positions = (crown + np.random.default_rng(1).normal(0, 0.002, crown.shape)).astype(np.float32)
    return Ensemble.build(Beads.anonymous(6, bonds=HEXAGON), positions, 300.0)


def limit(ensemble):
    tree = bead_tree(len(ensemble.beads), ensemble.beads.bonds)
    return closed_to(tree, internal_chart(tree, ensemble.positions, ensemble.weights), ensemble.positions)


def test_flat_rings_stay_closed_at_any_noise_that_simulations_have(wheel):
    assert limit(wheel) > 0.3


def test_a_ring_that_inverts_holds_less_noise_the_more_it_puckers():
    limits = [limit(puckered(height, invert=True)) for height in (0.0, 0.008, 0.016, 0.03)]
    assert limits == sorted(limits, reverse=True)
    assert limits[0] > 0.3
    assert limits[-1] == 0.0
    assert limit(puckered(0.03)) > limits[-1]  # as long as it does not invert


def test_noise_starts_where_the_ring_is_closed():
    built = build("internal", puckered(0.016, invert=True), jax.random.key(0), width=8, depth=2)
    assert 0 < built.dynamics_to < 0.25
    assert built.schedule.smallest == pytest.approx(built.dynamics_to / 2)


def test_a_ring_that_noise_tears_open_goes_to_cartesian_coordinates():
    crown = puckered(0.03, invert=True)
    name, reason = choose(crown)
    assert name == "cartesian"
    assert "tears it open" in reason
    with pytest.raises(UserError, match="tears it open"):
        build("internal", crown, jax.random.key(0))


def test_chains_have_no_limit(chain_ensemble):
    assert limit(chain_ensemble) == np.inf
