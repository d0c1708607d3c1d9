"""Whether a trajectory ends where a frame ends: of a file that was cut MDTraj often leaves out the rest in silence."""

from __future__ import annotations

import gzip
import struct
from typing import TYPE_CHECKING

from twofold.errors import UserError
from twofold.files.checks import extension

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = 1 << 24
COPY = "copy it again, or cut it after a whole frame"


def check_whole(path: Path, count: int, stride: int, atoms: int) -> None:
    """Raises UserError for a trajectory that ends before the last frame that it began or announced.

    count: frames that were read, every `stride`-th; atoms: of a frame. Formats whose readers notice it themselves are
    not looked at.
    """
    if extension(path) == ".dcd":
        _check_header(path, count * stride)
    elif (sizes := _lines_of_frames(extension(path), atoms)) is not None:
        _check_lines(path, count, stride, *sizes)


def _check_header(path: Path, frames: int) -> None:
    """The header of a DCD announces its frames."""
    with path.open("rb") as file:
        header = file.read(12)
    order = "<" if header[:4] == struct.pack("<i", 84) else ">"
    announced = struct.unpack(order + "i", header[8:12])[0] if header[:4] == struct.pack(order + "i", 84) else 0
    if announced > frames:
        raise UserError(f"{path} ends after {frames} of {announced} frames", "a whole file", "copy it again")


def _lines_of_frames(kind: str, atoms: int) -> tuple[int, tuple[int, ...]] | None:
    """Lines of a format before the first frame, and of each frame (without and with a box); None for other formats."""
    rows = -(-3 * atoms // 10)
    return {
        ".xyz": (0, (atoms + 2,)),
        ".xyz.gz": (0, (atoms + 2,)),
        ".gro": (0, (atoms + 3,)),
        ".lammpstrj": (0, (atoms + 9,)),
        ".mdcrd": (1, (rows, rows + 1)),
        ".crd": (1, (rows, rows + 1)),
    }.get(kind)


def _check_lines(path: Path, count: int, stride: int, before: int, sizes: tuple[int, ...]) -> None:
    lines, ended = _lines(path)
    frames = [(lines - before) / size for size in sizes]
    if not any(number.is_integer() and -(-number // stride) == count for number in frames):
        raise UserError(f"{path} ends at line {lines}, within a frame", "a whole file", COPY)
    if not ended:
        raise UserError(f"{path} ends within line {lines}", "a line break at its end", f"if it was cut, {COPY}")


def _lines(path: Path) -> tuple[int, bool]:
    """Number of lines, with the last one even if it is not ended, and whether that is."""
    lines, last = 0, b""
    with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
        while block := file.read(BLOCK):
            lines, last = lines + block.count(b"\n"), block[-1:]
    return lines + (last != b"\n"), last == b"\n"
