"""XYZ and extended XYZ: frames one after another, with forces, energy and lattice where the file has them.

The specification is that of https://github.com/libAtoms/extxyz. A frame is a line with the number of atoms, a line of
key=value pairs or of anything, and a line for each atom.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from twofold.errors import UserError
from twofold.files.checks import check_file
from twofold.files.elements import symbols
from twofold.files.labelled import LabelledFrames, labelled
from twofold.files.parts import UNIT_UNKNOWN
from twofold.units import energy_factor, length_factor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LENGTH_UNIT = "angstrom"
"""That of the format."""
PAIR = re.compile(r'([A-Za-z_][\w-]*)\s*=\s*(?:"([^"]*)"|\'([^\']*)\'|\{([^}]*)\}|(\[[^=]*\])|([^\s"]+))')
SPECIES = ("species", "symbols", "z", "numbers", "atomic_numbers")
POSITIONS = ("pos", "positions")
FORCES = re.compile(r"(.*_)?forces?")
OLD_COMMENT = re.compile(r"([^;\[\]]+);\s*(\[\[.*\]\])")
"""An energy and all forces, as the XYZ files of MD17 have them."""
TRUE, FALSE = ("t", "true", "1"), ("f", "false", "0")


@dataclass(frozen=True)
class Columns:
    """Where an atom's line holds what: columns of species, positions and forces, and how many there are.

    prefix: of the name of the forces, e.g. "ref_", which that of their energy shares. exact: no further columns.
    """

    species: int
    positions: int
    forces: int | None
    width: int
    prefix: str = ""
    exact: bool = True


@dataclass(frozen=True)
class Frame:
    """One frame in the units of the file: species (atoms,), positions and forces (atoms, 3), box (3, 3)."""

    species: list[str]
    positions: np.ndarray
    forces: np.ndarray | None
    energy: float | None
    box: np.ndarray | None


PLAIN = Columns(0, 1, None, 4, exact=False)
WITH_FORCES = Columns(0, 1, 4, 7)


def read_extended_xyz(
    path: Path, length_unit: str | None = None, energy_unit: str | None = None, *, use_forces: bool = True
) -> LabelledFrames:
    """The frames of an XYZ or extended XYZ file, in the order of the file.

    length_unit: angstrom unless given. energy_unit: of the energies; forces are in energy_unit / length_unit. It has no
    default: files of different programs have different ones. Also read are two forms without Properties in which older
    data sets have energy and forces: a comment that is a number over lines of seven columns, and a comment like
    `-97208.4;[[0.1,...],...]` over lines of four. use_forces: False leaves the forces out, and asks for no unit of
    theirs.

    Raises UserError for forces without a stated unit, and for a file that is missing, damaged, cut, or holds frames of
    different molecules.
    """
    frames = list(_frames(check_file(path)))
    if not frames:
        raise UserError(f"{path} has no frames", "at least one", "check how it was written or copied")
    first = frames[0]
    if use_forces and first.forces is not None and energy_unit is None:
        raise UserError(
            f"{path} has forces but does not state their unit",
            "the unit of energy; forces are in that over the unit of length",
            "state it, e.g. the energy unit kcal/mol, kJ/mol, eV or hartree",
        )
    length_unit = length_unit or LENGTH_UNIT
    length, energy = length_factor(length_unit), energy_factor(energy_unit) if energy_unit else 1.0
    left_out = {"energies": UNIT_UNKNOWN} if first.energy is not None and not energy_unit else {}
    return labelled(
        path,
        np.stack([frame.positions for frame in frames]),
        length=length,
        force=energy / length,
        energy=energy,
        elements=symbols(first.species, path),
        forces=_stacked(frames, "forces") if use_forces else None,
        energies=None if left_out else _stacked(frames, "energy"),
        box=_stacked(frames, "box"),
        about={
            "format": "extended XYZ",
            "units": {"length": length_unit, "energy": energy_unit},
            "order": "that of the file, which may not be that of time",
            **left_out,
        },
    )


def _stacked(frames: list[Frame], name: str) -> np.ndarray | None:
    values = [getattr(frame, name) for frame in frames]
    return None if values[0] is None else np.stack(values)


def _frames(path: Path) -> Iterator[Frame]:
    """Raises UserError that names the frame for what does not fit, by itself or beside the first frame."""
    first: Frame | None = None
    with path.open(encoding="utf-8", errors="replace") as file:
        lines, number = iter(file), 0
        for line in lines:
            if not line.strip():
                continue
            where = f"frame {number} of {path}"
            frame = _frame(*_lines(line, lines, where), where)
            first = first or frame
            _check_same(first, frame, where)
            yield replace(frame, species=first.species)
            number += 1


def _lines(count: str, lines: Iterator[str], where: str) -> tuple[str, list[list[str]]]:
    """Comment and the words of each atom's line of a frame that begins with the line `count`."""
    count = count.strip()
    if not count.isdecimal() or len(count) > 9 or int(count) == 0:
        raise UserError(f"{where} begins with {count[:40]!r}", "the number of its atoms", "give a whole XYZ file")
    comment = next(lines, "")
    rows = [line.split() for line in islice(lines, int(count))]
    if len(rows) < int(count):
        raise UserError(f"{where} ends after {len(rows)} of {int(count)} atoms", "a whole file", "copy it again")
    return comment.strip(), rows


