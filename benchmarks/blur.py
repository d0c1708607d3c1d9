"""How to undo the noise of the force field: not at all, in frames by a step of the flow, or in forces by extrapolation.

    python benchmarks/landscapes.py runs/bench-landscapes
    python benchmarks/levels.py runs/bench-levels
    python benchmarks/blur.py runs/bench-landscapes/mueller-brown/*/run runs/bench-levels/*/run --out runs/bench-blur \
        --write benchmarks/blur.md

Each run is simulated at several levels of noise, sigma* among them, and scored against its clean held-out frames. With
the frames of one simulation at a level come two rows: as they are, and freed by one step of the probability flow. The
third row is a simulation with forces extrapolated from that level to none. Runs of one system are its seeds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from common import command_line, header, publish, read_summary, simulate_once, spread, table

from twofold import fitting
from twofold.analysis.divergence import js_2d, pmf_error_2d
from twofold.analysis.observables import distances, torsions
from twofold.analysis.uncertainty import jackknife
from twofold.ensemble import Ensemble
from twofold.model import Model
from twofold.molecular_dynamics import deblurred, simulated_with
from twofold.run_folder import RunFolder
from twofold.simulation.export import record_ensemble

BINS = 60
BLOCKS = 20
COLUMNS = (
    "system", "level", "sigma over smallest", "blur undone in", "JS", "its own error", "PMF error", "its own error",
    "bond widths, largest difference, %", "stable", "replica-steps/s",
)  # fmt: skip
Scores = tuple[float, float, float, float, float | None]
"""JS and its jackknife error, PMF error and its own, and the largest difference of a bond's width in percent."""


def main(
    runs: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(help="folders of runs that are fitted")],
    /,
    out: Path,
    factors: tuple[float, ...] = (1.0, 4.0),
    replicas: int = 100,
    frames: int = 250,
    frame_ps: float = 0.8,
    write: Path | None = None,
) -> None:
    """Run the benchmark and print its table."""
    lines = header("Undoing the blur of the noise", command_line())
    found: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    rows: list[tuple[Any, ...]] = []
    for folder in runs:
        model = fitting.load(folder)
        _, reference = RunFolder(folder).read_data()
        system = reference.source.get("landscape", f"{len(model.beads)} beads")
        for name, factor in levels(model, factors).items():
            settings = {
                "replicas": replicas,
                "length_ps": frames * frame_ps,
                "frame_ps": frame_ps,
                "seed": model.report["settings"]["seed"],
            }
            settings["sigma"] = factor * model.schedule.smallest
            for undone, row in rows_of(model, reference, out / "-".join(folder.parts[-3:-1]) / name, settings):
                found[system, name, undone].append(row)
        rows = [(*labels, *cells(each)) for labels, each in found.items()]
        print("\n".join(table(COLUMNS, rows)), flush=True)
    lines += [
        f"{replicas} x {frames} frames, {frame_ps:g} ps apart, from samples; {BINS} x {BINS} bins; bond widths against "
        "those of the clean held-out frames. Mean ± standard error over the runs of a system; own errors are jackknife "
        "errors over replicas, their mean over the runs: mostly of how many replicas are in which basin, which "
        '"nothing" and "frames" of one level share.',
        "",
        *table(COLUMNS, rows),
    ]
    publish(lines, write)


def levels(model: Model, factors: tuple[float, ...]) -> dict[str, float]:
    """Levels of noise over the smallest one, by name, sigma* among them."""
    named = {f"{factor:g} x smallest": factor for factor in factors} | {
        "sigma*": model.sigma_star / model.schedule.smallest
    }
    return dict(sorted(named.items(), key=lambda item: item[1]))


@dataclass(frozen=True)
class Row:
    """Scores of one run at one level, and how its simulation went."""

    factor: float
    scores: Scores
    summary: dict[str, Any]


def cells(rows: list[Row]) -> tuple[str, ...]:
    """Of the runs of one system."""
    js, js_error, pmf, pmf_error, widths = zip(*(row.scores for row in rows), strict=True)
    stable = (f"{row.summary['stable']}/{row.summary['replicas']}" for row in rows)
    return (
        spread([row.factor for row in rows], 3),
        spread(js, 3),
        f"{np.mean(js_error):.1g}",
        spread(pmf, 3),
        f"{np.mean(pmf_error):.1g}",
        spread(widths, 3),
        ", ".join(stable),
        spread([row.summary["speed"]["rate"] for row in rows], 3),
    )


def rows_of(model: Model, reference: Ensemble, folder: Path, settings: dict[str, Any]) -> Iterator[tuple[str, Row]]:
    """Three rows of one level of noise."""
    for deblur in ("frames", "forces"):
        path = folder / f"{deblur}.dcd"
        simulate_once(model, path, deblur=deblur, **settings)
        files, head = simulated_with(model, path)
        raw = record_ensemble(files.record).positions
        summary = read_summary(path)
        factor = settings["sigma"] / model.schedule.smallest
        if deblur == "frames":
            yield "nothing", Row(factor, scores(raw, reference), summary)
        yield deblur, Row(factor, scores(deblurred(model, raw, head.notes), reference), summary)


def scores(positions: np.ndarray, reference: Ensemble) -> Scores:
    """Of frames that lie one replica after the other."""
    found, seen = plane(positions, reference), plane(reference.positions, reference)
    low, high = seen.min(0), seen.max(0)
    one, other = ((points - low) / (high - low) for points in (found, seen))
    groups = np.arange(len(one)) * BLOCKS // len(one)
    values: list[float] = []
    for divergence in (js_2d, pmf_error_2d):

        def statistic(index: np.ndarray, divergence: Any = divergence) -> float:
            return divergence(one[index], other, bins=BINS, y_weights=reference.weights, window=(0.0, 1.0))

        values += jackknife(statistic, groups)
    js, js_error, pmf, pmf_error = values
    return js, js_error, pmf, pmf_error, excess(positions, reference)


def plane(positions: np.ndarray, reference: Ensemble) -> np.ndarray:
    """The two coordinates (frames, 2) that are compared: of the particle, or phi and psi."""
    if "landscape" in reference.source:
        return positions[:, 0, :2]
    rows = [next(iter(reference.beads.torsions_named(name).values())) for name in ("phi", "psi")]
    return torsions(positions, np.array(rows))


def excess(positions: np.ndarray, reference: Ensemble) -> float | None:
    """Largest difference of the width of a bond, in percent whichever way; None without bonds."""
    if not len(reference.beads.bonds):
        return None
    lengths, there = (distances(one, reference.beads.bonds) for one in (positions, reference.positions))
    share = reference.weights / reference.weights.sum()
    width = np.sqrt(share @ (there - share @ there) ** 2)
    ratio = lengths.std(axis=0) / width - 1
    return float(100 * np.abs(ratio).max())


if __name__ == "__main__":
    tyro.cli(main)
