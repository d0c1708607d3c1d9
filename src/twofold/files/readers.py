"""From the files of a user to an ensemble of beads."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.beads import Beads
from twofold.ensemble import BLOCKS, Ensemble, check_temperature, concatenate
from twofold.errors import UserError
from twofold.files.arrays import Arrays, Weights, read_arrays, read_weights
from twofold.files.checks import fingerprint
from twofold.files.frames import WITH_TOPOLOGY, Frames, extension, first_frame, iterate, load_topology
from twofold.files.store import is_store, read_ensembles
from twofold.mapping import Mapping, build_mapping

if TYPE_CHECKING:
    from collections.abc import Sequence

    import mdtraj

ARRAYS = (".npy", ".npz")
BOND_RANGE = (0.02, 0.7)
"""nm; a median bond outside means a wrong unit, or a topology of something else."""


@dataclass(frozen=True)
class Part:
    """The beads of one file. `total` counts its frames before the stride."""

    path: Path
    positions: np.ndarray
    total: int
    forces: np.ndarray | None = None
    box: np.ndarray | None = None
    run: np.ndarray | None = None
    weights: Weights | None = None
    frame_ps: float | None = None
    forces_left_out: bool = False


def read_trajectory(
    topology: str | Path | None,
    trajectories: str | Path | Sequence[str | Path] = (),
    *,
    beads: str | Path = "backbone",
    temperature: float | None = None,
    stride: int = 1,
    weights: str | Path | Weights | np.ndarray | None = None,
    length_unit: str | None = None,
    energy_unit: str | None = None,
    frame_ps: float | None = None,
    blocks: int = BLOCKS,
) -> Ensemble:
    """Reads trajectories and maps them to beads; memory holds the beads of all frames and a chunk of atoms.

    topology: PDB, mmCIF, GRO, PSF, PRMTOP, HDF5; None for arrays, whose particles are the beads then; or a data set that
        twofold wrote, alone.
    trajectories: every format of MDTraj, .npy and .npz; each file is a trajectory of its own. None given means that the
        topology holds the frames (a PDB with several models).
    beads: a preset (ca, backbone, backbone+cb, heavy, all), an MDTraj selection, or a YAML file of groups.
    temperature: K, of the simulation.
    stride: keep every stride-th frame of each file.
    weights: one weight for each frame over all files, before or after the stride; a file, or an array.
    length_unit, energy_unit: of .npy and .npz files; the other formats have theirs.
    frame_ps: time in ps between the frames that are kept, where the files do not tell.
    blocks: about how many blocks of time to cut the data into.

    Raises UserError, in one line, for everything that a user can mend.
    """
    files = [Path(trajectories)] if isinstance(trajectories, str | Path) else [Path(file) for file in trajectories]
    if topology is not None and not files and is_store(topology):
        return _stored(Path(topology), temperature, stride, weights)
    if temperature is None:
        raise UserError("no temperature", "that of the simulation in kelvin", "state it, e.g. --temperature 300")
    temperature = check_temperature(temperature)
    if not isinstance(stride, int | np.integer) or stride < 1:
        raise UserError(f"stride {stride}", "a whole number of at least 1")
    given = read_weights(weights) if isinstance(weights, str | Path) else weights
    given = Weights(np.asarray(given, dtype=np.float64)) if isinstance(given, np.ndarray) else given
    files = files or _own_frames(topology)
    particles, mapping = _particles(topology, files, beads, length_unit)
    parts = [_read(file, mapping, particles, stride, given is not None, length_unit, energy_unit) for file in files]
    return _assemble(
        parts, particles, temperature, stride, given, frame_ps, blocks, _source(topology, beads, mapping, stride)
    )


def _stored(path: Path, temperature: float | None, stride: int, weights: Any) -> Ensemble:
    if weights is not None:
        raise UserError(f"weights beside {path}", "a data set, which has its own weights", "leave them out")
    ensembles = read_ensembles(path)
    ensemble = ensembles[0] if len(ensembles) == 1 else concatenate(ensembles)
    if temperature is not None and check_temperature(temperature) != ensemble.temperature:
        raise UserError(
            f"temperature {temperature:g} K for {path}", f"{ensemble.temperature:g} K, as it says", "leave it out"
        )
    return ensemble.select(slice(None, None, stride)) if stride > 1 else ensemble


def _own_frames(topology: str | Path | None) -> list[Path]:
    if topology is None or extension(Path(topology)) not in (*WITH_TOPOLOGY, *ARRAYS):
        raise UserError("no trajectory", "at least one", "give the files of the simulation after the topology")
    return [Path(topology)]


def _particles(
    topology: str | Path | None, files: list[Path], beads: str | Path, length_unit: str | None
) -> tuple[Beads, tuple[mdtraj.Topology, Mapping] | None]:
    """The beads, and the topology and mapping of atoms where there is a topology."""
    if topology is None or extension(Path(topology)) in ARRAYS:
        if others := [file for file in files if extension(file) not in ARRAYS]:
            raise UserError(
                f"{others[0]} without a topology", "a topology before the trajectories", "give e.g. a PDB first"
            )
        return Beads.anonymous(read_arrays(files[0], length_unit).positions.shape[1]), None
    atoms = load_topology(topology)
    frame = _example(files[0], atoms, length_unit)
    mapping = build_mapping(
        atoms,
        beads,
        None if frame is None else frame.positions[0],
        None if frame is None or frame.box is None else frame.box[0],
    )
    if frame is not None:
        _check_bonds(files[0], mapping, frame)
    return mapping.beads, (atoms, mapping)


def _example(file: Path, topology: mdtraj.Topology, length_unit: str | None) -> Frames | None:
    """The first frame of all atoms; None for an array that holds something else (beads already)."""
    if extension(file) not in ARRAYS:
        return first_frame(file, topology)
    arrays = read_arrays(file, length_unit)
    if arrays.positions.shape[1] != topology.n_atoms or len(arrays.positions) == 0:
        return None
    box = None if arrays.box is None else arrays.box[:1]
    return Frames(np.asarray(arrays.positions[:1] * arrays.length, dtype=np.float32), None, box)


def _check_bonds(file: Path, mapping: Mapping, frame: Frames) -> None:
    if len(mapping.bonds) == 0 or not np.isfinite(frame.positions).all():
        return
    ends = frame.positions[0, mapping.bonds]
    median = float(np.median(np.linalg.norm(ends[:, 0] - ends[:, 1], axis=-1)))
    if not BOND_RANGE[0] < median < BOND_RANGE[1]:
        raise UserError(
            f"bonds of {median:.3g} nm (median) in {file}",
            "about 0.1 nm",
            "check the unit of length, and that topology and trajectory belong together",
        )


def _read(
    file: Path,
    mapped: tuple[mdtraj.Topology, Mapping] | None,
    beads: Beads,
    stride: int,
    count_all: bool,
    length_unit: str | None,
    energy_unit: str | None,
) -> Part:
    if extension(file) in ARRAYS:
        return _read_arrays(file, mapped, beads, stride, read_arrays(file, length_unit, energy_unit))
    assert mapped is not None
    return _read_frames(file, *mapped, stride, count_all)


def _read_frames(file: Path, topology: mdtraj.Topology, mapping: Mapping, stride: int, count_all: bool) -> Part:
    """Reads a trajectory; with `count_all` every frame is read, so that `total` is known for any stride."""
    atoms = mapping.needed_atoms()
    mapping = mapping.restricted(atoms)
    keep = stride if count_all else 1
    positions, boxes, times, total = [], [], [], 0
    with closing(iterate(file, topology, atoms, 1 if count_all else stride)) as chunks:
        for frames in chunks:
            chosen = slice(-total % keep, None, keep)
            xyz, box = frames.positions[chosen], None if frames.box is None else frames.box[chosen]
            _check_finite(file, xyz, (total + chosen.start) * stride // keep, stride, topology, atoms)
            if box is not None or boxes:
                boxes.append(box)
            positions.append(mapping.positions(xyz, box))
            times.append(None if frames.time is None else frames.time[chosen])
            total += len(frames.positions)
    complete = len(boxes) == len(positions) and all(box is not None for box in boxes)
    return Part(
        path=file,
        positions=np.concatenate(positions),
        total=total,
        box=np.concatenate(boxes) if complete else None,
        frame_ps=None if any(time is None for time in times) else spacing(np.concatenate(times)),
    )


def _read_arrays(
    file: Path, mapped: tuple[mdtraj.Topology, Mapping] | None, beads: Beads, stride: int, arrays: Arrays
) -> Part:
    total, particles = arrays.positions.shape[:2]
    mapping = mapped[1] if mapped and particles == mapped[1].atom_count else None
    if mapping is None and particles != len(beads):
        atoms = (
            f"{mapped[1].atom_count} atoms or {len(beads)} beads" if mapped else f"{len(beads)}, as in the first file"
        )
        raise UserError(f"{file} has {particles} particles a frame", atoms, "give the topology that belongs to it")
    box = None if arrays.box is None else arrays.box[::stride]
    chosen = arrays.positions[::stride]
    if len(chosen) == 0:
        raise UserError(f"{file} has no frames", "at least one", "check how it was written")
    positions = np.empty((len(chosen), len(beads), 3), dtype=np.float32)
    step = max(1, (32 << 20) // (24 * particles))
    for start in range(0, len(chosen), step):
        part = slice(start, start + step)
        xyz = np.asarray(chosen[part], dtype=np.float64) * arrays.length
        _check_finite(file, xyz, start * stride, stride, mapped[0] if mapped and mapping else None, None, beads)
        positions[part] = mapping.positions(xyz, None if box is None else box[part]) if mapping else xyz
    forces = None if arrays.forces is None else np.asarray(arrays.forces[::stride], dtype=np.float64) * arrays.force
    return Part(
        path=file,
        positions=positions,
        total=total,
        forces=mapping.forces(forces) if mapping and forces is not None else forces,
        box=box,
        run=None if arrays.run is None else arrays.run[::stride],
        weights=None if arrays.weights is None else arrays.weights[::stride],
        frame_ps=None if arrays.frame_ps is None else arrays.frame_ps * stride,
        forces_left_out=arrays.forces_left_out,
    )


def spacing(time: np.ndarray) -> float | None:
    """Time between frames, if it is positive and the same throughout to 1 %; else None."""
    steps = np.diff(np.asarray(time, dtype=np.float64))
    if len(steps) == 0 or steps.min() <= 0 or np.ptp(steps) > 0.01 * steps.mean():
        return None
    return float(f"{steps.mean():.6g}")


def _check_finite(
    file: Path,
    positions: np.ndarray,
    first: int,
    stride: int,
    topology: mdtraj.Topology | None,
    atoms: np.ndarray | None,
    beads: Beads | None = None,
) -> None:
    """Raises UserError that names frame (of the file) and atom of the first position that is not finite."""
    if np.isfinite(positions).all():
        return
    frame, place = (int(i) for i in np.argwhere(~np.isfinite(positions))[0][:2])
    atom = place if atoms is None else int(atoms[place])
    name = str(topology.atom(atom)) if topology is not None else (beads.label(atom) if beads else "")
    raise UserError(
        f"coordinates that are not finite in frame {first + frame * stride} of {file}, atom {atom} ({name})",
        "finite numbers",
        "repair the file or leave these frames out",
    )


def _source(
    topology: str | Path | None, beads: str | Path, mapped: tuple[mdtraj.Topology, Mapping] | None, stride: int
) -> dict[str, Any]:
    return {
        "topology": None if topology is None else str(topology),
        "beads": mapped[1].description if mapped else {"beads": "all"},
        "stride": int(stride),
    }


def _assemble(
    parts: list[Part],
    beads: Beads,
    temperature: float,
    stride: int,
    given: Weights | None,
    frame_ps: float | None,
    blocks: int,
    source: dict[str, Any],
) -> Ensemble:
    trajectory, start = [], 0
    for part in parts:
        run = (
            np.zeros(len(part.positions), dtype=np.int64)
            if part.run is None
            else np.unique(part.run, return_inverse=True)[1]
        )
        trajectory.append(run + start)
        start += int(run.max()) + 1
    times = {part.frame_ps for part in parts}
    files = [{"file": str(p.path), "frames": len(p.positions), "sha256": fingerprint(p.path)} for p in parts]
    left_out = any(part.forces_left_out for part in parts)
    return Ensemble.build(
        beads,
        np.concatenate([part.positions for part in parts]),
        temperature,
        weights=_frame_weights(parts, stride, given),
        trajectory=np.concatenate(trajectory),
        blocks=blocks,
        forces=_joined([part.forces for part in parts]),
        box=_joined([part.box for part in parts]),
        frame_ps=frame_ps or (times.pop() if len(times) == 1 else None),
        source={
            **source,
            "trajectories": files,
            **({"forces": "left out: energy unit not stated"} if left_out else {}),
        },
    )


def _joined(arrays: list[np.ndarray | None]) -> np.ndarray | None:
    present = [array for array in arrays if array is not None]
    return np.concatenate(present) if len(present) == len(arrays) else None


def _frame_weights(parts: list[Part], stride: int, given: Weights | None) -> np.ndarray:
    """Weights of the frames that were kept, from the user or from the files."""
    kept = [len(part.positions) for part in parts]
    own = [part.weights for part in parts if part.weights is not None]
    if given is not None:
        values, totals = given.values, [part.total for part in parts]
        if len(values) == sum(totals):
            pieces = np.split(values, np.cumsum(totals)[:-1])
            values = np.concatenate([piece[::stride] for piece in pieces])
        if len(values) != sum(kept):
            raise UserError(
                f"{len(values)} weights", f"one for each of {sum(totals)} frames", "give the weights of these files"
            )
        return linear(values, given.logarithmic)
    if not own:
        return np.ones(sum(kept))
    if len(own) < len(parts) or len({weights.logarithmic for weights in own}) > 1:
        raise UserError(
            "weights in some of the files only, or of two kinds", "the same in all", "give them with --weights"
        )
    return linear(np.concatenate([weights.values for weights in own]), own[0].logarithmic)


def linear(values: np.ndarray, logarithmic: bool) -> np.ndarray:
    """Weights from natural logarithms up to a constant: the largest becomes 1."""
    if not logarithmic:
        return values
    if not np.isfinite(values).any() or np.isnan(values).any() or np.any(values == np.inf):
        raise UserError("logarithms of weights that are not numbers", "natural logarithms, at least one finite")
    return np.exp(values - values.max())
