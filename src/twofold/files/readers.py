"""From the files of a user to an ensemble of beads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.beads import Beads
from twofold.ensemble import BLOCKS, Ensemble, check_temperature, concatenate
from twofold.errors import UserError
from twofold.files.arrays import ARRAYS, Arrays, read_arrays
from twofold.files.checks import check_file, extension, fingerprint
from twofold.files.forces import read_forces, with_forces
from twofold.files.frames import WITH_TOPOLOGY, Frames, first_frame, load_topology
from twofold.files.parts import UNIT_UNKNOWN, Part, Particles, joined, read_array_part, read_frames, with_force_map
from twofold.files.published import published_ensemble, published_files
from twofold.files.stated_units import check_names, check_needed
from twofold.files.store import is_store, read_ensembles
from twofold.files.weights import Weights, as_weights, frame_weights
from twofold.mapping import Mapping, build_mapping
from twofold.space import displacement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold.groups import Groups

BEADS = "backbone"
"""The mapping unless one is given."""
BOND_RANGE = (0.02, 0.7)
"""nm; a median bond outside means a wrong unit, or a topology of something else."""


def read_trajectory(
    topology: str | Path | None,
    trajectories: str | Path | Sequence[str | Path] = (),
    *,
    beads: str | Path | Groups | None = None,
    temperature: float | None = None,
    stride: int = 1,
    weights: str | Path | Weights | np.ndarray | None = None,
    forces: str | Path | None = None,
    use_forces: bool = True,
    length_unit: str | None = None,
    energy_unit: str | None = None,
    theory: str = "dynamics",
    molecule: str | None = None,
    frame_ps: float | None = None,
    blocks: int = BLOCKS,
) -> Ensemble:
    """Reads trajectories and maps them to beads; memory holds the beads of all frames and a chunk of atoms.

    topology: one of `frames.TOPOLOGIES`; None for arrays, whose particles are the beads then; or a data set that
        twofold wrote, alone.
    trajectories: of one of `frames.TRAJECTORIES`, .npy or .npz; each file is a trajectory of its own. None given means
        that the topology holds the frames (a PDB with several models).
    beads: a preset (ca, backbone, backbone+cb, heavy, all), an MDTraj selection, a YAML file of groups, or such groups;
        backbone unless given.
    temperature: K, of the simulation.
    stride: keep every stride-th frame of each file.
    weights: one weight for each frame over all files, before or after the stride; a file, or an array.
    forces: .npy or .npz of the forces on atoms or beads, for each frame over all files, before or after the stride,
        where the trajectories hold none.
    use_forces: False leaves out those that the files hold: nothing is asked of forces that nobody needs, not even that
        they can be mapped to the beads.
    length_unit, energy_unit: of .npy and .npz files, of extended XYZ, and (length) of dumps of LAMMPS; other formats
        have theirs, and a unit that no file needs is refused.
    theory: which forces of rMD17, those of the "dynamics" that made its frames or the "recomputed" ones.
    molecule: which one of an HDF5 file like those of SPICE.
    frame_ps: time in ps between the frames that are kept, where the files do not tell.
    blocks: about how many blocks of time to cut the data into.

    Raises UserError for everything that a user can mend.
    """
    files = [Path(trajectories)] if isinstance(trajectories, str | Path) else [Path(file) for file in trajectories]
    if topology is not None:
        check_file(Path(topology))
    if not isinstance(stride, int | np.integer) or stride < 1:
        raise UserError(f"stride {stride}", "a whole number of at least 1")
    units = (length_unit, energy_unit)
    check_names(*units)
    if forces is not None and not use_forces:
        raise UserError(f"{forces} for frames that are read without forces", "one or the other", "leave the file out")
    if topology is not None and not files and is_store(topology):
        own = {"length unit": length_unit, "energy unit": energy_unit}
        stored = _stored(Path(topology), temperature, stride, weights=weights, forces=forces, beads=beads, **own)
        return stored if use_forces else replace(stored, forces=None)
    if temperature is None:
        raise UserError("no temperature", "that of the simulation in kelvin", "state it, e.g. --temperature 300")
    temperature = check_temperature(temperature)
    if (published := published_files(topology, files)) is not None:
        if forces is not None:
            raise UserError(
                f"{forces} beside {published[1][0]}", "a data set, which has its own forces", "leave it out"
            )
        reading = {"weights": weights, "length_unit": length_unit, "energy_unit": energy_unit, "level": theory}
        reading |= {"molecule": molecule, "use_forces": use_forces}
        shape = {"beads": beads, "stride": stride, "frame_ps": frame_ps, "blocks": blocks}
        return published_ensemble(*published, temperature=temperature, **shape, **reading)
    if molecule is not None:
        raise UserError(f"molecule {molecule!r}", "a file of several, like those of SPICE", "leave it out")
    given = as_weights(weights)
    files = files or _own_frames(topology)
    if forces is None:
        check_needed(files, *units)
    labels = None if forces is None else read_forces(forces, *units)
    count_all = given is not None or labels is not None
    options = {"count_all": count_all, "use_forces": use_forces}
    particles, parts = _read(topology, files, beads or BEADS, stride, units, **options)
    if labels is not None:
        if any(part.forces is not None for part in parts):
            raise UserError(f"{forces} beside trajectories with forces", "one or the other", "leave it out")
        particles, parts = with_forces(parts, particles, labels, stride)
    return _assemble(parts, particles, temperature, stride, given, frame_ps, blocks, topology)


def _read(
    topology: str | Path | None,
    files: list[Path],
    beads: str | Path | Groups,
    stride: int,
    units: tuple[str | None, str | None],
    *,
    count_all: bool,
    use_forces: bool,
) -> tuple[Particles, list[Part]]:
    def read(file: Path) -> Arrays:
        arrays = read_arrays(file, *units)
        return arrays if use_forces else replace(arrays, forces=None, forces_left_out=False)

    first = read(files[0]) if extension(files[0]) in ARRAYS else None
    particles = _particles(topology, files, beads, first, units[0])
    parts = []
    for number, file in enumerate(files):
        if extension(file) in ARRAYS:
            arrays = first if first and number == 0 else read(file)
            later = ((other, read(other)) for other in files[number + 1 :] if extension(other) in ARRAYS)
            particles = with_force_map(particles, file, arrays, later)
            parts.append(read_array_part(file, arrays, particles, stride))
        elif particles.topology and particles.mapping:
            options = {"length_unit": units[0], "count_all": count_all}
            parts.append(read_frames(file, particles.topology, particles.mapping, stride, **options))
    return particles, parts


def _stored(path: Path, temperature: float | None, stride: int, **others: Any) -> Ensemble:
    for name, given in others.items():
        if given is not None:
            raise UserError(f"{name} beside {path}", f"a data set, which has its own {name}", "leave them out")
    ensembles = read_ensembles(path)
    ensemble = ensembles[0] if len(ensembles) == 1 else concatenate(ensembles)
    if temperature is not None and check_temperature(temperature) != ensemble.temperature:
        raise UserError(
            f"temperature {temperature:g} K for {path}",
            f"{ensemble.temperature:g} K, as it says",
            f"leave it out, or weight the frames anew with --sampled-at {ensemble.temperature:g}",
        )
    if stride == 1:
        return ensemble
    frame_ps = None if ensemble.frame_ps is None else ensemble.frame_ps * stride
    return replace(ensemble.select(slice(None, None, stride)), frame_ps=frame_ps)


def _own_frames(topology: str | Path | None) -> list[Path]:
    if topology is None or extension(Path(topology)) not in (*WITH_TOPOLOGY, *ARRAYS):
        raise UserError("no trajectory", "at least one", "give the files of the simulation after the topology")
    return [Path(topology)]


def _particles(
    topology: str | Path | None,
    files: list[Path],
    beads: str | Path | Groups,
    first: Arrays | None,
    length_unit: str | None,
) -> Particles:
    """Topology and mapping; `first` holds the arrays of the first file, if it is one of arrays."""
    if topology is None or extension(Path(topology)) in ARRAYS:
        if others := [file for file in files if extension(file) not in ARRAYS]:
            raise UserError(
                f"{others[0]} without a topology", "a topology before the trajectories", "give e.g. a PDB first"
            )
        assert first is not None
        return Particles(Beads.anonymous(first.positions.shape[1]))
    atoms = load_topology(topology)
    frame = first_frame(files[0], atoms, length_unit) if first is None else _first_of(first, atoms.n_atoms)
    if frame is None:
        mapping = build_mapping(atoms, beads)
    else:
        mapping = build_mapping(atoms, beads, frame.positions[0], None if frame.box is None else frame.box[0])
        _check_bonds(files[0], mapping, frame)
    return Particles(mapping.beads, atoms, mapping)


def _first_of(arrays: Arrays, atoms: int) -> Frames | None:
    """The first frame of arrays of atoms; None for arrays of something else (beads already)."""
    if arrays.positions.shape[1] != atoms or len(arrays.positions) == 0:
        return None
    positions = np.asarray(arrays.positions[:1] * arrays.length, dtype=np.float32)
    return Frames(positions, None, None if arrays.box is None else arrays.box[:1])


def _check_bonds(file: Path, mapping: Mapping, frame: Frames) -> None:
    """Raises UserError when atoms that the topology bonds are not near each other in the first frame."""
    bonds = mapping.bonds[(mapping.owner[mapping.bonds] >= 0).all(axis=1)]
    if len(bonds) == 0 or not np.isfinite(frame.positions).all():
        return
    ends = frame.positions[0, bonds]
    lengths = np.linalg.norm(displacement(ends[:, 0], ends[:, 1], None if frame.box is None else frame.box[0]), axis=-1)
    median = float(np.median(lengths))
    if not BOND_RANGE[0] < median < BOND_RANGE[1]:
        raise UserError(
            f"bonds of {median:.3g} nm (median) in {file}",
            "about 0.1 nm",
            "check the unit of length, and that topology and trajectory belong together",
        )


def _assemble(
    parts: list[Part],
    particles: Particles,
    temperature: float,
    stride: int,
    given: Weights | None,
    frame_ps: float | None,
    blocks: int,
    topology: str | Path | None,
) -> Ensemble:
    with_forces = sum(part.forces is not None for part in parts)
    if 0 < with_forces < len(parts):
        lacking = next(part.path for part in parts if part.forces is None)
        raise UserError(f"forces in {with_forces} of {len(parts)} files, not in {lacking}", "in all of them or in none")
    times = {part.frame_ps for part in parts}
    kept = [len(part.positions) for part in parts]
    source = {
        "topology": None if topology is None else str(topology),
        "trajectories": [
            {"file": str(part.path), "frames": number, "runs": runs, "fingerprint": fingerprint(part.path)}
            for part, number, runs in zip(parts, kept, _runs(parts), strict=True)
        ],
        "mapping": particles.mapping.description if particles.mapping else {"beads": "all"},
        "stride": int(stride),
        **_force_notes(particles, parts),
    }
    return Ensemble.build(
        particles.beads,
        np.concatenate([part.positions for part in parts]),
        temperature,
        weights=frame_weights(given, [part.weights for part in parts], [part.total for part in parts], kept, stride),
        trajectory=_trajectories(parts),
        blocks=blocks,
        forces=joined([part.forces for part in parts]),
        box=joined([part.box for part in parts]),
        frame_ps=frame_ps or (times.pop() if len(times) == 1 else None),
        source=source,
    )


def _force_notes(particles: Particles, parts: list[Part]) -> dict[str, Any]:
    if any(part.forces_left_out for part in parts):
        return {"forces": UNIT_UNKNOWN}
    if particles.force_mapping is None:
        return {}
    return {"forces": {"map": particles.force_mapping.method, "constraints": particles.constraints}}


def _runs(parts: list[Part]) -> list[int]:
    """Number of trajectories in each file."""
    return [1 if part.run is None else len(np.unique(part.run)) for part in parts]


def _trajectories(parts: list[Part]) -> np.ndarray:
    """(frames,): files and the runs in them, counted from 0."""
    starts = np.cumsum([0, *_runs(parts)])
    runs = [np.zeros(len(part.positions)) if part.run is None else part.run for part in parts]
    places = [np.unique(run, return_inverse=True)[1] for run in runs]
    return np.concatenate([place + start for place, start in zip(places, starts, strict=False)])
