import numpy as np
import pytest

from files import molecules
from files.molecules import ENERGIES, FORCES, FRAMES, KCAL, POSITIONS
from twofold.errors import UserError
from twofold.files.labelled_npz import is_labelled_npz, read_labelled_npz


def same(found, energies=ENERGIES):
    assert found.positions == pytest.approx(POSITIONS, abs=1e-6)
    assert found.forces == pytest.approx(FORCES, rel=1e-5, abs=1e-3)
    assert found.energies == pytest.approx(energies, rel=1e-9)


def test_md17(tmp_path):
    path = molecules.savez(tmp_path / "a.npz", molecules.md17())
    found = read_labelled_npz(path)
    same(found)
    assert found.elements == molecules.ELEMENTS
    assert found.place is None
    assert found.about["format"] == "MD17"
    assert found.about["units"] == {"length": "angstrom", "energy": "kcal/mol"}
    assert "may not be that of time" in found.about["order"]


def test_units_are_those_of_the_file_and_the_caller_before_those_of_the_format(tmp_path):
    content = molecules.md17() | {"R": POSITIONS / molecules.BOHR, "F": FORCES / molecules.EV * molecules.BOHR}
    content["E"] = ENERGIES / molecules.EV
    stated = molecules.savez(tmp_path / "a.npz", content, r_unit=np.array("bohr"), e_unit=np.array(b"eV"))
    same(read_labelled_npz(stated))
    same(read_labelled_npz(stated, length_unit="bohr", energy_unit="ev"))
    same(read_labelled_npz(molecules.savez(tmp_path / "b.npz", content), length_unit="bohr", energy_unit="eV"))
    with pytest.raises(UserError, match="states its unit of energy, eV, and --energy-unit says kcal/mol"):
        read_labelled_npz(stated, energy_unit="kcal/mol")
    with pytest.raises(UserError, match="states its unit of length, bohr, and --length-unit says nm"):
        read_labelled_npz(stated, length_unit="nm")
    odd = molecules.savez(tmp_path / "c.npz", content, r_unit=np.array("foot"))
    with pytest.raises(UserError, match="Unknown length unit 'foot'"):
        read_labelled_npz(odd)


def test_forces_of_the_dynamics_or_recomputed_ones(tmp_path):
    content = molecules.rmd17()
    path = molecules.savez(tmp_path / "a.npz", content)
    order = (content["old_indices"] - 100) // 7
    found = read_labelled_npz(path)
    assert found.forces == pytest.approx(FORCES[order], rel=1e-5, abs=1e-3)
    assert found.energies == pytest.approx(ENERGIES[order])
    assert found.place is not None
    assert found.place.tolist() == content["old_indices"].tolist()
    recomputed = read_labelled_npz(path, "recomputed")
    assert recomputed.forces == pytest.approx(2 * FORCES[order], rel=1e-5, abs=1e-3)
    assert recomputed.energies == pytest.approx(ENERGIES[order] + 5 * KCAL)
    assert "recomputed" in recomputed.about["forces"]
    with pytest.raises(UserError, match="Level 'old'"):
        read_labelled_npz(path, "old")
    only = molecules.savez(tmp_path / "b.npz", content, old_forces=None, old_energies=None)
    with pytest.raises(UserError, match=r"Expected forces named old_forces\. Choose the level 'recomputed'"):
        read_labelled_npz(only)
    assert read_labelled_npz(only, "recomputed").forces is not None
    with pytest.raises(UserError, match="for a file of MD17"):
        read_labelled_npz(molecules.savez(tmp_path / "c.npz", molecules.md17()), "recomputed")


def test_timewarp(tmp_path):
    found = read_labelled_npz(molecules.savez(tmp_path / "a.npz", molecules.timewarp()))
    same(found)
    assert found.elements is None
    assert found.frame_ps == 0.5
    assert found.trajectory.tolist() == [0] * FRAMES


def test_a_time_that_goes_back_begins_another_trajectory(tmp_path):
    time = np.tile(np.arange(8) * 2.0, 3)
    found = read_labelled_npz(molecules.savez(tmp_path / "a.npz", molecules.timewarp(), time=time))
    assert found.trajectory.tolist() == [0] * 8 + [1] * 8 + [2] * 8
    assert found.frame_ps is None
    with pytest.raises(UserError, match="times of shape"):
        read_labelled_npz(molecules.savez(tmp_path / "b.npz", molecules.timewarp(), time=time[:3]))


