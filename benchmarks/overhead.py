"""What the Fokker-Planck term costs: time of an update with it over that without, as the accuracy table has it.

    python benchmarks/overhead.py --write benchmarks/overhead.md

Where the recipe has classification too, once more with it on either side: what the term costs users of the default.
Both are compiled, then timed in turns, so that whatever else the machine does weighs on both alike.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import tyro
from common import command_line, header, publish, table

from twofold import architectures, packaged
from twofold.ensemble import Ensemble
from twofold.files.readers import read_trajectory
from twofold.systems.toys import LANDSCAPES
from twofold.training.data import training_data
from twofold.training.loop import Trainer
from twofold.training.settings import load_settings
from twofold.training.setup import with_recipe

FRAMES = 20_000
COLUMNS = ("system", "beside it", "without, ms", "with, ms", "ratio", "smallest and largest ratio", "target")


def main(
    systems: tuple[str, ...] = ("double-well-2d", "mueller-brown", "ala2"),
    updates: int = 200,
    rounds: int = 9,
    write: Path | None = None,
) -> None:
    """Run the benchmark and print its table."""
    lines = header("Time of an update with and without the Fokker-Planck term", command_line())
    rows = [found for name in systems for found in rows_of(name, updates, rounds)]
    settings = load_settings(None)
    lines += [
        f"Antithetic loss. The residual is looked at every {settings.fokker_planck_every} updates, at "
        f"{settings.fokker_planck_groups} levels with {settings.fokker_planck_members} frames each, with two probes. "
        f"Medians of {rounds} rounds of {updates} updates, with and without in turns.",
        "",
        *table(
            ("system", "beside it", "without, ms", "with, ms", "ratio", "smallest and largest ratio", "target"), rows
        ),
    ]
    publish(lines, write)


def rows_of(name: str, updates: int, rounds: int) -> list[tuple[Any, ...]]:
    """Times of one system, without classification and, where it is in the recipe, with it."""
    training = frames_of(name)
    built = architectures.build("auto", training, jax.random.key(0))
    settings = with_recipe(load_settings(None), built)
    sides = [("", 0.0)]
    if settings.classification:
        sides.append((f"classification {settings.classification:g}", settings.classification))
    rows = []
    for beside, classification in sides:
        runs = [
            timed(training, built, {"fokker_planck": weight, "classification": classification}, updates, rounds)
            for weight in (0.0, settings.fokker_planck)
        ]
        pairs = [[run() for run in runs] for _ in range(rounds)]
        ratios = [with_it / without for without, with_it in pairs]
        times = (f"{1000 * statistics.median(column) / updates:.2f}" for column in zip(*pairs, strict=True))
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        rows.append((name, beside, *times, f"{statistics.median(ratios):.2f}", spread, "<= 1.5"))
    return rows


def frames_of(name: str) -> Ensemble:
    """Training frames of a landscape or of the packaged molecule."""
    if name in LANDSCAPES:
        return LANDSCAPES[name].ensemble(FRAMES, 0)
    data = packaged.ala2()
    return read_trajectory(data.topology, data.training[:1], temperature=data.temperature)


def timed(
    training: Ensemble, built: architectures.Built, weights: dict[str, float | None], updates: int, rounds: int
) -> Callable[[], float]:
    """A function that makes `updates` more updates and says how long they took."""
    settings = with_recipe(load_settings(None, **weights), built)
    trainer = Trainer(built.energy, built.chart, None, built.schedule, settings, steps=updates * (rounds + 1))
    data = training_data(built.chart, jnp.asarray(training.positions), jnp.asarray(training.weights))
    many = trainer.many(updates)
    state, _ = jax.block_until_ready(many(trainer.initial(built.energy, jax.random.key(1)), data))

    def run() -> float:
        nonlocal state
        start = time.perf_counter()
        state, _ = jax.block_until_ready(many(state, data))
        return time.perf_counter() - start

    return run


if __name__ == "__main__":
    tyro.cli(main)
