"""Trajectories of beads for other programs: XTC or DCD, with a PDB of the beads beside it under the same name."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.beads import Beads
from twofold.errors import UserError
from twofold.files.atomic import check_target, publish, temporary_beside, write_text, writing
from twofold.files.frames import iterate
from twofold.files.quiet import quiet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType


SUFFIXES = (".xtc", ".dcd")
CHAIN_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
ANGSTROM = 10.0  # in one nm


class TrajectoryWriter:
    """Writes frames in chunks to `path` (.xtc or .dcd), and a PDB of the beads beside it.

    Memory does not grow with the number of frames. Both files appear under their names when the writer is closed; after
    an error inside the `with` block neither does. XTC stores positions to 0.001 nm for ten beads or more (exactly for
    fewer), and times; DCD stores them in single precision, without times.

    Raises UserError for another extension, files that exist (unless `overwrite`), or a full disk.
    """

    def __init__(self, path: str | Path, beads: Beads, *, overwrite: bool = False) -> None:
        self.path = check_suffix(path)
        self.topology_path = self.path.with_suffix(".pdb")
        self.beads = beads
        self.frames = 0
        self._overwrite = overwrite
        for target in (self.path, self.topology_path):
            check_target(target, overwrite=overwrite)
        self._temporary = temporary_beside(self.path)
        self._first: np.ndarray | None = None
        with writing(self.path):
            self._temporary.touch()
            self._file = _open(self._temporary, "w")

    def write(self, positions: np.ndarray, time_ps: np.ndarray | None = None, box: np.ndarray | None = None) -> None:
        """Appends frames. positions: (frames, beads, 3), nm; time_ps: (frames,); box: (frames, 3, 3) or (3, 3), nm."""
        positions = np.ascontiguousarray(positions, dtype=np.float32)
        if positions.ndim != 3 or positions.shape[1:] != (len(self.beads), 3):
            raise UserError(f"positions of shape {positions.shape}", f"(frames, {len(self.beads)}, 3)")
        if len(positions) == 0:
            return
        if self.path.suffix.lower() == ".xtc" and not np.isfinite(positions).all():
            bad = int((~np.isfinite(positions).all((1, 2))).sum())
            raise UserError(
                f"{bad} frames that are not finite, which XTC cannot hold", "finite positions", "write a .dcd instead"
            )
        if self._first is None or not np.isfinite(self._first).all():
            self._first = positions[int(np.argmax(np.isfinite(positions).all((1, 2))))].copy()
        time = np.arange(self.frames, self.frames + len(positions)) if time_ps is None else time_ps
        if box is not None:
            box = np.broadcast_to(np.asarray(box, dtype=np.float32), (len(positions), 3, 3))
        with writing(self.path), _whole(self.path):
            _append(self._file, self.path.suffix, positions, np.asarray(time, dtype=np.float32), box, self.frames)
        self.frames += len(positions)

    def close(self) -> None:
        """Finishes both files. Raises UserError when no frame was written or the disk is full."""
        if self._file is None:
            return
        try:
            with writing(self.path):
                self._file.close()
                if self._first is None:
                    raise UserError(f"no frames for {self.path}", "at least one")
                self._check_complete()
                write_pdb(self.topology_path, self._first, self.beads, overwrite=self._overwrite)
                publish(self._temporary, self.path)
        finally:
            self.discard()

    def discard(self) -> None:
        """Leaves without writing the files; does nothing after `close`."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self._temporary.unlink(missing_ok=True)

    def _check_complete(self) -> None:
        # The C libraries do not report that the last buffer did not fit on the disk.
        with _whole(self.path), _open(self._temporary, "r") as file:
            if len(file) != self.frames:
                raise ValueError("frames are missing")

    def __enter__(self) -> TrajectoryWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.discard()


def write_trajectory(
    path: str | Path,
    positions: np.ndarray,
    beads: Beads,
    time_ps: np.ndarray | None = None,
    box: np.ndarray | None = None,
    *,
    overwrite: bool = False,
) -> None:
    """Writes positions (frames, beads, 3) in nm as XTC or DCD, with a PDB beside it. See `TrajectoryWriter`."""
    with TrajectoryWriter(path, beads, overwrite=overwrite) as writer:
        writer.write(positions, time_ps, box)


def read_positions(path: str | Path, beads: Beads | int) -> np.ndarray:
    """Positions (frames, beads, 3) float32, nm, of a trajectory of beads (XTC, DCD, PDB and others).

    Raises UserError for a file that is missing, damaged, or of another number of beads.
    """
    topology = (Beads.anonymous(beads) if isinstance(beads, int) else beads).topology()
    return np.concatenate([frames.positions for frames in iterate(Path(path), topology, None, 1)])


