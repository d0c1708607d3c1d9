"""Forces in a file of their own, beside trajectories that hold none."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.errors import UserError
from twofold.files.arrays import ARRAYS, needed_unit, read_arrays
from twofold.files.checks import check_file, extension
from twofold.files.frames import Frames, iterate
from twofold.files.numpy_files import first_of, load_archive, load_array
from twofold.files.parts import joined
from twofold.force_mapping import frames_wanted
from twofold.units import energy_factor, length_factor

if TYPE_CHECKING:
    import mdtraj

    from twofold.files.parts import Part, Particles

FORCE_KEYS = ("forces", "force")
SEEN = 1000
"""Frames that tell which bonds are constraints."""


@dataclass(frozen=True)
class GivenForces:
    """values: (frames, atoms or beads, 3) in the unit of the file at `path`; `factor` makes them kJ/mol/nm.

    length_unit: as it was asked for, which positions beside them may need; None where files state theirs.
    """

    path: Path
    values: np.ndarray
    factor: float
    length_unit: str | None = None


def read_forces(path: str | Path, length_unit: str | None = None, energy_unit: str | None = None) -> GivenForces:
    """Forces of an .npy, or of an .npz as `forces` (with `energy_unit` and `length_unit`, if it states them).

    Raises UserError when a unit is not stated, or the file is missing, damaged or holds something else.
    """
    path = check_file(Path(path))
    content: dict[str, Any] = {"forces": load_array(path)} if path.suffix.lower() == ".npy" else load_archive(path)
    values = first_of(content, FORCE_KEYS)
    if values is None or values.ndim != 3 or values.shape[2] != 3 or values.dtype.kind not in "fiu":
        found = f"arrays {', '.join(content)}" if values is None else f"forces of shape {values.shape}"
        raise UserError(f"{path} with {found}", "forces of shape (frames, particles, 3)", "check the file")
    energy = energy_factor(needed_unit(path, content, "energy", energy_unit))
    length = length_factor(needed_unit(path, content, "length", length_unit))
    return GivenForces(path, values, energy / length, length_unit)


def with_forces(
    parts: list[Part], particles: Particles, given: GivenForces, stride: int
) -> tuple[Particles, list[Part]]:
    """The parts with their share of the forces, one for each frame of all files, before the stride or after it.

    Forces on atoms become forces on beads (see `fitted_map`). Raises UserError when the numbers do not fit.
    """
    totals, kept = [part.total for part in parts], [len(part.positions) for part in parts]
    frames, number = given.values.shape[:2]
    if frames not in (sum(totals), sum(kept)):
        raise UserError(
            f"{given.path} with forces of {frames} frames", f"one for each of {sum(totals)} frames", "give all of them"
        )
    beads, mapping = len(particles.beads), particles.mapping
    atoms = beads if mapping is None else mapping.atom_count
    if number not in (beads, atoms):
        expected = f"{beads} beads" if mapping is None else f"{atoms} atoms or {beads} beads"
        raise UserError(f"{given.path} with forces on {number} particles", expected, "give the forces of these files")
    sizes, step = (totals, stride) if frames == sum(totals) else (kept, 1)
    if mapping is not None and number == atoms:
        particles = _with_map(particles, [part.path for part in parts], sizes, given)
    by, found, end = particles.force_mapping, [], 0
    for part, size in zip(parts, sizes, strict=True):
        # one file at a time: the forces on all atoms of all frames may not fit into memory
        piece = np.asarray(given.values[end : end + size : step], np.float64) * given.factor
        found.append(replace(part, forces=piece if by is None else by.forces(piece)))
        end += size
    return particles, found


def _with_map(particles: Particles, files: list[Path], sizes: list[int], given: GivenForces) -> Particles:
    """The map that suits the forces of the first file, and its first frames for the constraints among the atoms.

    Where that has too few frames the next files are looked at too; sizes: forces of each file.
    """
    assert particles.topology is not None
    assert particles.mapping is not None
    ends = np.cumsum(sizes)
    number = min(int(np.searchsorted(ends, frames_wanted(particles.mapping))) + 1, len(files))
    seen = [_first_frames(file, particles.topology, given.length_unit) for file in files[:number]]
    positions = np.concatenate([frames.positions for frames in seen])
    forces = np.asarray(given.values[: ends[number - 1]], np.float64) * given.factor
    return particles.with_force_map(positions, forces, joined([frames.box for frames in seen]), files[:number])


def _first_frames(file: Path, topology: mdtraj.Topology, length_unit: str | None) -> Frames:
    """All atoms of some frames. Raises UserError for arrays of beads, which do not tell where the atoms are."""
    if extension(file) in ARRAYS:
        arrays = read_arrays(file, length_unit)
        if arrays.positions.shape[1] != topology.n_atoms:
            raise UserError(f"forces on atoms for {file}, which holds beads", "forces on beads, or positions of atoms")
        box = None if arrays.box is None else arrays.box[:SEEN]
        return Frames(np.asarray(arrays.positions[:SEEN], np.float64) * arrays.length, None, box)
    with closing(iterate(file, topology, None, 1, SEEN, length_unit=length_unit)) as chunks:
        return next(iter(chunks))
