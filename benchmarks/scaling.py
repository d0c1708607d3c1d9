"""Cost of the energy of particles: time and memory of a force over the number of particles, and what padding costs.

    MALLOC_MMAP_THRESHOLD_=8000000000 MALLOC_TRIM_THRESHOLD_=16000000000 \\
        python benchmarks/scaling.py --rounds 15 --write benchmarks/scaling.md

Particles at fixed density in a periodic box, with a cut-off of 1.9 times the spacing, half of the smallest box, and an
untrained network. A step of dynamics with lists is a list and a force. A figure of both is written beside the page.
"""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import tyro
from common import command_line, header, publish, table

from twofold.energy.buckets import Bucket
from twofold.energy.mixed import buckets_of, over_batch, padded, score_of
from twofold.energy.neighbours import layout, neighbours
from twofold.energy.pairs import Particles
from twofold.energy.particles import ParticleEnergy

CUTOFF = 1.9
LARGE = 250
"""Particles from which on a box holds more cells than a particle sees: cost should be linear from there."""
SIGMA = jnp.float32(0.1)
KEEPING = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
"""Variables by which glibc can be told to keep arrays above 32 MB, which it else fetches anew for each call."""
Row = tuple[int, float, float, float]


def main(
    sizes: tuple[int, ...] = (55, 125, 250, 500, 1000, 2000),
    mixed: tuple[int, ...] = (13, 22, 55, 80, 125, 250),
    copies: int = 4,
    rounds: int = 7,
    write: Path | None = None,
) -> None:
    """Run the benchmark and print its tables."""
    kept = [f"{name}={os.environ[name]}" for name in KEEPING if name in os.environ]
    lines = header("Cost of an energy of particles", " ".join([*kept, command_line()]))
    rows = [row(count, rounds) for count in sizes]
    first = rows[0]
    cells = [
        (
            count,
            f"{1000 * made:.2f}",
            f"{1000 * force:.2f}",
            f"{1e6 * (made + force) / count:.1f}",
            f"{(made + force) / count / ((first[1] + first[2]) / first[0]):.2f}",
            f"{memory / count / 1024:.0f}",
        )
        for count, made, force, memory in rows
    ]
    large = [(np.log(count), np.log(made + force)) for count, made, force, _ in rows if count >= LARGE]
    logs = np.array(large).reshape(-1, 2)
    power = np.polyfit(logs[:, 0], logs[:, 1], 1)[0] if len(large) > 1 else float("nan")
    columns = ("particles", "list, ms", "force, ms", "µs a particle", "over that of the first", "kB a particle")
    lines += [
        f"Width 32, two rounds of messages, cut-off {CUTOFF:g} times the mean spacing. Medians of {rounds}. From "
        f"{LARGE} particles on the time grows with the power {power:.2f} of their number. Memory is that of the list "
        "or of the force, whichever is larger. This is the energy with lists; `twofold fit` and `simulate` let all "
        "particles see all, as is best for the small systems that they are for.",
        "",
        *table(columns, cells),
        *drawn(rows, write),
        *padding(mixed, copies, rounds),
    ]
    publish(lines, write)


def drawn(rows: list[Row], write: Path | None) -> list[str]:
    """A figure beside the page, of time and memory over the number of particles, and the line that shows it."""
    if write is None:
        return []
    import matplotlib

    matplotlib.use("svg")
    # text stays text, and the file is the same for the same numbers
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "scaling", "font.size": 9})
    from matplotlib import pyplot

    counts = np.array([count for count, *_ in rows])
    panels = {
        "time of a step, ms": [1000 * (made + force) for _, made, force, _ in rows],
        "memory of a step, MB": [memory / 1e6 for *_, memory in rows],
    }
    figure, axes = pyplot.subplots(1, 2, figsize=(7.2, 3.0), layout="constrained")
    for axis, (label, values) in zip(axes, panels.items(), strict=True):
        axis.loglog(counts, values, "o-", color="#1f5fa8", label="measured")
        # small boxes hold fewer partners than the cut-off reaches: the line is drawn through the largest
        axis.loglog(counts, values[-1] * counts / counts[-1], "--", color="#888888", label="slope one")
        axis.set(xlabel="particles", ylabel=label)
        axis.set_xticks(counts, [str(count) for count in counts])
        axis.minorticks_off()
        axis.legend(frameon=False)
    figure.savefig(write.with_suffix(".svg"), metadata={"Date": None})
    pyplot.close(figure)
    name = write.with_suffix(".svg").name
    return [f"![Time of a step and memory over the number of particles, and the line of slope one]({name})", ""]


