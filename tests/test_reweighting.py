"""Samples that stand for a known energy by their weights: exact for a Gaussian, and through the commands."""

import json
import re
import shutil

import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import TINY, Gaussian
from twofold.beads import Beads
from twofold.chart.flat import FlatChart
from twofold.cli import main
from twofold.errors import UserError
from twofold.files.readers import read_trajectory
from twofold.files.samples import write_samples
from twofold.files.trajectories import read_positions, write_trajectory
from twofold.fitting import fit, load
from twofold.model import Model
from twofold.noise import NoiseSchedule
from twofold.reweighting import known_system, reweight
from twofold.run_folder import RunFolder
from twofold.simulation.region import Region
from twofold.systems.catalogue import SYSTEMS
from twofold.units import thermal_energy

COVARIANCE = np.array([[1.0, 0.6], [0.6, 0.5]])


@pytest.fixture(scope="module")
def gaussian() -> Model:
    """A model whose score is nine tenths of the right one: its samples are too wide."""
    chart = FlatChart(jnp.zeros(2), jnp.float32(1.0), jnp.asarray(COVARIANCE, jnp.float32), beads=1)
    frames = np.random.default_rng(0).standard_normal((60, 1, 3)).astype(np.float32)
    network, schedule = Gaussian.of(COVARIANCE, scale=0.9), NoiseSchedule(0.05, 20.0)
    return Model(Beads.anonymous(1), 300.0, chart, network, schedule, 0.1, Region.around(frames))


def energies_of(samples, kelvin: float = 300.0) -> np.ndarray:
    """kJ/mol, of the Gaussian with COVARIANCE at `kelvin`."""
    x = samples.positions[:, 0, :2].astype(np.float64)
    return thermal_energy(kelvin) * 0.5 * np.sum(x @ np.linalg.inv(COVARIANCE) * x, axis=1)


def covariance_under(weights, samples) -> np.ndarray:
    x = samples.positions[:, 0, :2].astype(np.float64)
    return (weights[:, None] * x).T @ x


def test_a_wrong_model_gets_the_right_covariance(gaussian):
    """And at half the temperature half of it; the unweighted one is wrong by far more than its error."""
    samples = gaussian.sample(8000, solver="ode", seed=1)
    assert abs(covariance_under(np.full(8000, 1 / 8000), samples)[0, 0] - 1.0) > 0.15
    found = gaussian.reweight(samples, energies_of(samples))
    np.testing.assert_allclose(covariance_under(found.weights, samples), COVARIANCE, atol=0.05)
    assert found.pareto_k < found.threshold
    assert 4000 < found.effective_size < 8000
    assert found.log_mean == pytest.approx(0.5 * np.linalg.slogdet(2 * np.pi * COVARIANCE)[1], abs=0.03)
    colder = gaussian.reweight(samples, energies_of(samples), temperature=150.0)
    np.testing.assert_allclose(covariance_under(colder.weights, samples), COVARIANCE / 2, atol=0.04)


