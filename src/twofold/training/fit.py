"""Fitting a model to training and held-out frames, into a run folder."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from twofold import architectures
from twofold.chart.noising import noised_positions
from twofold.energy.fractional import FractionalEnergy
from twofold.ensemble import Ensemble
from twofold.errors import UserError
from twofold.files.parts import said_of
from twofold.model import Model
from twofold.noise import NoiseSchedule
from twofold.run_folder import RunFolder
from twofold.simulation.region import Region
from twofold.training.best import (
    Best,
    better,
    copied,
    held_out_losses,
    learned_by_heart,
    nats_of,
    nothing_yet,
    overtaken,
)
from twofold.training.checkpoint import load_checkpoint, save_checkpoint
from twofold.training.labels import described, forces_left_out, labels_of
from twofold.training.loop import Trainer, TrainingState
from twofold.training.noise_level import choose_noise_level
from twofold.training.progress import FitProgress, Interrupted, silent
from twofold.training.settings import TrainingSettings, load_settings
from twofold.training.setup import set_up

VALIDATIONS = 25
"""Times that the held-out loss is measured over a run."""
TIMED_CHUNKS = 2
DEFAULT_MINUTES = 5.0
LEAST_FRAMES = 50


def fit_ensembles(
    training: Ensemble,
    held_out: Ensemble,
    out: str | Path,
    settings: TrainingSettings | None = None,
    *,
    progress: Callable[[FitProgress], None] = silent,
    stopped: Callable[[], bool] = lambda: False,
) -> Model:
    """Fit a model to `training`, validate it on `held_out`, and keep everything in the new folder `out`.

    The model is the running average at the end; with `keep: best` that of the least held-out loss, where that is clear.
    Forces are taken as they are; `twofold.force_check.check_forces` tells whether they are those of an ensemble.
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
    progress: Callable[[FitProgress], None] = silent,
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
        self.setup = set_up(training, held_out, settings, model_key)
        self.settings = self.setup.settings
        hot = self.settings.force_temperature
        over = f" at {hot:g} K" if hot and self.setup.squares[0] is not None else ""
        note = f"Learning from {labels_of(self.setup.squares[0], self.settings.forces)}{over}; {self.setup.budget}."
        if forces_left_out(training):
            note += " Forces in the files are left out, as their unit is not known: give --energy-unit."
        if training.energies is not None and not self.settings.energy_weight:
            note += " Energies of the frames are no labels unless energy_weight asks for it (--config)."
        if any(part.get("equilibrium") == "no" for part in said_of(training.source)):
            note += " These frames were chosen, not sampled: their density is not that of a temperature."
        progress(FitProgress("ready to train", note=note))

    @property
    def _chunk(self) -> int:
        assert self.settings.chunk is not None  # filled from the recipe
        return self.settings.chunk

    def run(self, resume: bool) -> Model:
        fresh = self.setup.trainer(1).initial(self.setup.built.energy, self.training_key)
        if resume:
            state, best, notes = load_checkpoint(self.folder.checkpoint, fresh, nothing_yet(fresh))
            self.settings = self.settings.model_copy(update={"steps": notes["steps"]})
        else:
            if self.settings.steps is None:
                self.settings = self.settings.model_copy(update={"steps": self._steps_that_fit()})
            state, best, notes = fresh, nothing_yet(fresh), {"length": self.settings.steps, "seconds": 0.0}
        self._write_config()
        length, seconds = notes["length"], notes["seconds"]
        while True:
            self.folder.trim_log(int(state.step))
            trainer = self.setup.trainer(length)
            state, best, seconds = self._train(trainer, state, best, length, seconds)
            if int(state.step) == length:
                return self._finish(trainer, state, best, seconds)
            # the end that a run has from here on if so many updates are asked for
            state, length = copied(best.state), 2 * best.step
            self._save(state, best, length, seconds)

    def _write_config(self) -> None:
        # what was asked for stays beside what was used, which now has all numbers
        config = self.folder.read_config()
        used = {
            "settings": self.settings.model_dump(),
            "architecture": self.setup.built.name,
            "reason": self.setup.built.reason,
        }
        head = ("format", "version", "units", "versions")
        self.folder.write_config({name: value for name, value in config.items() if name not in head} | used)

    def _steps_that_fit(self) -> int:
        """Number of steps that fill the minutes, by timing the compiled step once on a state that is thrown away."""
        self.progress(FitProgress("compiling and timing"))
        chunk = self._chunk
        trainer = self.setup.trainer(10 * chunk)
        many, state = trainer.many(chunk), trainer.initial(self.setup.built.energy, self.training_key)
        state, _ = jax.block_until_ready(many(state, self.setup.data))
        start = time.perf_counter()
        for _ in range(TIMED_CHUNKS):
            state, _ = jax.block_until_ready(many(state, self.setup.data))
        seconds = (time.perf_counter() - start) / TIMED_CHUNKS
        self._validate(trainer, state.average)  # compiled here, as part of the minutes
        minutes = self.settings.minutes or DEFAULT_MINUTES
        left = 60.0 * minutes - (time.perf_counter() - self.began)
        return chunk * max(1, int(left / seconds))

    def _train(
        self, trainer: Trainer, state: TrainingState, best: Best, steps: int, before: float
    ) -> tuple[TrainingState, Best, float]:
        """To the end of so many steps, or until the best state has clearly been better, if that is to be kept."""
        chunk = self._chunk
        many, rest = trainer.many(chunk), steps % chunk
        every = max(chunk, steps // VALIDATIONS // chunk * chunk)
        self.progress(FitProgress("training", int(state.step), steps))
        start = saved = time.perf_counter()
        first = step = int(state.step)
        while step < steps:
            size = chunk if steps - step >= chunk else rest
            run = many if size == chunk else trainer.many(rest)
            previous = copied(state)
            state, losses = run(state, self.setup.data)
            loss = float(jnp.mean(losses))
            if not np.isfinite(loss) or not bool(_all_finite(state)):
                self._save(previous, best, steps, before + time.perf_counter() - start)
                raise UserError(
                    f"the loss is not finite after step {step}; the last good state is in {self.folder.checkpoint}",
                    "a finite loss",
                    "fit into a new folder with a lower learning_rate or clip in --config, and look for broken frames",
                )
            step += size
            seconds = time.perf_counter() - start
            entry = {"step": step, "loss": loss, "seconds": before + seconds}
            if step % every == 0 or step == steps:
                unseen = self._validate(trainer, state.average)
                best = better(best, state, unseen)
                entry["validation"] = float(jnp.mean(unseen))
                if self.settings.keep == "best" and 2 * best.step < steps and overtaken(best, unseen, nats_of(trainer)):
                    remedy = f"training goes on from there, to an end at {2 * best.step}"
                    self.progress(FitProgress("training", step, steps, note=learned_by_heart(best, step, remedy)))
                    return state, best, before + seconds
            self.folder.append_log(entry)
            rate = (step - first) / seconds
            self.progress(FitProgress("training", step, steps, loss, entry.get("validation", float("nan")), rate))
            stop = self.stopped() and step < steps
            if stop or time.perf_counter() - saved > self.settings.checkpoint_seconds:
                self._save(state, best, steps, before + seconds)
                saved = time.perf_counter()
            if stop:
                raise Interrupted(f"stopped at step {step} of {steps}")
        seconds = before + time.perf_counter() - start
        self._save(state, best, steps, seconds)
        return state, best, seconds

    def _save(self, state: TrainingState, best: Best, steps: int, seconds: float) -> None:
        save_checkpoint(
            self.folder.checkpoint, state, best, {"steps": self.settings.steps, "length": steps, "seconds": seconds}
        )

    def _validate(self, trainer: Trainer, parameters: Any) -> Array:
        """Losses (draws,) on held-out frames with the same draws every time."""
        return held_out_losses(trainer, parameters, self.setup.unseen, self.validation_key)

    def _kept(self, trainer: Trainer, state: TrainingState, best: Best) -> TrainingState:
        """That of the end, or the best one where the end has learned frames by heart, if that is to be kept."""
        if not overtaken(best, self._validate(trainer, state.average), nats_of(trainer)):
            return state
        kept, steps = self.settings.keep == "best", int(state.step)
        remedy = "the energy is that of then" if kept else f"give --steps {best.step}, or keep: best (--config)"
        note = learned_by_heart(best, steps, remedy)
        self.progress(FitProgress("choosing the noise level", steps, steps, note=note))
        return best.state if kept else state

    def _finish(self, trainer: Trainer, state: TrainingState, best: Best, seconds: float) -> Model:
        steps = int(state.step)

        def looked(done: int, levels: int) -> None:
            self.progress(FitProgress(f"choosing the noise level, {done} of {levels}", steps, steps))

        kept = self._kept(trainer, state, best)
        energy, chart = trainer.model(kept.average), self.setup.built.chart
        whole = self.setup.built.schedule
        # where a user starts above what rings hold, there is one level to choose from
        largest = max(whole.smallest, min(whole.largest, energy.conservative_to, self.setup.built.dynamics_to))
        schedule = NoiseSchedule(whole.smallest, largest)
        scan = choose_noise_level(
            energy, chart, schedule, self.setup.unseen.coordinates, self.held_out.weights, progress=looked
        )
        if self.settings.stability < 2:
            seen = self.setup.data.coordinates
            energy = FractionalEnergy(energy, self.settings.stability, jnp.min(seen, axis=0), jnp.max(seen, axis=0))
        report = {
            "architecture": self.setup.built.name,
            "reason": self.setup.built.reason,
            "settings": self.settings.model_dump(),
            "seconds": seconds,
            "updates_kept": int(kept.step),
            "parameters": int(sum(leaf.size for leaf in jax.tree.leaves(kept.average))),
            "training_frames": len(self.training),
            "training_effective_size": self.training.effective_size,
            "held_out_frames": len(self.held_out),
            "held_out_effective_size": self.held_out.effective_size,
            "noise_level": scan.to_dict(),
            "label_signal": asdict(self.setup.budget),
        } | described(self.training.beads, *self.setup.squares, use=self.settings.forces)
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
