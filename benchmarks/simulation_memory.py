"""Peak memory of a simulation at two lengths: it must not depend on the length.

    python benchmarks/simulation_memory.py --write benchmarks/simulation_memory.md

Each length runs in a process of its own; the record of the longer one is far larger than the memory that it may add.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tyro
from common import command_line, header, publish, table

from twofold.beads import Beads
from twofold.simulation import SimulationSettings, simulate
from twofold.systems.harmonic import Harmonic

LENGTHS_PS = (20.0, 200.0)
FRAME_PS = 0.02
REPLICAS, BEADS = 200, 20


class Cost(NamedTuple):
    """Peak resident memory and size of the record in MB, and replica-steps/s."""

    peak: float
    record: float
    rate: float


def main(write: Path | None = None) -> None:
    """Run the benchmark and print its table."""
    lines = header("Memory of a simulation", command_line())
    with (
        tempfile.TemporaryDirectory() as folder,
        multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool,
    ):
        found = [pool.apply(run, (length, folder)) for length in LENGTHS_PS]
    rows = [
        (f"{length:g}", f"{one.record:.0f}", f"{one.peak:.0f}", f"{one.rate:,.0f}")
        for length, one in zip(LENGTHS_PS, found, strict=True)
    ]
    lines += [
        f"Peak memory of `simulate`, {REPLICAS} replicas of {BEADS} beads, a frame every {FRAME_PS} ps, springs.",
        "",
        *table(("length, ps", "record, MB", "peak memory, MB", "replica-steps/s"), rows),
        f"Difference: {found[-1].peak - found[0].peak:.0f} MB.",
    ]
    publish(lines, write)


def run(length_ps: float, folder: str) -> Cost:
    """Simulate cheap springs."""
    chain = Harmonic.chain([3e4] * (BEADS - 1))
    start = chain.sample(REPLICAS, 300.0, np.random.default_rng(0))
    settings = SimulationSettings(300.0, length_ps, frame_ps=FRAME_PS, timestep_fs=2.0)
    path = Path(folder) / f"{length_ps:g}.h5"
    summary = simulate(chain, start, settings, path, beads=Beads.anonymous(BEADS))
    return Cost(summary.peak_memory_mb, path.stat().st_size / 1e6, summary.speed.rate)


if __name__ == "__main__":
    tyro.cli(main)
