"""Cost of the energy of particles: time and memory of a force over the number of particles, and what padding costs.

    python benchmarks/scaling.py --write benchmarks/scaling.md

Particles at fixed density in a periodic box, with a cut-off of 2.5 times the spacing and an untrained network.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from common import command_line, header, publish, table

from twofold.energy.neighbours import layout, neighbours
from twofold.energy.particles import ParticleEnergy, Particles

CUTOFF = 2.5
SIGMA = jnp.float32(0.1)


def main(
    sizes: tuple[int, ...] = (55, 125, 250, 500, 1000, 2000),
    mixed: tuple[int, ...] = (55, 80, 100, 125),
    rounds: int = 7,
    write: Path | None = None,
) -> None:
    """Run the benchmark and print its tables."""
    lines = header("Cost of an energy of particles", command_line())
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
    columns = ("particles", "list, ms", "force, ms", "µs a particle", "over that of the first", "kB a particle")
    lines += [
        f"Width 32, two rounds of messages, cut-off {CUTOFF:g} times the mean spacing. Medians of {rounds}.",
        "",
        *table(columns, cells),
        padding(mixed, rounds),
        "",
    ]
    publish(lines, write)


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
    """An energy of one type of particles."""
    return ParticleEnergy.build(
        np.zeros(1, int), np.full((1, 1), 0.8), jax.random.key(key), width=32, depth=2, cutoff=CUTOFF
    )


def row(count: int, rounds: int) -> tuple[int, float, float, float]:
    """Number, seconds for a list, seconds for a force, bytes that the force needs beside its arguments."""
    x, edges = fluid(count)
    room, box, energy = layout(x, CUTOFF, edges), jnp.asarray(edges), energy_of()
    listing = jax.jit(lambda x: neighbours(x, CUTOFF, room, box))
    found = listing(jnp.asarray(x))
    assert bool(found.complete)

    def force(x: jax.Array, index: jax.Array) -> jax.Array:
        particles = Particles(jnp.zeros(count, int), jnp.ones(count, bool), index, box)
        return jax.grad(energy.energy, argnums=1)(particles, x, SIGMA)

    compiled = jax.jit(force).lower(jnp.asarray(x), found.index).compile()
    memory: Any = compiled.memory_analysis()
    made = timed(lambda: listing(jnp.asarray(x)), rounds)
    return count, made, timed(lambda: compiled(jnp.asarray(x), found.index), rounds), memory.temp_size_in_bytes


def timed(run: Callable[[], Any], rounds: int) -> float:
    """Median seconds, after one call that is not counted."""
    jax.block_until_ready(run())
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        jax.block_until_ready(run())
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def padding(mixed: tuple[int, ...], rounds: int) -> str:
    """Forces of systems of several sizes in one padded batch, over the sum of those of each size alone."""
    most, energy = max(mixed), energy_of()

    def one(x: jax.Array, real: jax.Array) -> jax.Array:
        return jax.grad(energy.energy, argnums=1)(Particles(jnp.zeros(most, int), real), x, SIGMA)

    x = np.zeros((len(mixed), most, 3), np.float32)
    for place, count in enumerate(mixed):
        x[place, :count] = fluid(count)[0]
    real = jnp.arange(most) < jnp.asarray(mixed)[:, None]
    batch = jax.jit(jax.vmap(one))
    together = timed(lambda: batch(jnp.asarray(x), real), rounds)
    apart = 0.0
    for count in mixed:
        alone = jax.jit(
            lambda y, n=count: jax.grad(energy.energy, argnums=1)(
                Particles(jnp.zeros(n, int), jnp.ones(n, bool)), y, SIGMA
            )
        )
        y = jnp.asarray(fluid(count)[0])
        apart += timed(lambda alone=alone, y=y: alone(y), rounds)
    sizes = ", ".join(map(str, mixed))
    return f"Systems of {sizes} particles in one padded batch: {together / apart:.2f} times the sum of each alone."


if __name__ == "__main__":
    tyro.cli(main)
