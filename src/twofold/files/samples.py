"""Samples on disk: a trajectory of beads, and beside it a JSON that says how they were drawn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.errors import UserError
from twofold.files.atomic import check_target, write_json
from twofold.files.trajectories import check_suffix, write_trajectory
from twofold.units import MD_UNITS

if TYPE_CHECKING:
    from twofold.beads import Beads

FORMAT = "twofold samples"
VERSION = 1


def check_samples_target(path: str | Path) -> None:
    """Raises UserError unless trajectory, PDB and JSON can be written under the name of `path` (.xtc or .dcd)."""
    path = check_suffix(path)
    for target in (path, path.with_suffix(".pdb"), path.with_suffix(".json")):
        check_target(target)


def write_samples(path: str | Path, positions: np.ndarray, beads: Beads, drawn: dict[str, Any]) -> Path:
    """Positions (frames, beads, 3) in nm as XTC or DCD, with a PDB and what was `drawn` (JSON-able) beside them.

    Gives the path, that of a DCD in place of an XTC, which holds finite frames alone. Raises UserError for files that
    exist.
    """
    path = Path(path)
    check_samples_target(path)
    if not np.isfinite(positions).all():
        path = path.with_suffix(".dcd")
    write_trajectory(path, positions, beads)
    head = {"format": FORMAT, "version": VERSION, "units": MD_UNITS, "samples": path.name}
    write_json(path.with_suffix(".json"), head | drawn)
    return path


def read_drawn(path: str | Path) -> dict[str, Any] | None:
    """How the samples at `path` were drawn, as the JSON beside them says; None where there is none of twofold.

    Raises UserError for one of another version, or of samples of another name.
    """
    path = Path(path)
    beside = path.with_suffix(".json")
    try:
        found = json.loads(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        return None
    if found.get("version") != VERSION:
        raise UserError(f"{beside} has version {found.get('version')}", f"version {VERSION}", "use a matching twofold")
    if found.get("samples") != path.name:
        raise UserError(f"{beside} is of {found.get('samples')}", f"one of {path.name}", "give the samples it is of")
    return found
