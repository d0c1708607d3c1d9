"""Expressiveness against stability: depth and width of the network against errors of samples and of simulations.

    python benchmarks/capacity.py runs/bench-capacity --write benchmarks/capacity.md

Two for One asks whether a network that samples better also simulates better. Alanine dipeptide, five beads, the same
number of updates for every size; a fit of the largest takes some four times as long as one of the smallest.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import tyro
from common import Folder, command_line, fit_ala2, header, publish, quantity, scored, spread, table

from twofold.energy.base import trainable

QUANTITIES = ("phi/psi ALA2 JS", "phi/psi ALA2 PMF error")
SIMULATION = {"replicas": 200, "length_ps": 200.0, "frame_ps": 0.8}
COLUMNS = (
    "width", "depth", "parameters", "training, s", "i.i.d. JS", "simulation JS", "i.i.d. PMF", "simulation PMF",
    "phi > 0 i.i.d., %", "phi > 0 simulation, %", "stable", "replica-steps/s",
)  # fmt: skip


def main(
    folder: Folder,
    /,
    widths: tuple[int, ...] = (16, 64, 192),
    depths: tuple[int, ...] = (1, 2, 4),
    updates: int = 8000,
    seeds: int = 2,
    samples: int = 20_000,
    write: Path | None = None,
) -> None:
    """Run the benchmark and print its table."""
    lines = header("Expressiveness against stability, alanine dipeptide", command_line())
    rows: list[tuple[Any, ...]] = []
    for width in widths:
        for depth in depths:
            found = [
                one_run(folder / f"{width}x{depth}-{seed}", width, depth, updates, seed, samples)
                for seed in range(seeds)
            ]
            rows.append(row(width, depth, found))
            print("\n".join(table(COLUMNS, rows)), flush=True)
    lines += [
        f"{updates} updates of the default recipe; ratios to the floor in brackets; mean ± standard error over {seeds} "
        f"seeds; {samples} samples; {SIMULATION['replicas']} x {SIMULATION['length_ps']:g} ps of simulation from "
        "samples, whose share of the rare basin it remembers in part. The recipe holds the Fokker-Planck term.",
        "",
        *table(COLUMNS, rows),
    ]
    publish(lines, write)


def one_run(folder: Path, width: int, depth: int, updates: int, seed: int, samples: int) -> dict[str, Any]:
    """Fit, sample, simulate and score; a finished run is read back."""
    model = fit_ala2(folder / "run", seed=seed, width=width, depth=depth, steps=updates)
    metrics = scored(folder, model, samples=samples, seed=seed, simulation=SIMULATION, bins=64)
    parameters = sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(model.network, trainable(model.network))))
    return {"metrics": metrics, "report": model.report, "parameters": parameters}


def row(width: int, depth: int, found: list[dict[str, Any]]) -> tuple[Any, ...]:
    """One size of network."""
    sets = {kind: [one["metrics"]["sets"][kind] for one in found] for kind in ("samples", "simulation")}

    def score(name: str, kind: str) -> str:
        rows = [quantity(one, name) for one in sets[kind]]
        return f"{spread([one['value'] for one in rows], 3)} ({spread([one['ratio'] for one in rows], 3)})"

    def rare(kind: str) -> str:
        return spread([100 * quantity(one, "population of phi > 0, ALA2")["value"] for one in sets[kind]], 3)

    moving = [one["metrics"]["simulations"]["simulation"] for one in found]
    return (
        width,
        depth,
        found[0]["parameters"],
        spread([one["report"]["seconds"] for one in found], 3),
        *(score(name, kind) for name in QUANTITIES for kind in sets),
        *(rare(kind) for kind in sets),
        ", ".join(f"{one['stable']}/{one['replicas']}" for one in moving),
        spread([one["speed"]["rate"] for one in moving], 3),
    )


if __name__ == "__main__":
    tyro.cli(main)
