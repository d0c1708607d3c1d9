"""The tree of beads: chains, branches, rings, pieces, and bonds found from the frames alone."""

import numpy as np
import pytest

import synthetic
from twofold.beads import Beads
from twofold.bond_graph import bonds_apart
from twofold.chart.tree import NotATree, bead_tree, stiff_bonds, tree_of


def assert_consistent(tree, bonds):
    """Every bead once, parents before children; pairs of bead and parent, with what closes rings, are the bonds."""
    assert sorted(tree.order) == list(range(len(tree)))
    assert tree.parent[0] == -1
    assert all(tree.parent[k] < k for k in range(1, len(tree)))
    pairs = [tuple(sorted(pair)) for pair in [*tree.bonds.tolist(), *tree.closing.tolist()]]
    assert sorted(pairs) == sorted(tuple(sorted(bond)) for bond in bonds)
    assert len(tree.bonds) == len(tree) - 1
    for k in range(2, len(tree)):
        assert tree.grand[k] == tree.parent[tree.parent[k]] >= 0
    for k in range(3, len(tree)):
        if tree.sibling[k] >= 0:
            assert tree.parent[tree.sibling[k]] == tree.parent[k]
            assert tree.sibling[k] < k
        else:
            assert tree.parent[tree.grand[k]] >= 0


def test_chain_is_placed_from_one_end():
    tree = bead_tree(5, np.array(synthetic.CHAIN_BONDS))
    assert tree.order.tolist() in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0])
    assert (tree.sibling == -1).all()
    assert_consistent(tree, synthetic.CHAIN_BONDS)


def test_order_of_beads_does_not_matter():
    shuffled = np.random.default_rng(0).permutation(7)
    bonds = shuffled[np.array(synthetic.BRANCHED_BONDS)]
    tree = bead_tree(7, bonds)
    assert_consistent(tree, bonds)
    assert (tree.sibling >= 0).sum() == 2


def test_the_longest_branch_comes_first():
    """The backbone is the proper torsion; side beads hang on it as impropers."""
    tree = bead_tree(7, np.array(synthetic.BRANCHED_BONDS))
    impropers = {int(tree.order[k]) for k in range(7) if tree.sibling[k] >= 0}
    assert len(impropers) == 2
    assert impropers <= {0, 1, 4, 5, 6}
    assert_consistent(tree, synthetic.BRANCHED_BONDS)


def test_star_has_only_impropers():
    bonds = ((0, 1), (0, 2), (0, 3), (0, 4))
    tree = bead_tree(5, np.array(bonds))
    assert tree.order[1] == 0
    assert (tree.sibling[3:] == 2).all()
    assert_consistent(tree, bonds)


def test_ancestry_lists_the_beads_on_the_way():
    tree = bead_tree(7, np.array(synthetic.BRANCHED_BONDS))
    apart = bonds_apart(7, np.array(synthetic.BRANCHED_BONDS))
    np.testing.assert_array_equal(tree.ancestry.sum(1), apart[tree.order[0], tree.order])


@pytest.mark.parametrize(
    ("count", "bonds", "text"),
    [
        (5, [(0, 1), (1, 2), (3, 4)], "bead 4 is not connected"),
        (4, [(0, 1), (1, 2), (0, 2)], "bead 4 is not connected"),
        (3, [], "not connected"),
        (2, [(0, 1)], "2 beads"),
    ],
)
def test_what_is_no_tree(count, bonds, text):
    with pytest.raises(NotATree, match=text):
        bead_tree(count, np.array(bonds, int).reshape(-1, 2))


RINGS = {
    "square": (4, [(0, 1), (1, 2), (2, 3), (0, 3)]),
    "triangle with a tail": (5, [(0, 1), (1, 2), (0, 2), (2, 3), (3, 4)]),
    "hexagon with a bead on each": (12, [*((k, (k + 1) % 6) for k in range(6)), *((k, k + 6) for k in range(6))]),
    "two that share a bond": (10, [*((k, (k + 1) % 10) for k in range(10)), (0, 5)]),
    "two on a handle": (8, [(0, 1), (1, 2), (0, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 7), (5, 7)]),
}


@pytest.mark.parametrize(("count", "bonds"), RINGS.values(), ids=RINGS)
def test_a_ring_is_a_tree_and_a_bond_that_closes_it(count, bonds):
    tree = bead_tree(count, np.array(bonds))
    assert_consistent(tree, bonds)
    assert len(tree.closing) == len(bonds) - count + 1


def test_a_ring_is_opened_opposite_to_where_it_hangs():
    """So that the way to every bead is short: an error in one angle moves what lies beyond."""
    count, bonds = RINGS["hexagon with a bead on each"]
    tree = bead_tree(count, np.array(bonds))
    assert tree.ancestry.sum(1).max() == 5


@pytest.mark.parametrize("beads", [synthetic.dipeptide(), synthetic.branched()], ids=["chain", "branched"])
def test_bonds_from_stiff_pairs(beads):
    positions = synthetic.frames(beads, 400)
    np.testing.assert_array_equal(stiff_bonds(positions), beads.bonds)
    unbonded = Beads.anonymous(len(beads))
    assert_consistent(tree_of(unbonded, positions), beads.bonds.tolist())


def test_stiff_ring_is_found_without_topology():
    rng = np.random.default_rng(0)
    turn = 2 * np.pi * np.arange(6) / 6
    ring = 0.14 * np.stack([np.cos(turn), np.sin(turn), np.zeros(6)], -1)
    positions = ring + rng.normal(0, 0.002, (300, 6, 3))
    assert len(tree_of(Beads.anonymous(6), positions).closing) == 1


def test_loose_beads_are_found_without_topology():
    positions = np.concatenate([synthetic.frames(synthetic.dipeptide(), 300, seed) for seed in (0, 1)], axis=1)
    positions[:, 5:] += np.random.default_rng(2).normal(0, 1.0, (300, 1, 3))
    with pytest.raises(NotATree, match="not connected"):
        tree_of(Beads.anonymous(10), positions)
