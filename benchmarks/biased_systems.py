"""Biased frames of three systems, unbiased ones to compare with, and what is read off frames of each.

DW4, four particles whose open basin is thinned out ten-fold; alanine dipeptide under a static bias on (phi, psi);
thirteen Lennard-Jones particles, of which only the frames below the median energy are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from twofold import packaged
from twofold.analysis.divergence import js_divergence, total_variation
from twofold.analysis.observables import distances, torsions
from twofold.ensemble import Ensemble, split
from twofold.files.readers import read_trajectory
from twofold.systems.clusters import CLUSTERS

Kind = Literal["biased", "weighted", "unbiased"]
"""Biased frames that all count alike, the same ones with their weights, or as many frames without bias."""
Pair = tuple[Ensemble, Ensemble]
"""Frames that train, and frames that choose sigma*."""

THINNED = 10.0
OPEN_NM = 2.62
"""Radius of gyration between the two basins of DW4, nm."""
FRAMES = 20_000
SPARSE = 5
KEPT = 0.45
"""Part of the frames of a cluster that is kept: less than the bias leaves, and for all seeds the same, so that nothing
is compiled anew."""
UNSEEN = 2000
"""Frames of LJ-13 of which those below the median choose sigma*."""
JUDGES = 40_000
"""Frames of clusters to fit, and to judge by."""
SEED_OF_JUDGES = 10_000
HELD_OUT = 0.1
"""Part of both biased runs of alanine dipeptide, at their ends, that chooses sigma*."""
BIN_NM = 0.1
PAIR_CELLS = 100
PHI, PSI = np.array([[0, 1, 2, 3]]), np.array([[1, 2, 3, 4]])
TORSION_BINS = 36


@dataclass(frozen=True)
class System:
    """Frames of a system, and what is read off frames and compared with the truth."""

    name: str
    said: str
    biased: Callable[[int], Pair]
    """Of a seed, with weights that undo the bias where any do."""
    unbiased: Callable[[int], Pair]
    """As many frames of a seed without bias."""
    reference: Callable[[], Ensemble]
    inside: Callable[[np.ndarray], np.ndarray]
    """Which frames belong to the population that is counted."""
    local: Callable[[np.ndarray], np.ndarray]
    """Of which frames the structure is compared."""
    bins: Callable[[np.ndarray], np.ndarray]
    """Bins (frames, numbers) of a histogram of the structure."""
    cells: int
    divergence: Callable[[np.ndarray, np.ndarray], np.ndarray]
    """Distance between two such histograms."""
    weighted: bool = True
    energies: bool = False
    """Whether those of frames, which are of all particles, are labels of one of the fits."""
    shared: bool = False
    """Whether all seeds have the same frames, so that they do not tell the error of those."""
    settings: dict[str, Any] = field(default_factory=dict)
    simulation: dict[str, Any] = field(default_factory=dict)
    samples: int = 20_000

    @cached_property
    def judges(self) -> Ensemble:
        """Frames of the truth."""
        return self.reference()

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Of frames that there are."""
        return ("biased", "weighted", "unbiased") if self.weighted else ("biased", "unbiased")

    def simulated(self, scale: float) -> str:
        """Replicas and length of a simulation, in words."""
        return f"{self.simulation['replicas']} replicas of {scale * self.simulation['length_ps']:g} ps"

    def frames(self, kind: Kind, seed: int) -> Pair:
        """Of a kind and a seed."""
        if kind == "unbiased":
            return self.unbiased(seed)
        training, held_out = self.biased(seed)
        return (training, held_out) if kind == "weighted" else (alike(training), alike(held_out))

    def histogram(self, bins: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Of bins (frames, numbers), with the weights of frames."""
        each = None if weights is None else np.repeat(weights, bins.shape[1])
        return np.bincount(bins.ravel(), each, minlength=self.cells).astype(np.float64)


def alike(frames: Ensemble) -> Ensemble:
    """The same frames with equal weights."""
    return replace(frames, weights=np.ones(len(frames)))


def evenly(frames: Ensemble, number: int) -> Ensemble:
    """So many of them, evenly over the time, in proportion to their weights; heavy frames come more than once."""
    ends = np.cumsum(frames.weights) / frames.weights.sum()
    index = np.searchsorted(ends, (np.arange(number) + 0.5) / number)
    return alike(frames.select(np.minimum(index, len(frames) - 1)))


@cache
def chains(name: str, number: int, seed: int, sparse: int = 1) -> Ensemble:
    """Frames of the chains of a cluster, one of `sparse` of them."""
    return CLUSTERS[name].ensemble(sparse * number, seed).select(slice(None, None, sparse))


def spread_out(frames: Ensemble, number: int) -> Ensemble:
    """So many of them, evenly over the time, with their weights."""
    if len(frames) < number:
        raise SystemExit(f"{len(frames)} frames are left where {number} are to train: lower KEPT")
    return frames.select(np.arange(number) * len(frames) // number)


def in_pairs(make: Callable[[int, int], Ensemble], number: int, held_out: int) -> Callable[[int], Pair]:
    """`make(number, seed)` for a seed of a pair."""
    return lambda seed: (make(number, 2 * seed), make(held_out, 2 * seed + 1))


def in_dw4(number: int, seed: int) -> Ensemble:
    """Frames of DW4: chains forget where they began in 70 ps, and are not much longer unless there are many frames."""
    return chains("dw4", number, seed, SPARSE)


def thinned(number: int, seed: int) -> Ensemble:
    """What is left of so many frames of DW4 with a tenth of the open basin, whose frames have ten times the weight."""
    whole = in_dw4(number, seed)
    opened = is_open(whole.positions)
    kept = ~opened | (np.random.default_rng(seed).random(len(whole)) < 1 / THINNED)
    return spread_out(replace(whole, weights=np.where(opened, THINNED, 1.0)).select(kept), round(KEPT * number))


def is_open(positions: np.ndarray) -> np.ndarray:
    """Frames of four particles whose radius of gyration is that of the open basin."""
    away = positions - positions.mean(axis=1, keepdims=True)
    return np.sqrt(np.square(away).sum(axis=(1, 2)) / positions.shape[1]) > OPEN_NM


def everywhere(positions: np.ndarray) -> np.ndarray:
    """All frames."""
    return np.ones(len(positions), bool)


def pair_bins(positions: np.ndarray) -> np.ndarray:
    """Bin of each distance (frames, pairs)."""
    pairs = np.stack(np.triu_indices(positions.shape[1], 1), axis=1)
    return np.minimum((distances(positions, pairs) / BIN_NM).astype(np.int64), PAIR_CELLS - 1)


def truncated(number: int, seed: int) -> Ensemble:
    """What of so many frames of thirteen Lennard-Jones particles lies below their median energy."""
    whole = chains("lj13", number, seed)
    return spread_out(whole.select(~high_energy(whole.positions)), round(KEPT * number))


@cache
def median_energy() -> float:
    """Median of the energy in kT over the frames that judge."""
    return float(np.median(CLUSTERS["lj13"].energies(chains("lj13", JUDGES, SEED_OF_JUDGES).positions)))


def high_energy(positions: np.ndarray) -> np.ndarray:
    """Frames that the biased data have none of."""
    return np.asarray(CLUSTERS["lj13"].energies(positions)) >= median_energy()


def left_handed(positions: np.ndarray) -> np.ndarray:
    """Frames of five backbone beads with phi > 0."""
    return torsions(positions, PHI)[:, 0] > 0


def right_handed(positions: np.ndarray) -> np.ndarray:
    """Frames of five backbone beads with phi < 0."""
    return ~left_handed(positions)


def torsion_bins(positions: np.ndarray) -> np.ndarray:
    """Cell of (phi, psi) of each frame (frames, 1)."""
    phi, psi = (
        np.clip(((torsions(positions, which) + np.pi) * TORSION_BINS / (2 * np.pi)).astype(np.int64), 0, LAST)
        for which in (PHI, PSI)
    )
    return phi * TORSION_BINS + psi


LAST = TORSION_BINS - 1


@cache
def metadynamics(data: Path) -> Pair:
    """Backbone beads of both biased runs, with forces and weights; their ends choose sigma*."""
    archive = data / "train.npz"
    logarithms = np.load(archive)["log_weight"]
    units: dict[str, Any] = {"length_unit": "nm", "energy_unit": "kj/mol"}
    weights = np.exp(logarithms - logarithms.max())
    frames = read_trajectory(data / "ala2.pdb", archive, beads="backbone", temperature=300.0, weights=weights, **units)
    return split(frames, HELD_OUT)


def packaged_judges() -> Ensemble:
    """The packaged runs but the two that are the biased runs with every second frame."""
    data = packaged.ala2()
    files = [*data.training, *data.held_out]
    frames = read_trajectory(data.topology, files, temperature=data.temperature, weights=data.weights())
    others = [place for place, file in enumerate(files) if file.stem not in ("training-0", "held-out-0")]
    return frames.select(np.isin(frames.trajectory, others))


def systems(data: Path) -> dict[str, System]:
    """By the name on the command line."""

    def as_many(biased: Callable[[int], Pair], wholes: Callable[[int], Pair]) -> Callable[[int], Pair]:
        def found(seed: int) -> Pair:
            one, other = (evenly(w, len(b)) for w, b in zip(wholes(seed), biased(seed), strict=True))
            return one, other

        return found

    def meta(seed: int) -> Pair:
        del seed  # there are no other frames
        return metadynamics(data)

    thin, cut = in_pairs(thinned, FRAMES, FRAMES), in_pairs(truncated, FRAMES, UNSEEN)
    found = (
        System(
            name="dw4",
            said="open basin; structure: pair distances in it, TV",
            biased=thin,
            unbiased=as_many(thin, in_pairs(in_dw4, FRAMES, FRAMES)),
            reference=partial(chains, "dw4", JUDGES, SEED_OF_JUDGES),
            inside=is_open,
            local=is_open,
            bins=pair_bins,
            cells=PAIR_CELLS,
            divergence=total_variation,
            energies=True,
            settings={"steps": 1500, "batch": 64},
            simulation={"replicas": 100, "length_ps": 200.0, "frame_ps": 2.0, "timestep_fs": 20.0},
            samples=2048,
        ),
        System(
            name="ala2",
            said="phi > 0; structure: (phi, psi) where phi < 0, JS in nats",
            biased=meta,
            unbiased=as_many(meta, meta),
            reference=packaged_judges,
            inside=left_handed,
            local=right_handed,
            bins=torsion_bins,
            cells=TORSION_BINS**2,
            divergence=js_divergence,
            shared=True,
            settings={"steps": 5000},
            simulation={"replicas": 100, "length_ps": 100.0, "frame_ps": 0.5, "exchange": 4},
        ),
        System(
            name="lj13",
            said="energies above the median; structure: pair distances, TV",
            biased=cut,
            unbiased=as_many(cut, in_pairs(partial(chains, "lj13"), FRAMES, UNSEEN)),
            reference=partial(chains, "lj13", JUDGES, SEED_OF_JUDGES),
            inside=high_energy,
            local=everywhere,
            bins=pair_bins,
            cells=PAIR_CELLS,
            divergence=total_variation,
            weighted=False,
            settings={"steps": 1500, "batch": 32},
            simulation={"replicas": 50, "length_ps": 20.0, "frame_ps": 0.2, "timestep_fs": 4.0},
            samples=2000,
        ),
    )
    return {system.name: system for system in found}
