"""The beads of one file, mapped chunk by chunk."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.errors import UserError
from twofold.files.frames import CHUNK_BYTES, iterate
from twofold.force_mapping import fitted_map, frames_wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import mdtraj

    from twofold.beads import Beads
    from twofold.files.arrays import Arrays
    from twofold.files.weights import Weights
    from twofold.force_mapping import ForceMapping
    from twofold.mapping import Mapping


LEFT_OUT = "left out"
"""How the source of an ensemble begins what it says of forces and energies that are not in it."""
UNIT_UNKNOWN = f"{LEFT_OUT}: energy unit not stated"


def said_of(source: dict[str, Any]) -> list[dict[str, Any]]:
    """What readers say of each part of an ensemble, by its `source`: of the beads, and of the data themselves."""
    return [part.get("data", {}) | part for part in source.get("parts", [source])]


def no_energies(source: dict[str, Any], option: str) -> UserError:
    """Why frames of this `source` have no energies, which the `option` needs, and what to do."""
    said = [str(part.get("energies", "")) for part in said_of(source)]
    expected = f"for {option} the energy of every frame, of particles that are all beads"
    if UNIT_UNKNOWN in said:
        return UserError("energies whose unit the file does not state", expected, "give --energy-unit")
    if any(one.startswith(LEFT_OUT) for one in said):
        found = "beads that are a part of the atoms, whose energy is a free one that is not known"
        return UserError(found, expected, "say --beads all")
    return UserError("no energies of the frames", expected, "give a data set with energies (docs/formats.md)")


@dataclass(frozen=True)
class Particles:
    """The beads that files are read as, topology and mapping of the atoms (None for arrays without a topology), and how
    forces on atoms become forces on beads, with the number of constraints among the atoms, where there are such."""

    beads: Beads
    topology: mdtraj.Topology | None = None
    mapping: Mapping | None = None
    force_mapping: ForceMapping | None = None
    constraints: int = 0

    def with_force_map(
        self, positions: np.ndarray, forces: np.ndarray, box: np.ndarray | None, files: Sequence[Path]
    ) -> Particles:
        """The same, with the map of forces that suits these frames of atoms, positions in nm (see `fitted_map`)."""
        assert self.mapping is not None
        source = str(files[0]) + (f" and {len(files) - 1} more" if len(files) > 1 else "")
        found, constraints = fitted_map(self.mapping, positions, forces, box, source)
        return replace(self, force_mapping=found, constraints=constraints)


@dataclass(frozen=True)
class Part:
    """The beads of one file: arrays as those of an Ensemble. `total` counts the frames before the stride."""

    path: Path
    positions: np.ndarray
    total: int
    forces: np.ndarray | None = None
    box: np.ndarray | None = None
    run: np.ndarray | None = None
    weights: Weights | None = None
    frame_ps: float | None = None
    forces_left_out: bool = False


def read_frames(
    file: Path,
    topology: mdtraj.Topology,
    mapping: Mapping,
    stride: int,
    *,
    length_unit: str | None = None,
    count_all: bool,
) -> Part:
    """Reads and maps a trajectory; with `count_all` every frame is read, so that `total` is known for any stride.

    length_unit: of a dump of LAMMPS.
    """
    atoms = mapping.needed_atoms()
    restricted = mapping.restricted(atoms)
    read_stride, keep = (1, stride) if count_all else (stride, 1)
    positions, boxes, times, total = [], [], [], 0
    with closing(iterate(file, topology, atoms, read_stride, length_unit=length_unit)) as chunks:
        for frames in chunks:
            chosen = slice(-total % keep, None, keep)
            xyz = frames.positions[chosen]
            box = None if frames.box is None else frames.box[chosen]
            check_finite(
                file, xyz, (total + chosen.start) * read_stride, stride, lambda i: _atom(topology, int(atoms[i]))
            )
            positions.append(restricted.positions(xyz, box))
            boxes.append(box)
            times.append(None if frames.time is None else frames.time[chosen])
            total += len(frames.positions)
    time = joined(times)
    return Part(
        path=file,
        positions=np.concatenate(positions),
        total=total,
        box=joined(boxes),
        frame_ps=None if time is None else spacing(time),
    )


def with_force_map(particles: Particles, file: Path, arrays: Arrays, later: Iterator[tuple[Path, Arrays]]) -> Particles:
    """The particles with a map of forces, if `arrays` of `file` are of atoms with forces and they have none yet.

    Where these frames are too few to see constraints and to fit the best map, those of `later` files are looked at too.
    Raises UserError where there is no map (see `fitted_map`).
    """
    mapping = particles.mapping
    if particles.force_mapping is not None or mapping is None or not _forces_on_atoms(arrays, mapping):
        return particles
    seen, wanted = {file: arrays}, frames_wanted(mapping)
    while sum(len(one.positions) for one in seen.values()) < wanted and (more := next(later, None)) is not None:
        if _forces_on_atoms(more[1], mapping):
            seen |= [more]
    positions = np.concatenate([np.asarray(one.positions, np.float64) * one.length for one in seen.values()])
    forces = np.concatenate([np.asarray(one.forces, np.float64) * one.force for one in seen.values()])
    return particles.with_force_map(positions, forces, joined([one.box for one in seen.values()]), list(seen))


def _forces_on_atoms(arrays: Arrays, mapping: Mapping) -> bool:
    return arrays.forces is not None and arrays.positions.shape[1] == mapping.atom_count


def read_array_part(file: Path, arrays: Arrays, particles: Particles, stride: int) -> Part:
    """Maps the arrays of `file`, which hold the atoms of the topology or the beads themselves."""
    total, number = arrays.positions.shape[:2]
    topology, mapping, beads = particles.topology, particles.mapping, particles.beads
    expected = f"{len(beads)} beads" if mapping is None else f"{mapping.atom_count} atoms or {len(beads)} beads"
    if mapping is None or number != mapping.atom_count:
        mapping = None
        if number != len(beads):
            raise UserError(f"{file} has {number} particles a frame", expected, "give the topology that belongs to it")
    if total == 0:
        raise UserError(f"{file} has no frames", "at least one", "check how it was written")

    def name(i: int) -> str:
        return _atom(topology, i) if mapping is not None and topology is not None else f"bead {i} ({beads.label(i)})"

    chosen, box = arrays.positions[::stride], None if arrays.box is None else arrays.box[::stride]
    positions = np.empty((len(chosen), len(beads), 3), dtype=np.float32)
    step = max(1, CHUNK_BYTES // (24 * number))
    for start in range(0, len(chosen), step):
        part = slice(start, start + step)
        xyz = np.asarray(chosen[part], dtype=np.float64) * arrays.length
        check_finite(file, xyz, start * stride, stride, name)
        positions[part] = mapping.positions(xyz, None if box is None else box[part]) if mapping else xyz
    by = particles.force_mapping
    forces = None if arrays.forces is None else np.asarray(arrays.forces[::stride], dtype=np.float64) * arrays.force
    return Part(
        path=file,
        positions=positions,
        total=total,
        forces=forces if mapping is None or forces is None or by is None else by.forces(forces),
        box=box,
        run=None if arrays.run is None else arrays.run[::stride],
        weights=None if arrays.weights is None else arrays.weights[::stride],
        frame_ps=None if arrays.frame_ps is None else arrays.frame_ps * stride,
        forces_left_out=arrays.forces_left_out,
    )


def joined(arrays: list[np.ndarray | None]) -> np.ndarray | None:
    """The arrays one after another; None when any is missing."""
    present = [array for array in arrays if array is not None]
    return np.concatenate(present) if len(present) == len(arrays) else None


def spacing(time: np.ndarray) -> float | None:
    """Time between frames, if it is positive and the same throughout to 1 % or single precision; else None."""
    steps = np.diff(np.asarray(time, dtype=np.float64))
    if len(steps) == 0 or steps.min() <= 0:
        return None
    tolerance = max(0.01 * steps.mean(), 2 * float(np.finfo(np.float32).eps) * np.abs(time).max())
    return float(f"{steps.mean():.6g}") if np.ptp(steps) <= tolerance else None


def check_finite(file: Path, positions: np.ndarray, first: int, stride: int, name: Callable[[int], str]) -> None:
    """Raises UserError that names the frame of the file and the particle of the first position that is not finite.

    first: number in the file of the first of these frames; name: tells a particle by its place in `positions`.
    """
    if np.isfinite(positions).all():
        return
    frame, particle = (int(i) for i in np.argwhere(~np.isfinite(positions))[0][:2])
    raise UserError(
        f"coordinates that are not finite in frame {first + frame * stride} of {file}, {name(particle)}",
        "finite numbers",
        "repair the file or leave these frames out",
    )


def _atom(topology: mdtraj.Topology, index: int) -> str:
    return f"atom {index} ({topology.atom(index)})"
