"""How many systems are worked on together: what a cache holds on a CPU, all that there are on an accelerator.

What pairs of particles tell each other is far more than what is known of the particles. Of many systems at once it does
not fit into a cache, and a CPU waits for its memory.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import jax

ENTRIES = 1 << 12
"""In tables of partners that a core works on. Scores of 55 particles, whose table has 3025, take half of the time that
many at once take, on one core less (benchmarks/together.md)."""
CORES = 8
"""That count, at most. Sums round differently in parts of another size: these must be the same at every resume, however
many cores of a large machine a process gets, and be few where it gets one."""


def together(entries: int, elsewhere: int = sys.maxsize) -> int:
    """Systems at a time with so many entries each in their tables; no limit where they have none.

    elsewhere: entries that an accelerator works on.
    """
    if not entries:
        return sys.maxsize
    limit = ENTRIES * min(CORES, os.cpu_count() or 1) if jax.default_backend() == "cpu" else elsewhere
    return max(1, limit // entries)


def part_size(members: int, at_once: int) -> int:
    """Members of a part: `at_once` at most, without a rest if that does not take twice as many parts."""
    if at_once >= members:
        return members
    even = max(size for size in range(1, at_once + 1) if members % size == 0)
    return even if 2 * even > at_once else at_once


def over(function: Callable[..., Any], arguments: tuple[Any, ...], entries: int, elsewhere: int = sys.maxsize) -> Any:
    """`jax.vmap(function)(*arguments)`, as many members of the arguments together as `together` says."""
    members = len(jax.tree.leaves(arguments)[0])
    size = part_size(members, together(entries, elsewhere))
    if size == members:
        return jax.vmap(function)(*arguments)

    def one(member: tuple[Any, ...]) -> Any:
        return function(*member)

    return jax.lax.map(one, arguments, batch_size=size if size > 1 else None)
