"""Forces as labels on Lennard-Jones particles: errors of the score of thirteen, samples and simulations of 13 and 55.

    python benchmarks/lennard_jones.py runs/bench-lj --write benchmarks/lennard_jones.md

Samples of a cluster are drawn in parts, by several processes at once with `--share 1 2` and `--share 2 2`.

The same energy is trained on the noise alone, by the plain and by the antithetic loss, on forces alone and on their
mixtures, with 100, 1,000 and 10,000 frames. The exact score of the noised density is known by averaging over the
posterior of the clean frame given the noised one: a chain that starts from the frame that was noised starts from an
exact draw of it. Like particles have no preferred direction, so that the matrix mixture has the scalar one as its
expectation; it is there to show what its estimate costs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from common import Folder, command_line, fit_once, header, publish, quantity, sample_once, scored, table, with_error
from exact_scores import DIRECTIONS, LEVELS, POINTS, known_scores

from twofold.analysis.uncertainty import jackknife
from twofold.files.samples import read_drawn, write_samples
from twofold.files.store import write_ensembles
from twofold.files.trajectories import read_positions
from twofold.model import Model
from twofold.run_folder import RunFolder
from twofold.sampling.correctors import Settling
from twofold.systems.clusters import CLUSTERS
from twofold.systems.convergence import cluster_convergence
from twofold.units import thermal_energy

LABELS: dict[str, dict[str, Any]] = {
    # each frame is seen with one noise here, with two that are opposite by the others: twice the frames cost as much
    "noise, plain loss": {"forces": "none", "loss": "denoising", "frames_at_once": 2},
    "noise": {"forces": "none"},
    "forces": {"forces": "only"},
    "mixture": {"forces": "auto"},
    "matrix": {"forces": "auto", "force_mixture": "matrix"},
}
DEFAULT, BEATEN = "mixture", ("noise, plain loss", "noise")
GROUPS = np.arange(POINTS) * 32 // POINTS
UNSEEN = 200
"""Frames that choose sigma*; those that judge are others."""
SIGMA_NM = 0.003
"""Level of simulations: at 0.01 nm the mean energy is off by 0.39 kT."""
TIMESTEP_FS = 4.0
"""As in the chains of the reference."""


def main(
    folder: Folder,
    /,
    frames: tuple[int, ...] = (100, 1000, 10_000),
    seeds: Annotated[tuple[int, ...], tyro.conf.arg(help="for each of frames")] = (3, 3, 3),
    updates: int = 3000,
    batch: int = 32,
    clusters: Annotated[tuple[str, ...], tyro.conf.arg(help="to sample and to simulate: lj13, lj55, or none")] = (
        "lj13",
        "lj55",
    ),
    scale: Annotated[float, tyro.conf.arg(help="of what clusters get; below 1 to try it out")] = 1.0,
    share: Annotated[
        tuple[int, int] | None,
        tyro.conf.arg(help="of a fit that is there, draw one of so many shares of the samples, such as 1 2, and stop"),
    ] = None,
    write: Path | None = None,
) -> None:
    """Run the benchmark and print its tables."""
    if share:
        if not 1 <= share[0] <= share[1]:
            raise SystemExit(f"--share {share[0]} {share[1]}: give a share from 1 up to their number")
        for name in clusters:
            amounts = AMOUNTS[name].scaled(scale)
            draw_parts(cluster_model(name, folder / name, amounts), folder / name, amounts.samples, *share)
        return
    lines = header("Lennard-Jones particles", command_line())
    if frames:
        lines += scores_by_labels(folder, frames, seeds, updates, batch)
    for name in clusters:
        lines += judged(name, folder / name, AMOUNTS[name].scaled(scale))
    publish(lines, write)


def scores_by_labels(
    folder: Path, frames: tuple[int, ...], seeds: tuple[int, ...], updates: int, batch: int
) -> list[str]:
    """The table of errors of the score, how near the default is to the best, and by how much it beats the noise."""
    exact = known_scores(folder)
    rows: list[tuple[Any, ...]] = []
    said: list[str] = []
    for number, repeats in zip(frames, seeds, strict=True):
        found: dict[str, np.ndarray] = {}
        for name, labels in LABELS.items():
            settings = {"steps": updates} | labels
            settings["batch"] = batch * settings.pop("frames_at_once", 1)
            outs = [folder / f"{name.replace(', ', '-').replace(' ', '-')}-{number}-{seed}" for seed in range(repeats)]
            models = [fitted("lj13", out, number, seed, **settings) for seed, out in enumerate(outs)]
            found[name] = np.stack([squared_errors(model, exact) for model in models], axis=1)
            rows.append((number, name, *(with_error(*mean_error(level)) for level in found[name])))
            print("\n".join(table(COLUMNS, rows)), flush=True)
        rows.append((number, f"{DEFAULT}, less the best of the others", *behind(found)))
        said.append(f"{', '.join(f'{gain(found, name)} ({name})' for name in BEATEN)} with {number} frames")
    own = ", ".join(f"{np.mean((one - other) ** 2) / 2 / np.mean(one * other):.1g}" for _, (one, other) in exact)
    virial = ", ".join(f"{-np.sum(y * both.mean(0)) / len(y) / DIRECTIONS:.3f}" for y, both in exact)
    return [
        f"LJ-13, {updates} updates of {batch} frames each, twice as many for the plain loss, which sees each with one "
        "noise in place of two. Mean square of the error of the score over that of the exact score, at "
        f"{POINTS} unseen frames with noise of sigma nm (1 nm: the minimum of a pair), mean over seeds "
        f"({', '.join(map(str, seeds))} of them, each with frames of its own) ± error over seeds and frames. The "
        "default against the best of the others in pairs of the same seed and frames, negative where it is better, and "
        "which that is (the best by the same frames, which favours it). Error of the exact scores themselves, which "
        "cancels in the product of two: "
        f"{own}; their -<y.s> over the {DIRECTIONS} that it is for an exact one: {virial}.",
        "",
        *table(COLUMNS, rows),
        f"At {LEVELS[0]} nm others have an error so many times that of the default mixture: {'; '.join(said)}.",
        "",
    ]


def mean_error(values: np.ndarray) -> tuple[float, float]:
    """Mean over seeds and frames (seeds, frames), with the errors of both together."""
    return _with_seeds(lambda part: float(part.mean()), values)


def _with_seeds(statistic: Callable[[np.ndarray], float], values: np.ndarray) -> tuple[float, float]:
    """A statistic of (..., seeds, frames), its jackknife error over frames and its standard error over seeds."""
    value, by_frames = jackknife(lambda index: statistic(values[..., index]), GROUPS)
    each = [statistic(values[..., [seed], :]) for seed in range(values.shape[-2])]
    by_seeds = np.std(each, ddof=1) / len(each) ** 0.5 if len(each) > 1 else 0.0
    return value, float(np.hypot(by_frames, by_seeds))


def gain(found: dict[str, np.ndarray], name: str) -> str:
    """How many times the error of the default that of others is at the smallest noise."""
    both = np.stack([found[name][0], found[DEFAULT][0]])
    return with_error(*_with_seeds(lambda part: float(part[0].mean() / part[1].mean()), both))


def behind(found: dict[str, np.ndarray]) -> list[str]:
    """At each level by how much the default has a larger error than the best of the others, with the error of that."""
    cells = []
    for level in range(len(LEVELS)):
        best = min((name for name in found if name != DEFAULT), key=lambda name: float(found[name][level].mean()))
        cells.append(f"{with_error(*mean_error(found[DEFAULT][level] - found[best][level]))} ({best})")
    return cells


COLUMNS = ("frames", "labels", *(f"{sigma:g}" for sigma in LEVELS))


def fitted(cluster: str, out: Path, frames: int, seed: int, **settings: Any) -> Model:
    """A model of so many frames, with `UNSEEN` more held out; a finished fit is read back."""
    whole = frames + UNSEEN
    return fit_once(out, cluster, frames=whole, held_out_fraction=UNSEEN / whole, seed=seed, **settings)


def squared_errors(model: Model, exact: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Square of the error of the score, over the mean square of the score: (levels, frames).

    Noise of the exact score cancels in the product of two.
    """
    found = []
    length = float(getattr(model.chart, "length", 1.0))
    for (y, (one, other)), sigma in zip(exact, LEVELS, strict=True):
        force = model.force(y, sigma=max(sigma / length, model.schedule.smallest))
        score = force / thermal_energy(model.temperature)
        score -= score.mean(axis=1, keepdims=True)
        found.append(np.mean((score - one) * (score - other), axis=(1, 2)) / np.mean(one * other))
    return np.array(found)


