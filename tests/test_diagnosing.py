"""Diagnosis from files to diagnosis.json and diagnosis.html, on a fit of forty steps, as a user runs it."""

import dataclasses
import functools
import html
import json

import equinox as eqx
import jax
import numpy as np
import pytest

import twofold
from twofold import architectures
from twofold.cli import main
from twofold.diagnosing import _basins, _symmetry, diagnose, examine
from twofold.diagnosis.kinetics import not_judged
from twofold.diagnosis.verdict import skipped
from twofold.ensemble import Ensemble
from twofold.errors import UserError
from twofold.simulation.region import Region
from twofold.systems.catalogue import SYSTEMS

FEW = {"frames": 32, "replicas": 16}


def strict(text):
    """JSON as browsers read it: no NaN, no Infinity."""

    def refuse(name):
        raise ValueError(name)

    return json.loads(text, parse_constant=refuse)


@pytest.fixture(scope="module")
def simulated(fitted_run, chain_ensemble, tmp_path_factory):
    folder = tmp_path_factory.mktemp("md")
    model, start = twofold.load(fitted_run), chain_ensemble.positions[:8]
    model.simulate(folder / "md.xtc", replicas=8, length_ps=2.0, frame_ps=0.1, start=start, timestep_fs=2.0)
    model.simulate(folder / "fast.xtc", replicas=8, length_ps=0.2, frame_ps=0.1, start=start, timestep_fs=1.0)
    return folder


@pytest.fixture(scope="module")
def command(fitted_run, simulated, tmp_path_factory):
    """What a user runs: the folder it writes."""
    out = tmp_path_factory.mktemp("diagnosed") / "diagnosis"
    few = ["--frames", "32", "--replicas", "16"]
    main(["diagnose", str(fitted_run), "--simulation", str(simulated / "md.xtc"), "--out", str(out), *few])
    return out


@pytest.mark.slow
def test_the_command(command, fitted_run):
    numbers = strict((command / "diagnosis.json").read_text())
    assert numbers["format"] == "twofold diagnosis"
    assert {check["key"].split(".")[0] for check in numbers["checks"]} == {
        "symmetry",
        "diffusion",
        "basins",
        "timestep",
        "noise",
        "kinetics",
    }
    for check in numbers["checks"]:
        assert check["state"] == "skipped" or check["threshold"]["source"], check["key"]
    page = (command / "diagnosis.html").read_text()
    assert page.startswith("<!doctype html>")
    assert html.escape(numbers["sentence"]) in page
    assert page.count("<svg class=") >= 5
    # what a short fit of an architecture with these symmetries cannot get wrong
    states = {check["key"]: check["state"] for check in numbers["checks"]}
    exact = ("curl", "rotation-energy", "rotation-force", "translation-energy", "net-force", "net-torque")
    assert {states[f"symmetry.{name}"] for name in exact} == {"pass"}
    assert states["symmetry.mirror"] == "fail"  # and what it has not learned yet
    assert states["diffusion.integral"] == "pass"
    values = {check["key"]: check["value"] for check in numbers["checks"]}
    assert values["timestep.safe"] == 2.0  # that of the simulation
    # the frames of the reference are independent draws
    assert states["kinetics.rates"] == "skipped"
    before = (command / "diagnosis.json").read_bytes()
    with pytest.raises(UserError, match="exists already"):
        diagnose(fitted_run, out=command, **FEW)
    assert (command / "diagnosis.json").read_bytes() == before


@pytest.mark.slow
def test_the_report_of_an_evaluation_can_hold_it(command, fitted_run, simulated, tmp_path, monkeypatch):
    monkeypatch.setattr("twofold.evaluation.examine", functools.partial(examine, **FEW))
    simulation = str(simulated / "md.xtc")
    main(["evaluate", str(fitted_run), "--simulation", simulation, "--diagnose", "--out", str(tmp_path / "e")])
    page = (tmp_path / "e" / "report.html").read_text()
    assert 'href="#diagnosis"' in page
    assert html.escape(json.loads((command / "diagnosis.json").read_text())["sentence"]) in page


