"""Biased data: what labels and weights repair of populations and of local structure.

    python benchmarks/biased.py DATA runs/bench-biased --write benchmarks/biased.md

DATA is a folder with `ala2.pdb` and `train.npz`: alanine dipeptide under a static bias on (phi, psi), with the forces
of the unbiased force field and the logarithms of the weights. Two more systems have an exact energy: DW4, four
particles whose open basin is thinned out ten-fold, and thirteen Lennard-Jones particles, of which only the frames below
the median energy are kept: there no weight brings back what is missing.

Local structure is compared at an equal number of frames, so that those that have more do not win by their number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from common import Folder, both_sets, command_line, fit_frames, header, publish, spread, table, with_error

from twofold import packaged
from twofold.analysis.divergence import js_2d, total_variation
from twofold.analysis.observables import distances, torsions
from twofold.analysis.uncertainty import block_groups, jackknife
from twofold.ensemble import Ensemble
from twofold.files.readers import read_trajectory
from twofold.systems.clusters import CLUSTERS
from twofold.systems.convergence import cluster_convergence

THINNED = 10.0
OPEN_NM = 2.62
"""Radius of gyration between the two basins of DW4, nm."""
FRAMES = 20_000
SPARSE = 5
UNSEEN = 2000
"""Frames of LJ-13 of which those below the median choose sigma*."""
JUDGES = 40_000
"""Frames of clusters to fit, and to judge by."""
SEED_OF_JUDGES = 10_000
BIN_NM = 0.1
ALIKE = 1400
"""Frames at which local structures are compared."""
DRAWS = 10
BLOCKS = 20
PHI, PSI = np.array([[0, 1, 2, 3]]), np.array([[1, 2, 3, 4]])
TORSION_BINS = 60


@dataclass(frozen=True)
class System:
    """Biased frames, and what is read off frames and compared with the truth."""

    name: str
    said: str
    biased: Callable[[int], tuple[Ensemble, Ensemble]]
    """Training and held-out frames of a seed, with weights that undo the bias where any do."""
    reference: Callable[[], Ensemble]
    inside: Callable[[np.ndarray], np.ndarray]
    """Which frames belong to the population that is counted."""
    local: Callable[[np.ndarray], np.ndarray]
    """Of which frames the structure is compared."""
    shape: Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], float]
    """Distance between the local structures of two sets of positions and weights."""
    weighted: bool = True
    settings: dict[str, Any] = field(default_factory=dict)
    simulation: dict[str, Any] = field(default_factory=dict)
    sampling: dict[str, Any] = field(default_factory=dict)
    samples: int = 20_000
    relaxes: bool = False
    """Simulations are long enough to forget their start in their first half, which is left out."""

    @cached_property
    def judges(self) -> Ensemble:
        """Frames of the truth."""
        return self.reference()

    def population(self, positions: np.ndarray, weights: np.ndarray) -> float:
        """Per cent of frames that are counted."""
        return 100 * float(np.average(self.inside(positions), weights=weights))

    def scores(self, positions: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
        """Population in per cent, and distance of the local structure from the truth."""
        return self.population(positions, weights), self.structure(positions, weights)

    def structure(self, positions: np.ndarray, weights: np.ndarray) -> float:
        """Mean distance from the truth of `ALIKE` frames drawn by their weights from where structure is compared."""
        rng, local = np.random.default_rng(0), self.local(positions)
        if not local.any():
            return float("nan")
        share = np.where(local, weights, 0.0)
        draws = [rng.choice(len(share), ALIKE, p=share / share.sum()) for _ in range(DRAWS)]
        judges, ones = self.judges, np.ones(ALIKE)
        known = self.local(judges.positions)
        exact = judges.positions[known], judges.weights[known]
        return float(np.mean([self.shape(positions[index], ones, *exact) for index in draws]))


def thinned(seed: int) -> Ensemble:
    """DW4 whose open basin has a tenth of its frames, each with ten times the weight."""
    # its chains forget where they began within 70 ps, and are not longer than that by much unless there are many frames
    whole = CLUSTERS["dw4"].ensemble(SPARSE * FRAMES, seed).select(slice(None, None, SPARSE))
    opened = is_open(whole.positions)
    kept = ~opened | (np.random.default_rng(seed).random(len(whole)) < 1 / THINNED)
    return replace(whole, weights=np.where(opened, THINNED, 1.0)).select(kept)


def is_open(positions: np.ndarray) -> np.ndarray:
    """Frames of four particles whose radius of gyration is that of the open basin."""
    return np.sqrt(np.square(positions).sum(axis=(1, 2)) / positions.shape[1]) > OPEN_NM


def everywhere(positions: np.ndarray) -> np.ndarray:
    """All frames."""
    return np.ones(len(positions), bool)


def all_pairs(x: np.ndarray, x_weights: np.ndarray, y: np.ndarray, y_weights: np.ndarray) -> float:
    """Total variation of the distances of all pairs."""
    return float(total_variation(histogram(x, x_weights), histogram(y, y_weights)))


def histogram(positions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted histogram of the distances of all pairs."""
    pairs = np.stack(np.triu_indices(positions.shape[1], 1), axis=1)
    found = distances(positions, pairs)
    return np.histogram(found, np.arange(0.0, 10.0, BIN_NM), weights=np.broadcast_to(weights[:, None], found.shape))[0]


