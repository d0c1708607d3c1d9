import gzip

import mdtraj
import numpy as np
import pytest

import peptides
from files import formats
from twofold.ensemble import Ensemble
from twofold.errors import UserError
from twofold.files.parts import spacing
from twofold.files.readers import read_trajectory
from twofold.files.store import write_ensembles
from twofold.space import wrap

FRAMES = 30
BEADS = peptides.wiggled(FRAMES)[:, peptides.BACKBONE]
TRAJECTORIES = [
    *("xtc", "trr", "dcd", "nc", "ncdf", "netcdf", "h5", "pdb", "pdb.gz", "gro", "xyz", "xyz.gz", "mdcrd", "crd"),
    *("lammpstrj", "cif", "cif.gz", "pdbx"),
]
TIMED = {"xtc", "trr", "nc", "ncdf", "netcdf", "gro", "h5"}
# MDTraj leaves files open that it fails to parse.
leaks = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


def write(folder, kind, boxed=None, name="traj"):
    path = folder / f"{name}.{kind}"
    frames = peptides.trajectory(folder, FRAMES, 4.0 if kind == "lammpstrj" else boxed)  # a dump has a box
    if kind == "h5":
        formats.write_mdtraj_hdf5(path, frames)
    else:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("warnings.warn", lambda *arguments, **options: None)  # on the netCDF library in use
            frames.save(str(path))
    return path


def units(kind):
    return {"length_unit": "angstrom"} if kind == "lammpstrj" else {}


@pytest.fixture
def topology(tmp_path):
    return peptides.write_pdb(tmp_path)


@pytest.mark.parametrize("kind", TRAJECTORIES)
@pytest.mark.parametrize("stride", [1, 4])
def test_every_trajectory_format(tmp_path, topology, kind, stride):
    read = read_trajectory(topology, write(tmp_path, kind), temperature=300, stride=stride, **units(kind))
    expected = BEADS[::stride]
    assert read.positions.shape == expected.shape
    assert np.abs(read.positions - expected).max() < 6e-4
    assert read.frame_ps == (pytest.approx(2.0 * stride) if kind in TIMED else None)
    assert read.box is None or kind == "lammpstrj"
    assert read.temperature == 300
    assert read.source["stride"] == stride


@pytest.mark.parametrize("kind", ["rst7", "restrt", "inpcrd", "ncrst"])
def test_restart_files_are_one_frame_each(tmp_path, topology, kind):
    frames, written = peptides.trajectory(tmp_path, 2), "ncrst" if kind == "ncrst" else "rst7"
    files = []
    for number in range(2):
        frames[number].save(str(tmp_path / f"{number}.{written}"))
        files.append((tmp_path / f"{number}.{written}").rename(tmp_path / f"{number}.{kind}"))
    read = read_trajectory(topology, files, temperature=300)
    assert np.abs(read.positions - BEADS[:2]).max() < 1e-6
    assert read.trajectory.tolist() == [0, 1]
    files[1].write_bytes(files[1].read_bytes()[: int(0.6 * files[1].stat().st_size)])
    with pytest.raises(UserError, match="cannot be read as a trajectory"):
        read_trajectory(topology, files, temperature=300)


@pytest.mark.parametrize("kind", ["cif.gz", "mmcif.gz", "pdbx.gz"])
def test_compressed_topologies(tmp_path, kind):
    text = formats.mmcif(peptides.wiggled(3))
    (tmp_path / f"models.{kind}").write_bytes(gzip.compress(text.encode()))
    read = read_trajectory(tmp_path / f"models.{kind}", temperature=300)
    assert np.abs(read.positions - BEADS[:3]).max() < 1e-4


@pytest.mark.parametrize("kind", ["xtc", "trr", "dcd", "nc", "h5", "pdb", "gro"])
def test_boxes_are_read(tmp_path, topology, kind):
    read = read_trajectory(topology, write(tmp_path, kind, boxed=4.0), temperature=300)
    assert read.box is not None
    assert read.box == pytest.approx(np.broadcast_to(np.eye(3) * 4, (FRAMES, 3, 3)), abs=1e-5)