def test_samples_and_energies_that_do_not_fit(gaussian):
    samples = gaussian.sample(200, seed=1)
    with pytest.raises(UserError, match=r"solver sde.*probability flow.*ode"):
        gaussian.reweight(samples, energies_of(samples))
    with pytest.raises(UserError, match=r"\(199,\).*200 samples"):
        gaussian.reweight(samples.positions, np.zeros(199))
    positions = samples.positions.copy()
    positions[:2] = np.nan
    energies = energies_of(samples)
    with pytest.raises(UserError, match="1 of 200 log weights"):
        gaussian.reweight(samples.positions, np.where(np.arange(200) == 7, np.nan, energies), force=True)
    found = gaussian.reweight(positions, energies, least=1)
    assert found.weights[:2].tolist() == [0.0, 0.0]
    positions[:3] = np.nan
    with pytest.raises(UserError, match="3 of 200 samples no likelihood"):
        gaussian.reweight(positions, energies, least=1)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short fit of a double well, with samples of its flow."""
    folder = tmp_path_factory.mktemp("well")
    fit("double-well-1d", frames=1000, out=folder / "run", **TINY | {"architecture": "flat"})
    common = ["--number", "2000", "--solver", "ode", "--steps", "30", "--out", str(folder / "ode.xtc")]
    main(["sample", str(folder / "run"), *common])
    return folder


@pytest.mark.slow
def test_from_a_fit_to_weights_that_a_fit_takes(run, tmp_path, capsys):
    """The energy of a named system is known; with weights the samples have its mean energy and its two wells."""
    out = tmp_path / "weights.npy"
    main(["reweight", str(run / "run"), "--samples", str(run / "ode.xtc"), "--steps", "30", "--out", str(out)])
    said = " ".join(capsys.readouterr().out.split())
    assert "the weights can be trusted" in said
    assert "Nothing beside" not in said
    summary = json.loads(out.with_suffix(".json").read_text())
    assert (summary["format"], summary["version"], summary["trusted"]) == ("twofold weights", 1, True)
    assert summary["energies"] == {"system": "double-well-1d"}
    assert summary["drawn"]["settings"]["solver"] == "ode"
    np.save(tmp_path / "iid.npy", read_positions(run / "ode.xtc", 1))
    weighted = read_trajectory(None, tmp_path / "iid.npy", temperature=300.0, length_unit="nm", weights=out)
    assert weighted.effective_size == pytest.approx(summary["effective_size"], rel=1e-6)
    share = weighted.weights / weighted.weights.sum()
    x = weighted.positions[:, 0, 0].astype(np.float64)
    error = 1 / np.sqrt(summary["effective_size"])
    assert share @ (x > 0) == pytest.approx(0.5, abs=2 * error)
    assert share @ (np.abs(x) - 5) ** 2 == pytest.approx(1.0, abs=5 * error)


def test_energies_of_a_file_are_those_of_the_system(run, tmp_path):
    system = SYSTEMS["double-well-1d"]
    energies = system.thermal * system.energies(read_positions(run / "ode.xtc", 1)) / 4.184
    np.savetxt(tmp_path / "u.txt", energies)
    np.savez(tmp_path / "u.npz", energies=energies, energy_unit="kcal/mol")
    given = {"samples": run / "ode.xtc", "steps": 30}
    known = reweight(run / "run", out=tmp_path / "a.npy", **given).weights
    named = {"energies": tmp_path / "u.txt", "energy_unit": "kcal/mol"}
    for name, more in (("b.npy", named), ("c.npy", {"energies": tmp_path / "u.npz"})):
        found = reweight(run / "run", out=tmp_path / name, **given, **more)
        np.testing.assert_allclose(found.weights.weights, known.weights, rtol=1e-4)
        np.testing.assert_array_equal(np.load(found.path), found.weights.weights)


def test_samples_are_weighed_with_the_steps_that_drew_them(run, tmp_path):
    """Unless others are asked for, which is said; what was used is in the summary."""
    common = ["reweight", str(run / "run"), "--samples", str(run / "ode.xtc")]
    found, used = {}, {}
    for name, steps in (("open", []), ("same", ["--steps", "30"])):
        main([*common, *steps, "--out", str(tmp_path / f"{name}.npy")])
        found[name] = np.load(tmp_path / f"{name}.npy")
        used[name] = json.loads((tmp_path / f"{name}.json").read_text())["likelihood"]
    np.testing.assert_array_equal(found["open"], found["same"])
    assert used["open"] == used["same"] == {"steps": 30}
    silent = reweight(run / "run", run / "ode.xtc", out=tmp_path / "python.npy", force=True)
    np.testing.assert_array_equal(silent.weights.weights, found["open"])
    assert silent.notes == ()
    coarse = reweight(run / "run", run / "ode.xtc", out=tmp_path / "coarse.npy", steps=10, force=True)
    assert "drawn with 30 steps and weighed with 10" in coarse.notes[0]
    assert not np.array_equal(coarse.weights.weights, found["open"])


def test_what_is_known_of_samples_is_looked_at(run, tmp_path):
    given = {"out": tmp_path / "w.npy", "steps": 30}
    model = load(run / "run")
    x, flow = read_positions(run / "ode.xtc", 1), {"settings": {"solver": "ode"}}
    for name, about, match in (
        ("sde.xtc", {"settings": {"solver": "sde"}}, r"sde\.xtc drawn with solver sde.*--solver ode"),
        ("other.xtc", {"model": "0" * 16} | flow, "another model"),
        ("cut.xtc", {"model": model.identity, "number": 17} | flow, "2000 frames.*17"),
    ):
        write_samples(tmp_path / name, x, model.beads, about)
        with pytest.raises(UserError, match=match):
            reweight(run / "run", tmp_path / name, **given)
    shutil.copy(tmp_path / "cut.json", tmp_path / "renamed.json")
    write_trajectory(tmp_path / "renamed.xtc", x, model.beads)
    with pytest.raises(UserError, match=r"is of cut\.xtc"):
        reweight(run / "run", tmp_path / "renamed.xtc", **given)
    (tmp_path / "renamed.json").unlink()
    found = reweight(run / "run", tmp_path / "renamed.xtc", **given)
    assert "Nothing beside" in found.notes[0]
    assert json.loads(found.summary.read_text())["likelihood"] == {"steps": 30}
    assert known_system(run / "run" / "model") is None
    with pytest.raises(UserError, match=r"no system whose energy is known.*--energies"):
        reweight(run / "run" / "model", tmp_path / "renamed.xtc", out=tmp_path / "energies.npy")


def test_poor_weights_and_old_files_only_when_asked_for(run, tmp_path, capsys):
    """The wrong energy: ten thousand times too steep."""
    system = SYSTEMS["double-well-1d"]
    steep = 1e4 * system.energies(read_positions(run / "ode.xtc", 1))
    np.save(tmp_path / "steep.npy", steep)
    out = tmp_path / "w.npy"
    common = ["reweight", str(run / "run"), "--samples", str(run / "ode.xtc"), "--steps", "30", "--out", str(out)]
    steep_too = [*common, "--energies", str(tmp_path / "steep.npy")]
    for arguments, match in (
        ([*steep_too], "state its unit of energy"),
        ([*steep_too, "--energy-unit", "kj/mol"], "Pareto shape|are worth"),
        ([*common[:-1], str(tmp_path / "w.txt")], "ends in .npy"),
        ([*common[:-1], str(tmp_path / "log_weights.npy")], "log_weight in its name"),
        ([*common, "--temperature", "-3"], "above 0"),
    ):
        with pytest.raises(SystemExit) as left:
            main(arguments)
        err = capsys.readouterr().err
        assert left.value.code == 2
        assert re.search(match, err), err
        assert not out.exists()
    main([*steep_too, "--energy-unit", "kj/mol", "--force"])
    assert "the weights can be trusted" not in " ".join(capsys.readouterr().out.split())
    assert json.loads(out.with_suffix(".json").read_text())["trusted"] is False
    before = out.read_bytes()
    with pytest.raises(SystemExit):
        main(common)
    assert "exists already" in capsys.readouterr().err
    assert out.read_bytes() == before
    main([*common, "--overwrite"])
    assert json.loads(out.with_suffix(".json").read_text())["trusted"] is True


def test_a_run_knows_its_system_by_its_data(tmp_path):
    """Its energy is that of the landscape or the cluster; data of files have none."""
    for name, source in (("mueller-brown", "landscape"), ("dw4", "cluster"), ("lj13", "cluster"), (None, "topology")):
        folder = RunFolder(tmp_path / str(name))
        folder.path.mkdir()
        folder.write_config({"settings": {}, "source": {source: name or "protein.pdb"}})
        found = known_system(folder.path)
        assert (found.name if found else None) == name
