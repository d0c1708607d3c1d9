import json

import mdtraj
import numpy as np
import pytest

import peptides
from twofold.bonding import atom_bonds
from twofold.errors import UserError
from twofold.force_mapping import basic_map
from twofold.groups import Groups
from twofold.mapping import build_mapping
from twofold.space import wrap


@pytest.fixture
def dipeptide(tmp_path):
    return mdtraj.load_topology(str(peptides.write_pdb(tmp_path)))


def names(mapping):
    return [f"{residue}-{name}" for residue, name in zip(mapping.beads.residue_names, mapping.beads.names, strict=True)]


def test_backbone_of_the_dipeptide_has_five_beads(dipeptide):
    mapping = build_mapping(dipeptide, "backbone")
    assert mapping.atoms.tolist() == [4, 6, 8, 14, 16]
    assert names(mapping) == ["ACE-C", "ALA-N", "ALA-CA", "ALA-C", "NME-N"]
    assert mapping.beads.bonds.tolist() == [[0, 1], [1, 2], [2, 3], [3, 4]]
    assert mapping.beads.torsions_named("phi") == {2: (0, 1, 2, 3)}
    assert mapping.beads.torsions_named("psi") == {2: (1, 2, 3, 4)}
    assert mapping.beads.residue_ids.tolist() == [1, 2, 2, 2, 3]


def test_backbone_with_cb_skips_glycine():
    mapping = build_mapping(peptides.chain_topology("ALA", "GLY", "SER"), "backbone+cb")
    assert mapping.beads.names == ("N", "CA", "CB", "C", "N", "CA", "C", "N", "CA", "CB", "C")
    assert mapping.beads.bonds.tolist() == [
        [0, 1],
        [1, 2],
        [1, 3],
        [3, 4],
        [4, 5],
        [5, 6],
        [6, 7],
        [7, 8],
        [8, 9],
        [8, 10],
    ]
    assert sorted(mapping.beads.torsions_named("phi")) == [2, 3]


def test_alpha_carbons_are_bonded_along_the_chain():
    mapping = build_mapping(peptides.chain_topology("ALA", "GLY", "SER"), "ca")
    assert mapping.beads.types == ("ALA", "GLY", "SER")
    assert mapping.beads.bonds.tolist() == [[0, 1], [1, 2]]


def test_alpha_carbons_alone_are_bonded_when_consecutive():
    full = peptides.chain_topology("ALA", "GLY", "SER", "ALA")
    alone = full.subset([atom.index for atom in full.atoms if atom.name == "CA" and atom.residue.resSeq != 3])
    assert alone.n_bonds == 0
    assert build_mapping(alone, "ca").beads.bonds.tolist() == [[0, 1]]


@pytest.mark.parametrize("preset", ["ca", "backbone", "backbone+cb", "heavy", "all", "name CA CB"])
def test_masses_add_up_to_that_of_the_molecule(dipeptide, preset):
    total = sum(atom.element.mass for atom in dipeptide.atoms)
    assert build_mapping(dipeptide, preset).beads.masses.sum() == pytest.approx(total)


def test_mass_of_a_bead_is_that_of_the_nearest_atoms(dipeptide):
    masses = build_mapping(dipeptide, "heavy").beads.masses
    assert masses == pytest.approx(
        [15.035, 12.011, 15.999, 15.015, 13.019, 15.035, 12.011, 15.999, 15.015, 15.035], abs=0.01
    )


def test_selection_and_order(dipeptide):
    mapping = build_mapping(dipeptide, "name O or name CA")
    assert mapping.atoms.tolist() == [5, 8, 15]
    assert mapping.beads.types == ("O", "C", "O")
    assert mapping.beads.bonds.tolist() == [[0, 1], [1, 2]]


@pytest.mark.parametrize("selection", ["nam CA", "name CA and", "", "CA", "protein and nme CA", "__import__('os')"])
def test_selections_that_do_not_parse(dipeptide, selection):
    with pytest.raises(UserError, match="does not parse"):
        build_mapping(dipeptide, selection)


@pytest.mark.parametrize("selection", ["resname FOO", "backbone", "ca"])
def test_selections_without_atoms(selection):
    water = mdtraj.Topology()
    residue = water.add_residue("HOH", water.add_chain())
    water.add_atom("O", mdtraj.element.oxygen, residue)
    with pytest.raises(UserError, match=f"No atoms for beads '{selection}' among the 1 atoms"):
        build_mapping(water, selection)


def test_unknown_elements_are_named(dipeptide):
    dipeptide.atom(11).element = None
    with pytest.raises(UserError, match=r"Atom 11 \(ALA2-HB1\) of unknown element.*element column"):
        build_mapping(dipeptide, "backbone")


