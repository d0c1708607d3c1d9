"""Heavy-tailed noise on few data: does it keep the small mode of a mixture?

    python benchmarks/heavy_tails.py --write benchmarks/heavy_tails.md

The same network, updates and solver for every stability, on 100 and 1,000 points of the 20/80 mixture of two modes.
Scored against the exact density, and against the share of the small mode in the points that were trained on, which is
the most that a model can know of it.
"""

from __future__ import annotations

import itertools
import statistics
import time
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import tyro
from common import command_line, header, spread, table
from scipy import stats

from twofold import architectures
from twofold.analysis.divergence import js_divergence
from twofold.energy.fractional import FractionalEnergy
from twofold.sampling.draw import draw_samples
from twofold.systems.toys import DoubleWell2D
from twofold.training.data import training_data
from twofold.training.loop import Trainer
from twofold.training.settings import load_settings

SIZES = (100, 1000)
METHODS = {"2": (2.0, 1.0), "1.8": (1.8, 1.0), "1.5": (1.5, 1.0), "2, stopped early": (2.0, 0.25)}
"""Stability and part of the updates. Heavy tails learn the frames by heart less; so does whoever stops early."""
BINS = 40
LANDSCAPE = DoubleWell2D()


class Score(NamedTuple):
    """Of one fit: share of the small mode in its samples and in its data, JS in nats, share outside of the window."""

    share: float
    seen: float
    js: float
    floor: float
    outside: float


@eqx.filter_jit
def _train(trainer: Trainer, data: Any, state: Any, steps: int) -> Any:
    return jax.lax.scan(lambda carry, _: trainer.step(carry, data), state, length=steps)


def _left(points: np.ndarray) -> float:
    return float(LANDSCAPE.basins()["left"](points).mean())


def _js(points: np.ndarray, exact: np.ndarray, edges: list[np.ndarray]) -> float:
    return float(js_divergence(np.histogram2d(*points.T, bins=edges)[0].ravel(), exact.ravel()))


def one(size: int, stability: float, seed: int, steps: int, samples: int) -> Score:
    """Fit, draw, score."""
    training = LANDSCAPE.ensemble(size, seed)
    built = architectures.build("flat", training, jax.random.key(seed), width=64, depth=3)
    settings = load_settings(
        None,
        steps=steps,
        batch=256,
        loss="denoising",
        softening=0.0,
        optimiser="muon",
        learning_rate=built.recipe.learning_rate,
        weight_decay=built.recipe.weight_decay,
        stability=stability,
    )
    trainer = Trainer(built.energy, built.chart, None, built.schedule, settings, steps=steps)
    data = training_data(built.chart, jnp.asarray(training.positions), jnp.asarray(training.weights))
    state, _ = _train(trainer, data, trainer.initial(built.energy, jax.random.key(seed + 100)), steps)
    # the box of the data for Gaussian noise as well, so that the tails are all that differs
    box = jnp.min(data.coordinates, axis=0), jnp.max(data.coordinates, axis=0)
    network = FractionalEnergy(trainer.model(state.average), stability, *box)
    drawn = draw_samples(network, built.chart, built.schedule, samples, seed=seed, steps=60, batch=samples)
    points, seen = drawn.positions[:, 0, :2], training.positions[:, 0, :2]
    edges = [np.linspace(low, high, BINS + 1) for low, high in LANDSCAPE.window]
    exact = LANDSCAPE.probabilities(edges)
    floor = _js(LANDSCAPE.reference(samples, 1000 + seed), exact, edges)
    outside = np.abs(points) > 10.0
    return Score(_left(points), _left(seen), _js(points, exact, edges), floor, float(outside.any(-1).mean()))


def judgement(scores: dict[tuple[int, str], list[Score]]) -> list[str]:
    """Whether a method was better than Gaussian noise with all updates, from paired differences over the seeds."""
    lines = []
    for (size, method), found in scores.items():
        if method == "2":
            continue
        gaussian = scores[size, "2"]
        for name, sign in (("error of the small mode's share against the data", None), ("JS", "js")):
            pairs = [
                (abs(a.share - a.seen) - abs(b.share - b.seen)) if sign is None else a.js - b.js
                for a, b in zip(found, gaussian, strict=True)
            ]
            mean = statistics.fmean(pairs)
            error = statistics.stdev(pairs) / len(pairs) ** 0.5 if len(pairs) > 1 else float("nan")
            clear = len(pairs) > 1 and abs(mean) > stats.t.ppf(0.975, len(pairs) - 1) * error
            verdict = ("better" if mean < 0 else "worse") if clear else "no difference that these seeds can tell"
            lines.append(f"- {size} points, alpha {method}, {name}: {mean:+.4f} ± {error:.4f}: {verdict}.")
    return lines


def main(
    seeds: int = 3,
    steps: int = 2000,
    samples: int = 10_000,
    write: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None,
) -> None:
    """Run everything and write the tables."""
    scores: dict[tuple[int, str], list[Score]] = {}
    rows, start = [], time.perf_counter()
    lines = header("Heavy-tailed noise on few data", command_line())
    for size, (method, (stability, part)) in itertools.product(SIZES, METHODS.items()):
        begin = time.perf_counter()
        found = [one(size, stability, seed, round(part * steps), samples) for seed in range(seeds)]
        scores[size, method] = found
        columns = [spread([getattr(score, name) for score in found]) for name in Score._fields]
        off = spread([abs(score.share - score.seen) for score in found])
        rows.append([size, method, *columns[:2], off, *columns[2:], f"{time.perf_counter() - begin:.0f} s"])
        print(*rows[-1], flush=True)
    names = ["points", "alpha", "small mode", "in the data", "off by", "JS", "JS of exact draws", "outside", "time"]
    lines += [
        f"Mixture of two modes, 20 % and 80 %; {seeds} seeds, {steps} updates of 256, {samples} samples of 60 steps of "
        "the reverse SDE. Mean ± standard error over seeds, each with data of its own. JS in nats against the exact "
        "density, on 40 x 40 bins.",
        "",
        *table(names, rows),
        "Against alpha 2, seed by seed; negative is better, and counts beyond the 95 % interval of Student's t:",
        "",
        *judgement(scores),
        "",
        f"{time.perf_counter() - start:.0f} s in all.",
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if write is not None:
        write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    tyro.cli(main)
