"""Writing so that a file is there wholly or not at all."""

from __future__ import annotations

import errno
import json
import math
import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def check_target(path: str | Path, *, overwrite: bool = False) -> Path:
    """`path` if a file may be written there. Raises UserError when it exists or its folder does not."""
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder", "a file name", "choose another name")
    if path.exists() and not overwrite:
        raise UserError(f"{path} exists already", "a new name", "choose another name or remove the file")
    if not path.parent.is_dir():
        raise UserError(f"folder {path.parent} does not exist", "a folder to write into", "create it first")
    return path


def temporary_beside(path: Path) -> Path:
    """A name in the same folder, with the same extension, that no other process uses."""
    return path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")


@contextmanager
def atomic_path(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Gives a temporary path beside `path`; what was written there takes its name when the block ends without error.

    The file is flushed to disk before it is renamed. After an error nothing is left, and what was at `path` remains.
    Raises UserError when `path` exists (unless `overwrite`), cannot be written, or the disk is full.
    """
    path = check_target(path, overwrite=overwrite)
    temporary = temporary_beside(path)
    try:
        with writing(path):
            yield temporary
            publish(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def publish(temporary: Path, path: Path) -> None:
    """Flushes `temporary` to disk and gives it the name `path`."""
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
    if hasattr(os, "O_DIRECTORY"):
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns the errors of writing `path` that a user can mend (full disk, no permission) into UserError."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        number = getattr(error, "errno", None) or _hdf5_errno(error)
        if number in NO_SPACE:
            raise UserError(f"no space left while writing {path}", "", "free some space or write elsewhere") from error
        if number in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise UserError(
                f"no permission to write {path}", "", "write elsewhere or change the permissions"
            ) from error
        raise


def _hdf5_errno(error: Exception) -> int | None:
    """The number of the system's error in the text of one of HDF5's."""
    found = re.search(r"errno = (\d+)", str(error))
    return int(found[1]) if found else None


def write_text(path: str | Path, text: str, *, overwrite: bool = False) -> None:
    """Writes `text` as UTF-8, atomically."""
    with atomic_path(path, overwrite=overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, content: Any, *, overwrite: bool = False) -> None:
    """Writes `content` as JSON, atomically. Numbers that are not finite become null, because JSON has none of them."""
    write_text(path, json.dumps(plain(content), indent=1, allow_nan=False), overwrite=overwrite)


def plain(content: Any) -> Any:
    """What JSON can hold: NumPy's numbers as Python's, None for numbers that are not finite, tuples as lists."""
    if isinstance(content, dict):
        return {name: plain(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [plain(value) for value in content]
    if isinstance(content, float | np.floating):
        return float(content) if math.isfinite(content) else None
    return int(content) if isinstance(content, np.integer) else content
