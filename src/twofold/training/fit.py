"""Fitting a model to training and held-out frames, into a run folder."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from twofold import architectures
from twofold.chart.internal import InternalChart
from twofold.chart.noising import noised_positions
from twofold.energy.fractional import FractionalEnergy
from twofold.ensemble import Ensemble
from twofold.errors import UserError
from twofold.model import Model
from twofold.noise import NoiseSchedule
from twofold.run_folder import RunFolder
from twofold.simulation.region import Region
from twofold.training.checkpoint import load_checkpoint, save_checkpoint
from twofold.training.labels import (
    described,
    energy_labels,
    force_labels,
    labels_of,
    mean_squares,
    noise_budget,
    principal_squares,
)
from twofold.training.loop import Trainer, TrainingData, TrainingState, training_data
from twofold.training.noise_level import choose_noise_level
from twofold.training.settings import TrainingSettings, load_settings

VALIDATIONS = 25
"""Times that the held-out loss is measured over a run."""
BUDGET_FRAMES = 10_000
"""Frames that tell how much of the labels is signal."""
TIMED_CHUNKS = 2
DEFAULT_MINUTES = 5.0
LEAST_FRAMES = 50


@dataclass(frozen=True)
class FitProgress:
    """How far a fit is: steps done and in all, loss, updates a second and seconds left; what is going on, in words.

    note: what was found out, to be kept in sight.
    """

    stage: str
    step: int = 0
    steps: int = 0
    loss: float = float("nan")
    validation: float = float("nan")
    rate: float = 0.0
    note: str = ""


class Interrupted(Exception):
    """The fit was asked to stop; a checkpoint holds everything."""


def _silent(progress: FitProgress) -> None:
    del progress


def fit_ensembles(
    training: Ensemble,
    held_out: Ensemble,
    out: str | Path,
    settings: TrainingSettings | None = None,
    *,
    progress: Callable[[FitProgress], None] = _silent,
    stopped: Callable[[], bool] = lambda: False,
) -> Model:
    """Fit a model to `training`, validate it on `held_out`, and keep everything in the new folder `out`.

    `stopped` is asked between two chunks of steps; when it says yes a checkpoint is written and Interrupted raised.
    Raises UserError for too few frames, a folder that exists, or a loss that is not finite.
    """
    settings = settings or TrainingSettings()  # pyright: ignore[reportCallIssue]
    if settings.architecture != "auto" and settings.architecture not in architectures.BUILDERS:
        known = ", ".join(architectures.BUILDERS)
        raise UserError(f"architecture {settings.architecture!r}", f"auto or one of {known}")
    for name, part in (("training", training), ("held-out", held_out)):
        if len(part) < LEAST_FRAMES:
            raise UserError(f"{len(part)} {name} frames", f"at least {LEAST_FRAMES}", "give longer trajectories")
    folder = RunFolder(Path(out))
    folder.check_new()
    # built first, so that a molecule that does not suit the architecture leaves no folder behind
    fit = _Fit(folder, training, held_out, settings, progress, stopped)
    folder.create(training, held_out, {"settings": settings.model_dump(), "source": training.source})
    return fit.run(resume=False)


def resume_fit(
    out: str | Path,
    *,
    progress: Callable[[FitProgress], None] = _silent,
    stopped: Callable[[], bool] = lambda: False,
) -> Model:
    """Continue the fit in folder `out` from its last checkpoint, to the bit as if it had never stopped.

    A fit that is complete is loaded as it is.
    """
    folder = RunFolder(Path(out))
    settings = load_settings(None, **folder.read_config()["settings"])
    if (folder.model / "model.json").is_file():
        return Model.load(folder.model)
    training, held_out = folder.read_data()
    return _Fit(folder, training, held_out, settings, progress, stopped).run(resume=folder.checkpoint.is_file())


class _Fit:
    """One fit from the first step to the stored model."""

    def __init__(
        self,
        folder: RunFolder,
        training: Ensemble,
        held_out: Ensemble,
        settings: TrainingSettings,
        progress: Callable[[FitProgress], None],
        stopped: Callable[[], bool],
    ) -> None:
        self.folder, self.training, self.held_out = folder, training, held_out
        self.progress, self.stopped = progress, stopped
        self.began = time.perf_counter()
        progress(FitProgress("reading the geometry"))
        model_key, self.training_key, self.validation_key = jax.random.split(jax.random.key(settings.seed), 3)
        built = architectures.build(
            settings.architecture,
            training,
            model_key,
            width=settings.width,
            depth=settings.depth,
            schedule=settings.schedule,
        )
        if settings.experts:
            built = architectures.with_experts(
                built,
                training,
                model_key,
                settings.experts,
                overlap=settings.experts_overlap,
                plain=settings.experts_plain,
                width=settings.width,
                depth=settings.depth,
            )
        self.built = built
        self.settings = with_recipe(settings, built)
        self.data, self.unseen = (
            training_data(
                self.built.chart,
                part.positions,
                part.weights,
                force_labels(part, self.settings.forces),
                energy_labels(part, self.settings.energy_weight),
            )
            for part in (training, held_out)
        )
        known = self.data.scores
        _check_stability(self.settings, built, known is not None)
        self.variance: Array | None = None
        self.directions: Array | None = None
        if known is not None and self.settings.force_mixture == "matrix":
            self.variance, self.directions = principal_squares(known, training.weights)
        elif known is not None:
            self.variance = mean_squares(built.chart, training.beads, known, training.weights)
        self.budget = noise_budget(*self._some_frames(), sigma=built.schedule.smallest)
        progress(FitProgress("ready to train", note=f"Learning from {labels_of(self.variance)}; {self.budget}."))

    def _some_frames(self) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        """Coordinates, forces if any, and weights of frames spread over the data."""
        some = slice(None, None, max(1, len(self.training) // BUDGET_FRAMES))
        forces = None if self.data.scores is None else np.asarray(self.data.scores[some])
        return np.asarray(self.data.coordinates[some]), forces, self.training.weights[some]

    @property
    def _chunk(self) -> int:
        assert self.settings.chunk is not None  # filled from the recipe
        return self.settings.chunk

    def run(self, resume: bool) -> Model:
        trainer = self._trainer(1)
        notes: dict[str, Any] = {"seconds": 0.0}
        if resume:
            fresh = trainer.initial(self.built.energy, self.training_key)
            state, notes = load_checkpoint(self.folder.checkpoint, fresh)
            self.settings = self.settings.model_copy(update={"steps": notes["steps"]})
        else:
            if self.settings.steps is None:
                self.settings = self.settings.model_copy(update={"steps": self._steps_that_fit()})
            state = trainer.initial(self.built.energy, self.training_key)
        steps = self.settings.steps
        assert steps is not None
        self.folder.trim_log(int(state.step))
        self._write_config()
        trainer = self._trainer(steps)
        state, seconds = self._train(trainer, state, steps, notes["seconds"])
        return self._finish(trainer, state, seconds)

    def _trainer(self, steps: int) -> Trainer:
        settings = self.settings.model_copy(update={"steps": steps})
        built, squares = self.built, (self.variance, self.directions)
        return Trainer(built.energy, built.chart, None, built.schedule, settings, *squares)

    def _write_config(self) -> None:
        # what was asked for stays beside what was used, which now has all numbers
        config = self.folder.read_config()
        used = {"settings": self.settings.model_dump(), "architecture": self.built.name, "reason": self.built.reason}
        head = ("format", "version", "units", "versions")
        self.folder.write_config({name: value for name, value in config.items() if name not in head} | used)

    def _steps_that_fit(self) -> int:
        """Number of steps that fill the minutes, by timing the compiled step once on a state that is thrown away."""
        self.progress(FitProgress("compiling and timing"))
        chunk = self._chunk
        trainer = self._trainer(10 * chunk)
        many, state = trainer.many(chunk), trainer.initial(self.built.energy, self.training_key)
        state, _ = jax.block_until_ready(many(state, self.data))
        start = time.perf_counter()
        for _ in range(TIMED_CHUNKS):
            state, _ = jax.block_until_ready(many(state, self.data))
        now = time.perf_counter()
        minutes = self.settings.minutes or DEFAULT_MINUTES
        # the loop is compiled again for its final length of the schedule
        left = 60.0 * minutes - 1.5 * (now - self.began)
        return chunk * max(1, int(left / (now - start) * TIMED_CHUNKS))

    def _train(self, trainer: Trainer, state: TrainingState, steps: int, before: float) -> tuple[TrainingState, float]:
        chunk = self._chunk
        many, rest = trainer.many(chunk), steps % chunk
        every = max(chunk, steps // VALIDATIONS // chunk * chunk)
        self.progress(FitProgress("training", int(state.step), steps))
        start = saved = time.perf_counter()
        first = step = int(state.step)
        while step < steps:
            size = chunk if steps - step >= chunk else rest
            run = many if size == chunk else trainer.many(rest)
            previous = jax.tree.map(jnp.copy, state)
            state, losses = run(state, self.data)
            loss = float(jnp.mean(losses))
            if not np.isfinite(loss) or not bool(_all_finite(state)):
                self._save(previous, steps, before + time.perf_counter() - start)
                raise UserError(
                    f"the loss is not finite after step {step}; the last good state is in {self.folder.checkpoint}",
                    "a finite loss",
                    "fit into a new folder with a lower learning_rate or clip in --config, and look for broken frames",
                )
            step += size
            seconds = time.perf_counter() - start
            entry = {"step": step, "loss": loss, "seconds": before + seconds}
            if step % every == 0 or step == steps:
                entry["validation"] = self._validate(trainer, state.average)
            self.folder.append_log(entry)
            rate = (step - first) / seconds
            self.progress(FitProgress("training", step, steps, loss, entry.get("validation", float("nan")), rate))
            stop = self.stopped() and step < steps
            if stop or time.perf_counter() - saved > self.settings.checkpoint_seconds:
                self._save(state, steps, before + seconds)
                saved = time.perf_counter()
            if stop:
                raise Interrupted(f"stopped at step {step} of {steps}")
        seconds = before + time.perf_counter() - start
        self._save(state, steps, seconds)
        return state, seconds

    def _save(self, state: TrainingState, steps: int, seconds: float) -> None:
        save_checkpoint(self.folder.checkpoint, state, {"steps": steps, "seconds": seconds})

    def _validate(self, trainer: Trainer, parameters: Any) -> float:
        """Loss on held-out frames with the same draws every time."""
        return float(_validation(trainer, parameters, self.unseen, self.validation_key))

    def _finish(self, trainer: Trainer, state: TrainingState, seconds: float) -> Model:
        steps = int(state.step)
        self.progress(FitProgress("choosing the noise level", steps, steps))
        energy, chart = trainer.model(state.average), self.built.chart
        whole = self.built.schedule
        schedule = NoiseSchedule(whole.smallest, min(whole.largest, energy.conservative_to))
        scan = choose_noise_level(energy, chart, schedule, self.unseen.coordinates, self.held_out.weights)
        if self.settings.stability < 2:
            seen = self.data.coordinates
            energy = FractionalEnergy(energy, self.settings.stability, jnp.min(seen, axis=0), jnp.max(seen, axis=0))
        report = {
            "architecture": self.built.name,
            "reason": self.built.reason,
            "settings": self.settings.model_dump(),
            "seconds": seconds,
            "parameters": int(sum(leaf.size for leaf in jax.tree.leaves(state.average))),
            "training_frames": len(self.training),
            "training_effective_size": self.training.effective_size,
            "held_out_frames": len(self.held_out),
            "held_out_effective_size": self.held_out.effective_size,
            "noise_level": scan.to_dict(),
            "label_signal": asdict(self.budget),
        } | described(self.training.beads, self.variance, matrix=self.directions is not None)
        blurred = noised_positions(chart, self.training.positions, scan.chosen, seed=0)
        model = Model(
            beads=self.training.beads,
            temperature=self.training.temperature,
            chart=chart,
            network=energy,
            schedule=NoiseSchedule(whole.smallest, whole.largest),
            sigma_star=scan.chosen,
            region=Region.around(blurred, bonds=self.training.beads.bonds),
            report=report,
        )
        model.save(self.folder.model)
        return model


@jax.jit
def _all_finite(state: TrainingState) -> Any:
    # a gradient can be broken where the loss is not, and shows only in the next step
    leaves = jax.tree.leaves((state.parameters, state.average))
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in leaves]))


@eqx.filter_jit
def _validation(trainer: Trainer, parameters: Any, data: TrainingData, key: Any) -> Any:
    keys = jax.random.split(key, 8)
    return jnp.mean(jax.lax.map(lambda one: trainer.loss(parameters, data, one), keys))


def with_recipe(settings: TrainingSettings, built: architectures.Built) -> TrainingSettings:
    """Settings in which what was left open is as it suits the architecture."""
    defaults = asdict(built.recipe)
    if settings.stability < 2:
        defaults["loss"] = "denoising"
    if (settings.loss or defaults["loss"]) == "denoising":
        defaults["softening"] = 0.0  # the plain loss has a variance of 1/sigma^2 down to the smallest level
        defaults["fokker_planck"] = 0.0  # what was published is reproduced as it was
    return settings.model_copy(update={k: v for k, v in defaults.items() if getattr(settings, k) is None})


def _check_stability(settings: TrainingSettings, built: architectures.Built, labelled: bool) -> None:
    """Raises UserError where heavy-tailed noise is asked for together with what it cannot have."""
    if settings.stability == 2:
        return
    odd = {
        "loss antithetic": settings.loss == "antithetic",
        "fokker_planck": bool(settings.fokker_planck),
        "forces as labels": labelled,
        "classification": settings.classification > 0,
        "internal coordinates, some of which are angles": isinstance(built.chart, InternalChart),
    }
    if found := [name for name, given in odd.items() if given]:
        raise UserError(
            f"stability {settings.stability:g} with {', '.join(found)}", "denoising on coordinates without bounds"
        )
