import mdtraj
import numpy as np
import pytest

import peptides
from files import molecules
from files.molecules import ENERGIES, FORCES, FRAMES, POSITIONS
from twofold.bonding import atom_bonds
from twofold.errors import UserError
from twofold.files.elements import molecule_topology, symbols
from twofold.files.published import published_ensemble, published_files, published_split, read_published
from twofold.files.readers import read_trajectory
from twofold.files.store import read_ensembles, write_ensembles
from twofold.fitting import read_split

WATER = ("O", "H", "H")


@pytest.fixture
def topology(tmp_path):
    return peptides.write_pdb(tmp_path)


@pytest.fixture
def shuffled(tmp_path):
    return molecules.savez(tmp_path / "shuffled.npz", molecules.rmd17())


def part(folder, name, chosen):
    """A file with the frames `chosen` of the shuffled ones."""
    content = molecules.rmd17()
    return molecules.savez(
        folder / name, {key: array if key == "nuclear_charges" else array[chosen] for key, array in content.items()}
    )


def test_blocks_of_time_are_blocks_of_time(shuffled):
    read = published_ensemble(None, shuffled, temperature=500, blocks=6)
    assert read.positions == pytest.approx(POSITIONS, abs=1e-6)
    assert read.forces == pytest.approx(FORCES, rel=1e-5, abs=1e-3)
    assert read.block.tolist() == np.repeat(np.arange(6), 4).tolist()
    assert read.frame_ps is None
    assert "old_indices" in read.source["data"]["order"]
    assert read_published(shuffled).energies == pytest.approx(ENERGIES)


def test_beads_are_the_atoms(shuffled, topology):
    beads = published_ensemble(None, shuffled, temperature=500).beads
    assert beads.types == molecules.ELEMENTS
    assert beads.names[:6] == ("H1", "C1", "H2", "H3", "C2", "O1")
    assert len(set(beads.names)) == 22
    assert beads.masses[:2] == pytest.approx([1.008, 12.011], abs=1e-3)
    atoms = mdtraj.load_topology(str(topology))
    assert beads.bonds.tolist() == atom_bonds(atoms, peptides.STRUCTURE).tolist()


def test_fewer_beads_and_frames(shuffled, tmp_path):
    read = published_ensemble(None, shuffled, temperature=500, beads="heavy", stride=2, frame_ps=0.2)
    heavy = [place for place, element in enumerate(molecules.ELEMENTS) if element != "H"]
    assert read.positions == pytest.approx(POSITIONS[::2, heavy], abs=1e-6)
    assert read.forces is not None
    assert read.forces.sum(axis=1) == pytest.approx(FORCES[::2].sum(axis=1), rel=1e-4, abs=0.01)
    assert read.beads.masses.sum() == pytest.approx(144.17, abs=0.01)
    assert read.frame_ps == 0.2
    write_ensembles(tmp_path / "data.h5", read)
    again = read_ensembles(tmp_path / "data.h5")[0]
    assert again.forces is not None
    assert again.forces.tobytes() == read.forces.tobytes()
    assert again.source == read.source
    assert read_published(shuffled).every(2).energies == pytest.approx(ENERGIES[::2])
    with pytest.raises(UserError, match="Stride 0"):
        published_ensemble(None, shuffled, temperature=500, stride=0)


def test_the_map_of_forces_is_that_of_all_frames(shuffled):
    """Of the four that a stride leaves nobody could tell which bonds are rigid."""
    read = published_ensemble(None, shuffled, temperature=500, beads="heavy", stride=7)
    whole = published_ensemble(None, shuffled, temperature=500, beads="heavy")
    assert read.forces is not None
    assert whole.forces is not None
    np.testing.assert_array_equal(read.forces, whole.forces[::7])


def test_timewarp_beside_its_pdb(tmp_path, topology):
    path = molecules.savez(tmp_path / "a.npz", molecules.timewarp())
    read = published_ensemble(topology, path, temperature=310, stride=2)
    assert read.positions == pytest.approx(POSITIONS[::2, peptides.BACKBONE], abs=1e-6)
    assert read.forces is not None
    assert read.forces.sum(axis=1) == pytest.approx(FORCES[::2].sum(axis=1), rel=1e-4, abs=0.01)
    assert read.frame_ps == 1.0
    assert list(read.beads.torsions_named("phi").values()) == [(0, 1, 2, 3)]
    with pytest.raises(UserError, match="does not say what its atoms are"):
        published_ensemble(None, path, temperature=310)


