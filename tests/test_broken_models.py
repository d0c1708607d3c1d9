"""A model that is broken in one way fails the check that is meant for it, from run folder to diagnosis.json."""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest

import synthetic
import twofold
from twofold.diagnosing import diagnose
from twofold.diagnosis import Findings
from twofold.diagnosis.symmetry import mirrored
from twofold.model import CoarseForceField
from twofold.run_folder import RunFolder
from twofold.simulation.force_field import energies_and_forces
from twofold.training.fit import fit_ensembles
from twofold.training.settings import TrainingSettings

ENOUGH = synthetic.TINY | {"steps": 400, "chunk": 100, "warmup": 20, "learning_rate": 4e-3}
"""Settings of the shortest fit that passes."""


def parts(ensemble):
    return ensemble.select(np.arange(900)), ensemble.select(np.arange(900, 1200))


def mirrored_frames(ensemble, which):
    positions = np.array(ensemble.positions)
    positions[which] = mirrored(positions[which])
    return dataclasses.replace(ensemble, positions=positions)


@pytest.fixture(scope="module")
def sound_run(chain_ensemble, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound") / "run"
    fit_ensembles(*parts(chain_ensemble), folder, TrainingSettings(**ENOUGH))
    return folder


def left_out(monkeypatch, *stages):
    for stage in stages:
        monkeypatch.setattr(f"twofold.diagnosing._{stage}", lambda *_: Findings())


@pytest.fixture
def states(monkeypatch, tmp_path):
    """Of the checks that `diagnose` writes for a run, those of symmetry and diffusion unless more is left out."""
    left_out(monkeypatch, "basins", "timestep", "noise")

    def found(run):
        diagnose(run, out=tmp_path / "diagnosis", frames=256, overwrite=True)
        checks = json.loads((tmp_path / "diagnosis" / "diagnosis.json").read_text())["checks"]
        return {check["key"]: check["state"] for check in checks}

    return found


@pytest.mark.slow
def test_a_sound_model_passes(sound_run, states):
    found = states(sound_run)
    keys = ("symmetry.curl", "symmetry.mirror", "diffusion.floor", "diffusion.integral")
    assert {key: found[key] for key in keys} == dict.fromkeys(keys, "pass")


def test_an_undertrained_one_is_worse_than_what_needs_no_training(fitted_run, states):
    found = states(fitted_run)
    assert found["diffusion.floor"] == "fail"
    assert found["symmetry.curl"] == found["diffusion.integral"] == "pass"


class Swirling(CoarseForceField):
    """A force that turns round an axis of the molecule beside the gradient of the energy."""

    def energies_and_forces(self, positions):
        bare = CoarseForceField(self.network, self.chart, self.sigma, self.thermal)
        energies, forces = energies_and_forces(bare, positions)
        axis = positions[:, -1] - positions[:, 0]
        arms = positions - jnp.mean(positions, axis=1, keepdims=True)
        return energies, forces + 1e5 * jnp.cross(axis[:, None], arms)


class SwirlingModel(twofold.Model):
    def force_field(self, sigma=None, *, extrapolated=False):
        field = super().force_field(sigma, extrapolated=extrapolated)
        return Swirling(field.network, field.chart, field.sigma, field.thermal)


def test_a_force_that_is_no_gradient_has_curl(sound_run, states, monkeypatch):
    sound = twofold.load(sound_run)
    fields = {field.name: getattr(sound, field.name) for field in dataclasses.fields(sound)}
    broken = SwirlingModel(**fields)
    x = RunFolder(sound_run).read_data()[1].positions[:4]
    assert not np.allclose(broken.force(x), sound.force(x), rtol=1e-2)  # what a user sees is what is simulated
    monkeypatch.setattr("twofold.diagnosing.load", lambda _: broken)
    monkeypatch.setattr("twofold.diagnosis.symmetry._moved", lambda *_: [])
    left_out(monkeypatch, "diffusion")
    assert states(sound_run)["symmetry.curl"] == "fail"


@pytest.mark.slow
def test_a_model_of_mirrored_data(states, chain_ensemble, monkeypatch, tmp_path):
    """Fitted to frames of which every second one is a mirror image, it makes both hands."""
    left_out(monkeypatch, "diffusion")
    both = parts(mirrored_frames(chain_ensemble, slice(None, None, 2)))
    fit_ensembles(*both, tmp_path / "run", TrainingSettings(**ENOUGH | {"steps": 100}))
    assert states(tmp_path / "run")["symmetry.mirror"] == "fail"


def test_mirrored_data(sound_run, states, chain_ensemble, monkeypatch):
    """The held-out frames against those of the fit, and every second frame of both."""
    training, held_out = parts(chain_ensemble)
    left_out(monkeypatch, "diffusion")
    whole, half = slice(None), slice(None, None, 2)
    against = training, mirrored_frames(held_out, whole)
    for read in (against, (mirrored_frames(training, half), mirrored_frames(held_out, half))):
        monkeypatch.setattr(RunFolder, "read_data", lambda _, read=read: read)
        assert states(sound_run)["symmetry.mirror"] == "fail"
