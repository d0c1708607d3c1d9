"""New HDF5 files: a full disk ends in one error, which HDF5 itself turns into a crash of the process."""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import h5py


@contextmanager
def new_hdf5(path: Path) -> Iterator[h5py.File]:
    """A new HDF5 file at `path`. Raises OSError at the end when it could not be written wholly."""
    import h5py

    with _Sink(path, "w+") as sink:
        try:
            with h5py.File(sink, "w") as file:
                yield file
        finally:  # what was not written may be missed before the end
            if sink.error is not None:
                raise sink.error


class _Sink(io.FileIO):
    """A file that keeps the first error of writing to itself.

    HDF5 writes the last of its metadata when it closes a file, cannot get rid of what does not fit on the disk, and
    stumbles over it when the process ends.
    """

    error: OSError | None = None

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        written = 0
        while written < len(view) and self.error is None:
            try:
                written += super().write(view[written:])
            except OSError as error:
                self.error = error
        return len(view)

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        view[:] = bytes(len(view))  # of what was not written; HDF5 would take what is in its memory
        return super().readinto(view) or 0

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return self.tell() if size is None else size
