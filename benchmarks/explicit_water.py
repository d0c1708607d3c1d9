"""Alanine dipeptide in explicit water, six beads: what noisy coarse-grained forces add to few frames.

    python benchmarks/explicit_water.py DATA runs/bench-water --write benchmarks/explicit_water.md

DATA is a folder with 10,000 frames and forces of six beads (`ala2_cacb_*.npy`; Wang et al., ACS Cent. Sci. 5, 755,
2019) and the 250,000 pairs of torsions of an independent simulation that judge (`dihedral_traj0.npy`; mdshare).
Every seed takes other frames where not all are taken, the same for every kind of labels, which are compared in pairs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from common import Folder, both_sets, command_line, fit_frames, header, publish, spread, table

from twofold.analysis.divergence import js_2d, pmf_error_2d
from twofold.analysis.observables import torsions
from twofold.analysis.uncertainty import jackknife
from twofold.ensemble import Ensemble, split
from twofold.files.readers import read_trajectory
from twofold.force_check import measure_forces

PHI, PSI = np.array([[0, 1, 2, 4]]), np.array([[1, 2, 4, 5]])
"""Of the beads C N CA CB C N."""
BINS = 60
PLAIN, DEFAULT = "noise", "noise and forces"
ARMS: dict[str, dict[str, Any]] = {
    PLAIN: {"forces": "none"},
    DEFAULT: {"forces": "auto"},
    "noise and forces, matrix": {"forces": "auto", "force_mixture": "matrix"},
    "forces": {"forces": "only"},
}
COLUMNS = (
    "frames", "labels", "samples: JS", "where phi < 0", "PMF error", "phi > 0, %", "simulation: JS", "where phi < 0",
    "PMF error", "phi > 0, %", "stable",
)  # fmt: skip


def main(
    data: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(help="folder of the frames and of the torsions")],
    folder: Folder,
    /,
    frames: tuple[int, ...] = (1000, 10_000),
    labels: Annotated[tuple[str, ...], tyro.conf.arg(help="kinds of them")] = tuple(ARMS),
    updates: int = 5000,
    seeds: Annotated[
        tuple[int, ...], tyro.conf.arg(help="for each of frames, of the first two kinds of labels; the others have one")
    ] = (5, 3),
    samples: int = 20_000,
    length_ps: float = 100.0,
    write: Path | None = None,
) -> None:
    """Run the benchmark and print its table."""
    lines = header("Alanine dipeptide in explicit water, six beads with forces", command_line())
    judges = np.load(data / "dihedral_traj0.npy")
    whole = read(data)
    found = measure_forces(whole)
    simulation = {"replicas": REPLICAS, "length_ps": length_ps, "frame_ps": length_ps / RECORDED, "exchange": 4}
    one, other = np.split(judges, [len(judges) // 2])
    rows: list[tuple[Any, ...]] = [("", "halves of the judges", *cells([scores(one, other)]), *BLANK)]
    rng = np.random.default_rng(0)
    # half of the frames of a simulation count
    for number in (*frames, SIMULATED // 2, samples):
        for name, drawn, against in (("the judges", judges, judges), ("one half against the other", one, other)):
            found_there = [scores(drawn[rng.choice(len(drawn), number)], against) for _ in range(DRAWS)]
            rows.append(("", f"{number} draws of {name}", *cells(found_there), *BLANK))
    share, error = jackknife(
        lambda index: 100 * float(np.mean(judges[index, 0] > 0)), np.arange(len(judges)) * BLOCKS // len(judges)
    )
    signals, gains = [], []
    for number, repeats in zip(frames, seeds, strict=True):
        parts = [taken(whole, number, seed) for seed in range(repeats)]
        own = [scores(angles(part.positions), judges) for part in (parts if number < len(whole) else parts[:1])]
        rows.append((number, "the frames themselves", *cells(own), *BLANK))
        arms: dict[str, Arm] = {}
        for name in labels:
            kept = folder / f"{name.replace(' ', '-').replace(',', '')}-{number}"
            some = parts if name in (PLAIN, DEFAULT) else parts[:1]
            arms[name] = arm(kept, some, judges, ARMS[name] | {"steps": updates}, samples, simulation)
            rows.append((number, name, *arms[name].cells()))
            print("\n".join(table(COLUMNS, rows)), flush=True)
        if DEFAULT in arms:
            signals.append(f"{number} frames: {signal(arms[DEFAULT].report)}")
        if {PLAIN, DEFAULT} <= arms.keys():
            gains.append(f"{number} frames: {gain(arms[PLAIN], arms[DEFAULT])}")
    lines += [
        f"The virial of the forces is {found.ratio:.2f} ± {found.error:.2f} times what it should be, that of stretches "
        f"{found.stretch:.2f} ± {found.stretch_error:.2f}: {found.verdict}. {'; '.join(signals)}. Frames are taken "
        "evenly over all of the time, other ones for each seed where not all are taken, and the last fifth of the time "
        f"is held out for the choice of sigma*, so that four fifths train. {updates} updates, {samples} samples, 100 "
        f"replicas of {length_ps:g} ps that trade with copies at four larger levels of noise, of which the second half "
        f"counts, freed of the noise of sigma*. JS ({BINS} x {BINS} bins, nats) and PMF error ((kT)^2) of (phi, psi) "
        f"against the {len(judges)} pairs of torsions, of which {share:.2g} ± {error:.1g} % have phi > 0, a basin that "
        "is entered too rarely there to be known well: JS where phi < 0 is the sharper judge. Sets are to be read "
        f"against as many draws of the judges. Mean ± standard error over seeds ({', '.join(map(str, seeds))}), or "
        f"over {DRAWS} draws; one seed of other labels than noise, and noise and forces.",
        "",
        f"What the forces take off, in pairs of the same frames (where all frames are taken, errors are over fits "
        f"alone): {'; '.join(gains)}.",
        "",
        *table(COLUMNS, rows),
    ]
    publish(lines, write)


BLANK = ("", "", "", "", "")
DRAWS = 5
REPLICAS, RECORDED = 100, 250
SIMULATED = REPLICAS * RECORDED
BLOCKS = 20


def taken(whole: Ensemble, number: int, seed: int) -> Ensemble:
    """So many frames, evenly over the time, others for each seed as long as there are any."""
    every = len(whole) // number
    return whole.select(slice(seed % every, None, every)).select(slice(number))


def signal(report: dict[str, Any]) -> str:
    """What part of the labels is signal, and the noise at which forces and noise tell as much."""
    part, crossings = report["label_signal"], report["crossover_sigma"].values()
    return (
        f"at sigma {part['sigma']:.3g} at least {100 * part['noise']:.2g} % of the labels of noise and "
        f"{100 * part['forces']:.2g} % of the forces are signal, and coordinates weigh both alike at sigma "
        f"{min(crossings):.2g} to {max(crossings):.2g}"
    )


def read(data: Path) -> Ensemble:
    """Frames of six beads with their forces."""
    return read_trajectory(
        None,
        data / "ala2_cacb_coordinates.npy",
        forces=data / "ala2_cacb_forces.npy",
        temperature=300.0,
        length_unit="angstrom",
        energy_unit="kcal/mol",
    )


def angles(positions: np.ndarray) -> np.ndarray:
    """(frames, 2) phi and psi in radians."""
    return np.concatenate([torsions(positions, PHI), torsions(positions, PSI)], axis=1)


def scores(found: np.ndarray, judges: np.ndarray) -> tuple[float, ...]:
    """JS, that where phi < 0, PMF error, and per cent of phi > 0, of torsions (frames, 2)."""
    common, there = (one[one[:, 0] < 0] for one in (found, judges))
    rare = 100 * float(np.mean(found[:, 0] > 0))
    return js_2d(found, judges, BINS), js_2d(common, there, BINS), pmf_error_2d(found, judges, BINS), rare


def cells(found: list[tuple[float, ...]]) -> list[str]:
    """Means and errors over seeds, or dashes."""
    return [spread(column, 3) for column in zip(*found, strict=True)] or ["-"] * 4


@dataclass
class Arm:
    """What one kind of labels led to: scores of samples and of simulations by seed, and the report of the last fit."""

    drawn: dict[int, tuple[float, ...]] = field(default_factory=dict)
    moved: dict[int, tuple[float, ...]] = field(default_factory=dict)
    stable: list[str] = field(default_factory=list)
    report: dict[str, Any] = field(default_factory=dict)

    def cells(self) -> tuple[str, ...]:
        """Of a row."""
        return (*cells(list(self.drawn.values())), *cells(list(self.moved.values())), ", ".join(self.stable))


def gain(plain: Arm, default: Arm) -> str:
    """Mean and standard error over seeds of how much lower divergences are with forces than without, in nats."""
    said = []
    for name, one, other in (("samples", plain.drawn, default.drawn), ("simulation", plain.moved, default.moved)):
        pairs = [(one[seed], other[seed]) for seed in one.keys() & other.keys()]
        for place, where in enumerate(("", " where phi < 0")):
            said.append(f"{name}{where} {spread([a[place] - b[place] for a, b in pairs], 2)}")
    return ", ".join(said)


def arm(
    folder: Path,
    parts: list[Ensemble],
    judges: np.ndarray,
    settings: dict[str, Any],
    samples: int,
    simulation: dict[str, Any],
) -> Arm:
    """Fit, sample and simulate with one kind of labels, a seed for each part; what is there already is kept."""
    found, skip = Arm(), simulation["length_ps"] / 2
    for seed, frames in enumerate(parts):
        out = folder.with_name(f"{folder.name}-{seed}")
        model = fit_frames(out / "run", *split(frames), seed=seed, **settings)
        one, other, kept = both_sets(out, model, samples=samples, seed=seed, simulation=simulation, skip_ps=skip)
        found.report = model.report
        found.drawn[seed] = scores(angles(one), judges)
        if other is not None:
            found.moved[seed] = scores(angles(other), judges)
        found.stable.append(kept)
    return found


if __name__ == "__main__":
    tyro.cli(main)