def _frame(comment: str, rows: list[list[str]], where: str) -> Frame:
    pairs = {match[1].lower(): next(filter(None, match.groups()[1:]), "") for match in PAIR.finditer(comment)}
    energy, forces = None, None
    if "properties" in pairs:
        columns = _columns(pairs["properties"], where)
    elif (energy := _number(comment)) is not None and all(len(row) == WITH_FORCES.width for row in rows):
        columns = WITH_FORCES
    elif (old := OLD_COMMENT.fullmatch(comment)) is not None:
        columns, energy, forces = PLAIN, _number(old[1]), _listed(old[2], len(rows), where)
    else:
        columns, energy = PLAIN, None
    for atom, row in enumerate(rows):
        if len(row) < columns.width or (columns.exact and len(row) > columns.width):
            expected = f"{columns.width}, as its Properties say" if columns.exact else "symbol, x, y, z"
            raise UserError(f"{len(row)} columns for atom {atom} in {where}", expected, "check how it was written")
    if (text := pairs.get(f"{columns.prefix}energy")) is not None:
        energy = _number(text)
        if energy is None and columns.exact:
            raise UserError(f"energy {text[:40]!r} in {where}", "a number", "mend the line")
    return Frame(
        species=[row[columns.species] for row in rows],
        positions=_numbers(rows, columns.positions, where),
        forces=forces if columns.forces is None else _numbers(rows, columns.forces, where),
        energy=energy,
        box=_box(pairs, where),
    )


def _listed(text: str, atoms: int, where: str) -> np.ndarray:
    """Forces (atoms, 3) that a comment lists as [[x, y, z], ...]."""
    try:
        values = np.array(json.loads(text), np.float64)
    except (ValueError, TypeError):
        values = np.zeros(0)
    if values.shape != (atoms, 3):
        raise UserError(f"forces {text[:40]!r} in {where}", f"three numbers for each of {atoms} atoms", "mend the line")
    return values


def _columns(properties: str, where: str) -> Columns:
    """The columns of Properties like "species:S:1:pos:R:3:forces:R:3"."""
    words = properties.split(":")
    if len(words) % 3 or not all(word.isdecimal() for word in words[2::3]):
        raise UserError(
            f"Properties {properties!r} of {where}", "name:type:columns, e.g. species:S:1:pos:R:3", "mend the line"
        )
    names, sizes = [word.lower() for word in words[::3]], [int(word) for word in words[2::3]]
    start = dict(zip(names, np.cumsum([0, *sizes]).tolist(), strict=False))
    width = dict(zip(names, sizes, strict=True))
    species = next((start[name] for name in SPECIES if width.get(name) == 1), None)
    positions = next((start[name] for name in POSITIONS if width.get(name) == 3), None)
    if species is None or positions is None:
        raise UserError(f"Properties {properties!r} of {where}", "species:S:1 and pos:R:3 among them", "write them too")
    found = [match for name in names if width[name] == 3 and (match := FORCES.fullmatch(name))]
    chosen = [match for match in found if not match[1]] or found
    if len(chosen) > 1:
        kinds = ", ".join(match[0] for match in chosen)
        raise UserError(f"forces of several kinds ({kinds}) in {where}", "one", "rename those to use forces")
    forces, prefix = (start[chosen[0][0]], chosen[0][1] or "") if chosen else (None, "")
    return Columns(species, positions, forces, sum(sizes), prefix)


def _box(pairs: dict[str, str], where: str) -> np.ndarray | None:
    """Lattice vectors as rows; None without a lattice or where it does not repeat."""
    if "lattice" not in pairs:
        return None
    numbers = [_number(word) for word in re.split(r"[\s,\[\]]+", pairs["lattice"]) if word]
    if None in numbers or len(numbers) not in (3, 9):
        raise UserError(f"Lattice {pairs['lattice'][:60]!r} in {where}", "three vectors, nine numbers", "mend the line")
    values = np.array(numbers, dtype=np.float64)
    periodic = [word.lower() for word in re.split(r"[\s,\[\]]+", pairs.get("pbc", "T T T")) if word]
    if not set(periodic) <= {*TRUE, *FALSE} or len({word in TRUE for word in periodic}) != 1:
        raise UserError(
            f"pbc {pairs.get('pbc')!r} in {where}", "periodic in all directions or in none", "take a box of all three"
        )
    if periodic[0] in FALSE or not values.any():
        return None
    return np.diag(values) if len(values) == 3 else values.reshape(3, 3)


def _check_same(first: Frame, frame: Frame, where: str) -> None:
    """Raises UserError when a frame is of other atoms than the first, or has not what that has."""
    if frame.species != first.species:
        raise UserError(
            f"{where} has other atoms than the first ({len(frame.species)} and {len(first.species)})",
            "frames of one molecule, with its atoms in one order",
            "write each molecule into a file of its own",
        )
    for name in ("forces", "energy", "box"):
        if (getattr(frame, name) is None) != (getattr(first, name) is None):
            with_it, without = ("the first", where) if getattr(frame, name) is None else (where, "the first")
            raise UserError(f"{name} in {with_it} but not in {without}", "the same in all frames", "mend the file")


def _numbers(rows: list[list[str]], column: int, where: str) -> np.ndarray:
    """(atoms, 3) float64 from three columns."""
    try:
        return np.array([row[column : column + 3] for row in rows]).astype(np.float64)
    except ValueError as error:
        raise UserError(f"{where} has what is no number ({error})", "numbers", "check how it was written") from error


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
