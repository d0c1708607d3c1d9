"""Silence for C libraries that print while they read."""

from __future__ import annotations

import ctypes
import os
import sys
import warnings
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def quiet() -> Iterator[None]:
    """Sends what is written to file descriptors 1 and 2 to nowhere, and ignores warnings.

    For the few calls into readers that print from C; Python's own streams are flushed before.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    flush_c()
    saved = [os.dup(1), os.dup(2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        flush_c()
        for number, copy in enumerate(saved, start=1):
            os.dup2(copy, number)
            os.close(copy)
        os.close(nowhere)


def flush_c() -> None:
    """Flushes the buffers of the C library, where its own prints wait."""
    with suppress(Exception):
        ctypes.CDLL(None).fflush(None)
