import numpy as np

from twofold.bond_graph import UNCONNECTED, bonds_apart, neighbours

BONDS = np.array([(0, 1), (1, 2), (2, 3), (1, 4)])


def test_neighbours_are_sorted():
    assert neighbours(6, BONDS[::-1]) == [[1], [0, 2, 4], [1, 3], [2], [1], []]


def test_bonds_apart():
    apart = bonds_apart(6, BONDS)
    assert apart[0, 3] == 3
    assert apart[4, 3] == 3
    assert apart[2, 5] == UNCONNECTED
    np.testing.assert_array_equal(apart, apart.T)
    assert (np.diag(apart) == 0).all()
