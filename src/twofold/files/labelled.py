"""Frames of one molecule with the forces and energies that came with them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.bonding import symbol
from twofold.ensemble import BLOCKS, Ensemble
from twofold.errors import UserError
from twofold.files.checks import fingerprint
from twofold.files.elements import check_distances, molecule_topology
from twofold.files.frames import load_topology
from twofold.files.parts import LEFT_OUT
from twofold.force_mapping import fitted_map, is_every_atom
from twofold.mapping import Mapping, build_mapping

if TYPE_CHECKING:
    from collections.abc import Sequence

    import mdtraj

    from twofold.force_mapping import ForceMapping
    from twofold.groups import Groups

PER_FRAME = ("positions", "forces", "energies", "box", "place", "file", "trajectory", "weights")
LARGEST = 1e30
"""In the units of a file; what is larger is no number of a molecule, and single precision could not hold it."""


@dataclass(frozen=True, eq=False)
class LabelledFrames:
    """Frames of one molecule, in order of time as far as that is known. Made by `labelled`, which checks.

    paths: the files.
    positions: (frames, atoms, 3) float32, nm.
    file: (frames,) int64, the file of each frame.
    trajectory: (frames,) int64, the trajectory of each frame.
    elements: symbol of the element of each atom; None where a topology has to tell.
    forces: (frames, atoms, 3) float32, kJ/mol/nm, or None.
    energies: (frames,) float64, kJ/mol, or None.
    box: (frames, 3, 3) float32, nm, or None.
    place: (frames,) int64, where in its trajectory each frame was, or None where only the order of the file is known.
    weights: (frames,) float64, or None for equal ones.
    frame_ps: time between frames in ps, or None.
    about: JSON-able: format, units of the file, what the labels and the order of the frames are.
    """

    paths: tuple[Path, ...]
    positions: np.ndarray
    file: np.ndarray
    trajectory: np.ndarray
    elements: tuple[str, ...] | None = None
    forces: np.ndarray | None = None
    energies: np.ndarray | None = None
    box: np.ndarray | None = None
    place: np.ndarray | None = None
    weights: np.ndarray | None = None
    frame_ps: float | None = None
    about: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.positions)

    def select(self, index: Any) -> LabelledFrames:
        """The frames `index` (integers, mask or slice)."""
        chosen = {name: getattr(self, name) for name in PER_FRAME}
        return replace(self, **{name: None if array is None else array[index] for name, array in chosen.items()})

    def kept(self, stride: int) -> np.ndarray:
        """(kept frames,) int64: every `stride`-th frame of each trajectory. Raises UserError for a stride below 1."""
        if not isinstance(stride, int | np.integer) or stride < 1:
            raise UserError(f"stride {stride}", "a whole number of at least 1")
        names = np.unique(self.trajectory)
        return np.sort(np.concatenate([np.flatnonzero(self.trajectory == name)[::stride] for name in names]))

    def every(self, stride: int) -> LabelledFrames:
        """The frames `kept(stride)`."""
        frame_ps = None if self.frame_ps is None else self.frame_ps * stride
        return replace(self.select(self.kept(stride)), frame_ps=frame_ps)

    def topology(self) -> mdtraj.Topology:
        """The atoms as an MDTraj topology, with bonds by distance (see `molecule_topology`).

        Raises UserError when the elements are not known.
        """
        if self.elements is None:
            raise UserError(f"{self.paths[0]} does not say what its atoms are", "a topology", "give e.g. a PDB first")
        return molecule_topology(self.elements, self.positions, self.box, self.paths[0])

    def ensemble(
        self,
        temperature: float,
        *,
        topology: str | Path | mdtraj.Topology | None = None,
        beads: str | Path | Groups = "all",
        stride: int = 1,
        frame_ps: float | None = None,
        blocks: int = BLOCKS,
    ) -> Ensemble:
        """The frames mapped to beads.

        temperature: K, of the simulation. topology: of the same atoms, a file or one that is loaded; by default that of
        `topology()`. beads: as for `read_trajectory`. stride: see `every`. frame_ps: time in ps between the frames that
        are kept, where the files do not tell. blocks: about how many blocks of time to cut the data into.
        """
        kept, atoms = self.every(stride), self._atoms(topology)
        # A topology that was made from the frames has its bonds; that of a file may lack some.
        first = (None, None) if topology is None else (self.positions[0], None if self.box is None else self.box[0])
        mapping = build_mapping(atoms, beads, *first)
        return Ensemble.build(
            mapping.beads,
            mapping.positions(kept.positions, kept.box),
            temperature,
            weights=kept.weights,
            trajectory=kept.trajectory,
            blocks=blocks,
            forces=None if kept.forces is None else self._force_map(mapping).forces(kept.forces),
            box=kept.box,
            # of a part of the atoms they are no energies: what the rest does is averaged in its potential of mean force
            energies=kept.energies if is_every_atom(mapping) else None,
            frame_ps=frame_ps or kept.frame_ps,
            source={
                "topology": str(topology) if isinstance(topology, str | Path) else None,
                "trajectories": kept._files(),
                "mapping": mapping.description,
                "stride": int(stride),
                "data": self.about,
                **_energy_notes(kept.energies is not None and not is_every_atom(mapping)),
            },
        )

    def _force_map(self, mapping: Mapping) -> ForceMapping:
        """The map of forces that suits all frames, those between the strides too."""
        assert self.forces is not None
        return fitted_map(mapping, self.positions, self.forces, self.box, self.paths[0])[0]

    def _atoms(self, topology: str | Path | mdtraj.Topology | None) -> mdtraj.Topology:
        """The topology, if it is one of these atoms."""
        if topology is None:
            return self.topology()
        atoms = load_topology(topology) if isinstance(topology, str | Path) else topology
        number = self.positions.shape[1]
        if atoms.n_atoms != number:
            raise UserError(
                f"{self.paths[0]} has {number} atoms a frame",
                f"{atoms.n_atoms}, as the topology has",
                "give the topology that belongs to it",
            )
        for atom, element in zip(atoms.atoms, self.elements or (), strict=False):
            if symbol(atom) not in ("", element):
                raise UserError(
                    f"{self.paths[0]} with {element} as atom {atom.index}",
                    f"{symbol(atom)} ({atom}), as the topology has",
                    "give the topology that belongs to it, with its atoms in this order",
                )
        return atoms

    def _files(self) -> list[dict[str, Any]]:
        """What came from which file: frames, and trajectories that begin in it."""
        result, seen = [], set()
        for number, path in enumerate(self.paths):
            runs = set(self.trajectory[self.file == number].tolist())
            frames = int(np.sum(self.file == number))
            check = fingerprint(path)
            result.append({"file": str(path), "frames": frames, "runs": len(runs - seen), "fingerprint": check})
            seen |= runs
        return result


def _energy_notes(left_out: bool) -> dict[str, Any]:
    return {"energies": f"{LEFT_OUT}: the beads are a part of the atoms"} if left_out else {}


def labelled(
    path: Path,
    positions: np.ndarray,
    *,
    length: float,
    force: float = 1.0,
    energy: float = 1.0,
    elements: tuple[str, ...] | None = None,
    forces: np.ndarray | None = None,
    energies: np.ndarray | None = None,
    box: np.ndarray | None = None,
    place: np.ndarray | None = None,
    run: np.ndarray | None = None,
    frame_ps: float | None = None,
    about: dict[str, Any] | None = None,
) -> LabelledFrames:
    """The frames of one file in the order of the file, checked and converted.

    Arrays are in the units of the file, and length, force and energy the factors to nm, kJ/mol/nm and kJ/mol; run: the
    trajectory of each frame. Raises UserError for shapes that disagree and for numbers that are not finite.
    """
    check_numbers(path, "positions", positions, ("frames", "atoms", 3))
    frames, atoms = positions.shape[:2]
    if frames == 0 or atoms == 0:
        raise UserError(f"{path} has no {'atoms' if frames else 'frames'}", "at least one")
    if elements is not None and len(elements) != atoms:
        raise UserError(f"{path} with {len(elements)} elements", f"{atoms}, one for each atom")
    for name, array, shape in (
        ("forces", forces, positions.shape),
        ("energies", energies, (frames,)),
        ("box", box, (frames, 3, 3)),
        ("places", place, (frames,)),
    ):
        if array is not None:
            check_numbers(path, name, array, shape)
    nm = _scaled(positions, length)
    box = None if box is None else _scaled(box, length)
    check_distances(path, nm[0], None if box is None else box[0])
    return LabelledFrames(
        paths=(path,),
        positions=nm,
        file=np.zeros(frames, dtype=np.int64),
        trajectory=np.zeros(frames, dtype=np.int64) if run is None else np.asarray(run, dtype=np.int64),
        elements=elements,
        forces=None if forces is None else _scaled(forces, force),
        energies=None if energies is None else np.asarray(energies, dtype=np.float64) * energy,
        box=box,
        place=None if place is None else np.asarray(place, dtype=np.int64),
        frame_ps=frame_ps,
        about=dict(about or {}),
    )


def joined_frames(parts: Sequence[LabelledFrames]) -> LabelledFrames:
    """The frames of several files of one molecule.

    Where the places of the frames are known, all are of one trajectory and put in its order; else each file has
    trajectories of its own. Raises UserError for files of other atoms, and for what only some of them have.
    """
    first = parts[0]
    for part in parts[1:]:
        if part.elements != first.elements or part.positions.shape[1:] != first.positions.shape[1:]:
            raise UserError(f"{part.paths[0]} with other atoms than {first.paths[0]}", "files of one molecule")
        for name in ("forces", "energies", "box", "place"):
            if (getattr(part, name) is None) != (getattr(first, name) is None):
                raise UserError(f"{name} in only one of {first.paths[0]} and {part.paths[0]}", "the same in all files")
    starts = np.cumsum([0, *(part.trajectory.max() + 1 for part in parts)])
    own = {
        "file": [np.full(len(part), number) for number, part in enumerate(parts)],
        "trajectory": [part.trajectory + start for part, start in zip(parts, starts, strict=False)],
    }
    arrays = {name: own.get(name) or [getattr(part, name) for part in parts] for name in PER_FRAME}
    times = {part.frame_ps for part in parts}
    whole = replace(
        first,
        paths=tuple(path for part in parts for path in part.paths),
        frame_ps=times.pop() if len(times) == 1 else None,
        **{name: None if values[0] is None else np.concatenate(values) for name, values in arrays.items()},
    )
    return whole if whole.place is None else replace(whole, trajectory=np.zeros_like(whole.trajectory))


def in_order(frames: LabelledFrames) -> LabelledFrames:
    """The frames in order of their places, where those are known.

    Of frames with one place the first is kept, with the sum of the weights of all.
    """
    if frames.place is None:
        return frames
    _, index, place = np.unique(frames.place, return_index=True, return_inverse=True)
    twice = len(frames) - len(index)
    about = {**frames.about, "left_out": f"{twice} frames that occur twice"} if twice else frames.about
    weights = None
    if frames.weights is not None:
        weights = np.zeros(len(index))
        np.add.at(weights, place, frames.weights)
    return replace(frames.select(index), about=about, weights=weights)


def check_numbers(path: Path, name: str, array: np.ndarray, shape: tuple[int | str, ...]) -> None:
    """Raises UserError unless `array` holds finite numbers in that shape, where a word stands for any length."""
    fits = array.ndim == len(shape) and all(
        isinstance(want, str) or size == want for size, want in zip(array.shape, shape, strict=True)
    )
    if not fits or array.dtype.kind not in "fiu":
        expected = ", ".join(str(size) for size in shape)
        raise UserError(f"{path} with {name} of shape {array.shape} and type {array.dtype}", f"numbers ({expected})")
    wild = ~(np.abs(array) < LARGEST)
    if wild.any():
        frame, *atom = (int(i) for i in np.argwhere(wild)[0][:2])
        where = f"frame {frame}, atom {atom[0]}" if name in ("positions", "forces") else f"frame {frame}"
        raise UserError(
            f"{name} that are not finite in {where} of {path}",
            f"numbers below {LARGEST:g}",
            "repair the file or leave these frames out",
        )


def _scaled(array: np.ndarray, factor: float) -> np.ndarray:
    return (np.asarray(array, dtype=np.float64) * factor).astype(np.float32)
