"""MD17: small molecules at 500 K with forces as labels; structures, stability and forces of one model each.

    python benchmarks/md17.py DATA runs/bench-md17 --write benchmarks/md17.md

DATA is a folder with `rmd17_NAME_train_01.npz` (Christensen and von Lilienfeld, 2020), from which the frames with the
forces of the dynamics that made them are learned, and `ethanol_more.npz`, further frames of ethanol to judge by. The
last fifth of the time of each molecule is held out.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from common import Folder, both_sets, command_line, fit_once, header, publish, table

from twofold.analysis.divergence import total_variation
from twofold.analysis.observables import distances
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
FORCE_UNIT = energy_factor("kcal/mol") / length_factor("angstrom")
COLUMNS = (
    "molecule", "atoms", "architecture", "minutes", "virial, forces of the dynamics", "virial, recomputed forces",
    "frames that judge", "TV samples / floor", "TV simulation / floor", "worst pair type, samples", "simulation",
    "bonds, mean error, pm: samples", "simulation", "force error, kcal/mol/Å", "of mean size", "stable",
)  # fmt: skip


def main(
    data: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(help="folder of the archives")],
    folder: Folder,
    /,
    molecules: tuple[str, ...] = MOLECULES,
    minutes: float = 20.0,
    updates: Annotated[
        int | None, tyro.conf.arg(help="in place of minutes: as many as they held when the machine was idle")
    ] = None,
    forces: Annotated[str, tyro.conf.arg(help="auto, none or only, as twofold fit has it")] = "auto",
    samples: int = 10_000,
    replicas: int = 50,
    length_ps: float = 100.0,
    write: Path | None = None,
) -> None:
    """Run the benchmark and print its table."""
    lines = header("MD17", command_line())
    budget: dict[str, Any] = {"steps": updates} if updates else {"minutes": minutes}
    rows: list[tuple[Any, ...]] = []
    for name in molecules:
        work = Work(data, folder / name, name, budget | {"forces": forces}, samples)
        rows.append(row(work, {"replicas": replicas, "length_ps": length_ps, "frame_ps": length_ps / 200}))
        print("\n".join(table(COLUMNS, rows)), flush=True)
    lines += [
        f"1,000 frames each, of which the last fifth of the time judges (ethanol: further frames). {samples} samples, "
        f"{replicas} replicas of {length_ps:g} ps at {TEMPERATURE:g} K from samples, freed of the noise of sigma*. "
        f"TV: total variation of distances of pairs of two elements, all pairs together, bins of {BIN_NM} nm, mean "
        "over the types; of as many frames as the floor has, which is that of the training frames. The virial "
        "-<F.x> / (3 (N - 1) kT) should be 1. Bonds: mean over the bonds of the error of their mean length.",
        "",
        *table(COLUMNS, rows),
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


def row(work: Work, simulation: dict[str, Any]) -> tuple[Any, ...]:
    """Fit, sample, simulate and score one molecule; parts that are there already are kept."""
    model, run = work.model(), RunFolder(work.folder / "run")
    *sets, stable = both_sets(work.folder, model, samples=work.samples, seed=0, simulation=simulation)
    training, held_out = run.read_data()
    judges = work.judges(held_out)
    scores = [variations(found, training, judges) for found in sets]
    bonds = [bond_error(found, judges) for found in sets]
    return (
        work.name,
        len(model.beads),
        model.report["architecture"],
        f"{model.report['seconds'] / 60:.1f}",
        *(virial(work.frames(theory)) for theory in ("dynamics", "recomputed")),
        len(judges),
        *(score[0] for score in scores),
        *(score[1] for score in scores),
        *bonds,
        *force_error(model, held_out),
        stable,
    )


def virial(frames: Ensemble) -> str:
    """The virial ratio, and whether the check lets the forces pass."""
    found = measure_forces(frames)
    return f"{found.ratio:.2f} ± {found.error:.2f} ({found.verdict})"


def variations(found: np.ndarray | None, training: Ensemble, judges: Ensemble) -> tuple[str, str]:
    """Mean over types of pairs of total variation and of its floor, and the type whose ratio is worst."""
    if found is None:
        return "-", "-"
    rng = np.random.default_rng(0)
    number = min(len(training), len(found))
    names, values, floors = [], [], []
    for name, pairs in pair_types(judges).items():
        edges = np.arange(0.0, 3.0, BIN_NM)
        exact = histogram(judges.positions, pairs, edges)
        draws = [found[rng.choice(len(found), number, replace=False)] for _ in range(DRAWS)]
        names.append(name)
        values.append(np.mean([total_variation(histogram(one, pairs, edges), exact) for one in draws]))
        few = training.positions[rng.choice(len(training), number, replace=False)]
        floors.append(total_variation(histogram(few, pairs, edges), exact))
    mean, floor = float(np.mean(values)), float(np.mean(floors))
    worst = int(np.argmax(np.array(values) / np.array(floors)))
    return f"{mean:.3f} ({mean / floor:.2f})", f"{names[worst]} {values[worst] / floors[worst]:.2f}"


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


def force_error(model: Model, held_out: Ensemble) -> tuple[str, str]:
    """Mean absolute error of a component of the force on held-out frames in kcal/mol/angstrom, and over its size."""
    assert held_out.forces is not None
    error = np.abs(model.force(held_out.positions) - held_out.forces).mean()
    return f"{error / FORCE_UNIT:.2f}", f"{error / np.abs(held_out.forces).mean():.2f}"


if __name__ == "__main__":
    tyro.cli(main)
