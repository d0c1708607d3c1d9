import mdtraj
import numpy as np
import pytest

from files.test_atomic import little_space
from twofold.beads import Beads
from twofold.errors import UserError
from twofold.files.trajectories import TrajectoryWriter, read_positions, write_pdb, write_trajectory

ALANINES = 4


def beads(residues=ALANINES):
    number = 3 * residues
    return Beads(
        names=("N", "CA", "C") * residues,
        types=("N", "CA", "C") * residues,
        masses=np.ones(number),
        charges=np.zeros(number),
        bonds=[(i, i + 1) for i in range(number - 1)],
        residue_names=("ALA",) * number,
        residue_ids=np.repeat(np.arange(residues) + 3, 3),
        chains=np.zeros(number),
    )


def positions(frames=25, number=3 * ALANINES):
    return np.random.default_rng(0).normal(size=(frames, number, 3)).astype(np.float32)


@pytest.mark.parametrize("suffix", [".xtc", ".dcd"])
def test_round_trip(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    frames = positions()
    write_trajectory(path, frames, beads())
    tolerance = 5.1e-4 if suffix == ".xtc" else 5e-7
    assert np.abs(read_positions(path, beads()) - frames).max() < tolerance
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(["a.pdb", f"a{suffix}"])


def test_xtc_of_few_beads_is_exact(tmp_path):
    frames = positions(number=9)
    write_trajectory(tmp_path / "a.xtc", frames, beads(3))
    assert read_positions(tmp_path / "a.xtc", 9).tobytes() == frames.tobytes()


@pytest.mark.parametrize("suffix", [".xtc", ".dcd"])
def test_mdtraj_reads_it(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    box = 3.0 * np.array([[1, 0, 0], [0, 1, 0], [0.5, 0.5, np.sqrt(0.5)]])
    write_trajectory(path, positions(), beads(), time_ps=np.arange(25) * 0.5, box=box)
    read = mdtraj.load(str(path), top=str(tmp_path / "a.pdb"))
    assert len(read) == 25
    assert read.unitcell_vectors[3] == pytest.approx(box, abs=1e-4)
    assert [str(atom) for atom in read.topology.atoms][:4] == ["ALA3-N", "ALA3-CA", "ALA3-C", "ALA4-N"]
    assert {(a.index, b.index) for a, b in read.topology.bonds} == {(i, i + 1) for i in range(11)}
    if suffix == ".xtc":
        assert read.time[-1] == pytest.approx(12.0)


def test_without_a_box_there_is_none(tmp_path):
    write_trajectory(tmp_path / "a.xtc", positions(), beads())
    assert mdtraj.load(str(tmp_path / "a.xtc"), top=str(tmp_path / "a.pdb")).unitcell_vectors is None


@pytest.mark.parametrize("suffix", [".xtc", ".dcd"])
def test_chunks_give_the_same_file_as_one(tmp_path, suffix):
    write_trajectory(tmp_path / f"a{suffix}", positions(), beads())
    with TrajectoryWriter(tmp_path / f"b{suffix}", beads()) as writer:
        for start in range(0, 25, 4):
            writer.write(positions()[start : start + 4])
        writer.write(positions()[:0])
        assert not (tmp_path / f"b{suffix}").exists()
    assert writer.frames == 25
    assert np.array_equal(read_positions(tmp_path / f"a{suffix}", 12), read_positions(tmp_path / f"b{suffix}", 12))


def test_pdb_of_several_chains_and_long_names(tmp_path):
    chains = Beads.from_dict({**beads(2).to_dict(), "chains": [0] * 3 + [1] * 3, "names": [*"NNC", "HB11", "B", "CL"]})
    chains = Beads.from_dict({**chains.to_dict(), "types": ["N", "CA", "C", "H", "B", "Cl"]})
    write_pdb(tmp_path / "a.pdb", positions(1, 6)[0], chains, np.eye(3) * 4)
    read = mdtraj.load(str(tmp_path / "a.pdb"))
    assert read.topology.n_chains == 2
    assert read.unitcell_lengths[0] == pytest.approx([4, 4, 4])
    assert [atom.element.symbol for atom in read.topology.atoms] == ["N", "N", "C", "H", "B", "Cl"]
    place = positions(1, 6)[0]
    assert read_positions(tmp_path / "a.pdb", chains) == pytest.approx(read.xyz)
    assert read.xyz[0] == pytest.approx(place - place.mean(axis=0), abs=6e-5)


def test_an_error_leaves_nothing(tmp_path):
    def fail():
        with TrajectoryWriter(tmp_path / "a.xtc", beads()) as writer:
            writer.write(positions())
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_existing_files_are_kept(tmp_path):
    (tmp_path / "a.pdb").write_text("mine")
    with pytest.raises(UserError, match=r"a\.pdb exists already"):
        write_trajectory(tmp_path / "a.xtc", positions(), beads())
    write_trajectory(tmp_path / "a.xtc", positions(), beads(), overwrite=True)
    assert "mine" not in (tmp_path / "a.pdb").read_text()


@pytest.mark.parametrize("suffix", [".xtc", ".dcd"])
def test_full_disk(tmp_path, suffix):
    long = np.tile(positions(), (200, 1, 1))
    with little_space(10_000), pytest.raises(UserError, match=r"space|wholly"):
        write_trajectory(tmp_path / f"a{suffix}", long, beads())
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(UserError, match=r"ends in \.xtc or \.dcd"):
        write_trajectory(tmp_path / "a.txt", positions(), beads())
    with pytest.raises(UserError, match="No frames"):
        write_trajectory(tmp_path / "a.xtc", positions(0), beads())
    with pytest.raises(UserError, match=r"\(frames, 12, 3\)"):
        write_trajectory(tmp_path / "a.xtc", positions(5, 11), beads())
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match="No file"):
        read_positions(tmp_path / "a.xtc", 12)
    (tmp_path / "a.xtc").write_text("hello " * 100)
    with pytest.raises(UserError, match="cannot be read"):
        read_positions(tmp_path / "a.xtc", 12)
    write_trajectory(tmp_path / "b.dcd", positions(), beads())
    with pytest.raises(UserError, match=r"12 atoms a frame.*11"):
        read_positions(tmp_path / "b.dcd", 11)


def test_xtc_refuses_what_it_cannot_hold_and_dcd_keeps_it(tmp_path):
    frames = positions()
    frames[3, 0, 0] = np.nan
    with pytest.raises(UserError, match=r"1 frames that are not finite.*\.dcd"):
        write_trajectory(tmp_path / "a.xtc", frames, beads())
    assert list(tmp_path.iterdir()) == []
    write_trajectory(tmp_path / "a.dcd", frames, beads())
    assert np.isnan(read_positions(tmp_path / "a.dcd", beads())[3, 0, 0])
