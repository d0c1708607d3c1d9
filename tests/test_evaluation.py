"""Evaluation from files to metrics.json and report.html, on a fit of forty steps."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

import peptides
import twofold
from twofold.errors import UserError
from twofold.evaluation import _read_reference, _selection, evaluate
from twofold.files.readers import read_trajectory
from twofold.files.samples import write_samples
from twofold.files.trajectories import read_positions, write_trajectory


def strict(text):
    """JSON as browsers read it: no NaN, no Infinity."""

    def refuse(name):
        raise ValueError(name)

    return json.loads(text, parse_constant=refuse)


@pytest.fixture(scope="module")
def made(fitted_run, chain_ensemble, tmp_path_factory):
    """Samples and a short simulation of the fitted model."""
    folder = tmp_path_factory.mktemp("made")
    model = twofold.load(fitted_run)
    drawn = model.sample(300, seed=1, steps=20)
    write_trajectory(folder / "iid.xtc", drawn.positions, model.beads)
    model.simulate(
        folder / "md.xtc", replicas=8, length_ps=2.0, frame_ps=0.05, start=drawn.positions[:8], timestep_fs=2.0
    )
    write_trajectory(folder / "seen.xtc", chain_ensemble.positions[:200], model.beads)
    write_trajectory(folder / "other.xtc", chain_ensemble.positions[:60, :4], model.beads.select(range(4)))
    return folder


@pytest.fixture(scope="module")
def judged(fitted_run, made, tmp_path_factory):
    out = tmp_path_factory.mktemp("judged") / "evaluation"
    return evaluate(fitted_run, out=out, samples=made / "iid.xtc", simulation=made / "md.xtc", bins=16)


def test_numbers_and_page_are_written(judged):
    metrics = strict(judged.metrics.read_text())
    assert metrics["format"] == "twofold metrics"
    assert {"samples", "simulation"} <= set(metrics["sets"])
    page = judged.report.read_text()
    assert page.lstrip().lower().startswith("<!doctype html")
    assert "samples" in page
    assert judged.evaluation.sets["samples"].verdict.state in ("agree", "close", "differ")


def test_a_simulation_of_another_program(judged, fitted_run, made, tmp_path):
    """Without its record a simulation is judged alike; replicas are told by their times."""
    for name in ("md.xtc", "md.pdb"):
        (tmp_path / name).write_bytes((made / name).read_bytes())
    found = evaluate(fitted_run, out=tmp_path / "out", simulation=tmp_path / "md.xtc", bins=16).evaluation
    ours, theirs = judged.evaluation.sets["simulation"], found.sets["simulation"]
    assert theirs.motion["replicas"] == ours.motion["replicas"] == 8
    assert theirs.motion["length_ps"] == pytest.approx(ours.motion["length_ps"])
    for one, other in zip(ours.rows, theirs.rows, strict=False):
        assert other.value == pytest.approx(one.value, rel=1e-3, abs=1e-6), one.name
    assert any("no record of twofold" in note for note in found.about["notes"])
    assert not any("no record of twofold" in note for note in judged.evaluation.about["notes"])


@pytest.mark.parametrize(("settled", "version", "told"), [(False, 1, True), (True, 1, False), (False, 99, False)])
def test_samples_whose_energies_were_still_changing_are_told(made, fitted_run, tmp_path, settled, version, told):
    model = twofold.load(fitted_run)
    drawn = {"settled": settled, "settings": {"corrector": 800}, "version": version}
    path = write_samples(tmp_path / "iid.dcd", read_positions(made / "iid.xtc", model.beads)[:60], model.beads, drawn)
    found = evaluate(fitted_run, out=tmp_path / "out", samples=path, bins=16)
    said = "Energies of the samples were still changing after 800 Langevin steps."
    assert (said in found.evaluation.about["notes"]) is told
    assert (said in found.report.read_text()) is told


def test_an_older_evaluation_is_left_alone(judged, fitted_run, made):
    before = judged.metrics.read_bytes()
    with pytest.raises(UserError, match="exists already"):
        evaluate(fitted_run, out=judged.metrics.parent, samples=made / "iid.xtc")
    assert judged.metrics.read_bytes() == before


MISTAKES = {
    "nothing": ({}, "nothing"),
    "missing samples": ({"samples": "none.xtc"}, r"none\.xtc"),
    "samples of other beads": ({"samples": "other.xtc"}, "other"),
    "twice the same": ({"simulation": ["md.xtc", "md.xtc"]}, "same way"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(fitted_run, made, tmp_path, name):
    options, text = MISTAKES[name]
    files = {
        key: made / value if isinstance(value, str) else [made / one for one in value] for key, value in options.items()
    }
    with pytest.raises(UserError, match=f"(?i){text}") as caught:
        evaluate(fitted_run, out=tmp_path / "out", **files)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_out_is_no_file(fitted_run, made):
    with pytest.raises(UserError, match="is a file"):
        evaluate(fitted_run, out=made / "iid.pdb", samples=made / "iid.xtc")


def test_training_frames_are_no_reference(fitted_run, made, tmp_path, chain_ensemble):
    np.savez(tmp_path / "seen.npz", positions=chain_ensemble.positions[:300], length_unit="nm")
    with pytest.raises(UserError, match="used in training"):
        evaluate(
            fitted_run,
            out=tmp_path / "out",
            samples=made / "iid.xtc",
            reference=[made / "iid.pdb", tmp_path / "seen.npz"],
        )
    assert not (tmp_path / "out").exists()


def test_a_reference_is_mapped_as_the_data_were():
    assert _selection({"mapping": {"beads": "backbone"}}) == "backbone"
    assert _selection({"parts": [{"mapping": {"beads": "ca"}}, {}]}) == "ca"
    assert _selection({}) == "all"


def test_a_reference_is_mapped_by_the_groups_of_the_run(tmp_path, monkeypatch):
    """Their file may have changed or moved since; older runs know its path alone."""
    frames, listing = peptides.trajectory(tmp_path), tmp_path / "beads.yaml"
    frames.save(str(tmp_path / "run.xtc"))
    files = [tmp_path / "ala2.pdb", tmp_path / "run.xtc"]
    listing.write_text("beads: [{name: A, atoms: name CA C N}, {name: B, atoms: [10]}]")
    monkeypatch.chdir(tmp_path)
    data = read_trajectory(files[0], files[1], beads="beads.yaml", temperature=300)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    listing.write_text("beads: [{name: A, atoms: name CA}, {name: B, atoms: [10]}]")
    model = SimpleNamespace(beads=data.beads, temperature=300.0)
    for source in (data.source, {"parts": [data.source]}):
        read = _read_reference(files, {"source": source}, model)
        assert read.positions.tobytes() == data.positions.tobytes()
    older = {"mapping": {"beads": str(listing)}}
    assert _read_reference(files, {"source": older}, model).beads.names == ("A", "B")


def test_a_reference_may_hold_forces_that_no_map_suits(tmp_path):
    """Eight frames do not tell which bonds are rigid; structures alone are compared."""
    positions, stated = peptides.wiggled(8), {"length_unit": "nm", "energy_unit": "kj/mol"}
    np.savez(tmp_path / "a.npz", positions=positions, forces=positions, **stated)
    files, source = [peptides.write_pdb(tmp_path), tmp_path / "a.npz"], {"mapping": {"beads": "backbone"}}
    with pytest.raises(UserError, match="8 frames"):
        read_trajectory(*files, temperature=300)
    data = read_trajectory(*files, temperature=300, use_forces=False)
    model = SimpleNamespace(beads=data.beads, temperature=300.0)
    assert _read_reference(files, {"source": source}, model).forces is None


def test_trades_are_told_on_the_page(fitted_run, tmp_path):
    path = tmp_path / "md.xtc"
    twofold.load(fitted_run).simulate(path, replicas=4, length_ps=2.0, frame_ps=0.1, seed=1, exchange=1)
    told = evaluate(fitted_run, out=tmp_path / "out", simulation=path, bins=16)
    notes = json.loads(told.metrics.read_text())["about"]["notes"]
    assert any("simulation traded" in note for note in notes)
    assert "traded conformations" in told.report.read_text()
