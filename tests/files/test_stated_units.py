import numpy as np
import pytest

import peptides
from files.test_readers import BEADS, FRAMES, write
from twofold.errors import UserError
from twofold.files.readers import read_trajectory
from twofold.files.store import write_ensembles


@pytest.fixture
def topology(tmp_path):
    return peptides.write_pdb(tmp_path)


@pytest.mark.parametrize(
    ("units", "message"),
    [
        ({"length_unit": "parsec"}, "Unknown length unit 'parsec'"),
        ({"energy_unit": "foo"}, "Unknown energy unit 'foo'"),
        (
            {"length_unit": "angstrom"},
            r"Length unit angstrom for .*xtc\. Expected nm, as \.xtc files have",
        ),
        (
            {"energy_unit": "eV"},
            r"Energy unit eV for .*xtc\. Expected none, as no .* \.xtc files",
        ),
    ],
)
def test_units_that_are_not_known_or_that_nothing_needs(tmp_path, topology, units, message):
    path = write(tmp_path, "xtc")
    with pytest.raises(UserError, match=message):
        read_trajectory(topology, path, temperature=300, **units)


def test_units_are_needed_by_arrays_and_forces_beside_a_trajectory(tmp_path, topology):
    path = write(tmp_path, "xtc")
    np.save(tmp_path / "a.npy", peptides.wiggled(FRAMES) * 10)
    both = read_trajectory(topology, [path, tmp_path / "a.npy"], temperature=300, length_unit="angstrom")
    assert np.abs(both.positions - np.concatenate([BEADS, BEADS])).max() < 6e-4
    np.save(tmp_path / "forces.npy", np.zeros((FRAMES, 5, 3)))
    stated = {"length_unit": "nm", "energy_unit": "kj/mol"}
    assert read_trajectory(topology, path, temperature=300, forces=tmp_path / "forces.npy", **stated).forces is not None
    write_ensembles(tmp_path / "data.h5", both)
    with pytest.raises(UserError, match=r"Length unit beside .*data\.h5"):
        read_trajectory(tmp_path / "data.h5", length_unit="nm")
