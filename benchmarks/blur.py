"""How to undo the noise of the force field: not at all, in frames by a step of the flow, or in forces by extrapolation.

    python benchmarks/blur.py runs/mueller-brown runs/ala2 --out runs/bench-blur --write benchmarks/blur.md

Each run is simulated at several levels of noise, sigma* among them, and scored against its clean held-out frames. With
the frames of one simulation at a level come two rows: as they are, and freed by one step of the probability flow. The
third row is a simulation with forces extrapolated from that level to none.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from common import command_line, header, publish, simulate_once, table

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
    "run", "sigma over smallest", "blur undone in", "JS", "PMF error", "bond widths, largest excess, %", "stable",
    "replica-steps/s",
)  # fmt: skip


def main(
    runs: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(help="folders of runs that are fitted")],
    /,
    out: Path,
    factors: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0),
    replicas: int = 200,
    frames: int = 250,
    frame_ps: float = 0.8,
    write: Path | None = None,
) -> None:
    """Run the benchmark and print its table."""
    lines = header("Undoing the blur of the noise", command_line())
    rows: list[tuple[Any, ...]] = []
    for folder in runs:
        model = fitting.load(folder)
        _, reference = RunFolder(folder).read_data()
        star = model.sigma_star / model.schedule.smallest
        for factor in sorted({star, *factors}):
            settings = {"replicas": replicas, "length_ps": frames * frame_ps, "frame_ps": frame_ps, "seed": 0}
            settings["sigma"] = factor * model.schedule.smallest
            level = f"{factor:.3g}" + " (sigma*)" * (factor == star)
            rows += rows_of(model, reference, out / folder.name / f"{factor:g}", level, settings)
        print("\n".join(table(COLUMNS, rows)), flush=True)
    lines += [
        f"{replicas} x {frames} frames, {frame_ps:g} ps apart, from samples; {BINS} x {BINS} bins; bond widths against "
        "those of the clean held-out frames. In brackets: jackknife errors over replicas; differences between rows "
        "below them say nothing.",
        "",
        *table(COLUMNS, rows),
    ]
    publish(lines, write)


def rows_of(
    model: Model, reference: Ensemble, folder: Path, level: str, settings: dict[str, Any]
) -> list[tuple[Any, ...]]:
    """Three rows of one level of noise."""
    rows = []
    for deblur in ("frames", "forces"):
        path = folder / f"{deblur}.dcd"
        simulate_once(model, path, deblur=deblur, **settings)
        files, head = simulated_with(model, path)
        raw = record_ensemble(files.record).positions
        summary = json.loads(files.summary.read_text(encoding="utf-8"))
        end = (f"{summary['stable']}/{summary['replicas']}", f"{summary['speed']['rate']:.3g}")
        start = (reference.source.get("landscape", f"{len(model.beads)} beads"), level)
        if deblur == "frames":
            rows.append((*start, "nothing", *scores(raw, reference), *end))
        rows.append((*start, deblur, *scores(deblurred(model, raw, head.notes), reference), *end))
    return rows


def scores(positions: np.ndarray, reference: Ensemble) -> tuple[str, str, str]:
    """JS, PMF error, with errors, and the largest excess of a bond's width. Frames lie one replica after the other."""
    found, seen = plane(positions, reference), plane(reference.positions, reference)
    low, high = seen.min(0), seen.max(0)
    one, other = ((points - low) / (high - low) for points in (found, seen))
    groups = np.arange(len(one)) * BLOCKS // len(one)
    cells = []
    for divergence in (js_2d, pmf_error_2d):

        def statistic(index: np.ndarray, divergence: Any = divergence) -> float:
            return divergence(one[index], other, bins=BINS, y_weights=reference.weights, window=(0.0, 1.0))

        value, error = jackknife(statistic, groups)
        cells.append(f"{value:.4f} ({error:.1g})")
    return cells[0], cells[1], excess(positions, reference)


def plane(positions: np.ndarray, reference: Ensemble) -> np.ndarray:
    """The two coordinates (frames, 2) that are compared: of the particle, or phi and psi."""
    if "landscape" in reference.source:
        return positions[:, 0, :2]
    rows = [next(iter(reference.beads.torsions_named(name).values())) for name in ("phi", "psi")]
    return torsions(positions, np.array(rows))


def excess(positions: np.ndarray, reference: Ensemble) -> str:
    """In percent; empty without bonds."""
    if not len(reference.beads.bonds):
        return ""
    lengths, there = (distances(one, reference.beads.bonds) for one in (positions, reference.positions))
    share = reference.weights / reference.weights.sum()
    width = np.sqrt(share @ (there - share @ there) ** 2)
    ratio = lengths.std(axis=0) / width - 1
    return f"{100 * ratio[np.abs(ratio).argmax()]:+.1f}"


if __name__ == "__main__":
    tyro.cli(main)
