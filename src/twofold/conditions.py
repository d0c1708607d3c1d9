"""Conditions on frames that a user can type, as "phi<0"."""

from __future__ import annotations

import re

import numpy as np

from twofold.analysis.observables import distances, torsions
from twofold.beads import Beads
from twofold.errors import UserError

CONDITION = re.compile(r"(?:(phi|psi|omega)(\d*)|(torsion|distance)\((\d+(?:,\d+)*)\))([<>])(-?\d+(?:\.\d+)?)")


def in_basin(beads: Beads, positions: np.ndarray, condition: str) -> np.ndarray:
    """Which frames fulfil a condition like "phi<0", "psi3>-30", "torsion(0,1,2,3)>0" or "distance(0,9)<0.8".

    Torsions in degrees from -180 to 180, distances in nm, beads by number from 0. Of phi, psi and omega without a
    residue all have to fulfil it. Raises UserError.
    """
    found = CONDITION.fullmatch(condition.replace(" ", ""))
    if found is None:
        known = '"phi<0", "psi2>-30", "torsion(0,1,2,3)>0" (degrees) or "distance(0,9)<0.8" (nm)'
        raise UserError(f"basin {condition!r}", f"a condition like {known}")
    named, residue, counted, numbers, sign, bound = found.groups()
    rows, limit = _named(beads, named, residue) if named else _numbered(beads, counted, numbers), float(bound)
    values = distances(positions, rows) if rows.shape[1] == 2 else np.degrees(torsions(positions, rows))
    return np.all(values < limit if sign == "<" else values > limit, axis=1)


def _named(beads: Beads, kind: str, residue: str) -> np.ndarray:
    """Beads (torsions, 4) of phi, psi or omega, of one residue or of all. Raises UserError where there are none."""
    rows = beads.torsions_named(kind)
    if residue:
        rows = {key: row for key, row in rows.items() if key == int(residue)}
    if not rows:
        raise UserError(f"no torsion {kind}{residue} among these beads", "one of the molecule", "choose another basin")
    return np.array(list(rows.values()))


def _numbered(beads: Beads, kind: str, numbers: str) -> np.ndarray:
    """Beads (1, 2 or 4) of a distance or a torsion. Raises UserError for beads that there are not, or too many."""
    row = [int(number) for number in numbers.split(",")]
    if len(set(row)) != {"distance": 2, "torsion": 4}[kind] or len(set(row)) != len(row) or max(row) >= len(beads):
        wanted = f"{'two' if kind == 'distance' else 'four'} different beads from 0 to {len(beads) - 1}"
        raise UserError(f"{kind}({numbers})", wanted, "count beads in the order of the PDB beside a trajectory")
    return np.array([row])
