"""Alanine dipeptide in explicit water, six beads: what noisy coarse-grained forces add to few frames.

    python benchmarks/explicit_water.py DATA runs/bench-water --write benchmarks/explicit_water.md

DATA is a folder with 10,000 frames and forces of six beads (`ala2_cacb_*.npy`; Wang et al., ACS Cent. Sci. 5, 755,
2019) and the 250,000 pairs of torsions of an independent simulation that judge (`dihedral_traj0.npy`; mdshare).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from common import Folder, both_sets, command_line, fit_frames, header, publish, spread, table

from twofold.analysis.divergence import js_2d, pmf_error_2d
from twofold.analysis.observables import torsions
from twofold.ensemble import Ensemble, split
from twofold.files.readers import read_trajectory
from twofold.force_check import measure_forces

PHI, PSI = np.array([[0, 1, 2, 4]]), np.array([[1, 2, 4, 5]])
"""Of the beads C N CA CB C N."""
BINS = 60
ARMS: dict[str, dict[str, Any]] = {
    "noise": {"forces": "none"},
    "noise and forces": {"forces": "auto"},
    "noise and forces, matrix": {"forces": "auto", "force_mixture": "matrix"},
    "forces": {"forces": "only"},
}
COLUMNS = (
    "frames", "labels", "samples: JS", "PMF error", "phi > 0, %", "simulation: JS", "PMF error", "phi > 0, %", "stable",
)  # fmt: skip


def main(
    data: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(help="folder of the frames and of the torsions")],
    folder: Folder,
    /,
    frames: tuple[int, ...] = (1000, 10_000),
    updates: int = 10_000,
    seeds: int = 3,
    samples: int = 50_000,
    length_ps: float = 500.0,
    write: Path | None = None,
) -> None:
    """Run the benchmark and print its table."""
    lines = header("Alanine dipeptide in explicit water, six beads with forces", command_line())
    judges = np.load(data / "dihedral_traj0.npy")
    whole = read(data)
    found = measure_forces(whole)
    simulation = {"replicas": 100, "length_ps": length_ps, "frame_ps": length_ps / 250, "exchange": 4}
    half = len(judges) // 2
    rows: list[tuple[Any, ...]] = [("", "halves of the judges", *cells([scores(judges[:half], judges[half:])]), *BLANK)]
    for number in frames:
        few = whole.select(slice(None, None, len(whole) // number))
        rows.append((number, "the frames themselves", *cells([scores(angles(few.positions), judges)]), *BLANK))
        for name, settings in ARMS.items():
            kept = folder / f"{name.replace(' ', '-').replace(',', '')}-{number}"
            rows.append(
                (number, name, *arm(kept, few, judges, settings | {"steps": updates}, seeds, samples, simulation))
            )
            print("\n".join(table(COLUMNS, rows)), flush=True)
    lines += [
        f"The virial of the forces is {found.ratio:.2f} ± {found.error:.2f} times what it should be, that of stretches "
        f"{found.stretch:.2f} ± {found.stretch_error:.2f}. Every tenth frame, or all; the last fifth of the time is "
        f"held out for the choice of sigma*. {updates} updates, {samples} samples, 100 replicas of {length_ps:g} ps "
        "that trade with copies at four larger levels of noise, freed of the noise of sigma*. JS "
        f"({BINS} x {BINS} bins, nats) and PMF error ((kT)^2) of (phi, psi) against the {len(judges)} pairs of "
        f"torsions; mean ± standard error over {seeds} seeds.",
        "",
        *table(COLUMNS, rows),
    ]
    publish(lines, write)


BLANK = ("", "", "", "")


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


def scores(found: np.ndarray, judges: np.ndarray) -> tuple[float, float, float]:
    """JS, PMF error, and per cent of phi > 0, of torsions (frames, 2)."""
    return js_2d(found, judges, BINS), pmf_error_2d(found, judges, BINS), 100 * float(np.mean(found[:, 0] > 0))


def cells(found: list[tuple[float, ...]]) -> list[str]:
    """Means and errors over seeds, or dashes."""
    return [spread(column, 3) for column in zip(*found, strict=True)] or ["-"] * 3


def arm(
    folder: Path,
    frames: Ensemble,
    judges: np.ndarray,
    settings: dict[str, Any],
    seeds: int,
    samples: int,
    simulation: dict[str, Any],
) -> tuple[str, ...]:
    """Fit, sample and simulate with one kind of labels; parts that are there already are kept."""
    training, held_out = split(frames)
    drawn, moved, stable = [], [], []
    for seed in range(seeds):
        out = folder.with_name(f"{folder.name}-{seed}")
        model = fit_frames(out / "run", training, held_out, seed=seed, **settings)
        one, other, kept = both_sets(out, model, samples=samples, seed=seed, simulation=simulation)
        drawn.append(scores(angles(one), judges))
        if other is not None:
            moved.append(scores(angles(other), judges))
        stable.append(kept)
    return *cells(drawn), *cells(moved), ", ".join(stable)


if __name__ == "__main__":
    tyro.cli(main)