def truncated(frames: int, seed: int) -> Ensemble:
    """What of so many frames of thirteen Lennard-Jones particles lies below their median energy."""
    whole = CLUSTERS["lj13"].ensemble(frames, seed)
    return whole.select(CLUSTERS["lj13"].energies(whole.positions) < median_energy())


@cache
def median_energy() -> float:
    """Median of the energy in kT over the frames that judge."""
    cluster = CLUSTERS["lj13"]
    return float(np.median(cluster.energies(cluster.ensemble(JUDGES, SEED_OF_JUDGES).positions)))


def high_energy(positions: np.ndarray) -> np.ndarray:
    """Frames that the biased data have none of."""
    return CLUSTERS["lj13"].energies(positions) >= median_energy()


def right_handed(positions: np.ndarray) -> np.ndarray:
    """Frames of five backbone beads with phi < 0."""
    return ~left_handed(positions)


def left_handed(positions: np.ndarray) -> np.ndarray:
    """Frames of five backbone beads with phi > 0."""
    return torsions(positions, PHI)[:, 0] > 0


def torsion_shape(x: np.ndarray, x_weights: np.ndarray, y: np.ndarray, y_weights: np.ndarray) -> float:
    """Jensen-Shannon divergence of (phi, psi) in nats."""
    one, other = (np.concatenate([torsions(side, PHI), torsions(side, PSI)], axis=1) for side in (x, y))
    return js_2d(one, other, TORSION_BINS, x_weights, y_weights)


def metadynamics(data: Path) -> tuple[Ensemble, Ensemble]:
    """Backbone beads of the two biased runs, with forces and weights: the first trains, the second is held out."""
    archive = data / "train.npz"
    logarithms = np.load(archive)["log_weight"]
    units: dict[str, Any] = {"length_unit": "nm", "energy_unit": "kj/mol"}
    weights = np.exp(logarithms - logarithms.max())
    frames = read_trajectory(data / "ala2.pdb", archive, beads="backbone", temperature=300.0, weights=weights, **units)
    return frames.select(frames.trajectory == 0), frames.select(frames.trajectory == 1)


def packaged_judges() -> Ensemble:
    """All packaged runs but the first, which is the one that trains here; another one of them chooses sigma*."""
    data = packaged.ala2()
    files = [*data.training, *data.held_out]
    frames = read_trajectory(data.topology, files, temperature=data.temperature, weights=data.weights())
    return frames.select(frames.trajectory != 0)


def systems(data: Path) -> dict[str, System]:
    """By the name on the command line."""
    peptide = {"replicas": 100, "length_ps": 100.0, "frame_ps": 0.5, "exchange": 4}

    def of_cluster(name: str) -> Callable[[], Ensemble]:
        return lambda: CLUSTERS[name].ensemble(JUDGES, SEED_OF_JUDGES)

    found = (
        System(
            "dw4",
            "open basin; structure: pair distances in it, TV",
            lambda seed: (thinned(2 * seed), thinned(2 * seed + 1)),
            of_cluster("dw4"),
            is_open,
            is_open,
            all_pairs,
            settings={"steps": 3000, "batch": 128},
            simulation={"replicas": 100, "length_ps": 400.0, "frame_ps": 2.0, "timestep_fs": 20.0},
            relaxes=True,
        ),
        System(
            "ala2",
            "phi > 0; structure: (phi, psi) where phi < 0, JS in nats",
            lambda seed: metadynamics(data),
            packaged_judges,
            left_handed,
            right_handed,
            torsion_shape,
            settings={"steps": 5000},
            simulation=peptide,
        ),
        System(
            "lj13",
            "energies above the median; structure: pair distances, TV",
            lambda seed: (truncated(FRAMES, 2 * seed), truncated(UNSEEN, 2 * seed + 1)),
            of_cluster("lj13"),
            high_energy,
            everywhere,
            all_pairs,
            weighted=False,
            settings={"steps": 1000, "batch": 64},
            simulation={"replicas": 100, "length_ps": 20.0, "frame_ps": 0.2, "timestep_fs": 4.0},
            sampling={"corrector": 0},
            samples=2000,
        ),
    )
    return {system.name: system for system in found}


