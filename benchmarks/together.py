"""What it gains on a CPU to work on as few frames of particles at a time as its cache holds.

    python benchmarks/together.py --write benchmarks/together.md

Scores of a batch, and the gradient of the loss of an update, with all frames at once and with as many at a time as
`twofold.energy.together` says, in turns. Networks are untrained: time does not depend on what they have learned.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import tyro
from common import command_line, header, publish, table

from twofold.chart.cartesian import cartesian_chart
from twofold.energy import together
from twofold.energy.base import scores
from twofold.energy.particles import ParticleEnergy
from twofold.noise import NoiseSchedule
from twofold.training.data import training_data
from twofold.training.loop import Trainer
from twofold.training.settings import load_settings

ALL, FEW = 1 << 40, together.ENTRIES
"""Entries of tables that a core works on: as many as no batch has, and as it should."""

OPTIMISER = {"optimiser": "muon", "learning_rate": 1e-2, "weight_decay": 0.05, "softening": 0.05}


def main(
    sizes: tuple[int, ...] = (4, 13, 21, 55),
    frames: int = 256,
    batch: int = 64,
    rounds: int = 5,
    write: Path | None = None,
) -> None:
    """Run the benchmark and print its table."""
    rows = [row(count, frames, batch, rounds) for count in sizes]
    columns = ("particles", "at a time", "scores: all, ms a frame", "few", "ratio", "updates: all", "few", "ratio")
    lines = header("Frames that are worked on together", command_line())
    lines += [
        f"Scores of {frames} frames at once and a few at a time, and updates of {batch} frames with two noises each by "
        f"the antithetic loss, milliseconds a noised frame: medians of {rounds}, taken in turns.",
        "",
        *table(columns, rows),
    ]
    publish(lines, write)


def row(count: int, frames: int, batch: int, rounds: int) -> tuple[Any, ...]:
    """Particles, frames at a time, and milliseconds with their ratios."""
    positions = cloud(frames, count)
    chart = cartesian_chart(positions)
    fresh = ParticleEnergy.build(np.zeros(count, int), np.full((1, 1), 0.5), jax.random.key(0), width=32, depth=2)
    energy = eqx.tree_at(lambda one: one.readout, fresh, jax.random.normal(jax.random.key(1), fresh.readout.shape))
    x, levels = jax.vmap(chart.encode)(jnp.asarray(positions)), jnp.geomspace(0.01, 1.0, frames)
    settings = load_settings(None, batch=batch, loss="antithetic", **OPTIMISER)
    trainer = Trainer(energy, chart, None, NoiseSchedule(0.01, 5.0), settings, 100)
    data = training_data(chart, positions, np.ones(frames))
    state = trainer.initial(energy, jax.random.key(2))
    scored, updated = [], []
    for entries in (ALL, FEW):
        # what is compiled here is compiled for this many
        together.ENTRIES = entries
        scored.append(jax.jit(lambda x, levels: scores(energy, None, x, levels)).lower(x, levels).compile())
        updated.append(jax.jit(lambda state, data: trainer.step(state, data)).lower(state, data).compile())
    at_once = min(frames, together.together(count**2))
    by_score = in_turns([lambda run=run: run(x, levels) for run in scored], rounds)
    by_update = in_turns([lambda run=run: run(state, data) for run in updated], rounds)
    return count, at_once, *cells(by_score, frames), *cells(by_update, 2 * batch)


def cloud(frames: int, count: int) -> np.ndarray:
    """Frames (frames, count, 3) of particles on a shaken lattice of unit spacing."""
    rng = np.random.default_rng(0)
    side = np.arange(-2, 3)
    lattice = np.stack(np.meshgrid(side, side, side, indexing="ij"), -1).reshape(-1, 3)
    nearest = lattice[np.argsort(np.linalg.norm(lattice, axis=1), kind="stable")[:count]]
    return (nearest + 0.1 * rng.standard_normal((frames, count, 3))).astype(np.float32)


def in_turns(runs: list[Callable[[], Any]], rounds: int) -> list[float]:
    """Median seconds of each, which take turns; the first round is not counted."""
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(rounds + 1):
        for run, found in zip(runs, times, strict=True):
            start = time.perf_counter()
            jax.block_until_ready(run())
            found.append(time.perf_counter() - start)
    return [statistics.median(found[1:]) for found in times]


def cells(seconds: list[float], frames: int) -> tuple[str, str, str]:
    whole, few = seconds
    return f"{1000 * whole / frames:.3f}", f"{1000 * few / frames:.3f}", f"{whole / few:.2f}"


if __name__ == "__main__":
    tyro.cli(main)
