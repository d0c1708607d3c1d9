"""Units that the user states: that they are known, and that a file needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twofold.errors import UserError
from twofold.files.checks import extension
from twofold.files.frames import LAMMPS, NANOMETRES, TRAJECTORIES
from twofold.units import energy_factor, length_factor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def check_names(length_unit: str | None, energy_unit: str | None) -> None:
    """Raises UserError for a unit that is not known."""
    for unit, factor in ((length_unit, length_factor), (energy_unit, energy_factor)):
        if unit is not None:
            factor(unit)


def check_needed(files: Sequence[Path], length_unit: str | None, energy_unit: str | None) -> None:
    """Raises UserError for a unit that none of the trajectories `files` needs: it would do nothing."""
    kinds = {extension(file): file for file in files}
    if not kinds.keys() <= set(TRAJECTORIES):  # arrays, or what cannot be read
        return
    kind, file = next(iter(kinds.items()))
    if length_unit is not None and LAMMPS not in kinds:
        own = "nm" if kind in NANOMETRES else "angstrom"
        raise UserError(f"length unit {length_unit} for {file}", f"{own}, as {kind} files have", "leave it out")
    if energy_unit is not None:
        expected = f"none, as no energies or forces are read from {kind} files"
        raise UserError(f"energy unit {energy_unit} for {file}", expected, "leave it out")
