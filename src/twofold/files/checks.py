"""Checks that come before a file is read."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from twofold.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE = 1 << 20


def extension(path: Path) -> str:
    """Lower-case extension, ".pdb.gz" as one."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return "".join(suffixes[-2:]) if suffixes[-1:] == [".gz"] else "".join(suffixes[-1:])


def check_file(path: Path) -> Path:
    """`path`, if it is a file that holds something and may be read. Raises UserError otherwise."""
    if path.is_dir():
        raise UserError(f"{path} is a folder", "a file", "name the file in it")
    if not path.exists():
        raise UserError(f"no file {path}", "a file that exists", "check the name")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except PermissionError as error:
        raise UserError(f"no permission to read {path}", "", "change the permissions") from error
    if empty:
        raise UserError(f"{path} is empty", "a file with data", "check how it was written or copied")
    return path


def fingerprint(path: Path) -> str:
    """Hexadecimal SHA-256 of the size, the first and the last MiB of a file: tells files apart without reading them."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(SAMPLE))
        file.seek(max(size - SAMPLE, 0))
        digest.update(file.read(SAMPLE))
    return digest.hexdigest()
