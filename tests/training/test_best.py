"""The average that held-out frames like best, where the end of a run has learned frames by heart."""

import json
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import TINY
from twofold.model import Model
from twofold.systems.toys import LANDSCAPES
from twofold.training.best import DRAWS, Best, better, nothing_yet, overtaken
from twofold.training.fit import Interrupted, fit_ensembles, resume_fit
from twofold.training.settings import TrainingSettings

NATS = 100.0
"""A frame for each unit of the loss."""
LOSSES = jnp.linspace(-1.2, -0.8, DRAWS)


def of(losses):
    return Best({"a": jnp.zeros(2)}, losses, jnp.array(10))


def test_the_least_mean_loss_wins_and_is_copied():
    average = {"a": jnp.ones(2)}
    first = better(nothing_yet(average), average, LOSSES, 10)
    assert int(first.step) == 10
    assert better(first, average, LOSSES + 0.01, 20) is first
    later = better(first, {"a": 2 * jnp.ones(2)}, LOSSES - 0.01, 20)
    assert int(later.step) == 20
    np.testing.assert_array_equal(later.average["a"], 2.0)


def test_a_worse_end_is_given_up_only_if_draws_of_noise_agree():
    scattered = 0.2 * jnp.asarray([1.0, -1.0] * (DRAWS // 2))
    assert overtaken(of(LOSSES), LOSSES + 0.02, NATS)
    assert overtaken(of(LOSSES), LOSSES + 0.3 + scattered, NATS)
    assert not overtaken(of(LOSSES), LOSSES + 0.02 + scattered, NATS)
    assert not overtaken(of(LOSSES), LOSSES + 0.02, NATS / 10)  # two tenths of a nat a frame
    assert not overtaken(of(LOSSES), LOSSES, NATS)
    assert not overtaken(nothing_yet({}), LOSSES, NATS)


def test_an_end_that_is_not_finite_is_given_up():
    assert overtaken(of(LOSSES), LOSSES.at[3].set(jnp.nan), NATS)
    assert overtaken(of(LOSSES), LOSSES.at[3].set(jnp.inf), NATS)
    assert not overtaken(nothing_yet({}), jnp.full(DRAWS, jnp.nan), NATS)


SETTINGS: dict[str, Any] = {
    "architecture": "flat", "width": 64, "depth": 3, "steps": 1500, "chunk": 50, "batch": 64, "weight_decay": 0.0,
    "learning_rate": 1e-2, "keep": "best",
}  # fmt: skip


@pytest.fixture(scope="module")
def by_heart(tmp_path_factory):
    """A fit to sixty frames of a double well, without decay and for long, and one that was stopped and resumed."""
    whole = LANDSCAPES["double-well-2d"].ensemble(2060, 0)
    parts = whole.select(np.arange(60)), whole.select(np.arange(60, 2060))
    runs = [tmp_path_factory.mktemp("by-heart") / name for name in ("whole", "resumed")]
    notes, steps = [], []
    fit_ensembles(*parts, runs[0], settings(), progress=lambda now: notes.append(now.note))
    with pytest.raises(Interrupted):
        fit_ensembles(
            *parts, runs[1], settings(), progress=lambda now: steps.append(now.step), stopped=lambda: steps[-1] >= 1200
        )
    resume_fit(runs[1])
    return parts, runs, notes


def settings(**others):
    return TrainingSettings(**(TINY | SETTINGS | others))


def test_frames_learned_by_heart_are_given_up(by_heart):
    """The held-out loss rises, and what is stored is the average of its least value."""
    _, (run, _), notes = by_heart
    model = Model.load(run / "model")
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    checked = {row["step"]: row["validation"] for row in log if "validation" in row}
    kept = model.report["updates_kept"]
    assert kept == min(checked, key=lambda step: checked[step]) < 1200
    assert model.updates == f"{kept} of 1500"
    assert any(f"after {kept} of 1500 updates" in note and "is that of then" in note for note in notes)
    assert places_of(model.network.network.readout, run) == 1


def test_what_did_best_comes_back_to_the_bit(by_heart):
    _, runs, _ = by_heart
    one, other = (Model.load(run / "model") for run in runs)
    assert one.report["updates_kept"] == other.report["updates_kept"]
    assert one.identity == other.identity


def test_the_end_is_kept_where_it_is_asked_for(by_heart, tmp_path):
    parts, (run, _), _ = by_heart
    notes = []
    model = fit_ensembles(*parts, tmp_path / "end", settings(keep="end"), progress=lambda now: notes.append(now.note))
    kept = Model.load(run / "model").report["updates_kept"]
    assert model.updates == "1500"
    assert any(f"give --steps {kept}" in note for note in notes)


def places_of(array, run):
    """How often a checkpoint holds an array: in the average of the end, in the best one, or in both."""
    with np.load(run / "checkpoint.npz", allow_pickle=False) as file:
        return sum(file[name].shape == array.shape and np.array_equal(file[name], array) for name in file.files)


def test_a_run_that_ends_best_keeps_its_end(fitted_run):
    model = Model.load(fitted_run / "model")
    assert model.report["updates_kept"] == model.report["settings"]["steps"]
    assert places_of(model.network.network.readout, fitted_run) == 2
