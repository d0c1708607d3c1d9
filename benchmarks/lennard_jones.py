"""Forces as labels on Lennard-Jones particles: errors of the score of thirteen, samples and simulations of 13 and 55.

    python benchmarks/lennard_jones.py runs/bench-lj --write benchmarks/lennard_jones.md

The same energy is trained on the noise alone, by the plain and by the antithetic loss, on forces alone and on their
mixtures, with 100, 1,000 and 10,000 frames. The exact score of the noised density is known by averaging over the
posterior of the clean frame given the noised one: a chain that starts from the frame that was noised starts from an
exact draw of it. Like particles have no preferred direction, so that the matrix mixture has the scalar one as its
expectation; it is there to show what its estimate costs.
"""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import tyro
from common import Folder, command_line, fit_once, header, publish, quantity, scored, spread, table
from jaxtyping import Array

from twofold.files.store import write_ensembles
from twofold.model import Model
from twofold.systems.clusters import CLUSTERS, Cluster
from twofold.systems.convergence import cluster_convergence
from twofold.units import thermal_energy

LEVELS = (0.003, 0.01, 0.03, 0.1, 0.3)
"""nm; the minimum of a pair is at 1 nm."""
LABELS: dict[str, dict[str, Any]] = {
    "noise, plain loss": {"forces": "none", "loss": "denoising"},
    "noise": {"forces": "none"},
    "forces": {"forces": "only"},
    "mixture": {"forces": "auto"},
    "matrix": {"forces": "auto", "force_mixture": "matrix"},
}
POINTS = 256
MEAN_SQUARE = 219.0
"""Mean square of a component of the force in kT/nm."""
CHAIN = 12_000
FORGOTTEN = 4000
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
    seeds: Annotated[tuple[int, ...], tyro.conf.arg(help="for each of frames")] = (1, 3, 1),
    updates: int = 1000,
    batch: int = 64,
    clusters: tuple[str, ...] = ("lj13", "lj55"),
    long_updates: Annotated[tuple[int, ...], tyro.conf.arg(help="for each of clusters")] = (6000, 2000),
    long_batch: Annotated[tuple[int, ...], tyro.conf.arg(help="for each of clusters")] = (64, 16),
    samples: Annotated[tuple[int, ...], tyro.conf.arg(help="for each of clusters")] = (10_000, 2000),
    replicas: Annotated[tuple[int, ...], tyro.conf.arg(help="for each of clusters")] = (100, 20),
    length_ps: Annotated[tuple[float, ...], tyro.conf.arg(help="for each of clusters")] = (100.0, 20.0),
    write: Path | None = None,
) -> None:
    """Run the benchmark and print its tables."""
    lines = header("Lennard-Jones particles", command_line())
    if frames:
        lines += scores_by_labels(folder, frames, seeds, updates, batch)
    for name, *amounts in zip(clusters, long_updates, long_batch, samples, replicas, length_ps, strict=True):
        lines += judged(name, folder / name, *amounts)
    publish(lines, write)


