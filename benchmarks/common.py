"""What the benchmarks share: machine, fits that are made once, scores, tables in Markdown."""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from twofold import evaluation, fitting, packaged
from twofold.cli.drawing import written
from twofold.ensemble import Ensemble
from twofold.errors import UserError
from twofold.files.trajectories import read_positions
from twofold.model import Model
from twofold.molecular_dynamics import deblurred, simulated_with
from twofold.run_folder import RunFolder, versions
from twofold.simulation.export import record_ensemble
from twofold.systems.landscape import Landscape
from twofold.training.fit import fit_ensembles, resume_fit
from twofold.training.settings import load_settings
from twofold.units import thermal_energy

Folder = Annotated[
    tyro.conf.Positional[Path], tyro.conf.arg(help="where runs are kept; finished ones are not repeated")
]


def machine() -> str:
    """One line on where this ran."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    names = [line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")]
    model = names[0] if names else platform.machine()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    packages = ", ".join(
        f"{name} {number}" for name, number in versions().items() if name in ("python", "jax", "twofold")
    )
    return f"{cores} cores ({model}), load {load:.1f} at the start; {packages}"


def _cpuinfo() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def header(title: str, command: str) -> list[str]:
    """Title, what was run, when and where."""
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    return [f"# {title}", "", f"`{command}`, {day}. {machine()}.", ""]


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """Lines of a Markdown table."""
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    return [*lines, *("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows), ""]


def command_line() -> str:
    """The command as it was typed, without the folders of this machine."""
    return " ".join(
        ["python", "benchmarks/" + Path(sys.argv[0]).name, *(Path(a).name if "/" in a else a for a in sys.argv[1:])]
    )


def publish(lines: Sequence[str], write: Path | None) -> None:
    """Print the page, and write it where it is asked for."""
    text = "\n".join(lines)
    print(text)
    if write:
        write.write_text(text + "\n", encoding="utf-8")


def spread(values: Sequence[float], digits: int = 4) -> str:
    """Mean and standard error over seeds."""
    clean = [value for value in values if value is not None]
    if not clean:
        return ""
    mean = statistics.fmean(clean)
    if len(clean) < 2:
        return f"{mean:.{digits}g}"
    return with_error(mean, statistics.stdev(clean) / len(clean) ** 0.5, digits)


def with_error(value: float, error: float, digits: int = 3) -> str:
    """A value and its error in a cell."""
    return f"{value:.{digits}g} ± {error:.1g}"


def quantity(result: dict[str, Any], name: str) -> dict[str, Any]:
    """The row of a quantity in a set of `metrics.json`."""
    return next(row for row in result["quantities"] if row["name"] == name)


def fit_once(out: Path, *files: Any, **settings: Any) -> Model:
    """The model in the run folder `out`, by `twofold.fit` of these files; one that is there is read back.

    A fit that was interrupted is taken to its end.
    """
    run = RunFolder(out)
    if not (run.model / "model.json").is_file():
        fitting.fit(*files, out=out, resume=run.config.is_file(), **settings)
    return _same(out, settings)


def _same(out: Path, settings: dict[str, Any]) -> Model:
    """The model in `out`. Ends the benchmark where it was fitted with other settings than these."""
    model = fitting.load(out)
    used = model.report["settings"]
    for name, value in settings.items():
        value = list(value) if isinstance(value, tuple) else value
        if name in used and value not in (None, used[name]):
            raise SystemExit(f"{out} was fitted with {name} = {used[name]}, not {value}: give another folder")
    return model


def fit_frames(out: Path, training: Ensemble, held_out: Ensemble, **settings: Any) -> Model:
    """As `fit_once`, of frames that are there already."""
    run = RunFolder(out)
    if not (run.model / "model.json").is_file():
        if run.config.is_file():
            resume_fit(out)
        else:
            fit_ensembles(training, held_out, out, load_settings(None, **settings))
    return _same(out, settings)


def fit_ala2(out: Path, **settings: Any) -> Model:
    """The model of the packaged alanine dipeptide in the run folder `out`; fitted once."""
    data = packaged.ala2()
    reading = {"held_out": data.held_out, "weights": data.weights(), "temperature": data.temperature}
    return fit_once(out, data.topology, data.training, **reading, **settings)


def scored(
    folder: Path,
    model: Model,
    *,
    samples: int,
    seed: int,
    simulation: dict[str, Any],
    run: Path | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """`metrics.json` of the model in `folder/run`, or in `run`: of samples and a simulation from samples, made once.

    A simulation that was stopped everywhere before its first frame has a summary, but no numbers. settings: of
    `evaluate`.
    """
    if samples:
        sample_once(model, folder / "samples.dcd", samples, seed=seed)
    simulate_once(model, folder / "simulation.dcd", seed=seed, **simulation)
    if not (folder / "metrics.json").is_file():
        evaluation.evaluate(
            run or folder / "run",
            out=folder,
            samples=folder / "samples.dcd" if samples else None,
            simulation=[folder / "simulation.dcd"] if (folder / "simulation.dcd").is_file() else [],
            overwrite=True,
            **settings,
        )
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return metrics | {"simulations": {"simulation": read_summary(folder / "simulation.dcd")}}


def sample_once(model: Model, path: Path, number: int, **options: Any) -> None:
    """`number` samples at `path`, with the options of `Model.sample`; those that are there are not drawn again.

    How is written beside them, as by `twofold sample`. Ends the benchmark where another number is there.
    """
    if not path.is_file():
        written(path, model.sample(number, **options), model)
    there = len(read_positions(path, model.beads))
    if there != number:
        raise SystemExit(f"{path} holds {there} samples, not {number}: give another folder")


def simulate_once(model: Model, path: Path, **settings: Any) -> None:
    """A simulation at `path`; one that is there is not made again, one that was interrupted is taken to its end.

    Ends the benchmark where one of other replicas or another length is there.
    """
    if not path.with_suffix(".json").is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        began = path.with_suffix(".h5").is_file()
        # how it began is in its record
        start = ("start", "start_basin", "replicas") if began else ()
        model.simulate(path, resume=began, **{name: value for name, value in settings.items() if name not in start})
    summary = read_summary(path)
    for name in ("replicas", "length_ps"):
        wanted, there = settings.get(name), summary[name]
        # lengths are whole numbers of frames, and less where all replicas were stopped
        if wanted and summary["stable"] and not math.isclose(wanted, there, rel_tol=0.02):
            raise SystemExit(f"{path} has {name} = {there:g}, not {wanted:g}: give another folder")


def read_summary(simulation: Path) -> dict[str, Any]:
    """What a simulation came to: stable replicas, speed."""
    return json.loads(simulation.with_suffix(".json").read_text(encoding="utf-8"))


def freed(model: Model, simulation: Path, skip_ps: float = 0.0) -> np.ndarray:
    """Frames of a simulation after `skip_ps`, without the blur of its noise."""
    files, head = simulated_with(model, simulation)
    return deblurred(model, record_ensemble(files.record, skip_ps=skip_ps).positions, head.notes)


def both_sets(
    folder: Path,
    model: Model,
    *,
    samples: int,
    seed: int,
    simulation: dict[str, Any],
    skip_ps: float = 0.0,
) -> tuple[np.ndarray, np.ndarray | None, str]:
    """Samples, frames of a simulation without its noise (None where there are none), and how many replicas were stable.

    What is in the folder is not made again. skip_ps: of the simulation, in which it forgets where it began.
    """
    drawn, moved = folder / "samples.dcd", folder / "simulation.dcd"
    sample_once(model, drawn, samples, seed=seed)
    simulate_once(model, moved, seed=seed, **simulation)
    summary = read_summary(moved)
    try:
        frames = freed(model, moved, skip_ps) if moved.is_file() else None
    except UserError:
        frames = None  # all were stopped before
    return read_positions(drawn, model.beads), frames, f"{summary['stable']}/{summary['replicas']}"


def quadrature(model: Model, landscape: Landscape) -> float:
    """ln of the ratio of populations of the second basin and the first, of `exp(-U)` at the smallest noise."""
    points, mass, _ = boltzmann(model, landscape)
    return log_odds(landscape, points, mass)


def log_odds(landscape: Landscape, points: np.ndarray, mass: np.ndarray) -> float:
    """ln of the ratio of populations of the second basin and the first, of points with their probabilities."""
    first, second = (mass[inside(points)].sum() for inside in landscape.basins().values())
    return float(np.log(second / first))


def boltzmann(model: Model, landscape: Landscape, cells: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cells of the window: centres (points, coordinates), probability, energies (cells, ...) in kT from zero."""
    edges = [np.linspace(low, high, cells + 1) for low, high in landscape.window]
    mesh = np.meshgrid(*[(side[1:] + side[:-1]) / 2 for side in edges], indexing="ij")
    points = np.stack([axis.ravel() for axis in mesh], -1)
    energy = model.energy(landscape.placed(points), sigma=model.schedule.smallest) / thermal_energy(model.temperature)
    energy = energy.astype(np.float64) - energy.min()
    mass = np.exp(-energy)
    return points, mass / mass.sum(), energy.reshape(mesh[0].shape)


def minima(energy: np.ndarray) -> np.ndarray:
    """Which cells (mask) lie lower than all their eight neighbours; those at the edge of the grid do not count."""
    middle = energy[1:-1, 1:-1]
    found = np.ones_like(middle, bool)
    for i in range(3):
        for j in range(3):
            if (i, j) != (1, 1):
                found &= middle < energy[i : i + middle.shape[0], j : j + middle.shape[1]]
    return np.pad(found, 1)
