"""The record of a simulation: one HDF5 file that a kill at any moment leaves usable.

All arrays are allocated for the whole length when the file is created, contiguous and without fill, so that running
writes numbers into their places and never touches the structure of the file, the part that a kill could break. The
file system is asked for the space of all of it, so that a disk does not fill up in the middle. A chunk of frames is
written first; then the state to continue from, into one of two slots in turn; then one row that commits it, with a
checksum. What is read back is the newest slot whose checksum is right and the frames that it counts. A longer
simulation copies the record into a longer one, atomically.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from twofold.beads import Beads
from twofold.errors import UserError
from twofold.files.atomic import atomic_path, writing
from twofold.files.disk import check_space, reserve
from twofold.files.hdf5 import new_hdf5
from twofold.simulation.settings import SimulationSettings
from twofold.simulation.stability import TimestepCheck
from twofold.units import MD_UNITS

FORMAT = "twofold simulation"
VERSION = 1
SLOTS = ("state/0", "state/1")
FRAME_UNITS = {
    "positions": MD_UNITS["length"],
    "potential": MD_UNITS["energy"],
    "kinetic_temperature": MD_UNITS["temperature"],
    "gradient_squared": "(kJ/mol/nm)^2",
    "laplacian": "kJ/mol/nm^2",
}
STATE_UNITS = {
    "positions": "nm",
    "velocities": "nm/ps",
    "forces": "kJ/mol/nm",
    "potential": "kJ/mol",
    "stop_step": "",
    "stop_reason": "",
    "stop_beads": "",
    "traded": "",
}
OPTIONAL = ("traded",)
"""There where replicas trade conformations, and only there."""
COPY_BYTES = 16_000_000
STRUCTURE_BYTES = 1 << 16
"""More than what a record takes beside its arrays and its header."""


@dataclass(frozen=True)
class Header:
    """What a record says about itself.

    identity: fingerprint of the force field. timestep: what the time step was judged by. notes: JSON-able.
    """

    settings: SimulationSettings
    beads: Beads
    replicas: int
    identity: str
    timestep: TimestepCheck
    notes: dict[str, Any]

    def to_json(self) -> str:
        """Everything as text; `from_json` gives it back."""
        parts = {"settings": asdict(self.settings), "beads": self.beads.to_dict(), "timestep": asdict(self.timestep)}
        return json.dumps(parts | {name: getattr(self, name) for name in ("replicas", "identity", "notes")})

    @classmethod
    def from_json(cls, text: str) -> Header:
        """Raises KeyError, TypeError or ValueError where the text is not that of a header."""
        parts = json.loads(text)
        parts["settings"] = SimulationSettings(**parts["settings"])
        parts["beads"] = Beads.from_dict(parts["beads"])
        parts["timestep"] = TimestepCheck(**parts["timestep"])
        return cls(**parts)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of the array `name` of frames."""
        return (self.replicas, self.settings.frames) + ((len(self.beads), 3) if name == "positions" else ())

    @property
    def bytes(self) -> int:
        """Size of all frames."""
        return sum(4 * int(np.prod(self.shape(name))) for name in FRAME_UNITS)


