import numpy as np
import pytest

import peptides
from twofold.errors import UserError
from twofold.files.arrays import read_arrays
from twofold.files.readers import read_trajectory
from twofold.files.weights import read_weights
from twofold.force_check import measure_forces

FRAMES = peptides.wiggled(24)


@pytest.fixture
def topology(tmp_path):
    return peptides.write_pdb(tmp_path)


def test_units_are_converted(tmp_path, topology):
    np.save(tmp_path / "a.npy", FRAMES * 10)
    read = read_trajectory(topology, tmp_path / "a.npy", temperature=300, length_unit="angstrom")
    assert read.positions == pytest.approx(FRAMES[:, peptides.BACKBONE], abs=1e-6)


def test_a_unit_has_to_be_stated_and_known(tmp_path, topology):
    np.save(tmp_path / "a.npy", FRAMES)
    with pytest.raises(UserError, match="does not state its unit of length"):
        read_trajectory(topology, tmp_path / "a.npy", temperature=300)
    with pytest.raises(UserError, match="Unknown length unit 'foot'"):
        read_trajectory(topology, tmp_path / "a.npy", temperature=300, length_unit="foot")
    with pytest.raises(UserError, match=r"Bonds of 0\.0"):
        read_trajectory(topology, tmp_path / "a.npy", temperature=300, length_unit="angstrom")
    np.savez(tmp_path / "a.npz", positions=FRAMES, length_unit="nm")
    assert len(read_trajectory(topology, tmp_path / "a.npz", temperature=300)) == 24


def test_everything_an_archive_may_hold(tmp_path, topology):
    rng = np.random.default_rng(0)
    content = {
        "positions": FRAMES,
        "forces": rng.normal(size=FRAMES.shape),
        "log_weight": rng.normal(size=24) + 1000,
        "run": np.repeat([3, 1], 12),
        "box": np.array([3.0, 3.0, 4.0]),
        "frame_ps": 0.5,
    }
    np.savez(tmp_path / "a.npz", **content)
    options = {"temperature": 300, "length_unit": "nm", "stride": 2}
    read = read_trajectory(topology, tmp_path / "a.npz", energy_unit="kcal/mol", **options)
    weights = np.exp(content["log_weight"][::2] - 1000)
    assert read.weights == pytest.approx(weights / weights.mean())
    assert read.trajectory.tolist() == [1] * 6 + [0] * 6
    assert read.source["trajectories"][0]["runs"] == 2
    assert read.frame_ps == 1.0
    assert read.box is not None
    assert read.box[5] == pytest.approx(np.diag([3, 3, 4]))
    assert read.forces is not None
    assert read.forces.sum(axis=1) == pytest.approx(content["forces"][::2].sum(axis=1) * 4.184, rel=1e-4, abs=1e-4)
    without = read_trajectory(topology, tmp_path / "a.npz", **options)
    assert without.forces is None
    assert "energy unit not stated" in without.source["forces"]


def test_the_time_between_frames_is_one_number(tmp_path, topology):
    np.savez(tmp_path / "a.npz", positions=FRAMES, length_unit="nm", frame_ps=np.array([0.5, 0.5]))
    with pytest.raises(UserError, match=r"frame_ps of shape \(2,\).*one number"):
        read_trajectory(topology, tmp_path / "a.npz", temperature=300)
    np.savez(tmp_path / "a.npz", positions=FRAMES, length_unit="nm", frame_ps=np.array([0.5]))
    assert read_trajectory(topology, tmp_path / "a.npz", temperature=300).frame_ps == 0.5


@pytest.mark.parametrize("box", [np.zeros(3), np.zeros((3, 3)), np.zeros((24, 3, 3))])
def test_a_box_of_zeros_is_none(tmp_path, topology, box):
    arrays = {"positions": FRAMES, "box": box, "length_unit": "nm"}
    np.savez(tmp_path / "a.npz", **arrays)
    assert read_trajectory(topology, tmp_path / "a.npz", temperature=300).box is None
    beads = np.random.default_rng(0).normal(0, 0.1, (24, 3, 3))
    np.savez(tmp_path / "b.npz", **arrays | {"positions": beads, "forces": -100 * beads, "energy_unit": "kj/mol"})
    assert measure_forces(read_trajectory(None, tmp_path / "b.npz", temperature=300)).dimension == 6


def test_an_option_does_not_overrule_what_a_file_states(tmp_path):
    np.savez(tmp_path / "a.npz", positions=np.zeros((3, 5, 3)), length_unit="nm")
    with pytest.raises(UserError, match="states its unit of length, nm, and --length-unit says angstrom"):
        read_arrays(tmp_path / "a.npz", length_unit="angstrom")
    assert read_arrays(tmp_path / "a.npz", length_unit="nm").length == 1.0


