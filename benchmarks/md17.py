"""MD17: small molecules at 500 K with forces as labels; structures, stability and forces of the models.

    python benchmarks/md17.py DATA runs/bench-md17 --write benchmarks/md17.md

DATA is a folder with `rmd17_NAME_train_01.npz` (Christensen and von Lilienfeld, 2020), from which the frames with the
forces of the dynamics that made them are learned, and `ethanol_more.npz`, further frames of ethanol to judge by, which
lie among and after those that train. The last fifth of the time of each molecule is held out. Stiff pairs of these
frames have another temperature under the forces than the stated one (660 K for ethanol): with `--over frames` forces
are divided by that one, so that labels and frames are of one ensemble. Where the check refuses the forces of the
dynamics at the temperature that they are divided by, the frames are learned without; the table has what it says at the
stated one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro
from common import Folder, both_sets, command_line, fit_once, header, publish, spread, table

from twofold.analysis.divergence import js_divergence, total_variation
from twofold.analysis.graph import torsion_quadruples
from twofold.analysis.observables import distances, torsions
from twofold.ensemble import Ensemble, split
from twofold.files.readers import read_trajectory
from twofold.force_check import ForceCheck, measure_forces
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
SETS = ("samples", "simulation")
COLUMNS = (
    "molecule", "atoms", "architecture", "minutes", "virial, forces of the dynamics", "stretches",
    "virial, recomputed forces", "frames that judge", "TV samples / floor", "TV simulation / floor",
    "worst pair type, samples", "simulation", "torsions JS / floor, samples", "simulation",
    "bonds, mean error, pm: samples", "simulation", "bond widths, mean excess, %: samples", "simulation",
    "force error, kcal/mol/Å", "of mean size", "stable",
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
    over: Annotated[
        Literal["stated", "frames"], tyro.conf.arg(help="which temperature forces are divided by")
    ] = "frames",
    seeds: int = 1,
    samples: int = 3000,
    replicas: int = 30,
    length_ps: float = 100.0,
    write: Path | None = None,
) -> None:
    """Run the benchmark and print its table."""
    lines = header("MD17", command_line())
    budget: dict[str, Any] = {"steps": updates} if updates else {"minutes": minutes}
    simulation = {"replicas": replicas, "length_ps": length_ps, "frame_ps": length_ps / 200}
    rows: list[tuple[Any, ...]] = []
    types: list[tuple[Any, ...]] = []
    for name in molecules:
        work = Work(data, folder / name, name, budget | {"forces": forces}, samples)
        training = split(work.frames())[0]
        measured = measure_forces(training)
        kelvin = round(measured.stretch * TEMPERATURE) if over == "frames" else None
        at_kelvin = measured if kelvin is None else measure_forces(training, temperature=kelvin)
        if at_kelvin.verdict == "refused":
            work = replace(work, settings=work.settings | {"forces": "none"})
        if work.settings["forces"] != "none" and kelvin is not None:
            work = replace(work, settings=work.settings | {"force_temperature": kelvin})
        found = [scored(work, seed, simulation) for seed in range(seeds)]
        rows.append(row(work, measured, found))
        types += pair_rows(work, found)
        print("\n".join(table(COLUMNS, rows)), flush=True)
    lines += [
        f"1,000 frames each, of which the last fifth of the time judges (ethanol: further frames). {samples} samples, "
        f"{replicas} replicas of {length_ps:g} ps at {TEMPERATURE:g} K from samples, freed of the noise of sigma*. "
        f"TV: total variation of distances of pairs of two elements, all pairs together, bins of {BIN_NM} nm, mean "
        "over the types; of as many frames as the floor has, which is that of the training frames. The virial "
        "-<F.x> / (3 (N - 1) kT) should be 1, and so should stretches of the stiffest pairs over kT; both are of the "
        "training frames. Bonds: mean over the bonds of the error of their mean length, and of "
        "what their standard deviation is above that of the judges. Torsions: mean over all torsions about bonds. "
        f"{'Mean ± standard error over' if seeds > 1 else 'Of'} {seeds} seed{'s' if seeds > 1 else ''}.",
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
        if self.settings["forces"] == "none":
            return f"{self.name}, without forces"
        hot = self.settings.get("force_temperature")
        return f"{self.name}, forces over {hot} K" if hot else self.name

    @property
    def archive(self) -> Path:
        """The thousand frames."""
        return self.data / f"rmd17_{self.name}_train_01.npz"

    def frames(self, theory: str = "dynamics") -> Ensemble:
        """All of them, with the forces of a level of theory."""
        return read_trajectory(None, self.archive, temperature=TEMPERATURE, theory=theory)

    def model(self, seed: int) -> Model:
        """The model of a seed, fitted once. What the check found is in the table, so that it refuses nothing here."""
        settings = self.settings | {"seed": seed}
        out = self.folder / f"{seed}" / "run"
        return fit_once(out, self.archive, temperature=TEMPERATURE, force_check=False, **settings)

    def judges(self, held_out: Ensemble) -> Ensemble:
        """Frames that training did not see."""
        more = self.data / f"{self.name}_more.npz"
        return read_trajectory(None, more, temperature=TEMPERATURE) if more.is_file() else held_out


@dataclass
class Scores:
    """What one seed came to; by set where there are frames of it."""

    model: Model
    judges: int
    floors: dict[str, float]
    force: tuple[float, float]
    stable: str
    variations: dict[str, dict[str, float]] = field(default_factory=dict)
    torsions: dict[str, tuple[float, float] | None] = field(default_factory=dict)
    bonds: dict[str, float] = field(default_factory=dict)
    widths: dict[str, float] = field(default_factory=dict)


def scored(work: Work, seed: int, simulation: dict[str, Any]) -> Scores:
    """Fit, sample, simulate and score one seed; parts that are there are kept."""
    model, folder = work.model(seed), work.folder / f"{seed}"
    *sets, stable = both_sets(folder, model, samples=work.samples, seed=seed, simulation=simulation)
    training, held_out = RunFolder(folder / "run").read_data()
    judges = work.judges(held_out)
    floors = variations(training.positions, training, judges)
    result = Scores(model, len(judges), floors, force_error(model, held_out), stable)
    for name, frames in zip(SETS, sets, strict=True):
        if frames is not None:
            result.variations[name] = variations(frames, training, judges)
            result.torsions[name] = torsion_divergence(frames, training, judges)
            result.bonds[name] = bond_error(frames, judges)
            result.widths[name] = width_excess(frames, judges)
    return result


def row(work: Work, measured: ForceCheck, found: list[Scores]) -> tuple[Any, ...]:
    """Of a molecule."""
    model = found[0].model
    cells: list[Any] = [
        work.title,
        len(model.beads),
        model.report["architecture"],
        spread([one.model.report["seconds"] / 60 for one in found], 2),
        virial(measured),
        f"{measured.stretch:.2f} ± {measured.stretch_error:.2f}",
        virial(measure_forces(split(work.frames("recomputed"))[0])),
        found[0].judges,
    ]
    cells += [with_ratio(found, name, lambda values: float(np.mean(list(values.values())))) for name in SETS]
    for name in SETS:
        some = [one for one in found if name in one.variations]
        ratios = {pair: [one.variations[name][pair] / one.floors[pair] for one in some] for pair in found[0].floors}
        worst = max(ratios, key=lambda pair, ratios=ratios: np.mean(ratios[pair])) if some else ""
        cells.append(f"{worst} {spread(ratios[worst], 3)}" if some else "-")
    for name in SETS:
        pairs = [one.torsions.get(name) for one in found]
        known = [pair for pair in pairs if pair is not None]
        ratios = [value / floor for value, floor in known]
        cells.append(f"{spread([value for value, _ in known], 3)} ({spread(ratios, 3)})" if known else "-")
    cells += [spread([1000 * one.bonds[name] for one in found if name in one.bonds], 2) or "-" for name in SETS]
    cells += [spread([one.widths[name] for one in found if name in one.widths], 2) or "-" for name in SETS]
    cells += [spread([one.force[place] for one in found], 3) for place in range(2)]
    return (*cells, ", ".join(one.stable for one in found))


def with_ratio(found: list[Scores], name: str, of: Callable[[dict[str, float]], float]) -> str:
    """A number of the total variations of a set, and its ratio to that of the floors."""
    some = [one for one in found if name in one.variations]
    values, floors = ([of(values) for values in which] for which in (
        [one.variations[name] for one in some], [one.floors for one in some]
    ))  # fmt: skip
    ratios = [value / floor for value, floor in zip(values, floors, strict=True)]
    return f"{spread(values, 3)} ({spread(ratios, 3)})" if some else "-"


def pair_rows(work: Work, found: list[Scores]) -> list[tuple[Any, ...]]:
    """A row for each type of pairs."""
    return [
        (
            work.title,
            pair,
            f"{found[0].floors[pair]:.3f}",
            *(with_ratio(found, name, lambda values, pair=pair: values[pair]) for name in SETS),
        )
        for pair in found[0].floors
    ]


def virial(found: ForceCheck) -> str:
    """The virial ratio, and whether the check lets the forces pass."""
    return f"{found.ratio:.2f} ± {found.error:.2f} ({found.verdict})"


def variations(found: np.ndarray, training: Ensemble, judges: Ensemble) -> dict[str, float]:
    """Total variation for each type of pairs, of as many frames as train."""
    rng, edges = np.random.default_rng(0), np.arange(0.0, 3.0, BIN_NM)
    number = min(len(training), len(found))
    draws = [found[rng.choice(len(found), number, replace=False)] for _ in range(DRAWS if number < len(found) else 1)]
    values = {}
    for name, pairs in pair_types(judges).items():
        exact = histogram(judges.positions, pairs, edges)
        values[name] = float(np.mean([total_variation(histogram(one, pairs, edges), exact) for one in draws]))
    return values


def torsion_divergence(found: np.ndarray, training: Ensemble, judges: Ensemble) -> tuple[float, float] | None:
    """Mean over the torsions of the divergence of as many frames as train, in nats, and its floor."""
    rows = torsion_quadruples(judges.beads)
    if not len(rows):
        return None
    rng, edges = np.random.default_rng(0), np.linspace(-np.pi, np.pi, TORSION_BINS + 1)
    number = min(len(training), len(found))

    def mean(positions: np.ndarray) -> float:
        angles, exact = torsions(positions, rows), torsions(judges.positions, rows)
        pairs = [[np.histogram(side[:, k], edges)[0] for side in (angles, exact)] for k in range(len(rows))]
        return float(np.mean([js_divergence(one.astype(float), other.astype(float)) for one, other in pairs]))

    return mean(found[rng.choice(len(found), number, replace=False)]), mean(training.positions)


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


def bond_error(found: np.ndarray, judges: Ensemble) -> float:
    """Mean over the bonds of the error of their mean length in nm."""
    lengths = [distances(positions, judges.beads.bonds).mean(axis=0) for positions in (found, judges.positions)]
    return float(np.abs(lengths[0] - lengths[1]).mean())


def width_excess(found: np.ndarray, judges: Ensemble) -> float:
    """Mean over the bonds of what their standard deviation is above that of the judges, in per cent."""
    widths = [distances(positions, judges.beads.bonds).std(axis=0) for positions in (found, judges.positions)]
    return float(100 * np.mean(widths[0] / widths[1] - 1))


def force_error(model: Model, held_out: Ensemble) -> tuple[float, float]:
    """Mean absolute error of a component of the force on held-out frames in kcal/mol/angstrom, and over its size.

    Of the score times the kT that forces were divided by, whatever the temperature of the simulations.
    """
    assert held_out.forces is not None
    over = (model.report["settings"]["force_temperature"] or TEMPERATURE) / TEMPERATURE
    error = np.abs(over * model.force(held_out.positions) - held_out.forces).mean()
    return float(error / FORCE_UNIT), float(error / np.abs(held_out.forces).mean())


if __name__ == "__main__":
    tyro.cli(main)