def test_arrays_that_are_not_needed_are_not_looked_at(tmp_path):
    path = molecules.savez(tmp_path / "a.npz", molecules.md17(), theory=np.array([{}], dtype=object))
    same(read_labelled_npz(path))
    without = read_labelled_npz(molecules.savez(tmp_path / "b.npz", molecules.md17(), E=None))
    assert without.energies is None


def test_atomic_numbers_of_each_frame(tmp_path):
    numbers = np.tile(molecules.NUMBERS, (FRAMES, 1))
    same(read_labelled_npz(molecules.savez(tmp_path / "a.npz", molecules.md17(), z=numbers)))
    numbers[5, 0] = 9
    with pytest.raises(UserError, match=r"Frame 5 of .* with other atoms than the first"):
        read_labelled_npz(molecules.savez(tmp_path / "a.npz", molecules.md17(), z=numbers))


def broken(array, place, value=np.nan):
    array = np.array(array)
    array[place] = value
    return array


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"z": None}, r"with arrays R, E, F, name, type\. Expected those of a known format \(rMD17"),
        ({"R": None}, "Expected those of a known format"),
        ({"F": None}, r"with arrays z, R, E, name, type\. Expected forces named F"),
        ({"F": FORCES[1:]}, r"forces of shape \(23, 22, 3\) .*Expected numbers \(24, 22, 3\)"),
        ({"E": ENERGIES[1:]}, r"energies of shape \(23,\)"),
        ({"R": POSITIONS[0]}, r"positions of shape \(22, 3\)"),
        ({"R": POSITIONS.astype(str)}, "positions of shape .* and type <U"),
        ({"R": POSITIONS[:0], "E": None}, "has no frames|forces of shape"),
        ({"z": molecules.NUMBERS[1:]}, "with 21 elements. Expected 22"),
        ({"z": molecules.NUMBERS.astype(float)}, "with atomic numbers of shape"),
        ({"z": broken(molecules.NUMBERS, 3, 0)}, "unknown element '0', atom 3"),
        ({"R": broken(POSITIONS * 10, (8, 3))}, r"Positions that are not finite in frame 8, atom 3 of .*a\.npz"),
        ({"F": broken(FORCES, (7, 2), np.inf)}, "Forces that are not finite in frame 7, atom 2"),
        ({"F": broken(FORCES, (7, 2), 1e39)}, "Forces that are not finite in frame 7, atom 2"),
        ({"E": broken(ENERGIES, 4)}, "Energies that are not finite in frame 4 of"),
        ({"R": POSITIONS}, r"nearest neighbour is 0\.0\d+ nm away"),
        ({"R": np.array([{}], dtype=object)}, "cannot be read"),
        ({"lattice": np.eye(3)}, "with a lattice"),
    ],
)
def test_archives_that_do_not_fit(tmp_path, changes, message):
    path = molecules.savez(tmp_path / "a.npz", molecules.md17(), **changes)
    with pytest.raises(UserError, match=message):
        read_labelled_npz(path)


def test_damaged_foreign_and_missing_archives(tmp_path):
    path = molecules.savez(tmp_path / "a.npz", molecules.rmd17())
    assert is_labelled_npz(path)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"dear reader " * 20):
        path.write_bytes(content)
        assert not is_labelled_npz(path)
        with pytest.raises(UserError, match="cannot be read"):
            read_labelled_npz(path)
    middle = bytearray(whole)
    middle[5000:5100] = bytes(100)
    path.write_bytes(middle)
    with pytest.raises(UserError, match="cannot be read"):
        read_labelled_npz(path)
    path.write_bytes(b"")
    with pytest.raises(UserError, match="is empty"):
        read_labelled_npz(path)
    with pytest.raises(UserError, match="No file"):
        read_labelled_npz(tmp_path / "none.npz")
    molecules.savez(tmp_path / "plain.npz", molecules.timewarp(), step=None)
    assert not is_labelled_npz(tmp_path / "plain.npz")
    np.save(tmp_path / "single.npy", POSITIONS)
    (tmp_path / "single.npy").rename(tmp_path / "single.npz")
    with pytest.raises(UserError, match="cannot be read"):
        read_labelled_npz(tmp_path / "single.npz")
