"""Published data sets of molecules with forces, read by format: archives, extended XYZ, HDF5."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.ensemble import BLOCKS, Ensemble
from twofold.errors import UserError
from twofold.files.checks import check_file, extension
from twofold.files.extended_xyz import read_extended_xyz
from twofold.files.labelled import LabelledFrames, in_order, joined_frames
from twofold.files.labelled_npz import is_labelled_npz, read_labelled_npz
from twofold.files.spice import is_spice, only_molecule, read_spice
from twofold.files.stated_units import check_names
from twofold.files.weights import Weights, as_weights, linear

if TYPE_CHECKING:
    from collections.abc import Sequence

    import mdtraj

    from twofold.groups import Groups

XYZ = (".xyz", ".extxyz")
HDF5 = (".h5", ".hdf5")


def published_files(
    topology: str | Path | None, files: Sequence[str | Path]
) -> tuple[str | Path | None, list[Path]] | None:
    """Topology, if there is one, and files of a published data set among what `read_trajectory` is given; else None.

    The first file decides. XYZ beside a topology is a trajectory like others; alone it says itself what its atoms are.
    """
    alone = topology is None or extension(Path(topology)) in (*XYZ, ".npz") or _is_spice(Path(topology))
    data = [Path(file) for file in ([*([] if topology is None else [topology]), *files] if alone else files)]
    if not data:
        return None
    kind = extension(data[0])
    known = kind == ".extxyz" or (kind in XYZ and alone) or (kind == ".npz" and is_labelled_npz(data[0]))
    known = known or _is_spice(data[0])
    return (None if alone else topology, data) if known else None


def read_published(
    files: str | Path | Sequence[str | Path],
    *,
    level: str = "dynamics",
    weights: str | Path | Weights | np.ndarray | None = None,
    length_unit: str | None = None,
    energy_unit: str | None = None,
    molecule: str | None = None,
    use_forces: bool = True,
    stride: int = 1,
) -> LabelledFrames:
    """Frames, forces and energies of one molecule from archives of MD17, rMD17, MD22 or Timewarp, extended XYZ, SPICE.

    level: which forces of rMD17, "dynamics" or "recomputed" (see `read_labelled_npz`). weights: one for each frame of
    all files, in their order; or, in the order of the result, for each that its `every(stride)` keeps. length_unit,
    energy_unit: of extended XYZ, which does not state them (angstrom unless given, and no default); of the others where
    they are not those of the format, and of files like those of SPICE where these do not state them. molecule: which
    one of such a file, which may hold many. use_forces: False leaves the forces out.

    Frames of rMD17 are put in the order of the simulation that they are from, those of all files together, and frames
    that occur twice are left out. Raises UserError for everything that a user can mend.
    """
    paths = [Path(files)] if isinstance(files, str | Path) else [Path(file) for file in files]
    if not paths:
        raise UserError("no files", "at least one")
    check_names(length_unit, energy_unit)
    parts = [_read(path, level, length_unit, energy_unit, molecule, use_forces) for path in paths]
    whole = joined_frames(parts if use_forces else [replace(part, forces=None) for part in parts])
    return _weighted(whole, as_weights(weights), stride)


def published_ensemble(
    topology: str | Path | mdtraj.Topology | None,
    files: str | Path | Sequence[str | Path],
    *,
    temperature: float,
    beads: str | Path | Groups | None = None,
    stride: int = 1,
    frame_ps: float | None = None,
    blocks: int = BLOCKS,
    **reading: Any,
) -> Ensemble:
    """The frames of `read_published` (whose options are `reading`) as beads; see `LabelledFrames.ensemble`.

    beads: unless given backbone with a topology, and all atoms without one.
    """
    options = {"stride": stride, "frame_ps": frame_ps, "blocks": blocks}
    frames = read_published(files, stride=stride, **reading)
    return frames.ensemble(temperature, topology=topology, beads=_beads(beads, topology), **options)


def published_split(
    topology: str | Path | mdtraj.Topology | None,
    files: Sequence[str | Path],
    held_out: Sequence[str | Path],
    *,
    temperature: float,
    beads: str | Path | None = None,
    stride: int = 1,
    **reading: Any,
) -> tuple[Ensemble, Ensemble]:
    """Training frames of `files` and those of `held_out`, as the same beads; options as for `published_ensemble`.

    Raises UserError when frames are in both, as far as their places in the simulation are known.
    """
    if reading.get("weights") is not None:
        raise UserError("weights beside held-out files of a data set", "frames of equal weight", "leave them out")
    seen, unseen = (read_published(part, **reading) for part in (files, held_out))
    if seen.place is not None and unseen.place is not None and (both := len(np.intersect1d(seen.place, unseen.place))):
        raise UserError(f"{both} frames of {held_out[0]} are training frames too", "others", "hold out another file")
    atoms = seen.topology() if topology is None else topology
    options = {"topology": atoms, "beads": _beads(beads, topology), "stride": stride}
    return seen.ensemble(temperature, **options), unseen.ensemble(temperature, **options)


def spice_ensembles(
    path: str | Path, names: str | Sequence[str], *, temperature: float, beads: str | Path = "all", **units: str | None
) -> list[Ensemble]:
    """An ensemble for each of the molecules `names` of an HDF5 file like SPICE's; see `read_spice`, for `units` too."""
    return [frames.ensemble(temperature, beads=beads) for frames in read_spice(path, names, **units)]


def _weighted(whole: LabelledFrames, given: Weights | None, stride: int) -> LabelledFrames:
    """The frames of all files in order, with the weights that are given for all of them, or for those that are kept.

    Frames that `stride` leaves out have no weight then. Raises UserError when the numbers do not fit.
    """
    if given is None:
        return in_order(whole)
    values = linear(given.values, given.logarithmic)
    if values.shape == (len(whole),):
        return in_order(replace(whole, weights=values))
    ordered = in_order(whole)
    kept, weights = ordered.kept(stride), np.zeros(len(ordered))
    if values.shape != kept.shape:
        found, expected = f"{len(values)} weights", f"one for each of {len(whole)} frames"
        raise UserError(found, expected, "give the weights of these files")
    weights[kept] = values
    return replace(ordered, weights=weights)


def _beads(beads: str | Path | Groups | None, topology: Any) -> str | Path | Groups:
    return beads or ("all" if topology is None else "backbone")


def _is_spice(path: Path) -> bool:
    return extension(path) in HDF5 and is_spice(path)


def _read(
    path: Path,
    level: str,
    length_unit: str | None,
    energy_unit: str | None,
    molecule: str | None,
    use_forces: bool,
) -> LabelledFrames:
    kind = extension(check_file(path))
    if kind in HDF5:
        return read_spice(path, only_molecule(path, molecule), length_unit, energy_unit)[0]
    if molecule is not None:
        raise UserError(
            f"molecule {molecule!r} of {path.name}", "a file of several, like those of SPICE", "leave it out"
        )
    if kind == ".npz":
        return read_labelled_npz(path, level, length_unit, energy_unit)
    if kind not in XYZ:
        raise UserError(f"data set {path.name}", ".npz, .extxyz, .xyz or .h5", "give a file of one of these formats")
    if level != "dynamics":
        raise UserError(f"level {level!r} for {path.name}", "dynamics, its only one", "leave it out")
    return read_extended_xyz(path, length_unit, energy_unit, use_forces=use_forces)