def test_missing_bonds_are_found_by_distance(dipeptide):
    expected = atom_bonds(dipeptide)
    bare = dipeptide.copy()
    bare._bonds = []
    assert len(atom_bonds(bare)) == 0
    assert atom_bonds(bare, peptides.STRUCTURE).tolist() == expected.tolist()
    broken = wrap(peptides.STRUCTURE, np.eye(3) * 0.8)
    assert atom_bonds(bare, broken, np.eye(3) * 0.8).tolist() == expected.tolist()


def test_positions_of_single_atoms_are_copied_exactly(dipeptide):
    frames = peptides.wiggled()
    mapping = build_mapping(dipeptide, "backbone")
    assert mapping.positions(frames).tobytes() == frames[:, peptides.BACKBONE].tobytes()
    with pytest.raises(UserError, match="22, 3"):
        mapping.positions(frames[:, :5])


def test_molecules_are_made_whole_before_mapping(dipeptide):
    frames = peptides.wiggled()
    box = np.broadcast_to(np.eye(3) * 0.9, (len(frames), 3, 3))
    mapping = build_mapping(dipeptide, "backbone")
    whole, mended = mapping.positions(frames), mapping.positions(wrap(frames, box), box)
    assert np.ptp(wrap(frames, box)[:, peptides.BACKBONE] - whole, axis=1).max() > 0.5
    assert mended - mended[:, :1] == pytest.approx(whole - whole[:, :1], abs=1e-6)


def test_only_the_molecules_with_beads_are_needed(dipeptide):
    residue = dipeptide.add_residue("HOH", dipeptide.add_chain())
    for name, element in (("O", "oxygen"), ("H1", "hydrogen"), ("H2", "hydrogen")):
        dipeptide.add_atom(name, getattr(mdtraj.element, element), residue)
    dipeptide.add_bond(dipeptide.atom(22), dipeptide.atom(23))
    dipeptide.add_bond(dipeptide.atom(22), dipeptide.atom(24))
    mapping = build_mapping(dipeptide, "backbone")
    assert mapping.needed_atoms().tolist() == list(range(22))
    frames = np.concatenate([peptides.wiggled(), np.zeros((30, 3, 3), np.float32)], axis=1)
    restricted = mapping.restricted(mapping.needed_atoms())
    assert np.array_equal(restricted.positions(frames[:, :22]), mapping.positions(frames))
    assert len(build_mapping(dipeptide, "heavy").beads) == 10


def test_caps_that_are_patches_within_a_residue():
    atoms = ("CAY", "CY", "OY", "N", "HN", "CA", "HA", "CB", "C", "O", "NT", "HNT", "CAT")  # CHARMM's ACE and CT3
    bonds = ((0, 1), (1, 2), (1, 3), (3, 4), (3, 5), (5, 6), (5, 7), (5, 8), (8, 9), (8, 10), (10, 11), (10, 12))
    topology = mdtraj.Topology()
    residue = topology.add_residue("ALA", topology.add_chain(), resSeq=2)
    for name in atoms:
        topology.add_atom(name, mdtraj.element.Element.getBySymbol(name[0]), residue)
    for i, j in bonds:
        topology.add_bond(topology.atom(i), topology.atom(j))
    mapping = build_mapping(topology, "backbone")
    assert names(mapping) == ["ACE-C", "ALA-N", "ALA-CA", "ALA-C", "NME-N"]
    assert mapping.beads.residue_ids.tolist() == [1, 2, 2, 2, 3]
    assert mapping.beads.torsions_named("phi") == {2: (0, 1, 2, 3)}
    assert mapping.beads.torsions_named("psi") == {2: (1, 2, 3, 4)}


def test_forces_are_summed_over_what_a_bead_stands_for(dipeptide):
    mapping = build_mapping(dipeptide, "heavy")
    forces = np.random.default_rng(0).normal(size=(3, 22, 3))
    mapped = basic_map(mapping, np.zeros((0, 2), int)).forces(forces)
    assert mapped.sum(axis=1) == pytest.approx(forces.sum(axis=1), abs=1e-5)
    assert mapped[:, 0] == pytest.approx(forces[:, :4].sum(axis=1), abs=1e-6)


def test_residues_that_share_a_number_are_counted(dipeptide):
    for residue in dipeptide.residues:
        residue.resSeq = 7
    assert build_mapping(dipeptide, "backbone").beads.residue_ids.tolist() == [1, 2, 2, 2, 3]


