"""Alanine dipeptide, five beads: how well samples and simulation agree with frames that training did not see.

    python benchmarks/ala2.py runs/bench-ala2 --seeds 3 --minutes 5 --write benchmarks/ala2.md

Every seed fits a model on the packaged training runs, draws 50,000 samples, simulates 200 replicas from samples and 200
from the basin phi < 0, and scores all of them against the packaged runs that were held out (64 x 64 bins). The
population of phi > 0, which few crossings tell, is measured once more by replica exchange, from phi < 0 as well.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import tyro
from common import Folder, command_line, fit_ala2, header, publish, quantity, spread, table

from twofold import evaluation, fitting
from twofold.analysis.kinetics import crossings
from twofold.analysis.observables import distances, torsions
from twofold.architectures import build
from twofold.chart.noising import noised_positions
from twofold.ensemble import Ensemble
from twofold.files.trajectories import write_trajectory
from twofold.model import Model
from twofold.run_folder import RunFolder
from twofold.simulation.export import record_ensemble
from twofold.simulation.run import simulate
from twofold.simulation.settings import SimulationSettings

BASIN = "phi<0"
EXCHANGE = {"exchange": 4, "exchange_largest": 2.0, "replicas": 40, "length_ps": 2000.0, "frame_ps": 0.2}
TARGETS = {"phi/psi ALA2 JS": 1.15, "phi/psi ALA2 PMF error": 1.2}


def main(
    folder: Folder,
    /,
    seeds: int = 3,
    minutes: float = 5.0,
    updates: Annotated[
        int | None, tyro.conf.arg(help="in place of minutes: as many as they held when the machine was idle")
    ] = None,
    samples: int = 50_000,
    replicas: int = 200,
    length_ps: float = 200.0,
    basin_length_ps: float = 3000.0,
    write: Path | None = None,
) -> None:
    """Run the benchmark and print its table."""
    lines = header("Alanine dipeptide, five beads", command_line())
    results: list[dict[str, Any]] = []
    budget = {"steps": updates} if updates else {"minutes": minutes}
    for seed in range(seeds):
        results.append(one_seed(folder / f"seed-{seed}", seed, budget, samples, replicas, length_ps, basin_length_ps))
        print(json.dumps(results[-1]["short"], indent=1), flush=True)
    lines += report(results) + speed(folder / "seed-0", replicas)
    publish(lines, write)


def one_seed(
    folder: Path,
    seed: int,
    budget: dict[str, Any],
    samples: int,
    replicas: int,
    length_ps: float,
    basin_length_ps: float,
) -> dict[str, Any]:
    """Fit, sample, simulate and score with one seed; parts that are there already are kept."""
    run = RunFolder(folder / "run")
    model = fit_ala2(run.path, seed=seed, **budget)
    times = folder / "times.json"
    if not (folder / "metrics.json").is_file():
        start = time.perf_counter()
        drawn = model.sample(samples, seed=seed)
        clock = {"sampling": time.perf_counter() - start}
        write_trajectory(folder / "samples.dcd", drawn.positions, model.beads, overwrite=True)
        runs = (("simulation.dcd", None, length_ps), ("basin.dcd", BASIN, basin_length_ps))
        for name, basin, length in runs:
            if not (folder / name).with_suffix(".json").is_file():
                model.simulate(
                    folder / name, replicas=replicas, length_ps=length, frame_ps=0.8, start_basin=basin, seed=seed
                )
        evaluation.evaluate(
            run.path,
            out=folder,
            samples=folder / "samples.dcd",
            simulation=[folder / name for name, _, _ in runs],
            bins=64,
            overwrite=True,
        )
        times.write_text(json.dumps(clock), encoding="utf-8")
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    if not (folder / "exchange.json").is_file():
        model.simulate(folder / "exchange.dcd", start_basin=BASIN, timestep_fs=4.0, seed=seed, **EXCHANGE)
    crossed = {name: crossings_of(folder / f"{name}.h5") for name in ("simulation", "basin")}
    blurred = {name: against_blurred(model, run, folder / f"{name}.h5") for name in ("simulation", "basin")}
    short = {
        name: {key: round(quantity(result, key)["ratio"], 3) for key in TARGETS}
        for name, result in metrics["sets"].items()
    }
    return {
        "metrics": metrics,
        "blurred": blurred,
        "crossings": crossed,
        "exchange": exchanged(folder / "exchange.h5"),
        "short": short,
        "times": json.loads(times.read_text(encoding="utf-8")),
        "report": model.report,
        "sigma": model.sigma_star,
    }


def against_blurred(model: Model, run: RunFolder, record: Path, sigma: float | None = None) -> dict[str, float]:
    """Raw frames against held-out frames with the same noise: largest difference of bond means (nm), widths (%)."""
    _, held_out = run.read_data()
    raw = record_ensemble(record)
    noised = noised_positions(model.chart, held_out.positions, sigma or model.sigma_star, seed=1)
    mean, width = bond_moments(raw, raw.positions)
    mean_there, width_there = bond_moments(held_out, noised)
    return {
        "mean": float(np.abs(mean - mean_there).max()),
        "width": float(100 * np.abs(width / width_there - 1).max()),
    }


def crossings_of(record: Path) -> tuple[int, float]:
    """Crossings between phi < 0 and phi > 0 over a whole record, and its length in ns, all replicas together."""
    frames = record_ensemble(record)
    return crossings(phi_of(frames), frames.trajectory).number, len(frames) * (frames.frame_ps or 0.0) / 1000


def exchanged(record: Path) -> tuple[float, float]:
    """Population of phi > 0 in percent after the first quarter of the record, and its error from the replicas."""
    frames = record_ensemble(record, skip_ps=EXCHANGE["length_ps"] / 4)
    share = 100 * (phi_of(frames) > 0).reshape(EXCHANGE["replicas"], -1).mean(axis=1)
    return float(share.mean()), float(share.std(ddof=1) / len(share) ** 0.5)


def phi_of(frames: Ensemble) -> np.ndarray:
    """phi (frames,) in rad."""
    return torsions(frames.positions, np.array(list(frames.beads.torsions_named("phi").values())))[:, 0]


def bond_moments(ensemble: Ensemble, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted means and standard deviations of all bonds in nm."""
    lengths = distances(positions, ensemble.beads.bonds)
    share = ensemble.weights / ensemble.weights.sum()
    mean = share @ lengths
    return mean, np.sqrt(share @ (lengths - mean) ** 2)