def test_a_topology_of_other_atoms(tmp_path, shuffled):
    topology = tmp_path / "other.pdb"
    topology.write_text(peptides.pdb_text().replace("           N", "           O"))
    with pytest.raises(UserError, match=r"with N as atom 6\. Expected O \(ALA2-N\)"):
        published_ensemble(topology, shuffled, temperature=500)
    with pytest.raises(UserError, match=r"has 22 atoms a frame\. Expected 7, as the topology has"):
        published_ensemble(peptides.chain_topology("ALA"), shuffled, temperature=500)


def test_files_of_one_simulation_are_put_together(tmp_path):
    files = [part(tmp_path, "a.npz", slice(0, 10)), part(tmp_path, "b.npz", slice(7, FRAMES))]
    read = published_ensemble(None, files, temperature=500)
    assert read.positions == pytest.approx(POSITIONS, abs=1e-6)
    assert set(read.trajectory.tolist()) == {0}
    assert [(file["frames"], file["runs"]) for file in read.source["trajectories"]] == [(10, 1), (14, 0)]
    assert "3 frames that occur twice" in read.source["data"]["left_out"]


def test_files_whose_order_is_not_known_are_trajectories_of_their_own(tmp_path):
    files = [molecules.savez(tmp_path / f"{name}.npz", molecules.md17()) for name in "ab"]
    read = published_ensemble(None, files, temperature=500, stride=3)
    assert read.trajectory.tolist() == [0] * 8 + [1] * 8
    assert read.positions[8:] == pytest.approx(POSITIONS[::3], abs=1e-6)
    assert [file["runs"] for file in read.source["trajectories"]] == [1, 1]


def test_files_that_do_not_go_together(tmp_path, shuffled):
    plain = molecules.savez(tmp_path / "plain.npz", molecules.md17())
    with pytest.raises(UserError, match="Place in only one of"):
        read_published([shuffled, plain])
    other = molecules.savez(tmp_path / "other.npz", molecules.md17(), z=molecules.NUMBERS[::-1])
    with pytest.raises(UserError, match=r"other\.npz with other atoms than .*plain\.npz"):
        read_published([plain, other])
    without = molecules.savez(tmp_path / "without.npz", molecules.md17(), E=None)
    with pytest.raises(UserError, match="Energies in only one of"):
        read_published([plain, without])


def test_weights_follow_their_frames(shuffled):
    order = (molecules.rmd17()["old_indices"] - 100) // 7
    read = read_published(shuffled, weights=order + 1.0).ensemble(500)
    assert read.weights == pytest.approx((np.arange(FRAMES) + 1) / 12.5)
    with pytest.raises(UserError, match=r"3 weights\. Expected one for each of 24 frames"):
        read_published(shuffled, weights=np.ones(3))


@pytest.mark.parametrize("kind", ["md17", "rmd17"])
def test_weights_before_and_after_the_stride(tmp_path, kind):
    """In the order of the files before it, in that of the frames that are kept after it."""
    content = getattr(molecules, kind)()
    path, order = molecules.savez(tmp_path / "a.npz", content), np.arange(FRAMES)
    if kind == "rmd17":
        order = (content["old_indices"] - 100) // 7
    values = np.arange(FRAMES) + 1.0
    kept = values[::5]
    np.save(tmp_path / "log_weight.npy", np.log(kept))
    for given in (values[order], kept, tmp_path / "log_weight.npy"):
        read = read_trajectory(path, temperature=500.0, stride=5, weights=given)
        assert read.weights == pytest.approx(kept / kept.mean())
    with pytest.raises(UserError, match=r"4 weights\. Expected one for each of 24 frames"):
        read_trajectory(path, temperature=500.0, stride=5, weights=kept[1:])


def test_weights_after_the_stride_over_two_files(tmp_path):
    files = [molecules.savez(tmp_path / f"{name}.npz", molecules.md17()) for name in "ab"]
    values = np.arange(2 * FRAMES) + 1.0
    kept = np.concatenate([values[:FRAMES:5], values[FRAMES::5]])
    for given in (values, kept):
        read = read_trajectory(files[0], files[1:], temperature=500.0, stride=5, weights=given)
        assert read.weights == pytest.approx(kept / kept.mean())


def test_weights_of_frames_that_occur_twice_add_up(tmp_path):
    files = [part(tmp_path, "a.npz", slice(0, 10)), part(tmp_path, "b.npz", slice(7, FRAMES))]
    order = (molecules.rmd17()["old_indices"] - 100) // 7
    places = np.concatenate([order[:10], order[7:]])
    given = np.random.default_rng(0).uniform(size=len(places))
    read = read_published(files, weights=given)
    assert read.weights == pytest.approx(np.bincount(places, given))
    assert read_published(files).weights is None