def fluid(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Positions (count, 3) at one particle in a unit of volume, on a shaken lattice, and the edges of their box."""
    side = int(np.ceil(count ** (1 / 3)))
    edge = count ** (1 / 3)
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), -1).reshape(-1, 3)
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(grid), count, replace=False)
    x = (grid[chosen] + 0.5 + 0.1 * rng.standard_normal((count, 3))) * edge / side
    return x.astype(np.float32), np.full(3, edge, np.float32)


def energy_of(key: int = 0) -> ParticleEnergy:
    """An energy of one type of particles, with a readout of which no part can be left out."""
    energy = ParticleEnergy.build(
        np.zeros(1, int), np.full((1, 1), 0.8), jax.random.key(key), width=32, depth=2, cutoff=CUTOFF
    )
    readout = jax.random.normal(jax.random.key(key + 1), energy.readout.shape)
    return eqx.tree_at(lambda one: one.readout, energy, readout)


def row(count: int, rounds: int) -> Row:
    """Number, seconds for a list, seconds for a force, bytes that they need beside their arguments."""
    x, edges = fluid(count)
    room, box, energy = layout(x, CUTOFF, edges), jnp.asarray(edges), energy_of()
    positions = jnp.asarray(x)
    listing = jax.jit(lambda x: neighbours(x, CUTOFF, room, box)).lower(positions).compile()
    found = listing(positions)
    assert bool(found.complete)

    def force(energy: ParticleEnergy, x: jax.Array, index: jax.Array) -> jax.Array:
        particles = Particles(jnp.zeros(count, int), jnp.ones(count, bool), index, box)
        return jax.grad(energy.energy, argnums=1)(particles, x, SIGMA)

    compiled = eqx.filter_jit(force).lower(energy, positions, found.index).compile()
    memory: list[Any] = [listing.memory_analysis(), compiled.compiled.memory_analysis()]
    made = timed(lambda: listing(positions), rounds)
    took = timed(lambda: compiled(energy, positions, found.index), rounds)
    return count, made, took, max(one.temp_size_in_bytes for one in memory)


def timed(run: Callable[[], Any], rounds: int) -> float:
    """Median seconds, after one call that is not counted."""
    jax.block_until_ready(run())
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        jax.block_until_ready(run())
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def padding(mixed: tuple[int, ...], copies: int, rounds: int) -> list[str]:
    """Forces of systems of several sizes over the sum of those of each size alone: one batch, and buckets."""
    sizes = [count for count in mixed for _ in range(copies)]
    found = [(name, *over_alone(sizes, listed, rounds)) for name, listed in (("all see all", False), ("lists", True))]
    rows = [
        (name, f"{alone:.1f}", f"{together / alone:.2f}", f"{bucketed / alone:.2f}", shapes)
        for name, alone, together, bucketed, shapes in found
    ]
    columns = ("partners", "each size alone, ms", "all in one batch, times that", "in buckets, times that", "buckets")
    return [
        f"Systems of {', '.join(map(str, mixed))} particles in free space, {copies} of each. What filling up costs:",
        "",
        *table(columns, rows),
    ]


def over_alone(sizes: list[int], listed: bool, rounds: int) -> tuple[float, float, float, str]:
    """Milliseconds of forces without filling up, in one batch, and in buckets; the sizes of the buckets."""
    clouds = [jnp.asarray(fluid(count, seed)[0]) for seed, count in enumerate(sizes)]
    systems = [Particles(jnp.zeros(count, int), jnp.ones(count, bool)) for count in sizes]
    if listed:
        rooms = {count: layout(np.asarray(x), CUTOFF) for count, x in zip(sizes, clouds, strict=True)}
        lists = [neighbours(x, CUTOFF, rooms[len(x)]) for x in clouds]
        assert all(bool(one.complete) for one in lists)
        systems = [one._replace(neighbours=found.index) for one, found in zip(systems, lists, strict=True)]
    energy = energy_of()

    def milliseconds(chosen: list[Bucket]) -> float:
        batches = [(*padded(systems, clouds, bucket), jnp.full(len(bucket.members), SIGMA)) for bucket in chosen]
        run = [partial(over_batch, score_of, energy, *batch) for batch in batches]
        return sum(1000 * timed(one, rounds) for one in run)

    chosen = buckets_of(systems)
    alone, together = (milliseconds(buckets_of(systems, bound)) for bound in (1.0, math.inf))
    return alone, together, milliseconds(chosen), ", ".join(f"{len(one.members)} of {one.size}" for one in chosen)


if __name__ == "__main__":
    tyro.cli(main)
