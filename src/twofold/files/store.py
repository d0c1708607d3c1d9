"""Data sets on disk: a sequence of ensembles in one HDF5 file, with units and a format version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.beads import Beads
from twofold.ensemble import Ensemble
from twofold.errors import UserError
from twofold.files.atomic import atomic_path
from twofold.files.hdf5 import new_hdf5
from twofold.units import MD_UNITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import h5py

FORMAT = "twofold ensembles"
VERSION = 1
BEAD_UNITS = {"masses": MD_UNITS["mass"], "charges": MD_UNITS["charge"], "bonds": "", "residue_ids": "", "chains": ""}
FRAME_UNITS = {
    "positions": MD_UNITS["length"],
    "weights": "",
    "trajectory": "",
    "block": "",
    "forces": f"{MD_UNITS['energy']}/{MD_UNITS['length']}",
    "box": MD_UNITS["length"],
    "energies": MD_UNITS["energy"],
}


def write_ensembles(path: str | Path, ensembles: Ensemble | Sequence[Ensemble], *, overwrite: bool = False) -> None:
    """Writes a data set; `read_ensembles` gives back every array to the bit.

    Raises UserError when `path` exists (unless `overwrite`), cannot be written, or the disk is full.
    """
    ensembles = [ensembles] if isinstance(ensembles, Ensemble) else list(ensembles)
    if not ensembles:
        raise UserError("no ensembles to write", "at least one")
    with atomic_path(path, overwrite=overwrite) as temporary, new_hdf5(temporary) as file:
        file.attrs["format"] = FORMAT
        file.attrs["version"] = VERSION
        file.attrs["units"] = json.dumps(MD_UNITS)
        for number, ensemble in enumerate(ensembles):
            _write_ensemble(file.create_group(f"ensemble_{number:04d}"), ensemble)


def read_ensembles(path: str | Path) -> list[Ensemble]:
    """The data set at `path`. Raises UserError for a file that is missing, damaged, of another kind or version."""
    import h5py

    path = Path(path)
    if not path.is_file():
        raise UserError(f"no file {path}", "a data set that twofold wrote", "check the name")
    try:
        with h5py.File(path, "r") as file:
            _check_format(file, path)
            return [_read_ensemble(file[name]) for name in sorted(file)]
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} cannot be read as a data set ({error})", "an HDF5 file that twofold wrote", "write it again"
        ) from error


def is_store(path: str | Path) -> bool:
    """Whether `path` is a data set that twofold wrote (of any version)."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return file.attrs.get("format") == FORMAT
    except OSError:
        return False


def _check_format(file: h5py.File, path: Path) -> None:
    if file.attrs.get("format") != FORMAT:
        raise UserError(
            f"{path} is an HDF5 file of another kind", "a data set that twofold wrote", "make one with twofold prepare"
        )
    if file.attrs.get("version") != VERSION:
        raise UserError(
            f"{path} has format version {file.attrs.get('version')}",
            f"version {VERSION}",
            "write it again with this twofold",
        )


def _write_ensemble(group: h5py.Group, ensemble: Ensemble) -> None:
    import h5py

    text = h5py.string_dtype("utf-8")
    beads = group.create_group("beads")
    for name in ("names", "types", "residue_names"):
        beads.create_dataset(name, data=list(getattr(ensemble.beads, name)), dtype=text)
    for name, unit in BEAD_UNITS.items():
        beads.create_dataset(name, data=getattr(ensemble.beads, name)).attrs["unit"] = unit
    for name, unit in FRAME_UNITS.items():
        if (array := getattr(ensemble, name)) is not None:
            group.create_dataset(name, data=array).attrs["unit"] = unit
    group.attrs["temperature_K"] = ensemble.temperature
    if ensemble.frame_ps is not None:
        group.attrs["frame_ps"] = ensemble.frame_ps
    group.create_dataset("source", data=json.dumps(ensemble.source), dtype=text)


def _read_ensemble(group: Any) -> Ensemble:
    beads = group["beads"]
    names = {name: tuple(beads[name].asstr()[()]) for name in ("names", "types", "residue_names")}
    arrays = {name: np.asarray(beads[name]) for name in BEAD_UNITS}
    frames: dict[str, Any] = {name: np.asarray(group[name]) for name in FRAME_UNITS if name in group}
    return Ensemble(
        beads=Beads.from_dict({**names, **arrays}),
        temperature=float(group.attrs["temperature_K"]),
        frame_ps=float(group.attrs["frame_ps"]) if "frame_ps" in group.attrs else None,
        source=json.loads(group["source"].asstr()[()]),
        **frames,
    )
