"""Trajectories in MDTraj's HDF5 format (.h5, version 1.1), read without PyTables."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.errors import UserError
from twofold.files.frames import Frames

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import mdtraj

LENGTHS = {"nanometers": 1.0, "nanometer": 1.0, "nm": 1.0, "angstroms": 0.1, "angstrom": 0.1}


def load_topology(path: Path) -> mdtraj.Topology:
    """The topology in the file. Raises UserError when it has none or is damaged."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            text = np.asarray(file["topology"]).reshape(-1)[0]
        return _topology(json.loads(text))
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise UserError(
            f"{path} has no topology ({error})",
            "an HDF5 file of MDTraj, or a data set of twofold alone",
            "check the file",
        ) from error


def iterate(path: Path, stride: int, chunk: int) -> Iterator[Frames]:
    """Chunks of every `stride`-th frame; raises OSError, KeyError or ValueError for what cannot be read."""
    import h5py

    with h5py.File(path, "r") as opened:
        file: Any = opened
        coordinates = file["coordinates"]
        length = _length(coordinates)
        for start in range(0, len(coordinates), stride * chunk):
            part = slice(start, start + stride * chunk, stride)
            positions = np.asarray(coordinates[part], dtype=np.float32) * np.float32(length)
            yield Frames(
                positions=positions,
                time=np.asarray(file["time"][part]) if "time" in file else None,
                box=_boxes(file, part),
            )


def _length(dataset: Any) -> float:
    unit = dataset.attrs.get("units", "nanometers")
    name = unit.decode() if isinstance(unit, bytes) else str(unit)
    if name not in LENGTHS:
        raise ValueError(f"unit of length {name!r}")
    return LENGTHS[name]


def _boxes(file: Any, part: slice) -> np.ndarray | None:
    """(frames, 3, 3), nm."""
    if "cell_lengths" not in file:
        return None
    from mdtraj.utils import lengths_and_angles_to_box_vectors

    lengths = np.asarray(file["cell_lengths"][part]) * _length(file["cell_lengths"])
    angles = np.asarray(file["cell_angles"][part])
    vectors = lengths_and_angles_to_box_vectors(*lengths.T, *angles.T)
    return np.stack(vectors, axis=1).astype(np.float32)


def _topology(content: dict[str, Any]) -> mdtraj.Topology:
    import mdtraj
    from mdtraj.core.element import Element

    topology = mdtraj.Topology()
    for chain_entry in sorted(content["chains"], key=lambda entry: entry["index"]):
        chain = topology.add_chain()
        for entry in sorted(chain_entry["residues"], key=lambda entry: entry["index"]):
            residue = topology.add_residue(entry["name"], chain, resSeq=entry.get("resSeq"))
            for atom in sorted(entry["atoms"], key=lambda entry: entry["index"]):
                symbol = atom.get("element") or "VS"
                topology.add_atom(atom["name"], Element.getBySymbol(symbol), residue)
    atoms = list(topology.atoms)
    for bond in content["bonds"]:
        topology.add_bond(atoms[int(bond[0])], atoms[int(bond[1])])
    return topology
