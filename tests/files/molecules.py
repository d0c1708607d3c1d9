"""Alanine dipeptide with forces and energies, written as published data sets are."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

import peptides

FRAMES = 24
ELEMENTS = tuple(name[0] for name in peptides.NAMES)
NUMBERS = np.array([{"H": 1, "C": 6, "N": 7, "O": 8}[element] for element in ELEMENTS], dtype=np.uint8)
POSITIONS = peptides.wiggled(FRAMES).astype(np.float64)
"""(24, 22, 3), nm."""
_RNG = np.random.default_rng(1)
FORCES = _RNG.normal(scale=500.0, size=POSITIONS.shape)
"""(24, 22, 3), kJ/mol/nm."""
ENERGIES = _RNG.normal(loc=-1.3e6, scale=20.0, size=FRAMES)
"""(24,), kJ/mol."""
KCAL = 4.184
BOHR, HARTREE, EV = 0.0529177210903, 2625.4996394799, 96.48533212331


def md17() -> dict[str, Any]:
    """Arrays of an MD17 file: Angstrom and kcal/mol."""
    return {
        "z": NUMBERS,
        "R": POSITIONS * 10,
        "E": ENERGIES[:, None] / KCAL,
        "F": FORCES / KCAL / 10,
        "name": np.array("dipeptide"),
        "type": np.array(b"d"),
    }


def rmd17() -> dict[str, Any]:
    """Arrays of an rMD17 file whose frames are shuffled; the frame at place 100 + 7 k is the k-th."""
    order = np.random.default_rng(2).permutation(FRAMES)
    return {
        "nuclear_charges": NUMBERS,
        "coords": POSITIONS[order] * 10,
        "energies": ENERGIES[order] / KCAL + 5,
        "forces": FORCES[order] / KCAL / 5,
        "old_indices": 100 + 7 * order,
        "old_energies": ENERGIES[order] / KCAL,
        "old_forces": FORCES[order] / KCAL / 10,
    }


def timewarp() -> dict[str, Any]:
    """Arrays of a Timewarp file: nm and kJ/mol, energies potential and kinetic."""
    return {
        "step": np.arange(FRAMES) * 1000,
        "time": np.arange(FRAMES) * 0.5,
        "energies": np.stack([ENERGIES, np.full(FRAMES, 290.0)], axis=1),
        "positions": POSITIONS.astype(np.float32),
        "velocities": np.ones(POSITIONS.shape, np.float32),
        "forces": FORCES.astype(np.float32),
    }


def savez(path: Path, content: dict[str, Any], **changes: Any) -> Path:
    """Writes an archive of `content` with `changes`; None leaves an array out."""
    np.savez(path, **{name: array for name, array in {**content, **changes}.items() if array is not None})
    return path


def xyz_frame(frame: int, comment: str, length: float = 10, force: float | None = 0.1 / KCAL) -> str:
    """One frame of XYZ: positions times `length`, and forces times `force` in further columns unless that is None."""
    lines = [f"{len(ELEMENTS)}", comment]
    for atom, element in enumerate(ELEMENTS):
        values = [*POSITIONS[frame, atom] * length, *([] if force is None else FORCES[frame, atom] * force)]
        lines.append(f"{element:<2s} " + "  ".join(f"{value:.8f}" for value in values) + "  ")
    return "\n".join(lines) + "\n"


def spice(path: Path, **groups: dict[str, Any]) -> Path:
    """Writes an HDF5 file; each group has the arrays of the dipeptide with changes (None leaves one out), and units."""
    own = {
        "atomic_numbers": NUMBERS.astype(np.int16),
        "conformations": (POSITIONS / BOHR).astype(np.float32),
        "dft_total_energy": ENERGIES / HARTREE,
        "dft_total_gradient": -FORCES / HARTREE * BOHR,
        "smiles": np.array([b"CC(=O)N"]),
    }
    units = {"conformations": "bohr", "dft_total_energy": "hartree", "dft_total_gradient": "hartree/bohr"}
    with h5py.File(path, "w") as file:
        for name, changes in groups.items():
            group = file.create_group(name)
            for key, array in {**own, **changes}.items():
                if array is not None:
                    group[key] = array
                    if key in units:
                        group[key].attrs["units"] = units[key]
    return path