def test_forces_are_in_all_files_or_in_none(tmp_path):
    frames = np.random.default_rng(0).normal(0, 0.1, (4, 3, 3))
    stated = {"length_unit": "nm", "energy_unit": "kj/mol"}
    np.savez(tmp_path / "with.npz", positions=frames, forces=frames, **stated)
    np.savez(tmp_path / "without.npz", positions=frames, **stated)
    with pytest.raises(UserError, match=r"(?i)forces in 1 of 2 files, not in .*without"):
        read_trajectory(None, [tmp_path / "with.npz", tmp_path / "without.npz"], temperature=300.0)


STATED = {"length_unit": "nm", "energy_unit": "kj/mol"}


def test_forces_on_beads_and_on_atoms_in_turn(tmp_path, topology):
    """The map belongs to the first file of atoms, wherever that is."""
    forces = np.random.default_rng(0).normal(size=FRAMES.shape)
    on_beads = {"positions": FRAMES[:, peptides.BACKBONE], "forces": forces[:, peptides.BACKBONE]}
    np.savez(tmp_path / "beads.npz", **on_beads, **STATED)
    np.savez(tmp_path / "atoms.npz", positions=FRAMES, forces=forces, **STATED)
    files = [tmp_path / "beads.npz", tmp_path / "atoms.npz"]
    read = read_trajectory(topology, files, temperature=300)
    swapped = read_trajectory(topology, files[::-1], temperature=300)
    assert read.forces is not None
    assert swapped.forces is not None
    np.testing.assert_allclose(read.forces[:24], on_beads["forces"], rtol=1e-5)
    np.testing.assert_allclose(read.forces[24:].sum(axis=1), forces.sum(axis=1), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(swapped.forces[:24], read.forces[24:])
    assert read.source["forces"] == swapped.source["forces"]


def test_a_map_of_forces_looks_at_as_many_files_as_it_takes(tmp_path, topology):
    """Five frames do not tell which bonds are rigid, and 35 are too few to fit the best map of 22 atoms."""
    frames = peptides.wiggled(300)
    forces = np.random.default_rng(0).normal(size=frames.shape)
    parts = {"a": slice(0, 5), "b": slice(5, 35), "c": slice(35, 300)}
    for name, part in parts.items():
        np.savez(tmp_path / f"{name}.npz", positions=frames[part], forces=forces[part], **STATED)
    files = {name: tmp_path / f"{name}.npz" for name in parts}
    with pytest.raises(UserError, match=r"5 frames in .*a\.npz\. Expected at least 10, .*--forces none"):
        read_trajectory(topology, files["a"], temperature=300)
    np.savez(tmp_path / "few.npz", positions=frames[:3], forces=forces[:3], **STATED)
    with pytest.raises(UserError, match=r"8 frames in .*few\.npz and 1 more"):
        read_trajectory(topology, [tmp_path / "few.npz", files["a"]], temperature=300)
    for names, method in (("ab", "basic"), ("abc", "optimal")):
        read = read_trajectory(topology, [files[name] for name in names], temperature=300)
        assert read.source["forces"] == {"map": method, "constraints": 0}


def test_beads_without_a_topology(tmp_path):
    np.save(tmp_path / "a.npy", FRAMES[:, :7])
    for arguments in ((None, tmp_path / "a.npy"), (tmp_path / "a.npy",)):
        read = read_trajectory(*arguments, temperature=300, length_unit="nm")
        assert read.beads.names == tuple(f"B{i}" for i in range(1, 8))
        assert read.positions.tobytes() == FRAMES[:, :7].tobytes()


def test_arrays_of_beads_beside_a_topology(tmp_path, topology):
    np.save(tmp_path / "a.npy", FRAMES[:, peptides.BACKBONE])
    read = read_trajectory(topology, tmp_path / "a.npy", temperature=300, length_unit="nm")
    assert read.beads.names == ("C", "N", "CA", "C", "N")
    assert read.positions.tobytes() == FRAMES[:, peptides.BACKBONE].tobytes()
    np.save(tmp_path / "b.npy", FRAMES[:, :7])
    with pytest.raises(UserError, match=r"7 particles a frame\. Expected 22 atoms or 5 beads"):
        read_trajectory(topology, tmp_path / "b.npy", temperature=300, length_unit="nm")


def test_coordinates_that_are_not_finite(tmp_path, topology):
    broken = FRAMES.copy()
    broken[8, 3, 0] = np.inf
    np.save(tmp_path / "a.npy", broken)
    with pytest.raises(UserError, match=r"frame 8 of .*a\.npy, atom 3 \(ACE1-H3\)"):
        read_trajectory(topology, tmp_path / "a.npy", temperature=300, length_unit="nm", stride=4)
    with pytest.raises(UserError, match=r"frame 8 of .*a\.npy, bead 3 \(B4 of MOL1\)"):
        read_trajectory(None, tmp_path / "a.npy", temperature=300, length_unit="nm")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"x": FRAMES}, r"with arrays x\. Expected one named positions"),
        ({"positions": FRAMES[0]}, r"shape \(22, 3\)"),
        ({"positions": FRAMES.astype(str)}, "numbers of shape"),
        ({"positions": FRAMES, "forces": FRAMES[1:]}, "forces of shape"),
        ({"positions": FRAMES, "weights": np.ones(3)}, "weights of shape"),
        ({"positions": FRAMES, "run": np.ones(3)}, "run of shape"),
        ({"positions": FRAMES, "box": np.ones(4)}, "box of shape"),
    ],
)
def test_archives_that_do_not_fit(tmp_path, content, message):
    np.savez(tmp_path / "a.npz", **content)
    with pytest.raises(UserError, match=message):
        read_arrays(tmp_path / "a.npz", "nm", "kJ/mol")


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_damaged_and_foreign_arrays(tmp_path, name):
    path = tmp_path / name
    path.write_text("dear reader " * 20)
    with pytest.raises(UserError, match="cannot be read"):
        read_arrays(path, "nm")
    with path.open("wb") as file:
        (np.save if name == "a.npy" else np.savez)(file, FRAMES)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UserError, match="cannot be read"):
        read_arrays(path, "nm")
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object))
    with pytest.raises(UserError, match="cannot be read"):
        read_arrays(tmp_path / "objects.npy", "nm")


