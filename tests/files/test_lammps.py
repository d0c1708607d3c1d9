import numpy as np
import pytest

import peptides
from files.test_readers import BEADS, FRAMES, write
from twofold.errors import UserError
from twofold.files.readers import read_trajectory
from twofold.units import length_factor


@pytest.fixture
def topology(tmp_path):
    return peptides.write_pdb(tmp_path)


@pytest.mark.parametrize("unit", ["angstrom", "nm", "bohr"])
def test_a_dump_of_lammps_is_in_the_unit_that_is_stated(tmp_path, topology, unit):
    frames = peptides.trajectory(tmp_path, FRAMES, boxed=4.0)
    frames.xyz *= 0.1 / length_factor(unit)
    frames.unitcell_lengths *= 0.1 / length_factor(unit)
    frames.save(str(tmp_path / "a.lammpstrj"))
    read = read_trajectory(topology, tmp_path / "a.lammpstrj", temperature=300, length_unit=unit)
    assert np.abs(read.positions - BEADS).max() < 6e-4
    assert read.box == pytest.approx(np.broadcast_to(np.eye(3) * 4, (FRAMES, 3, 3)), abs=1e-5)
    with pytest.raises(
        UserError, match=r"a\.lammpstrj does not state its unit of length\. State .*length-unit angstrom"
    ):
        read_trajectory(topology, tmp_path / "a.lammpstrj", temperature=300)


def test_a_dump_of_lammps_in_units_of_the_box_is_refused(tmp_path, topology):
    path = write(tmp_path, "lammpstrj", boxed=4.0)
    path.write_text(path.read_text().replace("xu yu zu", "xs ys zs"))
    with pytest.raises(UserError, match=r"with columns id type xs ys zs\. Expected x y z or xu yu zu"):
        read_trajectory(topology, path, temperature=300, length_unit="angstrom")
