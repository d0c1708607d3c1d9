"""Frames of a trajectory file, in chunks, so that memory holds a chunk of atoms at a time."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.errors import UserError
from twofold.files.checks import check_file, extension
from twofold.files.lammps import dump_scale
from twofold.files.quiet import quiet
from twofold.files.whole import check_whole

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    import mdtraj

MMCIF = (".cif", ".mmcif", ".pdbx", ".cif.gz", ".mmcif.gz", ".pdbx.gz")
RESTARTS = (".rst7", ".restrt", ".inpcrd", ".ncrst")
"""Of AMBER; one frame each."""
WITH_TOPOLOGY = (".pdb", ".pdb.gz", *MMCIF, ".gro", ".h5", ".hdf5")
TOPOLOGIES = (*WITH_TOPOLOGY, ".psf", ".prmtop", ".parm7", ".prm7")
LAMMPS = ".lammpstrj"
NANOMETRES = (".xtc", ".trr", ".gro", ".h5", ".hdf5")
"""Formats in nm (HDF5: in the unit that the file names). A dump of LAMMPS is in any unit, others are in angstrom."""
TRAJECTORIES = (
    ".xtc",
    ".trr",
    ".dcd",
    ".nc",
    ".ncdf",
    ".netcdf",
    ".xyz",
    ".xyz.gz",
    LAMMPS,
    ".mdcrd",
    ".crd",
    *RESTARTS,
    *WITH_TOPOLOGY,
)
TIMED = (".xtc", ".trr", ".nc", ".ncdf", ".netcdf", ".h5", ".hdf5", ".gro")
"""Formats that store the time of each frame."""
CHUNK_BYTES = 32 << 20


@dataclass(frozen=True)
class Frames:
    """positions (frames, atoms, 3) float32 nm; time (frames,) ps or None; box (frames, 3, 3) nm or None."""

    positions: np.ndarray
    time: np.ndarray | None
    box: np.ndarray | None


def load_topology(path: str | Path) -> mdtraj.Topology:
    """The topology of a PDB, mmCIF, GRO, PSF, PRMTOP or HDF5 file.

    Raises UserError for a file that is missing, empty, of another kind, or holds no atoms.
    """
    path = check_file(Path(path))
    kind = extension(path)
    if kind not in TOPOLOGIES:
        raise UserError(f"topology {path.name}", f"one of {', '.join(TOPOLOGIES)}", "give a topology, e.g. a PDB")
    if kind in (".h5", ".hdf5"):
        from twofold.files import mdtraj_hdf5

        return mdtraj_hdf5.load_topology(path)
    import mdtraj

    try:
        with quiet():
            topology = mdtraj.load_topology(str(path))
    except Exception as error:  # each format raises what its parser stumbled over
        raise _unreadable(path, "topology", error) from error
    if topology is None or topology.n_atoms == 0:
        raise UserError(f"{path} has no atoms", "a topology with atoms", "check the file")
    return topology


def first_frame(path: Path, topology: mdtraj.Topology, length_unit: str | None = None) -> Frames:
    """The first frame with all atoms. Raises UserError when it has another number of atoms than the topology."""
    with closing(iterate(path, topology, None, 1, chunk=1, length_unit=length_unit)) as frames:
        return next(frames)


def iterate(
    path: Path,
    topology: mdtraj.Topology,
    atoms: np.ndarray | None,
    stride: int,
    chunk: int | None = None,
    *,
    length_unit: str | None = None,
) -> Generator[Frames]:
    """Chunks of every `stride`-th frame of the chosen `atoms` (all when None).

    length_unit: of a dump of LAMMPS; the other formats have theirs. Raises UserError for a file that is missing, empty,
    damaged, cut, of another kind, without frames, or whose unit is not known.
    """
    check_file(path)
    if extension(path) not in TRAJECTORIES:
        raise UserError(f"trajectory {path.name}", f"one of {', '.join(TRAJECTORIES)}, .npy or .npz")
    scale = dump_scale(path, length_unit) if extension(path) == LAMMPS else 1.0
    chunk = chunk or max(1, CHUNK_BYTES // (12 * topology.n_atoms))
    chunks = _chunks(path, topology, stride, chunk)
    count = 0
    with closing(chunks):
        while (frames := _next(path, chunks, topology)) is not None:
            if frames.positions.shape[1] != topology.n_atoms:
                raise _other_atoms(path, frames.positions.shape[1], topology.n_atoms)
            count += len(frames.positions)
            frames = frames if scale == 1.0 else _scaled(frames, scale)
            yield frames if atoms is None else replace(frames, positions=frames.positions[:, atoms])
    if count == 0:
        raise UserError(f"{path} has no frames", "at least one", "check how it was written or copied")
    check_whole(path, count, stride, topology.n_atoms)


def _scaled(frames: Frames, scale: float) -> Frames:
    factor = np.float32(scale)
    return replace(frames, positions=frames.positions * factor, box=None if frames.box is None else frames.box * factor)


def _next(path: Path, chunks: Iterator[Frames], topology: mdtraj.Topology) -> Frames | None:
    try:
        with quiet():
            return next(chunks, None)
    except UserError:
        raise
    except Exception as error:  # mdtraj raises OSError, RuntimeError, ValueError, TypeError and more for damaged files
        if found := re.search(r"xyz must be shape .* You supplied\s+\(\d+, (\d+), 3\)", str(error)):
            raise _other_atoms(path, int(found[1]), topology.n_atoms) from error
        raise _unreadable(path, "trajectory", error) from error


def _chunks(path: Path, topology: mdtraj.Topology, stride: int, chunk: int) -> Generator[Frames]:
    """All atoms, so that a file with another number of atoms is noticed."""
    if extension(path) in (".h5", ".hdf5"):
        from twofold.files import mdtraj_hdf5

        yield from mdtraj_hdf5.iterate(path, stride, chunk)
        return
    import mdtraj

    options: dict[str, Any] = {} if extension(path) in WITH_TOPOLOGY else {"top": topology}
    timed = extension(path) in TIMED
    if extension(path) in (*MMCIF, *RESTARTS):  # which iterload does not know
        parts = iter([mdtraj.load(str(path), **options)[::stride]])
    else:
        parts = mdtraj.iterload(str(path), chunk=chunk, stride=stride, **options)
    for part in parts:
        box = part.unitcell_vectors
        yield Frames(
            positions=part.xyz,
            time=np.array(part.time) if timed else None,
            box=None if box is None or not np.any(box) else box,
        )


def _other_atoms(path: Path, found: int, expected: int) -> UserError:
    return UserError(
        f"{path} has {found} atoms a frame", f"{expected}, as the topology has", "give the topology that belongs to it"
    )


def _unreadable(path: Path, kind: str, error: Exception) -> UserError:
    return UserError(
        f"{path} cannot be read as a {kind} of format {extension(path)} ({type(error).__name__}: {error})",
        "a whole file of that format",
        "check how it was written or copied; a truncated file has to be repaired or cut first",
    )