def test_weights_from_every_kind_of_file(tmp_path):
    values = np.random.default_rng(0).uniform(size=10)
    np.save(tmp_path / "a.npy", values)
    np.savetxt(tmp_path / "a.txt", values)
    np.savez(tmp_path / "a.npz", values)
    np.savez(tmp_path / "b.npz", log_weight=values, other=1)
    np.save(tmp_path / "log_weight.npy", values)
    for name, logarithmic in (("a.npy", 0), ("a.txt", 0), ("a.npz", 0), ("b.npz", 1), ("log_weight.npy", 1)):
        found = read_weights(tmp_path / name)
        assert found.logarithmic == bool(logarithmic)
        assert found.values == pytest.approx(values)


def test_weights_that_do_not_fit(tmp_path, topology):
    np.save(tmp_path / "a.npy", FRAMES)
    options = {"temperature": 300, "length_unit": "nm"}
    with pytest.raises(UserError, match=r"3 weights\. Expected one for each of 24 frames"):
        read_trajectory(topology, tmp_path / "a.npy", weights=np.ones(3), **options)
    with pytest.raises(UserError, match="negative, not finite or all zero"):
        read_trajectory(topology, tmp_path / "a.npy", weights=-np.ones(24), **options)
    (tmp_path / "w.txt").write_text("one\ntwo\n")
    with pytest.raises(UserError, match="not a list of numbers"):
        read_trajectory(topology, tmp_path / "a.npy", weights=tmp_path / "w.txt", **options)
    np.savez(tmp_path / "w.npz", x=np.ones(24), y=np.ones(24))
    with pytest.raises(UserError, match="one named weights or log_weight"):
        read_trajectory(topology, tmp_path / "a.npy", weights=tmp_path / "w.npz", **options)
    np.savez(tmp_path / "b.npz", positions=FRAMES, weights=np.ones(24))
    with pytest.raises(UserError, match="in some of the files only"):
        read_trajectory(topology, [tmp_path / "a.npy", tmp_path / "b.npz"], **options)


def test_weights_over_several_files_before_and_after_the_stride(tmp_path, topology):
    np.save(tmp_path / "a.npy", FRAMES)
    np.save(tmp_path / "b.npy", FRAMES[:11])
    values = np.arange(35) + 1.0
    kept = np.concatenate([values[:24:5], values[24::5]])
    files = [tmp_path / "a.npy", tmp_path / "b.npy"]
    for given in (values, kept):
        read = read_trajectory(topology, files, temperature=300, length_unit="nm", stride=5, weights=given)
        assert read.weights == pytest.approx(kept / kept.mean())