class Record:
    """An open record. `frames` is the number of frames that are there, `state` what to continue from.

    Use `create`, `open` or `extend`, and as a context manager. Reading takes no more memory than what is asked for.
    """

    def __init__(self, file: Any, path: Path) -> None:
        self.path, self._file = path, file  # an h5py.File, whose items have types that no checker can know
        self.header = Header.from_json(file["header"].asstr()[()])
        self.frames, self._serial, self.state = self._newest_state()

    @classmethod
    def create(cls, path: str | Path, header: Header, state: dict[str, np.ndarray]) -> Record:
        """A new record without frames. Raises UserError when `path` exists or the disk has no room for all frames."""
        path = Path(path)
        with atomic_path(path) as temporary:
            check_space(path, _size(header, state))
            _write_empty(temporary, header, state)
        return cls.open(path, write=True)

    @classmethod
    def open(cls, path: str | Path, *, write: bool = False) -> Record:
        """The record at `path`. Raises UserError for a file that is missing, foreign, damaged or in use."""
        import h5py

        path = Path(path)
        if not path.is_file():
            raise UserError(
                f"no file {path}", "the record of a simulation", "check the name, or start without --resume"
            )
        file = None
        try:
            file = h5py.File(path, "r+" if write else "r")
            if file.attrs.get("format") != FORMAT:
                raise ValueError("another kind of file")
            if file.attrs["version"] != VERSION:
                raise ValueError(f"format version {file.attrs['version']}, this twofold reads {VERSION}")
            return cls(file, path)
        except (OSError, KeyError, ValueError, TypeError, UserError) as error:
            if file is not None:
                file.close()
            raise UserError(
                f"{path} cannot be opened as a record ({error})", "a simulation that twofold wrote and no one else uses"
            ) from error

    def extend(self, length_ps: float) -> Record:
        """Closes this record and opens it again with room for `length_ps` in all; frames that are there stay."""
        header = replace(self.header, settings=replace(self.header.settings, length_ps=length_ps))
        with atomic_path(self.path, overwrite=True) as temporary:
            check_space(self.path, _size(header, self.state))
            _write_empty(temporary, header, self.state, self.frames)
            with Record.open(temporary, write=True) as longer:
                for start, stop in self.blocks():
                    for name in FRAME_UNITS:
                        longer._file[name][:, start:stop] = self._file[name][:, start:stop]
            self.close()
        return Record.open(self.path, write=True)

    def append(self, frames: dict[str, np.ndarray], state: dict[str, np.ndarray]) -> None:
        """Adds frames (replicas, n, ...), commits them with the state after them, and sees them onto the disk.

        Raises UserError when the disk is full; the frames before stay.
        """
        number = frames["potential"].shape[1]
        with writing(self.path):
            for name in FRAME_UNITS:
                self._file[name][:, self.frames : self.frames + number] = frames[name]
            self._flush()
            _write_state(self._file, self._serial + 1, self.frames + number, state, self._flush)
            self._flush()
        self.frames, self._serial, self.state = self.frames + number, self._serial + 1, state

    def read(
        self, name: str, start: int = 0, stop: int | None = None, replica: int | slice = slice(None)
    ) -> np.ndarray:
        """Array `name` of the frames from `start` to `stop`: (replicas, frames, ...), or (frames, ...) of one replica.

        Frames after the stop of a replica are NaN.
        """
        stop = self.frames if stop is None else min(stop, self.frames)
        return self._file[name][replica, start:stop]

    @property
    def times(self) -> np.ndarray:
        """Time of each frame, (frames,) ps."""
        return self.header.settings.interval_ps * np.arange(1, self.frames + 1)

    @property
    def stop_step(self) -> np.ndarray:
        """Step at which each replica was stopped, -1 while it runs: (replicas,), of the lowest rung of a ladder."""
        return self.state["stop_step"][: self.header.replicas].astype(np.int64)

    @property
    def valid_frames(self) -> np.ndarray:
        """Frames of each replica before it was stopped: (replicas,)."""
        return self.walker_frames[0]

    @property
    def walker_frames(self) -> np.ndarray:
        """Frames of each walker before it was stopped: (rungs, replicas), the lowest rung of a ladder first."""
        settings, step = self.header.settings, self.state["stop_step"].astype(np.int64)
        before = np.maximum(step - 1, 0) // settings.steps_per_frame
        return np.where(step < 0, self.frames, np.minimum(before, self.frames)).reshape(settings.rungs, -1)

    def blocks(self, size: int = COPY_BYTES) -> Iterator[tuple[int, int]]:
        """Ranges of frames whose positions of all replicas take about `size` bytes each."""
        length = max(1, size // (12 * self.header.replicas * len(self.header.beads)))
        for start in range(0, self.frames, length):
            yield start, min(start + length, self.frames)

    def close(self) -> None:
        """Closes the file. After an error of the disk there is nothing left to save, and the file says so again."""
        with contextlib.suppress(OSError, RuntimeError):
            self._file.close()

    def __enter__(self) -> Record:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _flush(self) -> None:
        self._file.flush()
        handle = self._file.id.get_vfd_handle()
        os.fsync(handle)

    def _newest_state(self) -> tuple[int, int, dict[str, np.ndarray]]:
        commits = self._file["commits"][()]
        for slot in np.argsort(commits[:, 0])[::-1]:
            group = self._file[SLOTS[slot]]
            state = {name: group[name][()] for name in STATE_UNITS if name in group or name not in OPTIONAL}
            serial, frames, checksum = (int(value) for value in commits[slot])
            if serial > 0 and checksum == _checksum(serial, frames, state):
                return frames, serial, state
        raise ValueError("no state that is whole")


def _size(header: Header, state: dict[str, np.ndarray]) -> int:
    """Bytes of a record, at most."""
    return header.bytes + 2 * sum(array.nbytes for array in state.values()) + len(header.to_json()) + STRUCTURE_BYTES


def _checksum(serial: int, frames: int, state: dict[str, np.ndarray]) -> int:
    value = zlib.crc32(f"{serial} {frames}".encode())
    for array in state.values():
        value = zlib.crc32(np.ascontiguousarray(array).tobytes(), value)
    return value


def _write_empty(path: Path, header: Header, state: dict[str, np.ndarray], frames: int = 0) -> None:
    with new_hdf5(path) as file:
        file.attrs.update({"format": FORMAT, "version": VERSION, "units": json.dumps(MD_UNITS)})
        file["header"] = header.to_json()  # not an attribute: those end at 64 kB
        for name, unit in FRAME_UNITS.items():
            _allocate(file, name, header.shape(name), np.dtype(np.float32), unit)
        for slot in SLOTS:
            for name, array in state.items():
                _allocate(file, f"{slot}/{name}", array.shape, array.dtype, STATE_UNITS[name])
        file.create_dataset("commits", data=np.zeros((2, 3), np.int64))
        _write_state(file, 1, frames, state, file.flush)
    reserve(path)


def _write_state(file: Any, serial: int, frames: int, state: dict[str, np.ndarray], flush: Any) -> None:
    slot = serial % 2
    for name, array in state.items():
        file[f"{SLOTS[slot]}/{name}"][...] = array
    flush()
    file["commits"][slot] = (serial, frames, _checksum(serial, frames, state))


def _allocate(file: Any, name: str, shape: tuple[int, ...], dtype: np.dtype, unit: str) -> None:
    import h5py

    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
    links.set_create_intermediate_group(True)
    space = h5py.h5s.create_simple(shape)
    h5py.h5d.create(file.id, name.encode(), h5py.h5t.py_create(dtype, logical=True), space, plan, links)
    file[name].attrs["unit"] = unit
