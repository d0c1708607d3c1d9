"""Loading .npy and .npz files: nothing is unpickled, and what is damaged is said to be."""

from __future__ import annotations

import zipfile
import zlib
from typing import TYPE_CHECKING

import numpy as np

from twofold.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

DAMAGED = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)


def load_array(path: Path) -> np.ndarray:
    """The array of a .npy, mapped into memory. Raises UserError when it is damaged or of another kind."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except DAMAGED as error:
        raise UserError(
            f"{path} cannot be read ({error})", "a NumPy file of numbers", "write it again with numpy.save"
        ) from error


def load_numbers(path: Path, what: str) -> np.ndarray:
    """The array of a .npy, or of a text of numbers. Raises UserError, which asks for one `what` a line, for others."""
    try:
        return load_array(path) if path.suffix.lower() == ".npy" else np.loadtxt(path, dtype=np.float64)
    except ValueError as error:
        raise UserError(f"{path} is not a list of numbers ({error})", f"one {what} a line", "mend the file") from error


def load_archive(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a .npz. Raises UserError when it is damaged or of another kind."""
    try:
        # Opened here, because NumPy leaves the file open when it is no archive.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise ValueError("a single array")
            return {name: file[name] for name in file.files}
    except (*DAMAGED, AttributeError) as error:
        raise UserError(
            f"{path} cannot be read ({error})", "a NumPy archive", "write it again with numpy.savez"
        ) from error


def first_of(content: dict[str, np.ndarray], names: tuple[str, ...]) -> np.ndarray | None:
    """The first array of `content` that has one of `names`."""
    return next((content[name] for name in names if name in content), None)
