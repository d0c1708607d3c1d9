"""The default recipe on two landscapes whose density is known: Mueller-Brown, and the mixture of two modes 20/80.

    python benchmarks/landscapes.py runs/bench-landscapes --write benchmarks/landscapes.md

Mueller-Brown: simulations against fresh reference chains in the published window, what such chains score among
themselves, and the free-energy difference of the two deepest basins, exact, of chains, and of the model. The mixture:
minima of the energy at the smallest noise, and populations by quadrature, since no simulation crosses 25 kT.
"""

from __future__ import annotations

import json
import math
import statistics
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import tyro
from common import (
    Folder,
    boltzmann,
    command_line,
    fit_once,
    header,
    minima,
    publish,
    quadrature,
    simulate_once,
    spread,
    table,
)

from twofold.analysis.divergence import js_2d, pmf_error_2d
from twofold.analysis.uncertainty import jackknife
from twofold.model import Model
from twofold.molecular_dynamics import deblurred, simulated_with
from twofold.run_folder import RunFolder
from twofold.simulation.export import record_ensemble
from twofold.systems.landscape import Landscape
from twofold.systems.toys import LANDSCAPES, MuellerBrown

BINS = 100
PMF_BINS = 64
"""As published: of the histogram of both sets, and of the PMF."""
FRAMES = 100_000
MANY = 1_000_000
CHAINS = 100
FLOORS = 5
SEEDS_OF_REFERENCE = 1000
"""Fresh chains have seeds from here on, which no training set has."""


class Fine(MuellerBrown):
    """Mueller-Brown whose chains have a shorter time step, to see what that of the others does."""

    timestep_fs: ClassVar[float] = 1.0


class Scores(NamedTuple):
    """Divergence in nats and PMF error in (kT)^2 of two sets of points."""

    js: float
    pmf: float


def main(
    folder: Folder,
    /,
    seeds: int = 3,
    steps: int = 20_000,
    write: Path | None = None,
) -> None:
    """Run the benchmark and print its tables."""
    lines = header("Landscapes with known densities", command_line())
    lines += mueller_brown(folder / "mueller-brown", seeds, steps)
    lines += mixture(folder / "mixture", seeds, steps)
    publish(lines, write)


