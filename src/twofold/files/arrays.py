"""Positions, forces and weights from NumPy files, whose units the user has to state."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from twofold.errors import UserError
from twofold.files.checks import check_file
from twofold.files.numpy_files import first_of, load_archive, load_array
from twofold.files.weights import Weights, weights_in
from twofold.units import agreed_unit, energy_factor, length_factor

ARRAYS = (".npy", ".npz")
POSITION_KEYS = ("positions", "coordinates", "coords", "xyz")
EXAMPLES = {"length": "nm or angstrom", "energy": "kj/mol or kcal/mol"}
RUN_KEYS = ("run", "trajectory")


@dataclass(frozen=True)
class Arrays:
    """What a NumPy file holds; positions are in the unit of the file, `length` is the factor to nm."""

    positions: np.ndarray
    length: float
    forces: np.ndarray | None = None
    force: float = 1.0
    weights: Weights | None = None
    run: np.ndarray | None = None
    box: np.ndarray | None = None
    frame_ps: float | None = None
    forces_left_out: bool = False


def read_arrays(path: str | Path, length_unit: str | None = None, energy_unit: str | None = None) -> Arrays:
    """Reads .npy (positions (frames, n, 3)) or .npz.

    Keys of an .npz: positions (or coordinates, coords, xyz), and optionally forces, weights or log_weight, run (the
    trajectory of each frame), box ((3, 3), (frames, 3, 3) or edges (3,) or (frames, 3)), frame_ps, length_unit and
    energy_unit. Forces are in energy_unit / length_unit, and left out when the energy unit is not stated. A box
    of zeros is none.

    Raises UserError when the length unit is not stated, or the file is missing, damaged or without positions.
    """
    path = check_file(Path(path))
    content = {"positions": load_array(path)} if path.suffix.lower() == ".npy" else load_archive(path)
    length = length_factor(needed_unit(path, content, "length", length_unit))
    energy_unit = stated_unit(path, content, "energy", energy_unit)
    positions = _positions(path, content)
    forces = content.get("forces")
    if forces is not None and forces.shape != positions.shape:
        raise UserError(f"{path} with forces of shape {forces.shape}", f"{positions.shape} as the positions")
    if (weights := weights_in(content)) is not None:
        _per_frame(path, "weights", weights.values, len(positions))
    box = _box(path, content.get("box"), len(positions))
    return Arrays(
        positions=positions,
        length=length,
        forces=forces if energy_unit else None,
        force=energy_factor(energy_unit) / length if energy_unit else 1.0,
        weights=weights,
        run=_per_frame(path, "run", first_of(content, RUN_KEYS), len(positions)),
        box=None if box is None else box * length,
        frame_ps=_one_number(path, "frame_ps", content.get("frame_ps")),
        forces_left_out=forces is not None and not energy_unit,
    )


def stated_unit(path: Path, content: dict[str, np.ndarray], of: str, given: str | None) -> str | None:
    """The unit `of` "length" or "energy" that the file states, else the one that is given; see `agreed_unit`."""
    return agreed_unit(path, of, _text(content, f"{of}_unit"), given)


def needed_unit(path: Path, content: dict[str, np.ndarray], of: str, given: str | None) -> str:
    """As `stated_unit`, and raises UserError where there is none."""
    found = stated_unit(path, content, of, given)
    if found is None:
        raise UserError(f"{path} does not state its unit of {of}", "", f"state it, e.g. --{of}-unit {EXAMPLES[of]}")
    return found


def _positions(path: Path, content: dict[str, np.ndarray]) -> np.ndarray:
    positions = first_of(content, POSITION_KEYS)
    if positions is None:
        raise UserError(f"{path} with arrays {', '.join(content) or 'none'}", "one named positions", "rename the array")
    if positions.ndim != 3 or positions.shape[2] != 3 or positions.dtype.kind not in "fiu":
        raise UserError(
            f"{path} with positions of shape {positions.shape} and type {positions.dtype}",
            "numbers of shape (frames, particles, 3)",
            "reshape the array",
        )
    return positions


def _text(content: dict[str, np.ndarray], name: str) -> str | None:
    return str(content[name]) if name in content else None


def _per_frame(path: Path, name: str, values: np.ndarray | None, frames: int) -> np.ndarray | None:
    if values is not None and values.shape != (frames,):
        raise UserError(f"{path} with {name} of shape {values.shape}", f"one entry for each of {frames} frames")
    return values


def _one_number(path: Path, name: str, value: np.ndarray | None) -> float | None:
    if value is None:
        return None
    if value.size != 1 or value.dtype.kind not in "fiu":
        raise UserError(f"{path} with {name} of shape {value.shape} and type {value.dtype}", "one number")
    return float(value.reshape(()))


def _box(path: Path, box: np.ndarray | None, frames: int) -> np.ndarray | None:
    """(frames, 3, 3) from a box or edges, for all frames or each; None for a box of zeros, as programs write vacuum."""
    if box is None:
        return None
    if box.shape in ((3, 3), (frames, 3, 3)):
        full = box
    elif box.shape in ((3,), (frames, 3)):
        full = box[..., None] * np.eye(3)
    else:
        expected = f"(3, 3) or ({frames}, 3, 3)"
        raise UserError(f"{path} with a box of shape {box.shape}", expected, "give lattice vectors as rows")
    return np.broadcast_to(full, (frames, 3, 3)).astype(np.float32) if np.any(full) else None
