"""MD17: small molecules at 500 K with forces as labels; structures, stability and forces of one model each.

    python benchmarks/md17.py DATA runs/bench-md17 --write benchmarks/md17.md

DATA is a folder with `rmd17_NAME_train_01.npz` (Christensen and von Lilienfeld, 2020), from which the frames with the
forces of the dynamics that made them are learned, and `ethanol_more.npz`, further frames of ethanol to judge by, which
lie among and after those that train. The last fifth of the time of each molecule is held out. Where the check refuses
the forces of the dynamics, the frames are learned without.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from common import Folder, both_sets, command_line, fit_once, header, publish, table

from twofold.analysis.divergence import js_divergence, total_variation
from twofold.analysis.graph import torsion_quadruples
from twofold.analysis.observables import distances, torsions
from twofold.ensemble import Ensemble
from twofold.files.readers import read_trajectory
from twofold.force_check import measure_forces
from twofold.model import Model
from twofold.run_folder import RunFolder
from twofold.units import energy_factor, length_factor

MOLECULES = (
    "ethanol", "malonaldehyde", "benzene", "uracil", "toluene", "salicylic", "naphthalene", "paracetamol", "azobenzene",
    "aspirin",
)  # fmt: skip
TEMPERATURE = 500.0
BIN_NM = 0.002
DRAWS = 20
TORSION_BINS = 36
FORCE_UNIT = energy_factor("kcal/mol") / length_factor("angstrom")
COLUMNS = (
    "molecule", "atoms", "architecture", "minutes", "virial, forces of the dynamics", "virial, recomputed forces",
    "frames that judge", "TV samples / floor", "TV simulation / floor", "worst pair type, samples", "simulation",
    "torsions JS / floor, samples", "simulation", "bonds, mean error, pm: samples", "simulation",
    "bond widths, mean excess, %: samples", "simulation", "force error, kcal/mol/Å", "of mean size", "stable",
)  # fmt: skip


def main(
    data: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(help="folder of the archives")],
    folder: Folder,
    /,
    molecules: tuple[str, ...] = MOLECULES,
    minutes: float = 20.0,
    updates: Annotated[
        int | None, tyro.conf.arg(help="in place of minutes: as many as they held when the machine was idle")
    ] = 3000,
    forces: Annotated[str, tyro.conf.arg(help="auto, none or only, as twofold fit has it")] = "auto",
    samples: int = 3000,
    replicas: int = 30,
    length_ps: float = 100.0,
    write: Path | None = None,
) -> None:
    """Run the benchmark and print its table."""
    lines = header("MD17", command_line())
    budget: dict[str, Any] = {"steps": updates} if updates else {"minutes": minutes}
    rows: list[tuple[Any, ...]] = []
    types: list[tuple[Any, ...]] = []
    for name in molecules:
        work = Work(data, folder / name, name, budget | {"forces": forces}, samples)
        if forces != "none" and measure_forces(work.frames()).verdict == "refused":
            work = replace(work, settings=budget | {"forces": "none"})
        found, own = row(work, {"replicas": replicas, "length_ps": length_ps, "frame_ps": length_ps / 200})
        rows.append(found)
        types += own
        print("\n".join(table(COLUMNS, rows)), flush=True)
    lines += [
        f"1,000 frames each, of which the last fifth of the time judges (ethanol: further frames). {samples} samples, "
        f"{replicas} replicas of {length_ps:g} ps at {TEMPERATURE:g} K from samples, freed of the noise of sigma*. "
        f"TV: total variation of distances of pairs of two elements, all pairs together, bins of {BIN_NM} nm, mean "
        "over the types; of as many frames as the floor has, which is that of the training frames. The virial "
        "-<F.x> / (3 (N - 1) kT) should be 1. Bonds: mean over the bonds of the error of their mean length, and of "
        "what their standard deviation is above that of the judges. Torsions: mean over all torsions about bonds.",
        "",
        *table(COLUMNS, rows),
        "Every type of pairs: total variation and, in brackets, its ratio to the floor.",
        "",
        *table(("molecule", "pairs", "floor", "samples", "simulation"), types),
    ]
    publish(lines, write)


@dataclass(frozen=True)
class Work:
    """What is done with one molecule, and where."""

    data: Path
    folder: Path
    name: str
    settings: dict[str, Any]
    samples: int

    @property
    def title(self) -> str:
        """The name, and what is particular."""
        return f"{self.name}, without forces" if self.settings["forces"] == "none" else self.name

    @property
    def archive(self) -> Path:
        """The thousand frames."""
        return self.data / f"rmd17_{self.name}_train_01.npz"

    def frames(self, theory: str = "dynamics") -> Ensemble:
        """All of them, with the forces of a level of theory."""
        return read_trajectory(None, self.archive, temperature=TEMPERATURE, theory=theory)

    def model(self) -> Model:
        """The model, fitted once."""
        return fit_once(self.folder / "run", self.archive, temperature=TEMPERATURE, **self.settings)

    def judges(self, held_out: Ensemble) -> Ensemble:
        """Frames that training did not see."""
        more = self.data / f"{self.name}_more.npz"
        return read_trajectory(None, more, temperature=TEMPERATURE) if more.is_file() else held_out


def row(work: Work, simulation: dict[str, Any]) -> tuple[tuple[Any, ...], list[tuple[Any, ...]]]:
    """Fit, sample, simulate and score one molecule; parts that are there are kept. Its row, and rows of its pairs."""
    model, run = work.model(), RunFolder(work.folder / "run")
    *sets, stable = both_sets(work.folder, model, samples=work.samples, seed=0, simulation=simulation)
    training, held_out = run.read_data()
    judges = work.judges(held_out)
    floors, *found = (variations(one, training, judges) for one in (training.positions, *sets))
    floor = float(np.mean(list(floors.values())))
    means = [
        f"{np.mean(list(one.values())):.3f} ({np.mean(list(one.values())) / floor:.2f})" if one else "-"
        for one in found
    ]
    worst = [max(one, key=lambda pair, one=one: one[pair] / floors[pair]) if one else "" for one in found]
    cells = (
        work.title,
        len(model.beads),
        model.report["architecture"],
        f"{model.report['seconds'] / 60:.1f}",
        *(virial(work.frames(theory)) for theory in ("dynamics", "recomputed")),
        len(judges),
        *means,
        *(f"{pair} {one[pair] / floors[pair]:.2f}" if one else "-" for pair, one in zip(worst, found, strict=True)),
        *(torsion_ratio(one, training, judges) for one in sets),
        *(bond_error(one, judges) for one in sets),
        *(width_excess(one, judges) for one in sets),
        *force_error(model, held_out),
        stable,
    )
    pairs = [
        (
            work.title,
            pair,
            f"{floors[pair]:.3f}",
            *(f"{one[pair]:.3f} ({one[pair] / floors[pair]:.2f})" if one else "-" for one in found),
        )
        for pair in floors
    ]
    return cells, pairs


def virial(frames: Ensemble) -> str:
    """The virial ratio, and whether the check lets the forces pass."""
    found = measure_forces(frames)
    return f"{found.ratio:.2f} ± {found.error:.2f} ({found.verdict})"


def variations(found: np.ndarray | None, training: Ensemble, judges: Ensemble) -> dict[str, float]:
    """Total variation for each type of pairs, of as many frames as train; empty without frames."""
    if found is None:
        return {}
    rng, edges = np.random.default_rng(0), np.arange(0.0, 3.0, BIN_NM)
    number = min(len(training), len(found))
    draws = [found[rng.choice(len(found), number, replace=False)] for _ in range(DRAWS if number < len(found) else 1)]
    values = {}
    for name, pairs in pair_types(judges).items():
        exact = histogram(judges.positions, pairs, edges)
        values[name] = float(np.mean([total_variation(histogram(one, pairs, edges), exact) for one in draws]))
    return values


def torsion_ratio(found: np.ndarray | None, training: Ensemble, judges: Ensemble) -> str:
    """Mean over the torsions of the divergence of as many frames as train, in nats, and its ratio to the floor."""
    rows = torsion_quadruples(judges.beads)
    if found is None or not len(rows):
        return "-"
    rng, edges = np.random.default_rng(0), np.linspace(-np.pi, np.pi, TORSION_BINS + 1)
    number = min(len(training), len(found))

    def mean(positions: np.ndarray) -> float:
        angles, exact = torsions(positions, rows), torsions(judges.positions, rows)
        pairs = [[np.histogram(side[:, k], edges)[0] for side in (angles, exact)] for k in range(len(rows))]
        return float(np.mean([js_divergence(one.astype(float), other.astype(float)) for one, other in pairs]))

    value = mean(found[rng.choice(len(found), number, replace=False)])
    floor = mean(training.positions)
    return f"{value:.4f} ({value / floor:.2f})"


def pair_types(frames: Ensemble) -> dict[str, np.ndarray]:
    """Pairs (pairs, 2) by the two elements."""
    kinds = frames.beads.types
    found: dict[str, list[tuple[int, int]]] = {}
    for i, j in combinations(range(len(kinds)), 2):
        found.setdefault("-".join(sorted((kinds[i], kinds[j]))), []).append((i, j))
    return {name: np.array(pairs) for name, pairs in found.items()}


def histogram(positions: np.ndarray, pairs: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Counts of all distances of the pairs."""
    return np.histogram(distances(positions, pairs), edges)[0]


def bond_error(found: np.ndarray | None, judges: Ensemble) -> str:
    """Mean over the bonds of the error of their mean length in pm."""
    if found is None:
        return "-"
    lengths = [distances(positions, judges.beads.bonds).mean(axis=0) for positions in (found, judges.positions)]
    return f"{1000 * np.abs(lengths[0] - lengths[1]).mean():.2f}"


def width_excess(found: np.ndarray | None, judges: Ensemble) -> str:
    """Mean over the bonds of what their standard deviation is above that of the judges, in per cent."""
    if found is None:
        return "-"
    widths = [distances(positions, judges.beads.bonds).std(axis=0) for positions in (found, judges.positions)]
    return f"{100 * np.mean(widths[0] / widths[1] - 1):+.1f}"


def force_error(model: Model, held_out: Ensemble) -> tuple[str, str]:
    """Mean absolute error of a component of the force on held-out frames in kcal/mol/angstrom, and over its size."""
    assert held_out.forces is not None
    error = np.abs(model.force(held_out.positions) - held_out.forces).mean()
    return f"{error / FORCE_UNIT:.2f}", f"{error / np.abs(held_out.forces).mean():.2f}"


if __name__ == "__main__":
    tyro.cli(main)
