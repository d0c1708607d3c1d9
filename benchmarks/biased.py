"""Biased data: what labels and weights repair of populations and of local structure.

    python benchmarks/biased.py DATA runs/bench-biased --write benchmarks/biased.md

DATA is a folder with `ala2.pdb` and `train.npz`: alanine dipeptide under a static bias on (phi, psi), with the forces
of the unbiased force field and the logarithms of the weights. Two more systems have an exact energy: DW4, four
particles whose open basin is thinned out ten-fold, and thirteen Lennard-Jones particles, of which only the frames below
the median energy are kept: there no weight brings back what is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from common import Folder, both_sets, command_line, fit_frames, header, publish, spread, table

from twofold import packaged
from twofold.analysis.divergence import js_2d, total_variation
from twofold.analysis.observables import distances, torsions
from twofold.ensemble import Ensemble
from twofold.files.readers import read_trajectory
from twofold.systems.clusters import CLUSTERS
from twofold.systems.convergence import cluster_convergence

THINNED = 10.0
OPEN_NM = 2.62
"""Radius of gyration between the two basins of DW4, nm."""
FRAMES = 20_000
JUDGES = 100_000
"""Frames of clusters to fit, and to judge by."""
SEED_OF_JUDGES = 10_000
BIN_NM = 0.02
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
    shape: Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], float]
    """Distance between the local structures of two sets of positions and weights."""
    weighted: bool = True
    settings: dict[str, Any] = field(default_factory=dict)
    simulation: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def judges(self) -> Ensemble:
        """Frames of the truth."""
        return self.reference()

    def scores(self, positions: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
        """Population in per cent, and distance of the local structure from the truth."""
        share = 100 * np.average(self.inside(positions), weights=weights)
        return float(share), self.shape(positions, weights, self.judges.positions, self.judges.weights)


def thinned(seed: int) -> Ensemble:
    """DW4 whose open basin has a tenth of its frames, each with ten times the weight."""
    whole = CLUSTERS["dw4"].ensemble(FRAMES, seed)
    opened = is_open(whole.positions)
    kept = ~opened | (np.random.default_rng(seed).random(len(whole)) < 1 / THINNED)
    return replace(whole, weights=np.where(opened, THINNED, 1.0)).select(kept)


def is_open(positions: np.ndarray) -> np.ndarray:
    """Frames of four particles whose radius of gyration is that of the open basin."""
    return np.sqrt(np.square(positions).sum(axis=(1, 2)) / positions.shape[1]) > OPEN_NM


def open_shape(x: np.ndarray, x_weights: np.ndarray, y: np.ndarray, y_weights: np.ndarray) -> float:
    """Total variation of the distances of all pairs within the open basin."""
    one, other = is_open(x), is_open(y)
    return all_pairs(x[one], x_weights[one], y[other], y_weights[other]) if one.any() else 1.0


def all_pairs(x: np.ndarray, x_weights: np.ndarray, y: np.ndarray, y_weights: np.ndarray) -> float:
    """Total variation of the distances of all pairs."""
    return float(total_variation(histogram(x, x_weights), histogram(y, y_weights)))


def histogram(positions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted histogram of the distances of all pairs."""
    pairs = np.stack(np.triu_indices(positions.shape[1], 1), axis=1)
    found = distances(positions, pairs)
    return np.histogram(found, np.arange(0.0, 10.0, BIN_NM), weights=np.broadcast_to(weights[:, None], found.shape))[0]


def truncated(seed: int) -> Ensemble:
    """Thirteen Lennard-Jones particles below their median energy."""
    whole = CLUSTERS["lj13"].ensemble(FRAMES, seed)
    return whole.select(CLUSTERS["lj13"].energies(whole.positions) < median_energy())


def median_energy() -> float:
    """Median of the energy in kT over the frames that judge."""
    cluster = CLUSTERS["lj13"]
    return float(np.median(cluster.energies(cluster.ensemble(JUDGES, SEED_OF_JUDGES).positions)))


def high_energy(positions: np.ndarray) -> np.ndarray:
    """Frames that the biased data have none of."""
    return CLUSTERS["lj13"].energies(positions) >= median_energy()


def left_handed(positions: np.ndarray) -> np.ndarray:
    """Frames of five backbone beads with phi > 0."""
    return torsions(positions, PHI)[:, 0] > 0


def torsion_shape(x: np.ndarray, x_weights: np.ndarray, y: np.ndarray, y_weights: np.ndarray) -> float:
    """Jensen-Shannon divergence of (phi, psi) over the frames with phi < 0, in nats."""
    sides = []
    for positions, weights in ((x, x_weights), (y, y_weights)):
        angles = np.concatenate([torsions(positions, PHI), torsions(positions, PSI)], axis=1)
        sides.append((angles[angles[:, 0] < 0], weights[angles[:, 0] < 0]))
    (one, one_weights), (other, other_weights) = sides
    return js_2d(one, other, TORSION_BINS, one_weights, other_weights)


