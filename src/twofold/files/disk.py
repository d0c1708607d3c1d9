"""Space on the disk, asked for before it is needed."""

from __future__ import annotations

import os
from pathlib import Path

from twofold.errors import UserError
from twofold.files.atomic import NO_SPACE


def check_space(path: Path, needed: int) -> None:
    """Raises UserError when the disk of `path` has not `needed` bytes free."""
    import shutil

    free = shutil.disk_usage(path.parent).free
    if free < needed:
        raise UserError(
            f"{_in_words(free)} free for {path}",
            f"{_in_words(needed)}, the size of the record",
            "record fewer frames, free some space or write elsewhere",
        )


def _in_words(size: int) -> str:
    """Bytes for people: "1.2 GB"."""
    unit, factor = ("GB", 1e9) if size >= 1e9 else ("MB", 1e6) if size >= 1e6 else ("kB", 1e3)
    return f"{size / factor:.3g} {unit}"


def reserve(path: Path) -> None:
    """Has the file system give the holes of a file their space. Raises OSError when the disk has not enough."""
    if not hasattr(os, "posix_fallocate"):
        return
    with path.open("rb+") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError as error:  # a file system that cannot is no reason to stop
            if error.errno in NO_SPACE:
                raise
