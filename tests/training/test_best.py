"""The average that held-out frames like best, where the end of a run has learned frames by heart."""

import json

import jax.numpy as jnp
import numpy as np

from synthetic import TINY
from twofold.model import Model
from twofold.systems.toys import LANDSCAPES
from twofold.training.best import DRAWS, Best, better, nothing_yet, overtaken
from twofold.training.fit import fit_ensembles
from twofold.training.settings import TrainingSettings

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
    assert overtaken(of(LOSSES), LOSSES + 0.02)
    assert overtaken(of(LOSSES), LOSSES + 0.3 + scattered)
    assert not overtaken(of(LOSSES), LOSSES + 0.02 + scattered)
    assert not overtaken(of(LOSSES), LOSSES + 0.001)  # a thousandth of the loss
    assert not overtaken(of(LOSSES), LOSSES)
    assert not overtaken(nothing_yet({}), LOSSES)


def test_frames_learned_by_heart_are_given_up(tmp_path):
    """Sixty frames of a double well, without decay and for long: the held-out loss rises, what is stored is older."""
    whole = LANDSCAPES["double-well-2d"].ensemble(2060, 0)
    training, unseen = whole.select(np.arange(60)), whole.select(np.arange(60, 2060))
    settings = {"architecture": "flat", "width": 64, "depth": 3, "steps": 1500, "chunk": 50, "batch": 64}
    chosen = TINY | settings | {"weight_decay": 0.0, "learning_rate": 1e-2}
    notes = []
    model = fit_ensembles(
        training, unseen, tmp_path / "run", TrainingSettings(**chosen), progress=lambda now: notes.append(now.note)
    )
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    checked = {row["step"]: row["validation"] for row in log if "validation" in row}
    kept = model.report["updates_kept"]
    assert kept < 1500
    assert kept == min(checked, key=lambda step: checked[step])
    assert any(f"after {kept} of 1500 updates" in note for note in notes)
    assert places_of(model.network.network.readout, tmp_path / "run") == 1


def places_of(array, run):
    """How often a checkpoint holds an array: in the average of the end, in the best one, or in both."""
    with np.load(run / "checkpoint.npz", allow_pickle=False) as file:
        return sum(file[name].shape == array.shape and np.array_equal(file[name], array) for name in file.files)


def test_a_run_that_ends_best_keeps_its_end(fitted_run):
    model = Model.load(fitted_run / "model")
    assert model.report["updates_kept"] == model.report["settings"]["steps"]
    assert places_of(model.network.network.readout, fitted_run) == 2