def test_particles_in_a_plane(monkeypatch):
    """Like ones may change places, and space ends at the plane."""
    system = SYSTEMS["dw4"]
    positions = system.starts(64, np.random.default_rng(0))
    frames = Ensemble.build(system.beads, positions, 300.0, source={"cluster": "dw4", "axes": 2})
    built = architectures.build("auto", frames, jax.random.key(0), width=8, depth=1)
    random = 0.3 * jax.random.normal(jax.random.key(1), built.energy.readout.shape)
    network = eqx.tree_at(lambda energy: energy.readout, built.energy, random)
    model = twofold.Model(
        frames.beads, 300.0, built.chart, network, built.schedule, 0.1, Region.around(positions), {"a": "test"}
    )
    monkeypatch.setattr(
        "twofold.diagnosis.symmetry.curl_check", lambda *_: skipped("symmetry.curl", "curl", "left out")
    )
    found = {check.key: check for check in _symmetry(model, frames, 32, 0).checks}
    assert {check.state for key, check in found.items() if key not in ("symmetry.curl", "symmetry.mirror")} == {"pass"}
    assert {"symmetry.permutation-energy", "symmetry.rotation-force"} < set(found)


def test_the_size_of_a_long_chain_is_a_basin_too(fitted_run, chain_ensemble, monkeypatch):
    model = twofold.load(fitted_run)
    monkeypatch.setattr("twofold.diagnosis.basins.LEVELS", 3)
    monkeypatch.setattr("twofold.diagnosis.basins.FRAMES", 64)

    def names():
        return {check.name for check in _basins(model, chain_ensemble, chain_ensemble, 0).checks}

    assert names()
    assert "compact half" not in names()
    monkeypatch.setattr("twofold.diagnosing.SMALL", 4)
    assert "compact half" in names()


def test_simulations_that_traded_tell_no_rates(fitted_run, simulated, chain_ensemble, tmp_path, monkeypatch):
    parts = ("_symmetry", "_diffusion", "_basins", "_timestep", "_noise")
    for part in parts:
        monkeypatch.setattr(f"twofold.diagnosing.{part}", lambda *_: not_judged("left out"))
    start = chain_ensemble.positions[:4]
    traded = tmp_path / "traded.xtc"
    twofold.load(fitted_run).simulate(
        traded, replicas=4, length_ps=0.4, frame_ps=0.1, start=start, timestep_fs=2.0, exchange=1
    )
    alone = examine(fitted_run, simulation=traded, **FEW)
    assert "no path in time" in str(alone.findings[-1].checks)
    both = examine(fitted_run, simulation=[traded, simulated / "md.xtc"], **FEW)
    assert "no path in time" not in str(both.findings[-1].checks)


def test_mistakes_are_found_before_anything_is_computed(fitted_run, simulated, tmp_path, monkeypatch):
    monkeypatch.setattr("twofold.diagnosing.symmetry", lambda *_, **__: pytest.fail("too late"))
    for given, words in (
        ({"simulation": tmp_path / "none.xtc"}, "No record"),
        ({"simulation": [simulated / "md.xtc", simulated / "fast.xtc"]}, "one by one"),
        ({"frames": 1}, "at least 8"),
    ):
        with pytest.raises(UserError, match=words):
            diagnose(fitted_run, out=tmp_path / "out", **(FEW | given))
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="is a file"):
        diagnose(fitted_run, out=tmp_path / "file", **FEW)
    other = dataclasses.replace(twofold.load(fitted_run), sigma_star=0.99)
    monkeypatch.setattr("twofold.diagnosing.load", lambda _: other)
    with pytest.raises(UserError, match="another model"):
        diagnose(fitted_run, out=tmp_path / "out", simulation=simulated / "md.xtc", **FEW)


def test_the_command_says_what_is_wrong(tmp_path, capsys):
    with pytest.raises(SystemExit) as left:
        main(["diagnose", str(tmp_path / "nowhere"), "--out", str(tmp_path / "d")])
    assert left.value.code == 2
    assert "No model" in capsys.readouterr().err
    assert not (tmp_path / "d").exists()
