import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from files.test_atomic import little_space
from twofold.beads import Beads
from twofold.ensemble import Ensemble
from twofold.errors import UserError
from twofold.files.store import is_store, read_ensembles, write_ensembles

ARRAYS = ("positions", "weights", "trajectory", "block", "forces", "box", "energies")


def ensemble(seed=0, full=True, frames=50):
    rng = np.random.default_rng(seed)
    beads = Beads.from_dict(
        {
            **Beads.anonymous(4, bonds=[(0, 1)]).to_dict(),
            "names": ["Å", "N", "CA", "CB"],
            "masses": rng.uniform(1, 9, 4),
        }
    )
    extra = {"forces": rng.normal(size=(frames, 4, 3)), "box": np.eye(3) * 3, "frame_ps": 0.1} if full else {}
    extra |= {"energies": rng.normal(size=frames)} if full else {}
    return Ensemble.build(
        beads,
        rng.normal(size=(frames, 4, 3)),
        310.15,
        weights=rng.uniform(size=frames),
        source={"files": ["ä", 1]},
        **extra,
    )


def assert_identical(one, two):
    for name in ARRAYS:
        first, second = getattr(one, name), getattr(two, name)
        assert (first is None) == (second is None)
        if first is not None:
            assert first.dtype == second.dtype
            assert first.shape == second.shape
            assert first.tobytes() == second.tobytes()
    assert one.beads == two.beads
    assert (one.temperature, one.frame_ps, one.source) == (two.temperature, two.frame_ps, two.source)


def test_reading_gives_back_every_bit(tmp_path):
    written = [ensemble(0), ensemble(1, full=False), ensemble(2)]
    write_ensembles(tmp_path / "data.h5", written)
    read = read_ensembles(tmp_path / "data.h5")
    assert len(read) == 3
    for one, two in zip(written, read, strict=True):
        assert_identical(one, two)


def test_writing_what_was_read_gives_the_same_file(tmp_path):
    write_ensembles(tmp_path / "a.h5", ensemble())
    write_ensembles(tmp_path / "b.h5", read_ensembles(tmp_path / "a.h5"))
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_units_are_in_the_file(tmp_path):
    write_ensembles(tmp_path / "a.h5", ensemble())
    with h5py.File(tmp_path / "a.h5") as file:
        group = file["ensemble_0000"]
        assert group["positions"].attrs["unit"] == "nm"
        assert group["forces"].attrs["unit"] == "kJ/mol/nm"
        assert group["beads/masses"].attrs["unit"] == "amu"
        assert file.attrs["version"] == 1


def test_nothing_is_overwritten_unasked(tmp_path):
    path = tmp_path / "a.h5"
    write_ensembles(path, ensemble(0))
    with pytest.raises(UserError, match="exists already"):
        write_ensembles(path, ensemble(1))
    assert_identical(read_ensembles(path)[0], ensemble(0))
    with pytest.raises(UserError, match="No ensembles"):
        write_ensembles(tmp_path / "b.h5", [])


def test_files_of_another_kind(tmp_path):
    with pytest.raises(UserError, match="No file"):
        read_ensembles(tmp_path / "none.h5")
    text = tmp_path / "text.h5"
    text.write_text("not HDF5")
    with pytest.raises(UserError, match="cannot be read as a data set"):
        read_ensembles(text)
    assert not is_store(text)
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["x"] = 1
    with pytest.raises(UserError, match="HDF5 file of another kind"):
        read_ensembles(other)
    assert not is_store(other)


def test_another_version_is_refused(tmp_path):
    path = tmp_path / "a.h5"
    write_ensembles(path, ensemble())
    with h5py.File(path, "a") as file:
        file.attrs["version"] = 99
    with pytest.raises(UserError, match=r"format version 99\. Expected version 1"):
        read_ensembles(path)
    assert is_store(path)


@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_truncated_files(tmp_path, keep):
    path = tmp_path / "a.h5"
    write_ensembles(path, ensemble())
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    with pytest.raises(UserError, match="cannot be read as a data set"):
        read_ensembles(path)


def test_missing_arrays(tmp_path):
    path = tmp_path / "a.h5"
    write_ensembles(path, ensemble())
    with h5py.File(path, "a") as file:
        del file["ensemble_0000/weights"]
    with pytest.raises(UserError, match="cannot be read as a data set"):
        read_ensembles(path)


def test_full_disk(tmp_path):
    path = tmp_path / "a.h5"
    large = ensemble(frames=20_000)
    with little_space(100_000), pytest.raises(UserError, match="No space left while writing"):
        write_ensembles(path, large)
    assert list(tmp_path.iterdir()) == []


CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, {folder!r})
from files.test_atomic import little_space
from files.test_store import ensemble
from twofold.errors import UserError
from twofold.files.store import write_ensembles
for size in {sizes}:
    try:
        with little_space(size):
            write_ensembles(Path({target!r}) / "a.h5", ensemble())
    except UserError as error:
        print(error)
"""


def test_full_disks_of_all_sizes_leave_a_process_that_ends_well(tmp_path):
    """HDF5 stumbles over what it could not write when the process ends, so that a process has to end."""
    write_ensembles(tmp_path / "whole.h5", ensemble())
    whole = (tmp_path / "whole.h5").stat().st_size
    sizes = [0, 100, 800, 2048, 4096, 8192, 12_288, whole - 1]
    target = tmp_path / "target"
    target.mkdir()
    code = CHILD.format(folder=str(Path(__file__).parents[1]), sizes=sizes, target=str(target))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("No space left while writing") == done.stdout.count("\n") == len(sizes)
    assert list(target.iterdir()) == []
