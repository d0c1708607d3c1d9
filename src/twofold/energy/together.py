"""How many systems are worked on together: what a cache holds on a CPU, what keeps an accelerator busy.

What pairs of particles tell each other is far more than what is known of the particles. Of many systems at once it does
not fit into a cache, and a CPU waits for its memory.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import Array

AT_ONCE = {"cpu": 1 << 12}
"""Entries in tables of partners that a core works on. Scores of 55 particles, whose table has 3025, one after the other
take a third of the time that those of 32 systems at once take."""
AT_ONCE_ELSEWHERE = 1 << 22
"""On an accelerator."""


def together(entries: int) -> int:
    """Systems at a time with so many entries each in their tables; no limit where they have none."""
    if not entries:
        return sys.maxsize
    backend = jax.default_backend()
    limit = AT_ONCE.get(backend, AT_ONCE_ELSEWHERE) * (_cores() if backend == "cpu" else 1)
    return max(1, limit // entries)


def over(function: Callable[..., Any], arguments: tuple[Any, ...], entries: int) -> Any:
    """`jax.vmap(function)(*arguments)`, as many members of the arguments together as `together` says."""
    at_once, members = together(entries), len(jax.tree.leaves(arguments)[0])
    if at_once >= members:
        return jax.vmap(function)(*arguments)

    def one(member: tuple[Any, ...]) -> Array:
        return function(*member)

    return jax.lax.map(one, arguments, batch_size=at_once if at_once > 1 else None)


def _cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
