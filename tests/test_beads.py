import numpy as np
import pytest

from twofold.beads import Beads
from twofold.errors import UserError


def backbone(residues=3, **changes):
    """N, CA, C of `residues` alanines, bonded in a chain."""
    number = 3 * residues
    entries = {
        "names": ("N", "CA", "C") * residues,
        "types": ("N", "CA", "C") * residues,
        "masses": np.full(number, 14.0),
        "charges": np.zeros(number),
        "bonds": [(i + 1, i) for i in range(number - 1)],
        "residue_names": ("ALA",) * number,
        "residue_ids": np.repeat(np.arange(residues) + 5, 3),
        "chains": np.zeros(number),
    }
    return Beads(**{**entries, **changes})


def test_bonds_are_sorted_and_unique():
    beads = backbone(1, bonds=[(2, 1), (1, 0), (0, 1)])
    assert beads.bonds.tolist() == [[0, 1], [1, 2]]
    assert beads.bonds.dtype == np.int64
    assert backbone(1, bonds=[]).bonds.shape == (0, 2)


def test_backbone_torsions_by_name():
    beads = backbone()
    assert beads.torsions_named("phi") == {6: (2, 3, 4, 5), 7: (5, 6, 7, 8)}
    assert beads.torsions_named("psi") == {5: (0, 1, 2, 3), 6: (3, 4, 5, 6)}
    assert beads.torsions_named("omega") == {5: (1, 2, 3, 4), 6: (4, 5, 6, 7)}


def test_capping_groups_count_and_have_no_omega():
    beads = Beads(
        names=("C", "N", "CA", "C", "N"),
        types=("C", "N", "CA", "C", "N"),
        masses=np.ones(5),
        charges=np.zeros(5),
        bonds=[(0, 1), (1, 2), (2, 3), (3, 4)],
        residue_names=("ACE", "ALA", "ALA", "ALA", "NME"),
        residue_ids=(1, 2, 2, 2, 3),
        chains=np.zeros(5),
    )
    assert beads.torsions_named("phi") == {2: (0, 1, 2, 3)}
    assert beads.torsions_named("psi") == {2: (1, 2, 3, 4)}
    assert beads.torsions_named("omega") == {}


def test_torsions_do_not_cross_chains_or_breaks():
    assert backbone(2, chains=[0] * 3 + [1] * 3).torsions_named("phi") == {}
    broken = [(0, 1), (1, 2), (3, 4), (4, 5)]
    assert backbone(2, bonds=broken).torsions_named("phi") == {}
    assert backbone(2, bonds=[]).torsions_named("phi") == {6: (2, 3, 4, 5)}
    assert backbone(2, bonds=[], residue_ids=[1] * 3 + [4] * 3).torsions_named("phi") == {}


def test_dictionary_round_trip_is_exact():
    beads = backbone(masses=np.random.default_rng(0).uniform(1, 100, size=9))
    again = Beads.from_dict(beads.to_dict())
    assert again == beads
    assert hash(again) == hash(beads)
    assert again.masses.tobytes() == beads.masses.tobytes()
    assert again != backbone()
    with pytest.raises(UserError, match="without 'masses'"):
        Beads.from_dict({"names": ("A",), "types": ("A",)})


def test_topology_has_names_elements_residues_and_bonds():
    topology = backbone(types=("N", "CA", "C") * 3).topology()
    assert [str(atom) for atom in topology.atoms][:4] == ["ALA5-N", "ALA5-CA", "ALA5-C", "ALA6-N"]
    assert [atom.element.symbol for atom in topology.atoms][:3] == ["N", "C", "C"]
    assert {(a.index, b.index) for a, b in topology.bonds} == {(i, i + 1) for i in range(8)}


def test_elements_of_ions_and_unknown_beads():
    beads = Beads.anonymous(3)
    assert beads.elements() == ("VS", "VS", "VS")
    ions = Beads.from_dict({**beads.to_dict(), "names": ["CL", "CA", "Q"], "types": ["Cl", "Ca", "Q"]})
    assert ions.elements() == ("Cl", "Ca", "VS")


def test_select_keeps_bonds_between_chosen_beads():
    chosen = backbone(2).select([3, 2, 0])
    assert chosen.names == ("N", "C", "N")
    assert chosen.bonds.tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"masses": [1.0, 0.0, 1.0]}, r"Mass 0.0 amu of bead 1 \(CA\)"),
        ({"masses": [1.0, np.nan, 1.0]}, r"Mass nan amu of bead 1 \(CA\)"),
        ({"masses": [1.0]}, "one entry for each of 3 beads"),
        ({"charges": [0, 0, np.inf]}, "Charges that are not finite"),
        ({"bonds": [(0, 3)]}, "bond to bead 3"),
        ({"bonds": [(1, 1)]}, "bond of a bead with itself"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises(UserError, match=message):
        backbone(1, **changes)