@pytest.mark.parametrize("kind", ["pdb", "pdb.gz", "cif", "gro", "h5", "psf", "prmtop", "parm7", "prm7"])
def test_every_topology_format(tmp_path, topology, kind):
    trajectory = write(tmp_path, "trr")
    atoms = mdtraj.load_topology(str(topology))
    path = tmp_path / f"top.{kind}"
    if kind in ("psf", "prmtop", "parm7", "prm7"):
        path.write_text(formats.psf(atoms) if kind == "psf" else formats.prmtop(atoms))
    elif kind == "cif":
        path.write_text(formats.mmcif(peptides.wiggled(1)))
    else:
        path = write(tmp_path, kind, name="top")
    read = read_trajectory(path, trajectory, temperature=300)
    assert read.positions.tobytes() == BEADS.tobytes()
    assert read.beads.names == ("C", "N", "CA", "C", "N")
    assert read.beads.residue_names == ("ACE", "ALA", "ALA", "ALA", "NME")
    assert read.beads.bonds.tolist() == [[0, 1], [1, 2], [2, 3], [3, 4]]
    assert list(read.beads.torsions_named("phi").values()) == [(0, 1, 2, 3)]
    assert read.beads.masses.sum() == pytest.approx(144.17, abs=0.01)


def test_a_topology_may_hold_the_frames(tmp_path):
    pdb = write(tmp_path, "pdb")
    assert np.abs(read_trajectory(pdb, temperature=300).positions - BEADS).max() < 1e-4
    cif = tmp_path / "models.cif"
    cif.write_text(formats.mmcif(peptides.wiggled(3)))
    assert np.abs(read_trajectory(cif, temperature=300).positions - BEADS[:3]).max() < 1e-4


def test_several_trajectories(tmp_path, topology):
    files = [write(tmp_path, "xtc", name="a"), write(tmp_path, "dcd", name="b")]
    read = read_trajectory(topology, files, temperature=300, stride=2)
    assert read.trajectory.tolist() == [0] * 15 + [1] * 15
    assert not set(read.block[:15].tolist()) & set(read.block[15:].tolist())
    assert [entry["frames"] for entry in read.source["trajectories"]] == [15, 15]
    assert read.frame_ps is None
    assert read_trajectory(topology, files, temperature=300, frame_ps=4.0).frame_ps == 4.0


def test_chunks_do_not_matter(tmp_path, topology, monkeypatch):
    path = write(tmp_path, "xtc")
    weights = np.arange(FRAMES) + 1.0
    whole = read_trajectory(topology, path, temperature=300, stride=3, weights=weights)
    monkeypatch.setattr("twofold.files.frames.CHUNK_BYTES", 22 * 12 * 7)
    for given in (None, weights):
        parts = read_trajectory(topology, path, temperature=300, stride=3, weights=given)
        assert parts.positions.tobytes() == whole.positions.tobytes()
    assert whole.weights == pytest.approx(weights[::3] / weights[::3].mean())


def test_molecules_are_made_whole(tmp_path, topology):
    frames = peptides.trajectory(tmp_path, FRAMES, boxed=1.2)
    frames.xyz = wrap(frames.xyz, frames.unitcell_vectors)
    frames.save(str(tmp_path / "broken.trr"))
    read = read_trajectory(topology, tmp_path / "broken.trr", temperature=300)
    assert np.ptp(frames.xyz[:, peptides.BACKBONE] - BEADS, axis=1).max() > 1
    assert read.positions - read.positions[:, :1] == pytest.approx(BEADS - BEADS[:, :1], abs=1e-6)


def test_a_data_set_takes_the_place_of_files(tmp_path, topology):
    first = read_trajectory(topology, write(tmp_path, "xtc"), temperature=300)
    write_ensembles(tmp_path / "data.h5", first)
    again = read_trajectory(tmp_path / "data.h5")
    assert isinstance(again, Ensemble)
    assert again.positions.tobytes() == first.positions.tobytes()
    assert again.source == first.source
    strided = read_trajectory(tmp_path / "data.h5", temperature=300, stride=7)
    assert len(strided) == 5
    assert strided.frame_ps == 14.0
    with pytest.raises(UserError, match=r"Temperature 310 K .*300 K, as it says"):
        read_trajectory(tmp_path / "data.h5", temperature=310)
    with pytest.raises(UserError, match="Weights beside"):
        read_trajectory(tmp_path / "data.h5", weights=np.ones(FRAMES))


def test_spacing_of_times():
    late = (500_000 + 0.2 * np.arange(1000)).astype(np.float32)  # single precision has steps of 0.03 ps there
    assert spacing(late) == pytest.approx(0.2, rel=1e-3)
    assert spacing(np.arange(5) * 2.0) == 2.0
    assert spacing(np.array([0.0, 1.0, 3.0])) is None
    assert spacing(np.array([1.0, 1.0])) is None
    assert spacing(np.array([1.0])) is None


def test_nothing_is_printed(tmp_path, topology, capfd):
    read_trajectory(topology, write(tmp_path, "dcd"), temperature=300)
    assert capfd.readouterr() == ("", "")


