"""Forces in a file of their own."""

import numpy as np
import pytest

import peptides
import twofold
from twofold.errors import UserError
from twofold.files.readers import read_trajectory

FRAMES = 40
ATOMS = peptides.wiggled(FRAMES)
FORCES = np.random.default_rng(3).normal(size=ATOMS.shape)
UNITS = {"length_unit": "angstrom", "energy_unit": "kcal/mol"}
TO_KJ = 41.84
"""kJ/mol/nm in a kcal/mol/Angstrom."""


@pytest.fixture
def files(tmp_path):
    """Topology, two trajectories, forces on atoms and on beads."""
    topology, frames = peptides.write_pdb(tmp_path), peptides.trajectory(tmp_path, FRAMES)
    for number, part in enumerate((frames[:25], frames[25:])):
        part.save(str(tmp_path / f"{number}.trr"))
    np.save(tmp_path / "atoms.npy", FORCES)
    np.savez(
        tmp_path / "beads.npz", forces=FORCES[:, peptides.BACKBONE], energy_unit="kcal/mol", length_unit="angstrom"
    )
    return topology, [tmp_path / "0.trr", tmp_path / "1.trr"]


def test_forces_on_beads_are_taken_as_they_are(files, tmp_path):
    read = read_trajectory(*files, temperature=300, forces=tmp_path / "beads.npz")
    np.testing.assert_allclose(read.forces, TO_KJ * FORCES[:, peptides.BACKBONE], rtol=1e-5)


def test_forces_on_atoms_are_mapped_and_follow_the_frames(files, tmp_path):
    read = read_trajectory(*files, temperature=300, forces=tmp_path / "atoms.npy", **UNITS)
    # whatever the map, all of the force on the molecule is on its beads
    np.testing.assert_allclose(read.forces.sum(1), TO_KJ * FORCES.sum(1), rtol=1e-3, atol=1e-2)
    assert read.source["forces"]["map"] in ("basic", "optimal")
    thinned = read_trajectory(*files, temperature=300, forces=tmp_path / "atoms.npy", stride=4, **UNITS)
    kept = np.concatenate([np.arange(0, 25, 4), np.arange(25, FRAMES, 4)])
    np.testing.assert_allclose(thinned.forces.sum(1), TO_KJ * FORCES[kept].sum(1), rtol=1e-3, atol=1e-2)


def test_positions_may_be_an_array_of_atoms(files, tmp_path):
    np.save(tmp_path / "positions.npy", 10 * ATOMS)
    read = read_trajectory(
        files[0], tmp_path / "positions.npy", temperature=300, forces=tmp_path / "atoms.npy", **UNITS
    )
    expected = read_trajectory(*files, temperature=300, forces=tmp_path / "atoms.npy", **UNITS)
    np.testing.assert_allclose(read.forces.sum(1), expected.forces.sum(1), rtol=1e-3, atol=1e-2)
    assert read.source["forces"] == expected.source["forces"]


def test_files_may_state_units_of_their_own(files, tmp_path):
    np.savez(tmp_path / "positions.npz", positions=10 * ATOMS, length_unit="angstrom")
    np.savez(tmp_path / "atoms.npz", forces=FORCES * TO_KJ, energy_unit="kj/mol", length_unit="nm")
    read = read_trajectory(files[0], tmp_path / "positions.npz", temperature=300, forces=tmp_path / "atoms.npz")
    expected = read_trajectory(*files, temperature=300, forces=tmp_path / "atoms.npy", **UNITS)
    np.testing.assert_allclose(read.forces.sum(1), expected.forces.sum(1), rtol=1e-3, atol=1e-2)
    assert read.source["forces"] == expected.source["forces"]


def test_forces_of_the_frames_that_are_kept(files, tmp_path):
    kept = np.concatenate([np.arange(0, 25, 4), np.arange(25, FRAMES, 4)])
    np.save(tmp_path / "kept.npy", FORCES[kept][:, peptides.BACKBONE])
    read = read_trajectory(*files, temperature=300, forces=tmp_path / "kept.npy", stride=4, **UNITS)
    np.testing.assert_allclose(read.forces, TO_KJ * FORCES[kept][:, peptides.BACKBONE], rtol=1e-5)


def test_a_first_file_of_few_frames(files, tmp_path):
    """Constraints are looked for in the next file too."""
    for number, part in enumerate((slice(0, 4), slice(4, FRAMES))):
        peptides.trajectory(tmp_path, FRAMES)[part].save(str(tmp_path / f"part{number}.trr"))
    parts = [tmp_path / "part0.trr", tmp_path / "part1.trr"]
    read = read_trajectory(files[0], parts, temperature=300, forces=tmp_path / "atoms.npy", **UNITS)
    expected = read_trajectory(*files, temperature=300, forces=tmp_path / "atoms.npy", **UNITS)
    np.testing.assert_allclose(read.forces, expected.forces, rtol=1e-5, atol=1e-3)
    np.save(tmp_path / "few.npy", FORCES[:4])
    with pytest.raises(UserError, match=r"4 frames in .*part0\.trr\. Expected at least 10"):
        read_trajectory(files[0], parts[:1], temperature=300, forces=tmp_path / "few.npy", **UNITS)


def test_forces_on_atoms_need_positions_of_atoms(files, tmp_path):
    np.save(tmp_path / "beads.npy", 10 * ATOMS[:, peptides.BACKBONE])
    with pytest.raises(UserError, match=r"Forces on atoms for .*beads\.npy, which holds beads"):
        read_trajectory(files[0], tmp_path / "beads.npy", temperature=300, forces=tmp_path / "atoms.npy", **UNITS)


@pytest.mark.parametrize(
    ("forces", "units", "text"),
    [
        (FORCES, {}, "does not state its unit of energy"),
        (FORCES, {"energy_unit": "kj/mol"}, "does not state its unit of length"),
        (FORCES[1:], UNITS, "forces of 39 frames"),
        (FORCES[:, :7], UNITS, "forces on 7 particles"),
        (FORCES[..., 0], UNITS, "forces of shape"),
    ],
)
def test_forces_that_do_not_fit(files, tmp_path, forces, units, text):
    np.save(tmp_path / "wrong.npy", forces)
    with pytest.raises(UserError, match=text):
        read_trajectory(*files, temperature=300, forces=tmp_path / "wrong.npy", **units)


def test_trajectories_with_forces_need_no_others(tmp_path):
    np.savez(tmp_path / "both.npz", positions=ATOMS, forces=FORCES, energy_unit="kj/mol", length_unit="nm")
    np.savez(tmp_path / "forces.npz", forces=FORCES, energy_unit="kj/mol", length_unit="nm")
    with pytest.raises(UserError, match="beside trajectories with forces"):
        read_trajectory(None, tmp_path / "both.npz", temperature=300, forces=tmp_path / "forces.npz")


def test_a_fit_checks_forces_of_a_file(files, tmp_path):
    with pytest.raises(UserError, match="forces"):
        twofold.fit(*files, temperature=300, forces=tmp_path / "beads.npz", out=tmp_path / "run", steps=1)
    assert not (tmp_path / "run").exists()