def report(results: list[dict[str, Any]]) -> list[str]:
    """Tables of all seeds."""
    first = results[0]["metrics"]
    n = first["sets"]["samples"]["n"]
    sizes = {part: first["about"][part]["effective_size"] for part in ("other", "held_out")}
    lines = [
        f"Training frames: effective size {sizes['other']:.0f}; held-out frames: {sizes['held_out']:.0f}. Scores at "
        f"the largest equal effective size (samples: {n}); all frames are used. The floor is the same "
        "score of training frames. Frames of simulations are freed of the noise of sigma* by one step of the "
        "probability flow; of the ones from one basin the second half is scored. Value ± standard error over seeds; in "
        "brackets the jackknife error of one seed.",
        "",
    ]
    rows = []
    for name in first["sets"]:
        for key, target in TARGETS.items():
            found = [quantity(result["metrics"]["sets"][name], key) for result in results]
            values = [row["value"] for row in found]
            ratios = [row["ratio"] for row in found]
            floor = f"{found[0]['floor']:.4g} ± {found[0]['floor_error']:.1g}"
            value = f"{spread(values)} ({found[0]['error']:.1g})"
            met = _met(max(ratios) <= target, sum(ratios) / len(ratios) <= target)
            rows.append((name, key, value, floor, spread(ratios, 3), f"<= {target}", met))
    lines += table(("set", "quantity", "value", "floor", "ratio", "target", "met"), rows)
    return lines + _details(results)