def fitted(name: str, out: Path, frames: int, seed: int, steps: int) -> Model:
    """A model of `frames` training frames by the default recipe; a finished fit is read back."""
    return fit_once(out, name, frames=frames * 5 // 4, held_out_fraction=0.2, seed=seed, steps=steps)


def compared(points: np.ndarray, reference: np.ndarray, landscape: Landscape) -> Scores:
    """Scores in the published bins: JS over the range of both sets, PMF error within the window."""
    (low_x, high_x), (low_y, high_y) = landscape.window
    unit = np.array([high_x - low_x, high_y - low_y])
    scaled = [(one - [low_x, low_y]) / unit for one in (points, reference)]
    error = pmf_error_2d(*scaled, bins=PMF_BINS, window=(0.0, 1.0))
    return Scores(js_2d(points, reference, bins=BINS, window=None), error)


def difference(points: np.ndarray, landscape: Landscape) -> float:
    """Free energy of the second basin over that of the first, with the sign turned: ln of the ratio of populations."""
    first, second = (float(inside(points).mean()) for inside in landscape.basins().values())
    return math.log(second / first)


def with_error(points: np.ndarray, landscape: Landscape) -> tuple[float, float]:
    """`difference` with its jackknife error over chains; points lie one chain after the other."""
    groups = np.arange(len(points)) * CHAINS // len(points)
    return jackknife(lambda index: difference(points[index], landscape), groups)


def mueller_brown(folder: Path, seeds: int, steps: int) -> list[str]:
    """Both halves of the question: the density, and the weights of the two deepest basins."""
    landscape = LANDSCAPES["mueller-brown"]
    fresh = [landscape.reference(FRAMES, SEEDS_OF_REFERENCE + k) for k in range(FLOORS + 1)]
    floors = [compared(one, fresh[0], landscape) for one in fresh[1:]]
    limits = Scores(*(statistics.fmean(column) + 2 * statistics.stdev(column) for column in zip(*floors, strict=True)))
    exact = list(landscape.populations().values())
    true = math.log(exact[1] / exact[0])
    rows, energies = [], []
    for seed in range(seeds):
        model = fitted("mueller-brown", folder / f"{seed}" / "run", FRAMES, seed, steps)
        training, _ = RunFolder(folder / f"{seed}" / "run").read_data()
        frames = simulated(model, folder / f"{seed}" / "simulation.dcd", seed)
        # the end of each replica: its start is a sample of the model
        thin = frames.reshape(CHAINS, -1, 2)[:, -FRAMES // CHAINS :].reshape(-1, 2)
        scores = compared(thin, fresh[0], landscape)
        drawn = model.sample(FRAMES, seed=seed).positions[:, 0, :2]
        iid = compared(drawn, fresh[0], landscape)
        seen = with_error(training.positions[:, 0, :2], landscape)
        moved = with_error(frames, landscape)
        energies.append(quadrature(model, landscape))
        rows.append((seed, *(f"{value:.4f}" for value in (*iid, *scores)), plain(seen), plain(moved), energies[-1]))
    columns = (
        "seed", "i.i.d. JS", "i.i.d. PMF", "simulation JS", "simulation PMF", "ΔF training set, kT",
        "ΔF simulation, kT", "ΔF energy, kT",
    )  # fmt: skip
    found = [f"{statistics.fmean(column):.4f} ± {statistics.stdev(column):.4f}" for column in zip(*floors, strict=True)]
    rows = [(*row[:-1], f"{row[-1]:.3f}") for row in rows]
    lines = [
        "## Mueller-Brown",
        "",
        f"{FRAMES:,} training frames, {steps:,} updates; simulation {CHAINS} x {MANY // CHAINS:,} frames from samples, "
        f"of which {FRAMES:,} (the last of each replica) are scored against fresh chains as many frames long, in "
        f"{BINS} x {BINS} bins (PMF error: {PMF_BINS} x {PMF_BINS}); ΔF from all {MANY:,}. Frames are freed of the "
        f"noise of sigma* by one step of the probability flow. Fresh chains among themselves ({FLOORS} sets, mean ± "
        "standard deviation): "
        f"JS {found[0]}, PMF error {found[1]}; "
        f"targets for simulations: JS <= {limits.js:.4f}, PMF error <= {limits.pmf:.4f} (mean + 2 sd). "
        f"Exact ΔF: {true:.3f} kT; target: within 2 x 0.057 kT of it. ΔF by quadrature of the model's energy at the "
        "smallest noise.",
        "",
        *table(columns, rows),
    ]
    return lines + integrator(landscape, true)


def plain(value: tuple[float, float]) -> str:
    """A value with its error."""
    return f"{value[0]:.3f} ± {value[1]:.3f}"


def simulated(model: Model, path: Path, seed: int) -> np.ndarray:
    """Frames (MANY, 2) of `CHAINS` replicas, one after the other, without blur."""
    landscape = LANDSCAPES["mueller-brown"]
    simulate_once(
        model,
        path,
        replicas=CHAINS,
        length_ps=MANY // CHAINS * landscape.frame_ps,
        frame_ps=landscape.frame_ps,
        timestep_fs=landscape.timestep_fs,
        seed=seed,
    )
    files, head = simulated_with(model, path)
    stable = json.loads(files.summary.read_text(encoding="utf-8"))["stable"]
    if stable < CHAINS:
        raise SystemExit(f"{CHAINS - stable} replicas of {path} were stopped: nothing of it is scored")
    return deblurred(model, record_ensemble(files.record).positions, head.notes)[:, 0, :2]


def integrator(landscape: Landscape, true: float) -> list[str]:
    """What the time step alone does: chains on the exact energy."""
    rows = []
    for one in (landscape, Fine()):
        points = one.reference(MANY, SEEDS_OF_REFERENCE)
        energy = landscape.grid_energy(points)
        groups = np.arange(MANY) * CHAINS // MANY
        mean = jackknife(lambda index, energy=energy: float(energy[index].mean()), groups)
        rows.append((f"{one.timestep_fs:g}", plain(with_error(points, landscape)), plain(mean)))
    edges = [np.linspace(low - 0.7, high + 0.7, 801) for low, high in landscape.window]
    mass = landscape.probabilities(edges, order=2)
    mesh = np.stack(np.meshgrid(*[(side[1:] + side[:-1]) / 2 for side in edges], indexing="ij"), -1)
    average = float(np.sum(mass.ravel() * landscape.grid_energy(mesh.reshape(-1, 2))))
    rows.append(("exact", f"{true:.3f}", f"{average:.3f}"))
    lead = f"Bias of the integrator: {MANY:,} frames of LangevinMiddle on the exact energy."
    return [lead, "", *table(("time step, fs", "ΔF, kT", "mean energy, kT"), rows)]


def mixture(folder: Path, seeds: int, steps: int) -> list[str]:
    """Minima and populations of the two-mode mixture."""
    landscape = LANDSCAPES["double-well-2d"]
    rows = []
    for seed in range(seeds):
        model = fitted("double-well-2d", folder / f"{seed}" / "run", FRAMES // 10, seed, steps)
        training, _ = RunFolder(folder / f"{seed}" / "run").read_data()
        points, mass, energy = boltzmann(model, landscape)
        inside = landscape.basins()["left"]
        share, seen = 100 * mass[inside(points)].sum(), 100 * inside(training.positions[:, 0, :2]).mean()
        depths = sorted(energy[minima(energy)])
        places = ", ".join(f"{depth:.2f}" for depth in depths)
        rows.append((seed, len(depths), places, f"{seen:.2f}", f"{share:.2f}", f"{abs(share - 20):.2f}"))
    columns = (
        "seed", "minima", "their energies, kT", "small mode in training frames, %", "small mode by quadrature, %",
        "off by, points",
    )  # fmt: skip
    lead = (
        f"{FRAMES // 10:,} training frames, {steps:,} updates. Every local minimum of the energy at the smallest noise "
        "on a grid of 400 x 400 cells of the window counts, but not at its edge. Target: two, and the small mode at "
        "20 ± 2 %."
    )
    shares = spread([float(row[4]) for row in rows], 4)
    return ["## Two-mode mixture 20/80", "", lead, "", *table(columns, rows), f"Small mode: {shares} %.", ""]


if __name__ == "__main__":
    tyro.cli(main)