def scores_by_labels(
    folder: Path, frames: tuple[int, ...], seeds: tuple[int, ...], updates: int, batch: int
) -> list[str]:
    """The table of errors of the score, and by how much the default beats the noise alone."""
    exact = known_scores()
    rows: list[tuple[Any, ...]] = []
    means: dict[tuple[int, str], float] = {}
    for number, repeats in zip(frames, seeds, strict=True):
        for name, labels in LABELS.items():
            found = []
            for seed in range(repeats):
                out = folder / f"{name.replace(', ', '-').replace(' ', '-')}-{number}-{seed}"
                found.append(errors(fitted("lj13", out, number, seed, steps=updates, batch=batch, **labels), exact))
            means[number, name] = fmean(one[0] for one in found)
            rows.append((number, name, *(spread(column, 3) for column in zip(*found, strict=True))))
            print("\n".join(table(COLUMNS, rows)), flush=True)
    gains = ", ".join(
        f"{means[number, 'noise, plain loss'] / means[number, 'mixture']:.3g} (antithetic loss: "
        f"{means[number, 'noise'] / means[number, 'mixture']:.3g}) with {number} frames"
        for number in frames
    )
    own = ", ".join(f"{np.mean((one - other) ** 2) / 2 / np.mean(one * other):.1g}" for _, (one, other) in exact)
    return [
        f"LJ-13, {updates} updates of {batch} frames each. Mean square of the error of the score over that of the "
        f"exact score, at {POINTS} unseen frames with noise of sigma nm (1 nm: the minimum of a pair). Mean ± standard "
        f"error over seeds ({', '.join(map(str, seeds))} of them). Error of the exact scores themselves, which "
        f"cancels in the product of two: {own}.",
        "",
        *table(COLUMNS, rows),
        f"At {LEVELS[0]} nm the noise alone has an error so many times that of the default mixture: {gains}.",
        "",
    ]


COLUMNS = ("frames", "labels", *(f"{sigma:g}" for sigma in LEVELS))


def fitted(cluster: str, out: Path, frames: int, seed: int, **settings: Any) -> Model:
    """A model of so many frames, with `UNSEEN` more held out; a finished fit is read back."""
    whole = frames + UNSEEN
    return fit_once(out, cluster, frames=whole, held_out_fraction=UNSEEN / whole, seed=seed, **settings)


def known_scores() -> list[tuple[np.ndarray, np.ndarray]]:
    """Noised unseen frames and the exact scores there, by level."""
    cluster = CLUSTERS["lj13"]
    unseen = cluster.ensemble(POINTS, 10_000).positions
    return [exact_scores(cluster, unseen, sigma, seed) for seed, sigma in enumerate(LEVELS)]