@dataclass(frozen=True)
class Amounts:
    """How long a cluster is trained, sampled and simulated.

    smallest: least level that is learned, units of the chart: None for that of the recipe.
    """

    updates: int
    batch: int
    samples: int
    replicas: int
    length_ps: float
    smallest: float | None

    def scaled(self, scale: float) -> Amounts:
        """With so many times the updates, samples and length."""
        updates, samples = (max(100, round(scale * number)) for number in (self.updates, self.samples))
        return replace(self, updates=updates, samples=samples, length_ps=scale * self.length_ps)


AMOUNTS = {
    "lj13": Amounts(updates=3000, batch=64, samples=10_000, replicas=100, length_ps=100.0, smallest=None),
    # in its larger unit the level of simulations lies below the least of the recipe
    "lj55": Amounts(updates=6000, batch=32, samples=10_000, replicas=20, length_ps=20.0, smallest=0.0025),
}


def cluster_model(name: str, out: Path, amounts: Amounts) -> Model:
    """The mixture with 10,000 frames, trained longer."""
    settings = {"steps": amounts.updates, "batch": amounts.batch, "smallest_noise": amounts.smallest}
    return fitted(name, out / "run", 10_000, 0, **settings)


def draw_parts(model: Model, out: Path, number: int, share: int = 1, shares: int = 1) -> list[Path]:
    """`number` samples in parts, each with a seed of its own, or only one of so many shares of the parts."""
    parts = [out / f"samples-{seed}.dcd" for seed in range(-(-number // PART))]
    for seed, part in list(enumerate(parts))[share - 1 :: shares]:
        sample_once(model, part, min(PART, number - seed * PART), seed=seed)
    return parts


def joined(model: Model, out: Path, parts: list[Path]) -> str:
    """How the parts were drawn, which are put together as the samples of `out`.

    Ends the benchmark where other samples are there, or such of which nobody knows how they were drawn.
    """
    drawn, whole = [read_drawn(part) or {} for part in parts], out / "samples.dcd"
    about = {"model": model.identity, "parts": [one.get("settings") for one in drawn]}
    if not whole.is_file():
        positions = np.concatenate([read_positions(part, model.beads) for part in parts])
        write_samples(whole, positions, model.beads, about)
    there = read_drawn(whole) or {}
    if any(there.get(name) != wanted for name, wanted in about.items()) or not all(
        one.get("settling") for one in drawn
    ):
        raise SystemExit(f"{out} holds samples that were drawn in another way: give another folder")
    steps = " or ".join(map(str, sorted({one["settings"]["corrector"] for one in drawn})))
    counts = {
        name: sum(Settling(**one["settling"]).settled is value for one in drawn) for name, value in SETTLED.items()
    }
    told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    return f"{steps} Langevin steps; parts of {PART}: {told}"


def judged(name: str, out: Path, amounts: Amounts) -> list[str]:
    """Samples and simulation of a cluster against reference chains of their own."""
    model = cluster_model(name, out, amounts)
    judges, store = CLUSTERS[name].ensemble(JUDGES, SEED_OF_JUDGES), out / "judges.h5"
    if not store.is_file():
        write_ensembles(store, judges)
    training, _ = RunFolder(out / "run").read_data()
    said = f"{cluster_convergence(judges).sentence} Of those that train: {cluster_convergence(training).sentence}"
    print(said, flush=True)
    drawn = joined(model, out, draw_parts(model, out, amounts.samples))
    length = float(getattr(model.chart, "length", 1.0))
    simulation = {
        "replicas": amounts.replicas,
        "length_ps": amounts.length_ps,
        "frame_ps": amounts.length_ps / 100,
        "timestep_fs": TIMESTEP_FS,
        "sigma": max(SIGMA_NM / length, model.schedule.smallest),
    }
    metrics = scored(out, model, samples=amounts.samples, seed=0, simulation=simulation, reference=[store])
    rows = []
    for kind in ("samples", "simulation"):
        for what in ("pair distances by type TV", "energy W1", "energy mean"):
            if kind in metrics["sets"]:
                row = quantity(metrics["sets"][kind], what)
                rows.append((kind, what, *(_number(row[key]) for key in ("value", "error", "floor", "ratio"))))
    moving = metrics["simulations"]["simulation"]
    lead = (
        f"The mixture with 10,000 frames and {amounts.updates} updates of {amounts.batch} "
        f"({model.report['seconds'] / 60:.0f} min): {amounts.samples} samples ({drawn}), {amounts.replicas} replicas "
        f"of {amounts.length_ps:g} ps at sigma = {simulation['sigma'] * length:.2g} nm, "
        f"{moving['stable']} of {moving['replicas']} stable, against {JUDGES} frames of other chains; one fit. "
        "Targets: total variation and W1 at most twice the floor."
    )
    return [f"## {name.upper()}: samples and simulation", "", lead, "", said, "", *table(RESULTS, rows)]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


RESULTS = ("set", "quantity", "value", "error", "floor", "ratio")
JUDGES, SEED_OF_JUDGES = 10_000, 20_000
SETTLED = {"settled": True, "not settled": False, "that cannot tell": None}
PART = 1000
"""Samples of one seed, so that several processes can draw at once; in each the first batch says how long it takes."""


if __name__ == "__main__":
    tyro.cli(main)
