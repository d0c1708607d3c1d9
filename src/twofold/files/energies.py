"""Energies of frames in a file of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from twofold.errors import UserError
from twofold.files.arrays import needed_unit
from twofold.files.checks import check_file
from twofold.files.numpy_files import first_of, load_archive, load_numbers
from twofold.units import energy_factor

ENERGY_KEYS = ("energies", "energy", "E")


def read_energies(path: str | Path, energy_unit: str | None = None) -> np.ndarray:
    """One energy for each frame (frames,), float64, kJ/mol, from .npy, .npz (energies, energy_unit) or text.

    Frames that overlap may have an infinite one. Raises UserError when the unit is not stated, or the file is missing,
    damaged or holds something else.
    """
    path = check_file(Path(path))
    content: dict[str, Any] = load_archive(path) if path.suffix.lower() == ".npz" else {}
    values = first_of(content, ENERGY_KEYS) if content else load_numbers(path, "energy")
    if values is None or values.ndim != 1 or values.dtype.kind not in "fiu":
        found = f"arrays {', '.join(content)}" if values is None else f"energies of shape {values.shape}"
        raise UserError(f"{path} with {found}", "energies of shape (frames,)", "check the file")
    return np.asarray(values, np.float64) * energy_factor(needed_unit(path, content, "energy", energy_unit))