def test_forces_may_be_left_out(shuffled, tmp_path):
    """Before they are mapped to beads, and before anybody asks for their unit."""
    few = part(tmp_path, "few.npz", slice(0, 8))
    with pytest.raises(UserError, match=r"8 frames in .*few\.npz\. Expected at least 10.*--forces none"):
        published_ensemble(None, few, temperature=500, beads="heavy")
    assert published_ensemble(None, few, temperature=500, beads="heavy", use_forces=False).forces is None
    assert read_trajectory(few, temperature=500.0, beads="heavy", use_forces=False).forces is None
    parts = published_split(None, [few], [part(tmp_path, "b.npz", slice(8, 14))], temperature=500, use_forces=False)
    assert [one.forces for one in parts] == [None, None]
    text = "Energy=1 Properties=species:S:1:pos:R:3:forces:R:3"
    (tmp_path / "a.xyz").write_text("".join(molecules.xyz_frame(frame, text) for frame in range(6)))
    assert read_published(tmp_path / "a.xyz", use_forces=False).forces is None


def test_training_and_held_out_files(tmp_path):
    first, second = part(tmp_path, "a.npz", slice(0, 16)), part(tmp_path, "b.npz", slice(16, FRAMES))
    training, held_out = published_split(None, [first], [second], temperature=500)
    assert (len(training), len(held_out)) == (16, 8)
    assert training.beads == held_out.beads
    same = read_split(first, [], [second], temperature=500.0, weights=None, forces=None, stride=1)
    assert [len(part) for part in same] == [16, 8]
    with pytest.raises(UserError, match=r"forces\.npy beside .*a\.npz"):
        read_split(first, [], [second], temperature=500.0, forces="forces.npy")
    with pytest.raises(UserError, match=r"4 frames of .*c\.npz are training frames too"):
        published_split(None, [first], [part(tmp_path, "c.npz", slice(12, 20))], temperature=500)
    with pytest.raises(UserError, match="Weights beside held-out files"):
        published_split(None, [first], [second], temperature=500, weights=np.ones(24))


def test_what_is_a_published_data_set(tmp_path, topology, shuffled):
    np.savez(tmp_path / "plain.npz", positions=POSITIONS)
    xyz, extended = tmp_path / "a.xyz", tmp_path / "a.extxyz"
    for path in (xyz, extended):
        path.write_text(molecules.xyz_frame(0, "x", force=None))
    assert published_files(shuffled, []) == (None, [shuffled])
    assert published_files(None, [shuffled]) == (None, [shuffled])
    assert published_files(shuffled, [shuffled]) == (None, [shuffled, shuffled])
    assert published_files(topology, [shuffled]) == (topology, [shuffled])
    assert published_files(xyz, []) == (None, [xyz])
    assert published_files(topology, [extended]) == (topology, [extended])
    for others in ((topology, [xyz]), (topology, []), (None, []), (tmp_path / "plain.npz", []), (None, ["none.npz"])):
        assert published_files(*others) is None


def test_extended_xyz_is_read_like_archives(tmp_path):
    path = tmp_path / "a.xyz"
    text = "Energy=1 Properties=species:S:1:pos:R:3:forces:R:3"
    path.write_text("".join(molecules.xyz_frame(frame, text) for frame in range(6)))
    read = published_ensemble(None, path, temperature=400, energy_unit="kcal/mol")
    assert read.positions == pytest.approx(POSITIONS[:6], abs=1e-6)
    assert read.forces == pytest.approx(FORCES[:6], rel=1e-5, abs=1e-3)
    with pytest.raises(UserError, match=r"Level 'recomputed' for a\.xyz"):
        read_published(path, level="recomputed", energy_unit="kcal/mol")
    (tmp_path / "a.doc").write_text("x")
    with pytest.raises(UserError, match=r"Data set a\.doc"):
        read_published(tmp_path / "a.doc")
    with pytest.raises(UserError, match="No files"):
        read_published([])


def md22():
    """Arrays of an MD22 file as sGDML writes them: with units, level of theory, sums and a checksum."""
    energies, forces = ENERGIES / molecules.KCAL, FORCES / molecules.KCAL / 10
    sums = {"E_min": energies.min(), "E_mean": energies.mean(), "F_var": forces.var()}
    text = {"name": "dipeptide", "theory": "PBE+MBD", "r_unit": "Ang", "e_unit": "kcal/mol", "code_version": "0.4.11"}
    arrays = {"z": molecules.NUMBERS, "R": 10 * POSITIONS, "E": energies, "F": forces, "type": b"d", "md5": b"0" * 32}
    return arrays | text | sums


