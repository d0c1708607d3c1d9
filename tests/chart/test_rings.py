"""Rings in internal coordinates: their bonds, what noise does to the one that closes them, which are too loose."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twofold.architectures import build, choose
from twofold.beads import Beads
from twofold.bond_graph import bonds_apart
from twofold.chart.internal import internal_chart
from twofold.chart.noising import noised_positions
from twofold.chart.rings import ring_bonds, turning_ring_bond
from twofold.chart.tree import bead_tree
from twofold.ensemble import Ensemble

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


@pytest.mark.parametrize(
    ("count", "ring", "rest"),
    [
        (4, [(0, 1), (1, 2), (2, 3), (0, 3)], []),
        (5, [(0, 1), (1, 2), (0, 2)], [(2, 3), (3, 4)]),
        (10, [*((k, (k + 1) % 10) for k in range(10)), (0, 5)], []),
        (8, [(0, 1), (1, 2), (0, 2), (5, 6), (6, 7), (5, 7)], [(2, 3), (3, 4), (4, 5)]),
    ],
    ids=["square", "triangle with a tail", "two that share a bond", "two on a handle"],
)
def test_bonds_of_rings(count, ring, rest):
    assert ring_bonds(bead_tree(count, np.array([*ring, *rest]))) == {frozenset(bond) for bond in ring}


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


def test_a_ring_that_turns_about_its_bonds_is_told(wheel):
    """A crown that inverts: torsions of 55 degrees with either sign."""
    turn = 2 * np.pi * np.arange(6) / 6
    sign = np.random.default_rng(0).choice([-1, 1], (500, 1))
    height = 0.025 * sign * np.array([1, -1, 1, -1, 1, -1])
    crown = np.stack([np.tile(0.14 * np.cos(turn), (500, 1)), np.tile(0.14 * np.sin(turn), (500, 1)), height], axis=-1)
    crown += np.random.default_rng(1).normal(0, 0.002, crown.shape)
    ensemble = Ensemble.build(Beads.anonymous(6, bonds=HEXAGON), crown.astype(np.float32), 300.0)
    tree = bead_tree(6, np.array(HEXAGON))
    found = turning_ring_bond(tree, internal_chart(tree, ensemble.positions, ensemble.weights))
    assert found is not None
    assert frozenset(found) in {frozenset(bond) for bond in HEXAGON}
    name, reason = choose(ensemble)
    assert name == "cartesian"
    assert "a ring turns about its bond of beads" in reason
