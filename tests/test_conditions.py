"""Conditions on frames that a user can type."""

import numpy as np
import pytest

from twofold.analysis.observables import torsions
from twofold.beads import Beads
from twofold.conditions import in_basin
from twofold.errors import UserError


def test_basins(chain_ensemble):
    beads, positions = chain_ensemble.beads, chain_ensemble.positions
    values = torsions(positions, np.array([[0, 1, 2, 3], [1, 2, 3, 4]]))
    np.testing.assert_array_equal(in_basin(beads, positions, "phi<0"), values[:, 0] < 0)
    np.testing.assert_array_equal(in_basin(beads, positions, " psi2 > 0"), values[:, 1] > 0)
    tenth = Beads(**(beads.to_dict() | {"residue_ids": [9, 10, 10, 10, 11]}))
    np.testing.assert_array_equal(in_basin(tenth, positions, "phi10<0"), values[:, 0] < 0)
    np.testing.assert_array_equal(in_basin(beads, positions, "phi<-90"), values[:, 0] < -np.pi / 2)


def test_basins_by_numbers_of_beads(chain_ensemble):
    beads, positions = chain_ensemble.beads, chain_ensemble.positions
    turned = torsions(positions, np.array([[4, 3, 2, 1]]))[:, 0]
    apart = np.linalg.norm(positions[:, 0] - positions[:, 4], axis=1)
    bound = f"{np.median(apart):.4f}"
    np.testing.assert_array_equal(in_basin(beads, positions, "torsion(4, 3, 2, 1) > 30.5"), np.degrees(turned) > 30.5)
    np.testing.assert_array_equal(in_basin(beads, positions, f"distance(0,4)<{bound}"), apart < float(bound))
    for text in ("distance(0,5)<1", "distance(1,1)<1", "distance(0,1,2)<1", "torsion(0,1,2)>0", "torsion(0,1,2,3)>"):
        with pytest.raises(UserError):
            in_basin(beads, positions, text)


@pytest.mark.parametrize("text", ["phi", "phi<a", "chi<0", "phi3<0", "phi<<0", "<0", "", "omega>0", "phi-1<0"])
def test_basins_that_are_none(chain_ensemble, text):
    with pytest.raises(UserError):
        in_basin(chain_ensemble.beads, chain_ensemble.positions, text)
