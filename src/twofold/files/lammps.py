"""Dumps of LAMMPS (.lammpstrj): what they leave open, and MDTraj takes for granted."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from twofold.errors import UserError
from twofold.units import length_factor

if TYPE_CHECKING:
    from pathlib import Path

HEADER_LINES = 20
"""The columns are named before."""
SCALED, UNWRAPPED, PLAIN = {"xs", "ys", "zs"}, {"xu", "yu", "zu"}, {"x", "y", "z"}


def dump_scale(path: Path, length_unit: str | None) -> float:
    """Factor from what MDTraj makes of the lengths of a dump, by taking them for angstrom, to nm.

    length_unit: that of the simulation (LAMMPS's `units`), which a dump does not state. Raises UserError without it,
    and for coordinates in units of the box, which MDTraj does not scale.
    """
    if length_unit is None:
        do = "state that of the simulation, e.g. --length-unit angstrom, or convert the file to one that has a unit"
        raise UserError(f"{path} does not state its unit of length", "", do)
    with path.open(encoding="utf-8", errors="replace") as file:
        heads = (line.split()[2:] for line in islice(file, HEADER_LINES) if line.startswith("ITEM: ATOMS"))
        columns = set(next(heads, ()))
    if columns and not columns >= PLAIN and (columns >= SCALED or not columns >= UNWRAPPED):
        found = f"{path} with columns {' '.join(sorted(columns))}"
        raise UserError(found, "x y z or xu yu zu, as lengths", "write the dump again with these columns")
    return length_factor(length_unit) / length_factor("angstrom")