def write_pdb(
    path: str | Path, positions: np.ndarray, beads: Beads, box: np.ndarray | None = None, *, overwrite: bool = False
) -> None:
    """Writes one frame (beads, 3) in nm as PDB, with a CONECT record for every bond.

    Positions are centred, because the format has no room for large coordinates.
    """
    write_text(path, pdb_text(positions, beads, box), overwrite=overwrite)


def pdb_text(positions: np.ndarray, beads: Beads, box: np.ndarray | None = None) -> str:
    """The PDB file (format 3.3) of one frame (beads, 3) in nm, centred."""
    place = np.asarray(positions, dtype=np.float64)
    place = np.nan_to_num((place - place.mean(axis=0)) * ANGSTROM)
    lines = ["REMARK   1 BEADS WRITTEN BY TWOFOLD"]
    if box is not None:
        lengths, angles = box_lengths_angles(np.asarray(box, dtype=np.float64)[None])
        a, b, c = lengths[0] * ANGSTROM
        alpha, beta, gamma = angles[0]
        lines.append(f"CRYST1{a:9.3f}{b:9.3f}{c:9.3f}{alpha:7.2f}{beta:7.2f}{gamma:7.2f} P 1           1")
    elements = beads.elements()
    serial, serials = 0, []
    for bead in range(len(beads)):
        if bead and beads.chains[bead] != beads.chains[bead - 1]:
            serial += 1
            lines.append(f"TER   {serial % 100000:5d}")
        serial += 1
        serials.append(serial % 100000)
        lines.append(_atom_line(serials[-1], bead, beads, place[bead], elements[bead]))
    lines.append(f"TER   {(serial + 1) % 100000:5d}")
    lines += [f"CONECT{serials[i]:5d}{serials[j]:5d}" for i, j in beads.bonds]
    return "\n".join([*lines, "END", ""])


def _atom_line(serial: int, bead: int, beads: Beads, place: np.ndarray, element: str) -> str:
    name = beads.names[bead][:4]
    name = name if len(name) == 4 or len(element) == 2 else f" {name}"
    residue, number = beads.residue_names[bead][:3], int(beads.residue_ids[bead]) % 10000
    chain = CHAIN_LETTERS[int(beads.chains[bead]) % len(CHAIN_LETTERS)]
    x, y, z = place
    return (
        f"ATOM  {serial:5d} {name:<4s} {residue:>3s} {chain}{number:4d}    "
        f"{x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00          {element:>2s}"
    )


def box_lengths_angles(box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lengths (frames, 3) in nm and angles alpha, beta, gamma (frames, 3) in degrees of boxes (frames, 3, 3)."""
    lengths = np.linalg.norm(box, axis=-1)
    unit = box / lengths[..., None]
    cosines = [np.sum(unit[:, i] * unit[:, j], axis=-1) for i, j in ((1, 2), (0, 2), (0, 1))]
    return lengths, np.degrees(np.arccos(np.clip(np.stack(cosines, axis=-1), -1.0, 1.0)))


def check_suffix(path: str | Path) -> Path:
    """`path`, if it names an XTC or DCD file. Raises UserError otherwise."""
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"trajectory {path.name}", "a name that ends in .xtc or .dcd", "rename it")
    return path


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """Keeps the C libraries from printing, and turns the odd errors that they end in into one line."""
    try:
        with quiet():
            yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{path} could not be written wholly", "", "check that the disk is not full") from error


def _open(path: Path, mode: str) -> Any:
    from mdtraj.formats import DCDTrajectoryFile, XTCTrajectoryFile

    kind = DCDTrajectoryFile if path.suffix.lower() == ".dcd" else XTCTrajectoryFile
    return kind(str(path), mode)


def _append(
    file: Any, suffix: str, positions: np.ndarray, time: np.ndarray, box: np.ndarray | None, start: int
) -> None:
    if suffix.lower() == ".dcd":
        cell = {}
        if box is not None:
            lengths, angles = box_lengths_angles(box)
            cell = {"cell_lengths": (lengths * ANGSTROM).astype(np.float32), "cell_angles": angles.astype(np.float32)}
        file.write(positions * np.float32(ANGSTROM), **cell)
        return
    step = np.arange(start, start + len(positions), dtype=np.int32)
    # Without a box the library would write one of 1 nm; zeros mean none.
    file.write(
        positions, time=time, step=step, box=np.zeros((len(positions), 3, 3), np.float32) if box is None else box
    )