def exact_scores(cluster: Cluster, positions: np.ndarray, sigma: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noised frames and two independent estimates of the score there, per nm: (frames, N, 3), (2, frames, N, 3)."""
    keys = jax.random.split(jax.random.key(seed), 3)
    x = jnp.asarray(positions)
    y = x + sigma * centred(jax.random.normal(keys[0], x.shape))
    both = [posterior_mean(cluster, x, y, jnp.float32(sigma), key) for key in keys[1:]]
    return np.asarray(y), np.asarray(jnp.stack(both))


def centred(x: Array) -> Array:
    """Without the mean over particles."""
    return x - jnp.mean(x, axis=-2, keepdims=True)


@eqx.filter_jit
def posterior_mean(cluster: Cluster, x: Array, y: Array, sigma: Array, key: Array) -> Array:
    """Mean of the best label per nm over `p(x | y)`, by Metropolis-adjusted Langevin chains that start from x."""

    def energy(x: Array, y: Array) -> Array:
        return cluster.potential(x) + 0.5 * jnp.sum((x - y) ** 2) / sigma**2

    slope = jax.vmap(jax.value_and_grad(energy))
    # the stiffest direction has a curvature of about 600 per nm^2, and that of the noise on top
    step = 0.3 / (600.0 + 1.0 / sigma**2)
    share = 1.0 / (1.0 + MEAN_SQUARE * sigma**2)

    def move(state: tuple[Array, Array, Array, Array], key: Array) -> tuple[tuple[Array, Array, Array, Array], None]:
        x, value, gradient, total = state
        draw, accept = jax.random.split(key)
        new = x - step * gradient + jnp.sqrt(2 * step) * centred(jax.random.normal(draw, x.shape))
        there, slope_there = slope(new, y)
        slope_there = centred(slope_there)
        forth = jnp.sum((new - x + step * gradient) ** 2, (1, 2))
        back = jnp.sum((x - new + step * slope_there) ** 2, (1, 2))
        odds = value - there + (forth - back) / (4 * step)
        taken = jnp.log(jax.random.uniform(accept, odds.shape)) < odds
        x = jnp.where(taken[:, None, None], new, x)
        value, gradient = jnp.where(taken, there, value), jnp.where(taken[:, None, None], slope_there, gradient)
        away = (x - y) / sigma**2
        # both labels have the score as their mean; this mixture of them has the least variance
        return (x, value, gradient, total + share * (away - gradient) + (1.0 - share) * away), None

    value, gradient = slope(x, y)
    first, second = jax.random.split(key)
    state = (x, value, centred(gradient), jnp.zeros_like(x))
    state, _ = jax.lax.scan(move, state, jax.random.split(first, FORGOTTEN))
    state, _ = jax.lax.scan(move, (*state[:3], jnp.zeros_like(x)), jax.random.split(second, CHAIN))
    return state[3] / CHAIN


def errors(model: Model, exact: list[tuple[np.ndarray, np.ndarray]]) -> list[float]:
    """Relative mean square error of the score at each level; noise of the exact one cancels in the product."""
    found = []
    length = float(getattr(model.chart, "length", 1.0))
    for (y, (one, other)), sigma in zip(exact, LEVELS, strict=True):
        force = model.force(y, sigma=max(sigma / length, model.schedule.smallest))
        score = force / thermal_energy(model.temperature)
        score -= score.mean(axis=1, keepdims=True)
        found.append(float(np.mean((score - one) * (score - other)) / np.mean(one * other)))
    return found


def judged(name: str, out: Path, updates: int, batch: int, samples: int, replicas: int, length_ps: float) -> list[str]:
    """Samples and simulation of a cluster by the mixture, trained longer, against reference chains of their own."""
    model = fitted(name, out / "run", 10_000, 0, steps=updates, batch=batch, smallest_noise=SMALLEST[name])
    judges, store = CLUSTERS[name].ensemble(JUDGES, SEED_OF_JUDGES), out / "judges.h5"
    if not store.is_file():
        write_ensembles(store, judges)
    said = cluster_convergence(judges).sentence
    print(said, flush=True)
    simulation = {
        "replicas": replicas,
        "length_ps": length_ps,
        "frame_ps": length_ps / 100,
        "timestep_fs": TIMESTEP_FS,
        "sigma": max(SIGMA_NM / float(getattr(model.chart, "length", 1.0)), model.schedule.smallest),
    }
    # the corrector moves particles by the smallest noise: in Cartesian coordinates a third of the cost for little
    metrics = scored(
        out, model, samples=samples, seed=0, simulation=simulation, sampling={"corrector": 0}, reference=[store]
    )
    rows = []
    for kind in ("samples", "simulation"):
        for what in ("pair distances by type TV", "energy W1", "energy mean"):
            if kind in metrics["sets"]:
                row = quantity(metrics["sets"][kind], what)
                rows.append((kind, what, *(_number(row[key]) for key in ("value", "error", "floor", "ratio"))))
    moving = metrics["simulations"]["simulation"]
    lead = (
        f"The mixture with 10,000 frames and {updates} updates of {batch} ({model.report['seconds'] / 60:.0f} min): "
        f"{samples} samples, {replicas} replicas of {length_ps:g} ps at sigma = {SIGMA_NM} nm, {moving['stable']} of "
        f"{moving['replicas']} stable, against {JUDGES} frames of other chains. Targets: total variation and W1 at "
        "most twice the floor."
    )
    return [f"## {name.upper()}: samples and simulation", "", lead, "", said, "", *table(RESULTS, rows)]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


RESULTS = ("set", "quantity", "value", "error", "floor", "ratio")
JUDGES, SEED_OF_JUDGES = 10_000, 20_000
SMALLEST = {"lj13": None, "lj55": 0.0025}
"""Least level that is learned, units of the chart: that of the recipe, or what is below `SIGMA_NM` of a larger one."""


if __name__ == "__main__":
    tyro.cli(main)