def test_md22_as_an_archive_and_as_xyz_of_energies_and_tabs(tmp_path):
    """The dipeptide is a chain that is not named, so that its atoms are the beads."""
    archive = molecules.savez(tmp_path / "md22_dipeptide.npz", md22())
    frames = (molecules.xyz_frame(i, repr(float(ENERGIES[i] / molecules.KCAL))) for i in range(FRAMES))
    text = "".join(frames).replace("  ", "\t")
    assert "\t" in text
    (tmp_path / "md22_dipeptide.xyz").write_text(text)
    for path, unit in ((archive, None), (tmp_path / "md22_dipeptide.xyz", "kcal/mol")):
        read = read_trajectory(path, [], temperature=500.0, energy_unit=unit)
        assert read.beads.types == molecules.ELEMENTS
        assert len(read.beads.bonds) == 21
        assert read.positions == pytest.approx(POSITIONS, abs=1e-6)
        assert read.forces == pytest.approx(FORCES, rel=1e-4, abs=1e-3)
        assert read.energies == pytest.approx(ENERGIES, rel=1e-9)


def test_one_molecule_of_many(tmp_path):
    many = molecules.spice(tmp_path / "many.hdf5", ala={}, gly={"dft_total_energy": ENERGIES + 1})
    one = molecules.spice(tmp_path / "one.h5", ala={})
    assert published_files(many, []) == (None, [many])
    assert read_trajectory(one, temperature=500.0).positions == pytest.approx(POSITIONS, abs=1e-6)
    read = read_trajectory(many, temperature=500.0, molecule="gly", beads="heavy", stride=2)
    assert read.source["data"]["molecule"] == "gly"
    assert len(read) == FRAMES / 2
    with pytest.raises(UserError, match=r"2 molecules in .*many\.hdf5: ala, gly\. Expected one of them\. .*--molecule"):
        read_trajectory(many, temperature=500.0)
    with pytest.raises(UserError, match=r"No molecule 'glu' in .*e\.g\. gly"):
        read_trajectory(many, temperature=500.0, molecule="glu")
    crowd = molecules.spice(tmp_path / "crowd.h5", **{f"m{number:03}": {} for number in range(60)})
    with pytest.raises(UserError, match="m039 and 20 more"):
        read_trajectory(crowd, temperature=500.0)


def test_a_molecule_is_named_in_files_of_many_alone(tmp_path, shuffled, topology):
    trajectory = peptides.trajectory(tmp_path, 10)
    trajectory.save_xtc(str(tmp_path / "a.xtc"))
    for files in ((shuffled, []), (topology, [tmp_path / "a.xtc"])):
        with pytest.raises(UserError, match=r"Molecule 'ala'.* Expected a file of several"):
            read_trajectory(*files, temperature=300.0, molecule="ala")
    assert published_files(tmp_path / "none.h5", []) is None


def test_bonds_do_not_hang_on_one_stretched_frame(tmp_path):
    place = np.array([[0, 0, 0], [0.096, 0, 0], [-0.024, 0.093, 0]])
    frames = np.stack([place * [1.0 if frame else 1.6, 1, 1] for frame in range(9)])
    topology = molecule_topology(WATER, frames, None, tmp_path)
    assert [(one.index, two.index) for one, two in topology.bonds] == [(0, 1), (0, 2)]


def test_a_proton_that_is_passed_on_keeps_one_bond(tmp_path):
    ends = np.array([[0, 0, 0], [0.25, 0, 0], [0.096, 0, 0]])
    frames = np.tile(ends, (8, 1, 1))
    frames[5:, 2, 0] = 0.154
    frames[4, 2, 0] = 0.125
    topology = molecule_topology(("O", "O", "H"), frames, None, tmp_path)
    assert [(one.index, two.index) for one, two in topology.bonds] == [(0, 2)]


def test_bonds_over_a_periodic_box(tmp_path):
    place = np.array([[[0.01, 0, 0], [0.914, 0, 0], [0.01, 0.096, 0]]])
    topology = molecule_topology(WATER, place, np.eye(3)[None], tmp_path)
    assert topology.n_bonds == 2


def test_a_wrong_unit_of_length_is_noticed(tmp_path):
    place = np.array([[[0, 0, 0], [0.096, 0, 0], [-0.024, 0.093, 0]]]) / 0.529
    with pytest.raises(UserError, match="hydrogens that are bonded to nothing"):
        molecule_topology(WATER, place, None, tmp_path)


def test_symbols(tmp_path):
    assert symbols(["cl", "17", 17, "CL", np.uint8(1), "Na"], tmp_path) == ("Cl", "Cl", "Cl", "Cl", "H", "Na")
    for odd in ("X", "", "VS", "-1", "6.5", 0, 200):
        with pytest.raises(UserError, match=r"unknown element .*atom 1"):
            symbols(["H", odd], tmp_path)
