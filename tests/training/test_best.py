"""The average that held-out frames like best, where the end of a run has learned frames by heart."""

import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import TINY
from twofold.model import Model
from twofold.systems.toys import LANDSCAPES
from twofold.training.best import DRAWS, Best, better, nothing_yet, overtaken
from twofold.training.fit import fit_ensembles, resume_fit
from twofold.training.loop import TrainingState
from twofold.training.progress import Interrupted
from twofold.training.settings import TrainingSettings

NATS = 100.0
"""A frame for each unit of the loss."""
LOSSES = jnp.linspace(-1.2, -0.8, DRAWS)


def state(step):
    leaves = {"a": jnp.full(2, float(step))}
    return TrainingState(leaves, leaves, (leaves, None), jax.random.key(3), jnp.array(step))


def of(losses, step=10):
    return Best(state(step), losses)


def test_the_least_mean_loss_wins():
    first = better(nothing_yet(state(0)), state(10), LOSSES)
    assert first.step == 10
    assert better(first, state(20), LOSSES + 0.01) is first
    later = better(first, state(20), LOSSES - 0.01)
    assert later.step == 20
    np.testing.assert_array_equal(later.state.average["a"], 20.0)


def test_a_worse_end_is_given_up_only_if_draws_of_noise_agree():
    scattered = 0.2 * jnp.asarray([1.0, -1.0] * (DRAWS // 2))
    assert overtaken(of(LOSSES), LOSSES + 0.02, NATS)
    assert overtaken(of(LOSSES), LOSSES + 0.3 + scattered, NATS)
    assert not overtaken(of(LOSSES), LOSSES + 0.02 + scattered, NATS)
    assert not overtaken(of(LOSSES), LOSSES + 0.02, NATS / 10)  # two tenths of a nat a frame
    assert not overtaken(of(LOSSES), LOSSES, NATS)
    assert not overtaken(nothing_yet(state(0)), LOSSES, NATS)


def test_an_end_that_is_not_finite_is_given_up():
    assert overtaken(of(LOSSES), LOSSES.at[3].set(jnp.nan), NATS)
    assert overtaken(of(LOSSES), LOSSES.at[3].set(jnp.inf), NATS)
    assert not overtaken(nothing_yet(state(0)), jnp.full(DRAWS, jnp.nan), NATS)


SETTINGS: dict[str, Any] = {
    "architecture": "flat", "width": 64, "depth": 3, "steps": 1500, "chunk": 20, "batch": 64, "weight_decay": 0.0,
    "learning_rate": 4e-3, "keep": "best",
}  # fmt: skip


@pytest.fixture(scope="module")
def by_heart(tmp_path_factory):
    """A fit to sixty frames of a double well, without decay and for long, and one that was stopped and resumed."""
    whole = LANDSCAPES["double-well-2d"].ensemble(2060, 0)
    parts = whole.select(np.arange(60)), whole.select(np.arange(60, 2060))
    runs = [tmp_path_factory.mktemp("by-heart") / name for name in ("whole", "resumed")]
    notes, heard = [], []
    fit_ensembles(*parts, runs[0], settings(), progress=lambda now: notes.append(now.note))
    with pytest.raises(Interrupted):
        fit_ensembles(
            *parts,
            runs[1],
            settings(),
            progress=lambda now: heard.append(now.note),
            stopped=lambda: any("goes on from there" in note for note in heard),
        )
    resume_fit(runs[1])
    return parts, runs, notes


def settings(**others):
    return TrainingSettings(**(TINY | SETTINGS | others))


def test_frames_learned_by_heart_shorten_a_run(by_heart):
    """It goes back to the best state, and ends at twice the updates of that."""
    _, (run, _), notes = by_heart
    model = Model.load(run / "model")
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    steps = [row["step"] for row in log]
    assert steps == sorted(set(steps))
    assert steps[-1] < 1500
    kept = model.report["updates_kept"]
    checked = {row["step"]: row["validation"] for row in log if "validation" in row}
    assert checked[kept] <= min(checked.values()) + 0.5 / NATS
    assert model.updates == f"{kept} of 1500"
    assert model.report["settings"]["steps"] == 1500
    assert any(f"to an end at {steps[-1]}" in note for note in notes)


def test_what_did_best_comes_back_to_the_bit(by_heart):
    _, runs, _ = by_heart
    one, other = (Model.load(run / "model") for run in runs)
    assert one.report["updates_kept"] == other.report["updates_kept"]
    assert one.identity == other.identity


def test_the_end_is_kept_where_it_is_asked_for(by_heart, tmp_path):
    parts, (run, _), _ = by_heart
    notes = []
    model = fit_ensembles(*parts, tmp_path / "end", settings(keep="end"), progress=lambda now: notes.append(now.note))
    assert model.updates == "1500"
    assert any("give --steps" in note for note in notes)
    assert Model.load(run / "model").identity != model.identity


def places_of(array, run):
    """How often a checkpoint holds an array: in the average of the end, in the best one, or in both."""
    with np.load(run / "checkpoint.npz", allow_pickle=False) as file:
        return sum(file[name].shape == array.shape and np.array_equal(file[name], array) for name in file.files)


def test_a_run_that_ends_best_keeps_its_end(fitted_run):
    model = Model.load(fitted_run / "model")
    assert model.report["updates_kept"] == model.report["settings"]["steps"]
    assert places_of(model.network.network.readout, fitted_run) == 2
