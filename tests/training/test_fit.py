"""Whole fits: what they leave behind, how they stop, and that they go on to the bit."""

import json
import os
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

import synthetic
from synthetic import TINY
from twofold import architectures
from twofold.cli import main
from twofold.errors import UserError
from twofold.files.store import write_ensembles
from twofold.model import Model
from twofold.run_folder import RunFolder
from twofold.systems.toys import LANDSCAPES
from twofold.training.best import Best
from twofold.training.checkpoint import load_checkpoint, save_checkpoint
from twofold.training.fit import fit_ensembles, resume_fit
from twofold.training.progress import Interrupted
from twofold.training.settings import TrainingSettings


@pytest.fixture(scope="module")
def parts(chain_ensemble):
    return chain_ensemble.select(np.arange(900)), chain_ensemble.select(np.arange(900, 1200))


def arrays_of(path):
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def assert_same(left, right):
    assert left.keys() == right.keys()
    for name, value in left.items():
        np.testing.assert_array_equal(value, right[name], err_msg=name)


def test_a_run_folder_holds_everything(fitted_run):
    names = {path.name for path in fitted_run.iterdir()}
    assert names == {"config.json", "data.h5", "checkpoint.npz", "log.jsonl", "model"}
    config = json.loads((fitted_run / "config.json").read_text())
    assert config["settings"]["steps"] == 40
    assert config["settings"]["optimiser"] in ("muon", "adam")
    assert config["architecture"] == "internal"
    log = [json.loads(line) for line in (fitted_run / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in log] == [10, 20, 30, 40]
    assert all(np.isfinite([entry["loss"], entry["validation"], entry["seconds"]]).all() for entry in log)
    assert log[-1]["validation"] < log[0]["validation"]


def test_training_leaves_the_chart_and_the_tables_as_they_were(fitted_run, parts):
    model = Model.load(fitted_run / "model")
    built = architectures.build("internal", parts[0], jax.random.key(5), width=16, depth=2)
    for trained, fresh in ((model.chart, built.chart), (model.network.features, built.energy.features)):
        for left, right in zip(jax.tree.leaves(trained), jax.tree.leaves(fresh), strict=True):
            np.testing.assert_array_equal(left, right)
    assert np.abs(np.asarray(model.network.network.readout)).max() > 0


def test_checkpoint_comes_back_to_the_bit(fitted_run, tmp_path):
    leaves = {"a": jax.numpy.arange(3), "b": jax.numpy.ones((2, 2))}
    from twofold.training.loop import TrainingState

    state = TrainingState(leaves, leaves, (leaves, None), jax.random.key(3), jax.numpy.array(7))
    other = state._replace(key=jax.random.key(4), step=jax.numpy.array(5))
    best = Best(other, jax.numpy.arange(3.0))
    save_checkpoint(tmp_path / "c.npz", state, best, {"steps": 9})
    back, kept, notes = load_checkpoint(tmp_path / "c.npz", state, best)
    assert notes == {"steps": 9}
    assert kept.step == 5
    np.testing.assert_array_equal(kept.losses, best.losses)
    np.testing.assert_array_equal(jax.random.normal(kept.state.key, (3,)), jax.random.normal(other.key, (3,)))
    np.testing.assert_array_equal(jax.random.normal(back.key, (3,)), jax.random.normal(state.key, (3,)))
    for left, right in zip(jax.tree.leaves(back[:3]), jax.tree.leaves(state[:3]), strict=True):
        np.testing.assert_array_equal(left, right)
        assert left.dtype == right.dtype
    with pytest.raises(UserError, match="another model"):
        load_checkpoint(fitted_run / "checkpoint.npz", state, best)
    for text in (b"", b"hello", (tmp_path / "c.npz").read_bytes()[:200]):
        (tmp_path / "d.npz").write_bytes(text)
        with pytest.raises(UserError, match=r"d\.npz"):
            load_checkpoint(tmp_path / "d.npz", state, best)
    np.savez(tmp_path / "d.npz", a=np.ones(3))
    with pytest.raises(UserError, match="not a checkpoint"):
        load_checkpoint(tmp_path / "d.npz", state, best)


def test_minutes_fix_the_number_of_steps_and_store_it(parts, tmp_path):
    settings = TrainingSettings(**(TINY | {"steps": None, "minutes": 1.0}))
    with pytest.raises(Interrupted, match="step 10 of"):
        fit_ensembles(*parts, tmp_path / "run", settings, stopped=lambda: True)
    folder = RunFolder(tmp_path / "run")
    steps = folder.read_config()["settings"]["steps"]
    assert steps >= 10
    assert steps % 10 == 0
    header = json.loads(str(arrays_of(folder.checkpoint)["header"]))
    assert header["notes"]["steps"] == steps
    assert not folder.model.exists()


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_state(parts, tmp_path):
    settings = TrainingSettings(**(TINY | {"learning_rate": 1e30, "warmup": 0, "steps": 20, "optimiser": "adam"}))
    with pytest.raises(UserError, match="not finite") as caught:
        fit_ensembles(*parts, tmp_path / "run", settings)
    assert "learning_rate" in str(caught.value)
    folder = RunFolder(tmp_path / "run")
    for name, value in arrays_of(folder.checkpoint).items():
        assert value.dtype.kind not in "f" or np.isfinite(value).all(), name
    assert not folder.model.exists()


@pytest.mark.parametrize("which", [0, 1])
def test_too_few_frames(parts, tmp_path, which):
    few = list(parts)
    few[which] = few[which].select(slice(0, 20))
    with pytest.raises(UserError, match="20 "):
        fit_ensembles(*few, tmp_path / "run", TrainingSettings(**TINY))
    assert not (tmp_path / "run").exists()


def test_a_molecule_that_does_not_suit_the_architecture_leaves_no_folder(tmp_path):
    beads = synthetic.dipeptide()
    pieces = type(beads)(**(vars(beads) | {"bonds": np.array(synthetic.CHAIN_BONDS[:-1])}))
    parts = [synthetic.ensemble(beads, 60, seed) for seed in (0, 1)]
    parts = [type(part)(**(vars(part) | {"beads": pieces})) for part in parts]
    with pytest.raises(UserError, match="not connected"):
        fit_ensembles(*parts, tmp_path / "run", TrainingSettings(**TINY))
    assert not (tmp_path / "run").exists()


def test_resume_of_a_complete_run_loads_it(fitted_run):
    before = (fitted_run / "model" / "model.npz").read_bytes()
    assert resume_fit(fitted_run).identity == Model.load(fitted_run / "model").identity
    assert (fitted_run / "model" / "model.npz").read_bytes() == before


def start(folder, *options):
    command = [sys.executable, "-m", "twofold", "fit", "data.h5", "--config", "fit.yaml", "--out", "killed", *options]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for(ready, process, seconds=180.0):
    end = time.monotonic() + seconds
    while not ready():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.005)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A data set and settings; a particle compiles in half the time of a molecule, so the residual can be on."""
    folder = tmp_path_factory.mktemp("resume")
    write_ensembles(folder / "data.h5", LANDSCAPES["double-well-2d"].ensemble(1200, 0))
    settings = TINY | {"architecture": "flat", "fokker_planck": 1.0, "fokker_planck_every": 4}
    settings |= {"steps": 300, "chunk": 10, "checkpoint_seconds": 0.001}
    (folder / "fit.yaml").write_text(json.dumps(settings))
    return folder


@pytest.mark.slow
def test_killed_and_stopped_fits_go_on_to_the_bit(workplace):
    """SIGTERM, then SIGKILL, then the end: the model is that of a run that was left alone."""
    checkpoint = workplace / "killed" / "checkpoint.npz"
    process = start(workplace)
    wait_for(checkpoint.is_file, process)
    process.send_signal(signal.SIGTERM)
    text, _ = process.communicate(timeout=120)
    assert process.returncode == 130, text
    assert "--resume" in text
    assert "Traceback" not in text
    stopped = checkpoint.stat().st_mtime_ns
    assert not (workplace / "killed" / "model").exists()

    process = start(workplace, "--resume")
    wait_for(lambda: checkpoint.stat().st_mtime_ns > stopped, process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (workplace / "killed" / "model").exists()

    for name, options in (("killed", ["--resume"]), ("whole", [])):
        arguments = ["fit", str(workplace / "data.h5"), "--config", str(workplace / "fit.yaml")]
        main([*arguments, "--out", str(workplace / name), *options])
    killed, whole = (workplace / name / "model" / "model.npz" for name in ("killed", "whole"))
    assert killed.read_bytes() == whole.read_bytes() or assert_same(arrays_of(killed), arrays_of(whole)) is None
    logs = [RunFolder(workplace / name).read_log() for name in ("killed", "whole")]
    assert [(entry["step"], entry["loss"]) for entry in logs[0]] == [
        (entry["step"], entry["loss"]) for entry in logs[1]
    ]
    assert logs[0][-1]["step"] == 300
