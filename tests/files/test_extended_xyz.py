import numpy as np
import pytest

from files import molecules
from files.molecules import ENERGIES, EV, FORCES, KCAL, POSITIONS, xyz_frame
from twofold.errors import UserError
from twofold.files.extended_xyz import read_extended_xyz

PROPERTIES = "Properties=species:S:1:pos:R:3:forces:R:3"


def write(folder, *frames):
    path = folder / "a.extxyz"
    path.write_text("".join(frames))
    return path


def comment(frame, further="", factor=1 / KCAL):
    return f"Energy={float(ENERGIES[frame] * factor)!r} {PROPERTIES} {further}"


def same(found, frames):
    assert found.positions == pytest.approx(POSITIONS[:frames], abs=1e-6)
    assert found.forces == pytest.approx(FORCES[:frames], rel=1e-5, abs=1e-3)
    assert found.energies == pytest.approx(ENERGIES[:frames], rel=1e-9)


def test_many_frames(tmp_path):
    path = write(tmp_path, *(xyz_frame(i, comment(i)) for i in range(5)))
    found = read_extended_xyz(path, energy_unit="kcal/mol")
    same(found, 5)
    assert found.elements == molecules.ELEMENTS
    assert found.box is None
    assert found.about["units"] == {"length": "angstrom", "energy": "kcal/mol"}


@pytest.mark.parametrize(
    ("length_unit", "energy_unit", "length", "energy"),
    [("nm", "kJ/mol", 1.0, 1.0), ("angstrom", "eV", 0.1, EV), ("bohr", "hartree", molecules.BOHR, molecules.HARTREE)],
)
def test_stated_units(tmp_path, length_unit, energy_unit, length, energy):
    frames = (xyz_frame(i, comment(i, factor=1 / energy), 1 / length, length / energy) for i in range(2))
    same(read_extended_xyz(write(tmp_path, *frames), length_unit, energy_unit), 2)


def test_a_unit_of_energy_has_to_be_stated_and_known(tmp_path):
    path = write(tmp_path, xyz_frame(0, comment(0)))
    with pytest.raises(UserError, match=r"has forces but does not state their unit\. .*kcal/mol, kJ/mol, eV"):
        read_extended_xyz(path)
    with pytest.raises(UserError, match="Unknown energy unit 'cal'"):
        read_extended_xyz(path, energy_unit="cal")
    with pytest.raises(UserError, match="Unknown length unit 'foot'"):
        read_extended_xyz(path, "foot", "eV")
    with pytest.raises(UserError, match=r"bonded to nothing|nearest neighbour"):
        read_extended_xyz(path, "nm", "eV")


def test_positions_alone_need_no_unit_of_energy(tmp_path):
    for text in ("", "a comment = of some kind", "17", "Energy=-3.5", "energy=low"):
        found = read_extended_xyz(write(tmp_path, *(xyz_frame(i, text, force=None) for i in range(3))))
        assert found.positions == pytest.approx(POSITIONS[:3], abs=1e-6)
        assert found.forces is None
        assert found.energies is None
        assert ("energies" in found.about) == (text == "Energy=-3.5")


def test_further_columns_of_plain_xyz_are_no_forces(tmp_path):
    found = read_extended_xyz(write(tmp_path, xyz_frame(0, "with velocities")))
    assert found.forces is None


def test_the_older_layout_of_energy_and_forces(tmp_path):
    path = write(tmp_path, *(xyz_frame(i, repr(float(ENERGIES[i] / KCAL))) for i in range(3)), "\n\n")
    same(read_extended_xyz(path, energy_unit="kcal/mol"), 3)


@pytest.mark.parametrize(
    "further",
    [
        'Lattice="30 0 0 3 31 0 0 0 32"',
        "Lattice = {30 0 0 3 31 0 0 0 32} pbc={T T T}",
        "Lattice=[[30, 0, 0], [3, 31, 0], [0, 0, 32]] pbc=[True, True, True] config_type=md",
    ],
)
def test_lattices(tmp_path, further):
    found = read_extended_xyz(write(tmp_path, xyz_frame(0, comment(0, further))), energy_unit="kcal/mol")
    assert found.box is not None
    assert found.box[0] == pytest.approx(np.array([[3, 0, 0], [0.3, 3.1, 0], [0, 0, 3.2]]))
    same(found, 1)


def test_lattices_that_do_not_repeat(tmp_path):
    for further in ('Lattice="3 0 0 0 3 0 0 0 3" pbc="F F F"', 'Lattice="0 0 0 0 0 0 0 0 0"'):
        path = write(tmp_path, xyz_frame(0, comment(0, further)))
        assert read_extended_xyz(path, energy_unit="eV").box is None


def test_other_names_of_columns(tmp_path):
    text = xyz_frame(0, "").splitlines()[2:]
    rows = [f"7 {number} T {line.split(maxsplit=1)[1]}" for number, line in zip(molecules.NUMBERS, text, strict=True)]
    energy = float(ENERGIES[0] / KCAL)
    head = f"energy=3 DFT_energy={energy!r} Properties=id:I:1:Z:I:1:move:L:1:pos:R:3:DFT_forces:R:3"
    path = write(tmp_path, "\n".join(["22", head, *rows]))
    same(read_extended_xyz(path, energy_unit="kcal/mol"), 1)


