"""Records are whole at any moment."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from files.test_atomic import little_space
from twofold.beads import Beads
from twofold.errors import UserError
from twofold.simulation.record import Header, Record
from twofold.simulation.settings import SimulationSettings
from twofold.simulation.stability import TimestepCheck

BEADS = Beads.anonymous(2)
SETTINGS = SimulationSettings(300.0, 2.0, frame_ps=0.2, timestep_fs=2.0)
HEADER = Header(SETTINGS, BEADS, 3, "abc", TimestepCheck(2.0, 2.0, 10.0, 200.0), {"why": "test"})
LONG = replace(HEADER, settings=replace(SETTINGS, length_ps=2000.0))


def state(value: float) -> dict[str, np.ndarray]:
    arrays = {name: np.full((3, 2, 3), value, np.float32) for name in ("positions", "velocities", "forces")}
    stops = {
        "stop_step": np.array([-1, -1, 450], np.int32),
        "stop_reason": np.zeros(3, np.int32),
        "stop_beads": np.zeros((3, 2), np.int32),
    }
    return arrays | {"potential": np.full(3, value, np.float32)} | stops


def frames(values) -> dict[str, np.ndarray]:
    values = np.broadcast_to(np.asarray(values, np.float32), (3, len(values)))
    scalars = dict.fromkeys(("potential", "kinetic_temperature", "gradient_squared", "laplacian"), values)
    return scalars | {"positions": np.broadcast_to(values[..., None, None], (*values.shape, 2, 3))}


@pytest.fixture
def path(tmp_path) -> Path:
    path = tmp_path / "md.h5"
    with Record.create(path, HEADER, state(0.0)) as record:
        record.append(frames([1, 2, 3]), state(3.0))
        record.append(frames([4, 5]), state(5.0))
    return path


def test_what_was_written_is_read(path):
    with Record.open(path) as record:
        assert (record.header, record.frames) == (HEADER, 5)
        np.testing.assert_array_equal(record.read("potential")[0], [1, 2, 3, 4, 5])
        np.testing.assert_array_equal(record.read("positions", 1, 9, 2)[:, 1, 2], [2, 3, 4, 5])
        np.testing.assert_allclose(record.times, [0.2, 0.4, 0.6, 0.8, 1.0])
        np.testing.assert_array_equal(record.valid_frames, [5, 5, 4])
        assert all(np.array_equal(record.state[name], value) for name, value in state(5.0).items())


def test_a_torn_state_gives_way_to_the_one_before(path):
    import h5py

    with h5py.File(path, "r+") as file:
        newest = int(np.argmax(file["commits"][:, 0]))
        file[f"state/{newest}/velocities"][1, 1, 1] = 9.0
    with Record.open(path, write=True) as record:
        assert record.frames == 3
        np.testing.assert_array_equal(record.state["positions"], state(3.0)["positions"])
        record.append(frames([14, 15, 16]), state(16.0))
    with Record.open(path) as record:
        np.testing.assert_array_equal(record.read("potential")[0], [1, 2, 3, 14, 15, 16])


def test_extend_keeps_what_is_there(path):
    record = Record.open(path, write=True).extend(4.0)
    with record:
        assert record.header.settings.frames == 20
        assert record.frames == 5
        record.append(frames(np.arange(6, 21)), state(20.0))
        np.testing.assert_array_equal(record.read("potential")[1], np.arange(1, 21))
    assert [file.name for file in path.parent.iterdir()] == ["md.h5"]


@pytest.mark.parametrize("content", [b"", b"not HDF5", None])
def test_foreign_files_are_refused(tmp_path, content):
    import h5py

    path = tmp_path / "other.h5"
    if content is None:
        h5py.File(path, "w").close()
    else:
        path.write_bytes(content)
    with pytest.raises(UserError, match="cannot be opened as a record"):
        Record.open(path)


def test_a_truncated_record_is_refused(path):
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UserError, match="cannot be opened"):
        Record.open(path)


def test_full_disk(path, monkeypatch, tmp_path):
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(UserError, match=r"0\.01 kB free for .*new\.h5\. Expected 67\.\d kB, the size of the record"):
        Record.create(tmp_path / "new.h5", HEADER, state(0.0))
    assert not (tmp_path / "new.h5").exists()
    with Record.open(path, write=True) as record, pytest.raises(UserError, match="kB free for"):
        record.extend(100.0)
    monkeypatch.undo()
    with little_space(8192), pytest.raises(UserError, match="No space left while writing"):
        Record.create(tmp_path / "new.h5", LONG, state(0.0))
    assert [file.name for file in tmp_path.iterdir()] == ["md.h5"]
    with Record.open(path) as record:
        assert record.frames == 5


def test_a_record_has_its_space_from_the_start(tmp_path):
    with Record.create(tmp_path / "md.h5", LONG, state(0.0)):
        assert 512 * (tmp_path / "md.h5").stat().st_blocks >= LONG.bytes


CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, {folder!r})
from simulation.springs import run
run(Path(sys.argv[1]), frames=100_000, progress=lambda progress: print(progress.frames, flush=True))
"""


def test_a_killed_run_resumes_to_the_same_bits(tmp_path):
    """SIGKILL while frames are written; the record opens, and what is added is what the run would have come to."""
    from .springs import run

    path = tmp_path / "md.h5"
    code = CHILD.format(folder=str(Path(__file__).parents[1]))
    child = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True, env=os.environ)
    assert child.stdout is not None
    seen = [int(child.stdout.readline()) for _ in range(2)]
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    with Record.open(path) as record:
        assert record.frames >= seen[-1]
        assert np.isfinite(record.read("positions")).all()
    asked: list[object] = []
    summary = run(path, frames=100_000, resume=True, progress=asked.append, stopped=lambda: len(asked) == 2)
    run(tmp_path / "whole.h5", frames=summary.frames)
    with Record.open(path) as killed, Record.open(tmp_path / "whole.h5") as whole:
        np.testing.assert_array_equal(killed.read("positions"), whole.read("positions"))
        np.testing.assert_array_equal(killed.state["velocities"], whole.state["velocities"])