GROUPS = """
beads:
  - name: ACE
    atoms: resname ACE
  - name: BB
    atoms: [6, 8, 14]
    weights: [1, 1, 2]
    type: P5
    charge: -1
  - atoms: name CB
    mass: 30
"""


def test_groups_from_yaml(dipeptide, tmp_path):
    path = tmp_path / "beads.yaml"
    path.write_text(GROUPS)
    mapping = build_mapping(dipeptide, path)
    beads = mapping.beads
    assert beads.names == ("ACE", "BB", "B3")
    assert beads.types == ("ACE", "P5", "B3")
    assert beads.charges.tolist() == [0, -1, 0]
    assert beads.bonds.tolist() == [[0, 1], [1, 2]]
    masses = np.array([atom.element.mass for atom in dipeptide.atoms])
    assert beads.masses == pytest.approx([masses[:6].sum(), masses[[6, 8, 14]].sum(), 30])
    frames = peptides.wiggled().astype(np.float64)
    centre = np.einsum("i,fix->fx", masses[:6], frames[:, :6]) / masses[:6].sum()
    found = mapping.positions(frames)
    assert found[:, 0] == pytest.approx(centre, abs=1e-6)
    assert found[:, 1] == pytest.approx(0.25 * frames[:, 6] + 0.25 * frames[:, 8] + 0.5 * frames[:, 14], abs=1e-6)
    assert found[:, 2] == pytest.approx(frames[:, 10], abs=1e-6)
    # The bead of one atom is not reached by the mapping of single atoms, whose number equals that of the beads.
    assert basic_map(mapping, np.zeros((0, 2), int)).forces(frames)[:, 2] == pytest.approx(frames[:, 10], abs=1e-6)


def test_what_a_file_listed_is_stored_and_maps_frames_when_it_is_gone(dipeptide, tmp_path):
    path = tmp_path / "beads.yaml"
    path.write_text(GROUPS.replace("name: BB", "name: 2020-02-02") + "bonds: [[0, 2]]")
    mapping = build_mapping(dipeptide, path)
    stored = json.loads(json.dumps(mapping.description))
    path.unlink()
    again = build_mapping(dipeptide, Groups.from_dict(stored["listed"]))
    assert again.beads == mapping.beads
    assert again.beads.names[1] == "2020-02-02"
    assert again.beads.bonds.tolist() == [[0, 2]]
    frames = peptides.wiggled()
    assert again.positions(frames).tobytes() == mapping.positions(frames).tobytes()
    assert again.description == stored == mapping.description


def test_groups_that_overlap_have_positions_but_no_forces(dipeptide, tmp_path):
    path = tmp_path / "beads.yml"
    path.write_text("beads: [{atoms: [0, 1]}, {atoms: [1, 2]}]\nbonds: [[1, 0]]")
    mapping = build_mapping(dipeptide, path)
    assert mapping.beads.bonds.tolist() == [[0, 1]]
    assert mapping.positions(peptides.wiggled()).shape == (30, 2, 3)
    with pytest.raises(UserError, match="share atoms"):
        basic_map(mapping, np.zeros((0, 2), int))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("beads: [", "is not YAML"),
        ("[1, 2]", "without a list of beads"),
        ("beads: []", "without a list of beads"),
        ("beads: [{name: A}]", "Keys .* of bead 0 of"),
        ("beads: [{atoms: [0], colour: red}]", "Keys"),
        ("beads: [{atoms: [22]}]", "different atoms from 0 to 21"),
        ("beads: [{atoms: [1, 1]}]", "different atoms"),
        ("beads: [{atoms: name QQ}]", "at least one"),
        ("beads: [{atoms: nam CA}]", "does not parse"),
        ("beads: [{atoms: [0, 1], weights: [1]}]", "2 numbers with a positive sum"),
        ("beads: [{atoms: [0, 1], weights: [a, b]}]", "2 numbers"),
        ("beads: [{atoms: [0], mass: -1}]", "Mass -1"),
        ("beads: [{atoms: [0], mass: heavy}]", "Mass or charge of bead 0 .* no number"),
        ("beads: [{atoms: [0]}]\nbonds: [[0, 1, 2]]", "pairs of bead indices"),
        ("beads: [{atoms: [0]}]\nbonds: [[0, 5]]", "bond to bead 5"),
    ],
)
def test_yaml_that_does_not_fit(dipeptide, tmp_path, text, message):
    path = tmp_path / "beads.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        build_mapping(dipeptide, path)


def test_yaml_that_is_missing(dipeptide, tmp_path):
    with pytest.raises(UserError, match="No file"):
        build_mapping(dipeptide, tmp_path / "beads.yaml")
