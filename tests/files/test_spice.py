import h5py
import numpy as np
import pytest

from files import molecules
from files.molecules import ENERGIES, EV, FORCES, FRAMES, KCAL, POSITIONS
from twofold.errors import UserError
from twofold.files.published import read_published, spice_ensembles
from twofold.files.spice import UNITS, read_spice, spice_names


def same(found):
    assert found.positions == pytest.approx(POSITIONS, abs=1e-6)
    assert found.forces == pytest.approx(FORCES, rel=1e-5, abs=1e-3)
    assert found.energies == pytest.approx(ENERGIES, rel=1e-9)


def water():
    place = np.array([[0, 0, 0], [0.096, 0, 0], [-0.024, 0.093, 0]]) / molecules.BOHR
    zeros = np.zeros((2, 3, 3))
    return {
        "atomic_numbers": np.array([8, 1, 1]),
        "conformations": zeros + place,
        "dft_total_energy": np.array([-76.0, -76.1]),
        "dft_total_gradient": zeros,
    }


def test_only_the_molecules_that_are_asked_for(tmp_path):
    path = molecules.spice(tmp_path / "a.h5", ala={}, water=water(), broken={"conformations": np.zeros(3)})
    assert spice_names(path) == ["ala", "broken", "water"]
    last, first = read_spice(path, ["water", "ala"])
    same(first)
    assert first.elements == molecules.ELEMENTS
    assert first.about["molecule"] == "ala"
    assert first.about["equilibrium"] == "no"
    assert last.elements == ("O", "H", "H")
    one, two = spice_ensembles(path, ["ala", "water"], temperature=500)
    assert (len(one), len(two)) == (FRAMES, 2)
    assert two.beads.names == ("O1", "H1", "H2")
    assert two.beads.bonds.tolist() == [[0, 1], [0, 2]]
    assert one.source["trajectories"][0]["file"] == str(path)
    assert len(spice_ensembles(path, "ala", temperature=500)) == 1


def test_units_are_those_of_the_attributes(tmp_path):
    changes = {
        "conformations": POSITIONS * 10,
        "dft_total_energy": ENERGIES / EV,
        "dft_total_gradient": -FORCES / KCAL / 10,
    }
    path = molecules.spice(tmp_path / "a.h5", ala=changes)
    with h5py.File(path, "r+") as file:
        file["ala/conformations"].attrs["units"] = np.bytes_("angstrom")
        file["ala/dft_total_energy"].attrs["units"] = "eV"
        file["ala/dft_total_gradient"].attrs["units"] = "kcal/mol/angstrom"
    same(read_spice(path, "ala")[0])


@pytest.mark.parametrize("array", UNITS)
def test_attributes_that_are_no_units(tmp_path, array):
    path = molecules.spice(tmp_path / "a.h5", ala={})
    for odd in ("newton", "", "foot/bohr", "hartree/", b"\xff"):
        with h5py.File(path, "r+") as file:
            file["ala"][array].attrs["units"] = odd
        with pytest.raises(UserError, match=rf"a\.h5/ala/{array} in '.*'\. Expected a unit like (hartree|bohr)"):
            read_spice(path, "ala")


def without_units(path):
    with h5py.File(path, "r+") as file:
        for name in UNITS:
            del file["ala"][name].attrs["units"]
    return path


def test_units_without_attributes(tmp_path):
    same(read_spice(without_units(molecules.spice(tmp_path / "a.h5", ala={})), "ala")[0])


def test_units_that_are_given(tmp_path):
    """They are those of arrays that state none, and have to be those that are stated."""
    given = {"length_unit": "angstrom", "energy_unit": "kcal/mol"}
    energies, gradient = ENERGIES / KCAL, -FORCES / KCAL / 10
    changes = {"conformations": POSITIONS * 10, "dft_total_energy": energies, "dft_total_gradient": gradient}
    path = without_units(molecules.spice(tmp_path / "a.h5", ala=changes))
    same(read_published(path, **given))
    same(read_spice(path, "ala", **given)[0])
    assert read_published(path, **given).about["units"]["dft_total_gradient"] == "kcal/mol/angstrom"
    assert spice_ensembles(path, "ala", temperature=500, **given)[0].energies == pytest.approx(ENERGIES)
    with h5py.File(path, "r+") as file:
        file["ala/conformations"].attrs["units"] = "Angstrom"
    same(read_published(path, **given))
    for array, unit, option in (
        ("dft_total_gradient", "kcal/mol/bohr", "--length-unit says angstrom"),
        ("dft_total_gradient", "hartree/angstrom", "--energy-unit says kcal/mol"),
        ("dft_total_energy", "hartree", "--energy-unit says kcal/mol"),
        ("conformations", "bohr", "--length-unit says angstrom"),
    ):
        with h5py.File(path, "r+") as file:
            file["ala"][array].attrs["units"] = unit
        with pytest.raises(UserError, match=rf"a\.h5/ala/{array} states its unit, {unit}, and {option}"):
            read_published(path, **given)
        with h5py.File(path, "r+") as file:
            del file["ala"][array].attrs["units"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"dft_total_gradient": None},
            r"Molecule 'ala' in .*a\.h5 without dft_total_gradient\. Expected atomic_numbers, ",
        ),
        ({"atomic_numbers": None}, "without atomic_numbers"),
        ({"dft_total_gradient": FORCES[1:]}, r"ala with forces of shape \(23, 22, 3\)"),
        ({"dft_total_energy": ENERGIES[1:]}, "energies of shape"),
        ({"atomic_numbers": np.ones(3, int)}, "with 3 elements. Expected 22"),
        ({"atomic_numbers": np.full(22, 119)}, "unknown element '119', atom 0"),
        ({"conformations": np.full(POSITIONS.shape, np.nan)}, "not finite in frame 0, atom 0 of .*ala"),
    ],
)
def test_molecules_that_do_not_fit(tmp_path, changes, message):
    path = molecules.spice(tmp_path / "a.h5", ala=changes)
    with pytest.raises(UserError, match=message):
        read_spice(path, "ala")


def test_unknown_molecules_and_damaged_files(tmp_path):
    path = molecules.spice(tmp_path / "a.h5", **{"ala-ala": {}, "gly-gly": {}})
    with pytest.raises(UserError, match=r"No molecule 'ala-alb' in .*one of its 2, e\.g\. ala-ala"):
        read_spice(path, ["gly-gly", "ala-alb"])
    with h5py.File(path, "r+") as file:
        file["number"] = 3
    with pytest.raises(UserError, match=r"Molecule 'number' in .* without atomic_numbers"):
        read_spice(path, "number")
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UserError, match="cannot be read"):
        read_spice(path, "ala-ala")
    path.write_text("dear reader " * 20)
    with pytest.raises(UserError, match="cannot be read"):
        spice_names(path)
    with pytest.raises(UserError, match="No file"):
        spice_names(tmp_path / "none.h5")
