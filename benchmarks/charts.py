"""Which architecture for which molecule: all of them at equal training time on alanine dipeptide.

    python benchmarks/charts.py runs/bench-charts --minutes 5 --write benchmarks/charts.md

The same question for twenty beads: `benchmarks/wlall.py DATA OUT --architectures internal cartesian transformer`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import tyro
from common import Folder, command_line, fit_ala2, header, publish, quantity, scored, spread, table

QUANTITIES = ("phi/psi ALA2 JS", "phi/psi ALA2 PMF error")
COLUMNS = (
    "architecture", "updates", "set", "JS", "PMF error", "bonds W1, nm", "phi > 0, %", "broken bonds, %", "stable",
    "replica-steps/s",
)  # fmt: skip


def main(
    folder: Folder,
    /,
    minutes: float = 5.0,
    updates: Annotated[
        tuple[int, ...], tyro.conf.arg(help="one for each architecture: as many as the minutes held on an idle machine")
    ] = (),
    seeds: int = 1,
    architectures: tuple[str, ...] = ("internal", "cartesian", "transformer"),
    samples: int = 5000,
    replicas: int = 200,
    length_ps: float = 10.0,
    write: Path | None = None,
) -> None:
    """Run the benchmark and print its table."""
    lines = header("Charts and architectures on alanine dipeptide, five beads", command_line())
    rows: list[tuple[Any, ...]] = []
    for place, name in enumerate(architectures):
        budget = {"steps": updates[place]} if updates else {"minutes": minutes}
        found = [
            one_run(folder / f"{name}-{seed}", name, budget, seed, samples, replicas, length_ps)
            for seed in range(seeds)
        ]
        rows += report(name, found)
        print("\n".join(table(COLUMNS, rows)), flush=True)
    lines += [
        f"As many updates as {minutes:g} minutes hold, {samples} samples in 100 steps, {replicas} x {length_ps:g} ps "
        "of simulation from samples, freed of the noise of sigma*; scored against the held-out runs. In brackets: "
        "ratio to the floor at equal effective size. A short run from samples says how well structures are kept, not "
        "how basins are weighed.",
        "",
        *table(COLUMNS, rows),
    ]
    publish(lines, write)


def one_run(
    folder: Path, architecture: str, budget: dict[str, Any], seed: int, samples: int, replicas: int, length_ps: float
) -> dict[str, Any]:
    """Fit, sample, simulate and score; a finished run is read back."""
    model = fit_ala2(folder / "run", seed=seed, architecture=architecture, **budget)
    simulation = {"replicas": replicas, "length_ps": length_ps, "frame_ps": 0.5}
    metrics = scored(folder, model, samples=samples, seed=seed, simulation=simulation, bins=64)
    return {"metrics": metrics, "report": model.report}


def report(name: str, found: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Rows of one architecture."""
    rows = []
    updates = spread([one["report"]["settings"]["steps"] for one in found], 3)
    for kind in ("samples", "simulation"):
        results = [one["metrics"]["sets"][kind] for one in found]

        def cell(key: str, results: list[dict[str, Any]] = results) -> str:
            values = [quantity(result, key)["value"] for result in results]
            ratios = [quantity(result, key)["ratio"] for result in results]
            return f"{spread(values, 3)} ({spread(ratios, 3)})"

        def percent(key: str, results: list[dict[str, Any]] = results) -> str:
            return spread([100 * quantity(result, key)["value"] for result in results], 3)

        moving = [one["metrics"]["simulations"]["simulation"] for one in found]
        stable = ", ".join(f"{one['stable']}/{one['replicas']}" for one in moving) if kind == "simulation" else ""
        rate = spread([one["speed"]["rate"] for one in moving], 3) if kind == "simulation" else ""
        faults = (percent("population of phi > 0, ALA2"), percent("broken bonds"))
        rows.append((name, updates, kind, *map(cell, (*QUANTITIES, "bonds W1")), *faults, stable, rate))
    return rows


if __name__ == "__main__":
    tyro.cli(main)