@leaks
@pytest.mark.parametrize("kind", ["xtc", "trr", "dcd", "nc", "h5", "pdb", "gro", "xyz", "cif", "lammpstrj", "mdcrd"])
def test_foreign_and_empty_trajectories(tmp_path, topology, kind):
    path = tmp_path / f"a.{kind}"
    path.write_text("dear reader, this is a letter\n" * 20)
    with pytest.raises(UserError, match="cannot be read as a trajectory"):
        read_trajectory(topology, path, temperature=300, **units(kind))
    path.write_text("")
    with pytest.raises(UserError, match="is empty"):
        read_trajectory(topology, path, temperature=300, **units(kind))


@leaks
@pytest.mark.parametrize("kind", ["pdb", "gro", "psf", "prmtop", "cif", "h5"])
def test_foreign_topologies(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    path.write_text("dear reader, this is a letter\n" * 20)
    with pytest.raises(UserError, match=r"cannot be read as a topology|has no topology"):
        read_trajectory(path, tmp_path / "traj.xtc", temperature=300)


@pytest.mark.parametrize("kind", ["xtc", "trr", "dcd", "nc", "h5", "pdb", "gro"])
def test_atom_counts_that_differ(tmp_path, topology, kind):
    frames = peptides.trajectory(tmp_path, 3).atom_slice(range(20))
    path = tmp_path / f"a.{kind}"
    if kind == "h5":
        formats.write_mdtraj_hdf5(path, frames)
    else:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("warnings.warn", lambda *arguments, **options: None)
            frames.save(str(path))
    with pytest.raises(UserError, match=r"a\..* has 20 atoms a frame\. Expected 22, as the topology has"):
        read_trajectory(topology, path, temperature=300)


def test_coordinates_that_are_not_finite(tmp_path, topology):
    frames = peptides.trajectory(tmp_path, FRAMES)
    frames.xyz[21, 8, 1] = np.nan
    frames.save(str(tmp_path / "a.trr"))
    with pytest.raises(UserError, match=r"not finite in frame 21 of .*a\.trr, atom 8 \(ALA2-CA\)"):
        read_trajectory(topology, tmp_path / "a.trr", temperature=300)
    for weights in (None, np.ones(FRAMES)):
        with pytest.raises(UserError, match="in frame 21"):
            read_trajectory(topology, tmp_path / "a.trr", temperature=300, stride=3, weights=weights)
    assert len(read_trajectory(topology, tmp_path / "a.trr", temperature=300, stride=2)) == 15


def test_what_is_missing_or_impossible(tmp_path, topology):
    path = write(tmp_path, "xtc")
    (tmp_path / "a.doc").write_text("x")
    (tmp_path / "top.psf").write_text(formats.psf(mdtraj.load_topology(str(topology))))
    with pytest.raises(UserError, match=r"No file .*none\.xtc"):
        read_trajectory(topology, tmp_path / "none.xtc", temperature=300)
    with pytest.raises(UserError, match=r"No file .*none\.pdb"):
        read_trajectory(tmp_path / "none.pdb", path, temperature=300)
    with pytest.raises(UserError, match=r"Topology traj\.xtc"):
        read_trajectory(path, topology, temperature=300)
    with pytest.raises(UserError, match=r"Trajectory a\.doc"):
        read_trajectory(topology, tmp_path / "a.doc", temperature=300)
    with pytest.raises(UserError, match="is a folder"):
        read_trajectory(topology, tmp_path, temperature=300)
    with pytest.raises(UserError, match=r"No file .*data\.h5"):
        read_trajectory(tmp_path / "data.h5")
    with pytest.raises(UserError, match="No temperature"):
        read_trajectory(topology, path)
    with pytest.raises(UserError, match="Temperature -1 K"):
        read_trajectory(topology, path, temperature=-1)
    with pytest.raises(UserError, match="Stride 0"):
        read_trajectory(topology, path, temperature=300, stride=0)
    with pytest.raises(UserError, match="does not parse"):
        read_trajectory(topology, path, temperature=300, beads="nam CA")
    with pytest.raises(UserError, match="No atoms for beads"):
        read_trajectory(topology, path, temperature=300, beads="resname XYZ")
    with pytest.raises(UserError, match="No trajectory"):
        read_trajectory(tmp_path / "top.psf", temperature=300)
    with pytest.raises(UserError, match="without a topology"):
        read_trajectory(None, path, temperature=300)


def test_a_topology_of_something_else_is_noticed(tmp_path, topology):
    frames = peptides.trajectory(tmp_path, 3)
    frames.xyz = np.random.default_rng(0).normal(scale=2, size=frames.xyz.shape)
    frames.save(str(tmp_path / "a.xtc"))
    with pytest.raises(UserError, match=r"Bonds of .* nm \(median\)"):
        read_trajectory(topology, tmp_path / "a.xtc", temperature=300)
