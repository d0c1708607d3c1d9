"""Alanine dipeptide, five beads: do samples and simulations agree at every level of noise, down to half a picometre?

    python benchmarks/levels.py runs/bench-levels --write benchmarks/levels.md

Every seed fits a model that learns noise down to the first level, then simulates at each of the levels, from samples
and from the basin phi < 0. Levels are given by how much they blur bonds, on average over the bonds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro
from ala2 import BASIN, against_blurred, bond_moments, crossings_of
from common import Folder, command_line, fit_ala2, header, publish, quantity, sample_once, simulate_once, spread, table

from twofold import evaluation, packaged
from twofold.files.readers import read_trajectory
from twofold.model import Model
from twofold.run_folder import RunFolder

JOINT = "phi/psi ALA2"
TARGETS = {"JS": 1.1, "PMF error": 1.15}
POPULATION = "population of phi > 0, ALA2"
SETS = {"simulation": None, "basin": BASIN}
COLUMNS = (
    "blur of bonds, pm", "set", "JS / floor", "PMF error / floor", "JS apart from samples, errors of the floor",
    "PMF error apart", "phi > 0, %", "crossings", "bond widths, %", "bond means, nm", "stable",
)  # fmt: skip


@dataclass
class Seed:
    """What one seed found: sigma*, and numbers by level (pm) and set."""

    star: float
    rows: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)


def main(
    folder: Folder,
    /,
    levels_pm: Annotated[
        tuple[float, ...], tyro.conf.arg(help="levels to simulate at; the first is the least that is learned")
    ] = (0.5, 0.75, 1.0),
    seeds: int = 3,
    updates: int = 33_300,
    samples: int = 50_000,
    replicas: int = 200,
    length_ps: float = 200.0,
    basin_length_ps: float = 1000.0,
    write: Path | None = None,
) -> None:
    """Run the benchmark and print its table."""
    lines = header("Every level of noise: alanine dipeptide, five beads", command_line())
    width = 1000 * mean_bond_width()
    lengths = {"simulation": length_ps, "basin": basin_length_ps}
    results = [
        one_seed(folder / f"seed-{seed}", seed, levels_pm, width, updates, samples, replicas, lengths)
        for seed in range(seeds)
    ]
    stars = ", ".join(f"{width * result.star:.2g}" for result in results)
    lines += [
        f"Bonds are {width:.2f} pm wide on average. sigma* of the seeds blurs them by {stars} pm. Targets: JS <= "
        f"{TARGETS['JS']} x floor, PMF error <= {TARGETS['PMF error']} x floor, bond widths within 3 % of the "
        "held-out frames with the same noise (raw frames; largest difference of a bond), difference of samples and "
        "simulations within the error of the floor. JS and PMF error are of frames freed of their noise by one step "
        "of the probability flow; of runs from one basin the second half. Mean ± standard error over seeds; in "
        "brackets that of the worst seed.",
        "",
        *table(COLUMNS, rows_of(results)),
    ]
    publish(lines, write)


def mean_bond_width() -> float:
    """Mean over the bonds of their standard deviations in nm: what noise of 1 in the chart blurs bonds by."""
    data = packaged.ala2()
    frames = read_trajectory(data.topology, data.training[:1], temperature=data.temperature, beads="backbone")
    return float(bond_moments(frames, frames.positions)[1].mean())


def one_seed(
    folder: Path,
    seed: int,
    levels_pm: tuple[float, ...],
    width: float,
    updates: int,
    samples: int,
    replicas: int,
    lengths: dict[str, float],
) -> Seed:
    """Fit, sample, simulate at all levels and score; parts that are there already are kept."""
    run, drawn = RunFolder(folder / "run"), folder / "samples.dcd"
    model = fit_ala2(run.path, seed=seed, steps=updates, smallest_noise=levels_pm[0] / width)
    sample_once(model, drawn, samples, seed=seed)
    found = Seed(model.sigma_star)
    for level in levels_pm:
        place, sigma = folder / f"{level:g}pm", level / width
        paths = {kind: place / f"{kind}.dcd" for kind in SETS}
        for kind, path in paths.items():
            start = {"length_ps": lengths[kind], "start_basin": SETS[kind]}
            simulate_once(model, path, replicas=replicas, frame_ps=0.8, sigma=sigma, seed=seed, **start)
        if not (place / "metrics.json").is_file():
            evaluation.evaluate(run.path, out=place, samples=drawn, simulation=list(paths.values()), bins=64)
        metrics = json.loads((place / "metrics.json").read_text(encoding="utf-8"))
        iid = metrics["sets"]["samples"]
        found.rows["", "samples"] = cells_of(iid, iid)
        for kind, path in paths.items():
            row = cells_of(metrics["sets"][kind], iid)
            found.rows[f"{level:g}", kind] = row | of_record(model, run, path, sigma, metrics["simulations"][kind])
    return found


def cells_of(result: dict[str, Any], samples: dict[str, Any]) -> dict[str, Any]:
    """Numbers of one set of `metrics.json`."""
    cells: dict[str, Any] = {"phi > 0": 100 * quantity(result, POPULATION)["value"]}
    for name in TARGETS:
        one, other = (quantity(which, f"{JOINT} {name}") for which in (result, samples))
        cells[name] = one["ratio"]
        # sets of different size have different floors, so excesses over them are compared
        over = [row["value"] - row["floor"] for row in (one, other)]
        cells[f"{name} apart"] = abs(over[0] - over[1]) / one["floor_error"]
    return cells


def of_record(model: Model, run: RunFolder, path: Path, sigma: float, summary: dict[str, Any]) -> dict[str, Any]:
    """What the raw frames of a simulation say."""
    record = path.with_suffix(".h5")
    blurred = against_blurred(model, run, record, sigma)
    stable = f"{summary['stable']}/{summary['replicas']}"
    return {"crossings": crossings_of(record)[0], "stable": stable} | blurred


def rows_of(seeds: list[Seed]) -> list[tuple[Any, ...]]:
    """Samples, then every level and kind of simulation."""
    rows: list[tuple[Any, ...]] = []
    for place in seeds[0].rows:
        found = [seed.rows[place] for seed in seeds]
        judged, told = (*TARGETS, *(f"{name} apart" for name in TARGETS)), ("phi > 0", "crossings")
        numbers = [_cell(found, name, worst=name not in told) for name in (*judged, *told, "width", "mean")]
        rows.append((*place, *numbers, ", ".join(one["stable"] for one in found if "stable" in one)))
    return rows


def _cell(found: list[dict[str, Any]], name: str, *, worst: bool) -> str:
    """Mean and error of a number, with the largest of the seeds where it is held against a target."""
    values = [one[name] for one in found if name in one]
    if not values:
        return ""
    return spread(values, 3) + (f" ({max(values):.3g})" if worst else "")


if __name__ == "__main__":
    tyro.cli(main)
