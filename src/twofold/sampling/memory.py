"""How many conformations memory holds at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

SHARE = 0.5
"""Of the free memory, that a batch may take; compilers lay out arrays better than this estimate has it."""


def batch_that_fits(function: Callable[[Any], Any], one: Any, *, most: int, least: int) -> int:
    """How many copies of `one` array `function` may be given at once, stacked: `most`, or that halved until they fit.

    `least` at least; `most` where the free memory is not known.
    """
    free = free_bytes()
    if free is None:
        return most

    def needed(batch: int) -> int:
        return peak_bytes(jax.make_jaxpr(function)(jax.ShapeDtypeStruct((batch, *one.shape), one.dtype)).jaxpr)

    batch = most
    while batch > least and needed(batch) > SHARE * free:
        batch = max(least, batch // 2)
    return batch


def peak_bytes(jaxpr: Any) -> int:
    """Most bytes that are alive at once, beside its arguments, if a jaxpr is worked off equation by equation."""
    last = {id(variable): place for place, equation in enumerate(jaxpr.eqns) for variable in equation.invars}
    kept = {id(variable) for variable in jaxpr.outvars}
    live: dict[int, int] = {}
    total = peak = 0
    for place, equation in enumerate(jaxpr.eqns):
        within = max((peak_bytes(inner) for inner in _inner(equation)), default=0)
        for variable in equation.outvars:
            live[id(variable)] = _size(variable)
            total += live[id(variable)]
        peak = max(peak, total + within)
        for variable in (*equation.invars, *equation.outvars):
            name = id(variable)
            if name in live and name not in kept and last.get(name, -1) <= place:
                total -= live.pop(name)
    return peak


def _size(variable: Any) -> int:
    shape = getattr(variable.aval, "shape", ())
    kind = getattr(variable.aval, "dtype", None)
    return int(np.prod(shape, dtype=np.int64)) * getattr(kind, "itemsize", 4)


def _inner(equation: Any) -> Iterator[Any]:
    """Jaxprs that an equation works off: bodies of loops, branches, compiled functions."""
    for value in equation.params.values():
        for part in value if isinstance(value, tuple | list) else (value,):
            inner = getattr(part, "jaxpr", part)
            if hasattr(inner, "eqns"):
                yield inner


def free_bytes() -> int | None:
    """Free memory of the default device in bytes, or None where that is not known."""
    stats = jax.local_devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    memory = main_memory()
    return memory and memory[0]


def main_memory() -> tuple[int, int] | None:
    """Bytes of main memory that are available, and of all; None where Linux does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return 1024 * kib["MemAvailable"], 1024 * kib["MemTotal"]
