import pytest

import peptides
from files.test_readers import FRAMES, TRAJECTORIES, leaks, units, write
from twofold.errors import UserError
from twofold.files.readers import read_trajectory

CUT = (
    r"cannot be read as a trajectory|Expected a whole HDF5 file|ends after \d+ of 30 frames|"
    r"ends at line \d+, within a frame|has no frames|atoms a"
)


@pytest.fixture
def topology(tmp_path):
    return peptides.write_pdb(tmp_path)


@leaks
@pytest.mark.parametrize("kind", TRAJECTORIES)
@pytest.mark.parametrize("keep", [0.02, 0.47, 0.604, 0.99])
def test_truncated_trajectories(tmp_path, topology, kind, keep, capfd):
    path = write(tmp_path, kind)
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    with pytest.raises(UserError, match=CUT):
        read_trajectory(topology, path, temperature=300, **units(kind))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("kind", "lines"), [("xyz", 24), ("gro", 25), ("lammpstrj", 31), ("mdcrd", 8)])
@pytest.mark.parametrize("stride", [1, 4])
def test_text_that_ends_within_a_line_or_a_frame(tmp_path, topology, kind, lines, stride):
    path = write(tmp_path, kind, boxed=4.0)
    whole = path.read_bytes()
    options = {"temperature": 300, "stride": stride, **units(kind)}
    assert len(read_trajectory(topology, path, **options)) == len(range(0, FRAMES, stride))
    path.write_bytes(whole.removesuffix(b"\n"))
    with pytest.raises(UserError, match=rf"traj\.{kind} ends within line \d+\. Expected a line break"):
        read_trajectory(topology, path, **options)
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:-lines]))
    assert len(read_trajectory(topology, path, **options)) == len(range(0, FRAMES - 1, stride))
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[: 3 - lines]))
    with pytest.raises(UserError, match=CUT):
        read_trajectory(topology, path, **options)