def cut(frame, atom, words):
    """A frame whose line of `atom` holds other words."""
    lines = frame.splitlines()
    return "\n".join([*lines[: 2 + atom], words, *lines[3 + atom :], ""])


GOOD = xyz_frame(0, comment(0))
SECOND = xyz_frame(1, comment(1))


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (["\n \n"], "has no frames"),
        ([GOOD, "dear reader\n"], r"Frame 1 of .*a\.extxyz begins with 'dear reader'\. Expected the number"),
        (["0\n\n"], "begins with '0'"),
        ([GOOD, SECOND[:900]], r"Frame 1 of .* ends after \d+ of 22 atoms|columns for atom"),
        ([GOOD, "22\n"], "ends after 0 of 22 atoms"),
        ([GOOD, cut(SECOND, 4, "C 1 2 3 4 5")], r"6 columns for atom 4 in frame 1 of .*Expected 7, as its Properties"),
        ([cut(GOOD, 4, "C 1 2 3 4 5 6 7")], "8 columns for atom 4"),
        ([cut(xyz_frame(0, "", force=None), 0, "H 1 2")], "3 columns for atom 0 in frame 0 .*symbol, x, y, z"),
        ([cut(GOOD, 4, "C 1 2 three 4 5 6")], "what is no number"),
        ([cut(GOOD, 4, "C 1 2 nan 4 5 6")], "Positions that are not finite in frame 0, atom 4"),
        ([cut(GOOD, 4, "C 1 2 3 4 5 inf")], "Forces that are not finite in frame 0, atom 4"),
        ([cut(GOOD, 4, "Xx 1 2 3 4 5 6")], "unknown element 'Xx', atom 4"),
        ([GOOD, cut(SECOND, 4, "N 1 2 3 4 5 6")], r"Frame 1 of .* has other atoms than the first \(22 and 22\)"),
        ([GOOD, "1\n" + comment(1) + "\nH 0 0 0 0 0 0\n"], r"other atoms than the first \(1 and 22\)"),
        ([GOOD, xyz_frame(1, "energy=1 Properties=species:S:1:pos:R:3", force=None)], "Forces in the first but not in"),
        ([GOOD, xyz_frame(1, PROPERTIES)], r"Energy in the first but not in frame 1"),
        ([GOOD, xyz_frame(1, comment(1, 'Lattice="9 9 9"'))], "Box in frame 1 of .* but not in the first"),
        ([xyz_frame(0, PROPERTIES + " energy=low")], "Energy 'low' in frame 0"),
        ([xyz_frame(0, PROPERTIES + " energy=nan")], "Energies that are not finite in frame 0"),
        ([xyz_frame(0, comment(0, 'Lattice="1 2 3 4"'))], "Lattice '1 2 3 4' in frame 0"),
        ([xyz_frame(0, comment(0, 'Lattice="a b c"'))], "Lattice 'a b c'"),
        ([xyz_frame(0, comment(0, 'Lattice="9 9 9" pbc="T T F"'))], "in all directions or in none"),
        ([xyz_frame(0, "Properties=species:S:1:pos:R")], "Expected name:type:columns"),
        ([xyz_frame(0, "Properties=species:S:1:forces:R:3")], "species:S:1 and pos:R:3 among them"),
        ([xyz_frame(0, "Properties=species:S:1:pos:R:3:a_forces:R:3:b_forces:R:3")], r"\(a_forces, b_forces\)"),
    ],
)
def test_files_that_do_not_fit(tmp_path, frames, message):
    with pytest.raises(UserError, match=message):
        read_extended_xyz(write(tmp_path, *frames), energy_unit="kcal/mol")


def test_what_is_not_text(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_bytes(bytes(range(256)) * 10)
    with pytest.raises(UserError, match=r"Frame 0 of .* begins with"):
        read_extended_xyz(path)
    path.write_bytes(b"")
    with pytest.raises(UserError, match="is empty"):
        read_extended_xyz(path)
    with pytest.raises(UserError, match="No file"):
        read_extended_xyz(tmp_path / "none.xyz")


def with_listed_forces(frame, atoms=None):
    """A frame in the form of the XYZ files of MD17."""
    listed = (FORCES[frame][:atoms] * 0.1 / KCAL).tolist()
    return xyz_frame(frame, f"{float(ENERGIES[frame] / KCAL)!r};{listed}", force=None)


def test_energy_and_forces_listed_in_the_comment(tmp_path):
    path = write(tmp_path, *(with_listed_forces(frame) for frame in range(3)))
    same(read_extended_xyz(path, energy_unit="kcal/mol"), 3)
    assert read_extended_xyz(path, use_forces=False).forces is None
    with pytest.raises(UserError, match="has forces but does not state their unit"):
        read_extended_xyz(path)
    for frame in (with_listed_forces(0, atoms=2), with_listed_forces(0).replace("]]", ",1]]")):
        with pytest.raises(UserError, match=r"Forces '\[\[.*' in frame 0 .*three numbers for each of"):
            read_extended_xyz(write(tmp_path, frame), energy_unit="kcal/mol")