def metadynamics(data: Path) -> tuple[Ensemble, Ensemble]:
    """Backbone beads of the two biased runs, with forces and weights: the first trains, the second is held out."""
    archive = data / "train.npz"
    logarithms = np.load(archive)["log_weight"]
    units = {"length_unit": "nm", "energy_unit": "kj/mol"}
    weights = np.exp(logarithms - logarithms.max())
    frames = read_trajectory(data / "ala2.pdb", archive, beads="backbone", temperature=300.0, weights=weights, **units)
    return frames.select(frames.trajectory == 0), frames.select(frames.trajectory == 1)


def packaged_judges() -> Ensemble:
    """The held-out part of the packaged data; its first run is the one that is held out here."""
    data = packaged.ala2()
    weights = np.load(data.held_out_weights)
    return read_trajectory(data.topology, data.held_out, temperature=data.temperature, weights=weights)


def systems(data: Path) -> dict[str, System]:
    """By the name on the command line."""
    cluster = {"replicas": 100, "length_ps": 400.0, "frame_ps": 2.0}
    peptide = {"replicas": 100, "length_ps": 200.0, "frame_ps": 1.0, "exchange": 4}

    def of_cluster(name: str) -> Callable[[], Ensemble]:
        return lambda: CLUSTERS[name].ensemble(JUDGES, SEED_OF_JUDGES)

    found = (
        System(
            "dw4",
            "open basin; structure: pair distances in it, TV",
            lambda seed: (thinned(2 * seed), thinned(2 * seed + 1)),
            of_cluster("dw4"),
            is_open,
            open_shape,
            settings={"steps": 6000},
            simulation=cluster,
        ),
        System(
            "ala2",
            "phi > 0; structure: (phi, psi) where phi < 0, JS in nats",
            lambda seed: metadynamics(data),
            packaged_judges,
            left_handed,
            torsion_shape,
            settings={"steps": 10_000},
            simulation=peptide,
        ),
        System(
            "lj13",
            "energies above the median; structure: pair distances, TV",
            lambda seed: (truncated(2 * seed), truncated(2 * seed + 1)),
            of_cluster("lj13"),
            high_energy,
            all_pairs,
            weighted=False,
            settings={"steps": 4000, "batch": 64},
            simulation=cluster | {"length_ps": 100.0},
        ),
    )
    return {system.name: system for system in found}


LABELS = {"noise": "none", "forces": "only", "mixture": "auto"}


def main(
    data: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(help="folder of the biased alanine dipeptide")],
    folder: Folder,
    /,
    only: tuple[str, ...] = ("dw4", "ala2", "lj13"),
    seeds: int = 3,
    samples: int = 20_000,
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
        rows += floors(system, seeds)
        for labels in LABELS:
            for weighted in (False, True) if system.weighted else (False,):
                rows.append(row(system, folder / name, labels, weighted, seeds, samples, scale))
                print("\n".join(table(COLUMNS, rows)), flush=True)
    counted = "; ".join(f"{name}: {known[name].said}" for name in only)
    lines += [
        f"Populations and local structure of {samples} samples and of simulations at sigma*, freed of its noise. "
        f"Counted are: {counted}. Mean ± standard error over {seeds} seeds (of the fit; of the data too where they are "
        "made by a known energy).",
        "",
        *notes,
        *table(COLUMNS, rows),
    ]
    publish(lines, write)


COLUMNS = (
    "system", "labels", "weights", "population, %: samples", "simulation", "structure: samples", "simulation", "stable",
)  # fmt: skip


def floors(system: System, seeds: int) -> list[tuple[Any, ...]]:
    """The truth, and the training frames with and without their weights."""
    judges = system.judges
    rows: list[tuple[Any, ...]] = [
        (system.name, "the truth", "", f"{system.scores(judges.positions, judges.weights)[0]:.3g}", "", "", "", "")
    ]
    frames = [system.biased(seed)[0] for seed in range(seeds)]
    for weighted in (False, True) if system.weighted else (False,):
        found = [system.scores(one.positions, one.weights if weighted else np.ones(len(one))) for one in frames]
        share, shape = (spread(column, 3) for column in zip(*found, strict=True))
        rows.append((system.name, "training frames", said(weighted), share, "", shape, "", ""))
    return rows


def said(weighted: bool) -> str:
    """For a cell."""
    return "yes" if weighted else "no"


def row(
    system: System, folder: Path, labels: str, weighted: bool, seeds: int, samples: int, scale: float
) -> tuple[Any, ...]:
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
        found, simulated, kept = both_sets(out, model, samples=samples, seed=seed, simulation=simulation)
        drawn.append(system.scores(found, np.ones(len(found))))
        if simulated is not None:
            moved.append(system.scores(simulated, np.ones(len(simulated))))
        stable.append(kept)
    cells = [[spread(column, 3) for column in zip(*part, strict=True)] or ["-", "-"] for part in (drawn, moved)]
    (share, shape), (moving_share, moving_shape) = cells
    return system.name, labels, said(weighted), share, moving_share, shape, moving_shape, ", ".join(stable)


if __name__ == "__main__":
    tyro.cli(main)