def _met(every: bool, mean: bool) -> str:
    return "yes, every seed" if every else ("yes, on average" if mean else "no")


def _details(results: list[dict[str, Any]]) -> list[str]:
    rows = []
    for name in results[0]["metrics"]["sets"]:
        found = [quantity(result["metrics"]["sets"][name], "population of phi > 0, ALA2") for result in results]
        share = [100 * row["value"] for row in found]
        target = f"{100 * found[0]['reference']:.2f} ± {100 * found[0]['reference_error']:.1g} %, within 15 %"
        value = f"{spread(share, 3)} ({max(100 * row['error'] for row in found):.1g})"
        rows.append((name, "population of phi > 0, %", value, target))
    shares, errors = zip(*(result["exchange"] for result in results), strict=True)
    rows.append(("exchange", "population of phi > 0, %", f"{spread(shares, 3)} ({max(errors):.1g})", target))
    for name in ("simulation", "basin"):
        number, length = zip(*(result["crossings"][name] for result in results), strict=True)
        rows.append((name, "crossings of phi = 0", spread(number, 3), ">= 20 from one basin"))
        rows.append((name, "length, ns in all", spread(length, 3), ">= 40"))
        blurred = [result["blurred"][name] for result in results]
        rows.append((name, "bond means, raw frames, nm", spread([one["mean"] for one in blurred], 2), "<= 2e-4"))
        rows.append((name, "bond widths, raw frames, %", spread([one["width"] for one in blurred], 2), "<= 3"))
        summaries = [result["metrics"]["simulations"][name] for result in results]
        stable = [f"{one['stable']}/{one['replicas']}" for one in summaries]
        rows.append((name, "stable replicas", ", ".join(stable), "all"))
        rows.append((name, "replica-steps/s", spread([one["speed"]["rate"] for one in summaries], 3), ">= 200,000"))
    rows.append(("", "sigma*, units of the chart", ", ".join(f"{result['sigma']:.3g}" for result in results), ""))
    rows.append(("", "training, s", spread([result["report"]["seconds"] for result in results], 3), ""))
    rows.append(("", "updates", spread([result["report"]["settings"]["steps"] for result in results], 3), ""))
    rows.append(("", "sampling, s", spread([result["times"]["sampling"] for result in results], 3), ""))
    return table(("set", "quantity", "value", "target or reference"), rows)


def speed(folder: Path, replicas: int) -> list[str]:
    """The same work for the fitted force field and for the published graph transformer, one after the other."""
    model = fitting.load(folder / "run")
    training, _ = RunFolder(folder / "run").read_data()
    built = build("transformer", training, jax.random.key(0))
    other = Model(model.beads, model.temperature, built.chart, built.energy, built.schedule, 0.02, model.region)
    start = training.positions[np.linspace(0, len(training) - 1, replicas).astype(int)]
    rates = {}
    for name, one, length in (("twofold", model, 20.0), ("graph transformer", other, 0.5)):
        record = folder / f"speed-{name.replace(' ', '-')}.h5"
        record.unlink(missing_ok=True)
        settings = SimulationSettings(temperature=model.temperature, length_ps=length, frame_ps=0.1, timestep_fs=0.5)
        rates[name] = simulate(one.force_field(), start, settings, record, beads=model.beads).speed.rate
        record.unlink()
    rows = [(name, f"{rate:,.0f}") for name, rate in rates.items()]
    ratio = rates["twofold"] / rates["graph transformer"]
    lines = [
        f"Speed of molecular dynamics, {replicas} replicas, untrained graph transformer of the published size:",
        "",
    ]
    return lines + table(("force field", "replica-steps/s"), rows) + [f"Ratio: {ratio:.0f}.", ""]


if __name__ == "__main__":
    tyro.cli(main)