LABELS = {"noise": "none", "forces": "only", "mixture": "auto"}
ARMS = (("noise", False), ("forces", False), ("mixture", False), ("mixture", True))
"""Labels, and whether the frames have their weights."""


def main(
    data: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(help="folder of the biased alanine dipeptide")],
    folder: Folder,
    /,
    only: tuple[str, ...] = ("dw4", "ala2", "lj13"),
    seeds: int = 3,
    scale: Annotated[float, tyro.conf.arg(help="of updates and lengths; below 1 to try it out")] = 1.0,
    write: Path | None = None,
) -> None:
    """Run the benchmark and print its table."""
    lines = header("Biased data", command_line())
    rows: list[tuple[Any, ...]] = []
    notes: list[str] = []
    known = systems(data)
    for name in only:
        system = known[name]
        if "cluster" in system.judges.source:
            notes += [f"{name}: {cluster_convergence(system.judges).sentence}", ""]
            print(notes[-2], flush=True)
        rows += floors(system)
        for labels, weighted in ARMS:
            if system.weighted or not weighted:
                rows.append(row(system, folder / name, labels, weighted, seeds, scale))
                print("\n".join(table(COLUMNS, rows)), flush=True)
    counted = "; ".join(f"{name}: {known[name].said}" for name in only)
    lines += [
        "Populations, with their ratio to the truth, and local structure of samples and of simulations at sigma*, "
        f"freed of its noise. Counted are: {counted}. Structure is that of {ALIKE} frames, of the truth too. Mean ± "
        f"standard error over {seeds} seeds (of the fit; of the data too where they are made by a known energy); of "
        "the truth and of the training frames block jackknife.",
        "",
        *notes,
        *table(COLUMNS, rows),
    ]
    publish(lines, write)


COLUMNS = (
    "system", "labels", "weights", "population, %: samples", "simulation", "structure: samples", "simulation", "stable",
)  # fmt: skip


def floors(system: System) -> list[tuple[Any, ...]]:
    """The truth, and the training frames of the first seed with and without their weights."""
    judges, frames = system.judges, system.biased(0)[0]
    sets = [("the truth", True, judges)]
    sets += [("training frames", weighted, frames) for weighted in ((False, True) if system.weighted else (False,))]
    rows: list[tuple[Any, ...]] = []
    for name, weighted, part in sets:
        weights = part.weights if weighted else np.ones(len(part))

        def share(index: np.ndarray, part: Ensemble = part, weights: np.ndarray = weights) -> float:
            return system.population(part.positions[index], weights[index])

        value, error = jackknife(share, block_groups(part.block, len(part), BLOCKS))
        cell = with_error(value, error)
        label = "" if part is judges else said(weighted)
        rows.append((system.name, name, label, cell, "", f"{system.structure(part.positions, weights):.3g}", "", ""))
    return rows


def said(weighted: bool) -> str:
    """For a cell."""
    return "yes" if weighted else "no"


def row(system: System, folder: Path, labels: str, weighted: bool, seeds: int, scale: float) -> tuple[Any, ...]:
    """Fits, samples and simulations of one choice of labels and weights, by seed; those that are there are kept."""
    drawn, moved, stable = [], [], []
    for seed in range(seeds):
        out = folder / f"{labels}-{'weighted' if weighted else 'plain'}-{seed}"
        training, held_out = (
            frames if weighted else replace(frames, weights=np.ones(len(frames))) for frames in system.biased(seed)
        )
        settings = system.settings | {"steps": max(100, round(scale * system.settings["steps"]))}
        model = fit_frames(out / "run", training, held_out, seed=seed, forces=LABELS[labels], **settings)
        simulation = system.simulation | {"length_ps": scale * system.simulation["length_ps"]}
        amounts = {"samples": system.samples, "seed": seed, "simulation": simulation, "sampling": system.sampling}
        found, simulated, kept = both_sets(out, model, **amounts)
        drawn.append(system.scores(found, np.ones(len(found))))
        if simulated is not None:
            # frames lie one replica after the other
            late = simulated
            if system.relaxes:
                each = len(simulated) // simulation["replicas"]
                late = simulated[np.arange(len(simulated)) % each >= each // 2]
            moved.append(system.scores(late, np.ones(len(late))))
        stable.append(kept)
    truth = system.population(system.judges.positions, system.judges.weights)
    cells = []
    for part in (drawn, moved):
        shares, shapes = zip(*part, strict=True) if part else ((), ())
        ratio = f" ({np.mean(shares) / truth:.2f})" if part else ""
        cells.append((f"{spread(shares, 3)}{ratio}" or "-", spread(shapes, 3) or "-"))
    (share, shape), (moving_share, moving_shape) = cells
    return system.name, labels, said(weighted), share, moving_share, shape, moving_shape, ", ".join(stable)


if __name__ == "__main__":
    tyro.cli(main)
