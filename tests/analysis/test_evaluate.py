import json
import sys
import time

import numpy as np
import pytest
from tests.analysis.chains import peptide_ensemble

from twofold.analysis import FrameSet, compare
from twofold.beads import Beads
from twofold.ensemble import Ensemble
from twofold.errors import UserError


@pytest.fixture(scope="module")
def reference():
    return peptide_ensemble(6000, 100), peptide_ensemble(2000, 101, first_block=100)


@pytest.fixture(scope="module")
def evaluation(reference):
    same, shifted = peptide_ensemble(3000, 102), peptide_ensemble(3000, 103, left=0.4)
    replica = np.repeat(np.arange(30), 100)
    sets = {
        "samples": FrameSet(same.positions),
        "simulation": FrameSet(shifted.positions, "simulation", replica=replica, frame_ps=0.5),
    }
    return compare(sets, *reference, bins=20, temperature=300.0, tica=False)


def rows(result):
    return {row.name: row for row in result.rows}


def test_equal_distributions_agree(evaluation):
    result = evaluation.sets["samples"]
    assert result.verdict.state == "agree", result.verdict.text
    assert result.n == 2000
    for row in result.rows:
        assert row.state == "agree", row
    found = rows(result)
    assert found["phi/psi ALA2 JS"].ratio == pytest.approx(1, abs=0.25)
    assert found["bonds mean"].value < 3e-4
    assert found["wrong handedness"].value == found["cis peptide bonds"].value == 0


def test_a_shifted_population_differs(evaluation):
    result = evaluation.sets["simulation"]
    found = rows(result)
    assert result.verdict.state == "differ"
    assert found["phi/psi ALA2 JS"].state == "differ"
    assert found["population of phi > 0, ALA2"].value == pytest.approx(0.4, abs=0.03)
    assert found["population of phi > 0, ALA2"].reference == pytest.approx(0.1, abs=0.03)
    energy = found["free energy of phi > 0 over phi < 0, ALA2"]
    assert energy.value == pytest.approx(np.log(0.6 / 0.4), abs=0.15)
    assert energy.reference == pytest.approx(np.log(0.9 / 0.1), abs=0.4)
    assert energy.unit == "kT"
    assert energy.state == "differ"
    assert found["bonds W1"].state == "agree"
    assert "phi/psi ALA2 JS" in result.verdict.differing


def test_sets_are_compared_with_each_other(evaluation):
    result = evaluation.between["samples", "simulation"]
    assert result.verdict.state == "differ"
    assert rows(result)["far-pair distances JS"].floor > 0


def test_a_basin_that_is_not_there_has_no_free_energy(reference):
    other = peptide_ensemble(500, 104, left=0.0)
    found = compare({"samples": FrameSet(other.positions)}, *reference, bins=20, temperature=300.0, tica=False)
    row = rows(found.sets["samples"])["free energy of phi > 0 over phi < 0, ALA2"]
    assert row.state == "unknown"
    assert row.to_dict()["value"] is None
    json.dumps(found.to_dict(), allow_nan=False)


def test_motion_of_a_simulation(evaluation):
    motion = evaluation.sets["simulation"].motion
    assert motion["replicas"] == 30
    assert motion["length_ps"] == pytest.approx(1500)
    crossed = motion["crossings"]["phi, residue 2"]
    assert crossed["total"] > 500
    assert crossed["error"] == pytest.approx(crossed["total"] ** 0.5, rel=0.5)
    assert evaluation.sets["samples"].motion == {}


def test_evaluation_is_json(evaluation):
    table = json.loads(json.dumps(evaluation.to_dict(), allow_nan=False))
    assert table["about"]["floor_from"] == "training"
    assert {row["group"] for row in table["sets"]["samples"]["quantities"]} >= {
        "torsions",
        "geometry",
        "shape",
        "faults",
    }
    bond = next(row for row in table["sets"]["samples"]["quantities"] if row["name"] == "bonds mean")
    numbers = bond["parts"]["N1-CA1"]
    assert numbers["mean"] == pytest.approx(0.146, abs=1e-3)
    assert abs(numbers["mean"] - 0.146) < 5 * numbers["mean_error"] < 1e-3
    assert table["between"][0]["first"] == "samples"


def test_faults_are_found(reference):
    training, held = reference
    bad = peptide_ensemble(1000, 4).positions.copy()
    bad[:50] *= [1, 1, -1]
    bad[50:60, -1] = bad[50:60, 0] + 0.01
    found = rows(compare({"samples": FrameSet(bad)}, training, held, bins=20, tica=False).sets["samples"])
    assert found["wrong handedness"].value >= 0.05
    assert found["contacts below 0.25 nm"].value == pytest.approx(
        0.01 + found["contacts below 0.25 nm"].reference, abs=0.01
    )
    assert found["broken bonds"].value == pytest.approx(0.01)
    assert {found[name].state for name in ("wrong handedness", "broken bonds", "clashes")} == {"differ"}


def test_blurred_frames_have_bonds_that_differ(reference):
    own = peptide_ensemble(3000, 5).positions
    blurred = own + 0.004 * np.random.default_rng(1).standard_normal(own.shape)
    found = rows(compare({"samples": FrameSet(blurred)}, *reference, bins=20, tica=False).sets["samples"])
    assert found["bonds width"].state == "differ"
    assert found["phi/psi ALA2 JS"].state != "differ"


def test_no_training_part(reference):
    result = compare(
        {"samples": FrameSet(peptide_ensemble(1500, 6).positions)}, None, reference[1], bins=20, tica=False
    )
    assert result.about["floor_from"] == "halves"
    assert result.about["notes"]
    assert result.sets["samples"].n == 1000
    assert rows(result.sets["samples"])["phi/psi ALA2 JS"].state == "agree"


@pytest.mark.parametrize("bonds", [[], [(0, 1), (1, 2)]])
def test_three_beads_without_names(bonds):
    rng = np.random.default_rng(7)
    beads = Beads.anonymous(3, bonds=bonds)
    shape = np.array([[0.0, 0, 0], [0.15, 0, 0], [0.2, 0.15, 0]])
    training, held, own = (
        Ensemble.build(beads, shape + 0.01 * rng.standard_normal((n, 3, 3)), 300.0) for n in (2000, 1000, 800)
    )
    sets = {"samples": FrameSet(own.positions), "simulation": FrameSet(own.positions[::-1], "simulation")}
    result = compare(sets, training, held, tica=None)
    assert result.sets["samples"].verdict.state == "agree"
    names = {row.name.rsplit(" ", 1)[0] for row in result.sets["samples"].rows}
    assert ("bonds" in names) == bool(bonds)
    assert ("far-pair distances" in names) == (not bonds)
    json.dumps(result.to_dict(), allow_nan=False)


def test_a_handful_of_frames_is_judged_without_warnings(reference):
    result = compare({"samples": FrameSet(peptide_ensemble(3, 8).positions)}, *reference, bins=20, tica=False)
    assert result.sets["samples"].n == 3
    json.dumps(result.to_dict(), allow_nan=False)
    one = compare({"samples": FrameSet(peptide_ensemble(1, 8).positions)}, *reference, bins=20, tica=False)
    assert one.sets["samples"].rows[0].to_dict()["error"] is None


def test_wrong_input_is_refused(reference):
    training, held = reference
    with pytest.raises(UserError, match="shape"):
        compare({"samples": FrameSet(np.zeros((5, 3, 3)))}, training, held)
    with pytest.raises(UserError, match="one temperature"):
        compare({}, training, held, temperature=310.0)
    with pytest.raises(UserError, match="used in training"):
        compare({}, training, training.select(slice(0, 500)))


def test_slow_coordinates(reference):
    pytest.importorskip("deeptime")
    training, held = reference
    same, shifted = (FrameSet(peptide_ensemble(1500, s, left=p).positions) for s, p in ((9, 0.1), (10, 0.6)))
    result = compare({"same": same, "shifted": shifted}, training, held, bins=20, tica=True)
    assert rows(result.sets["same"])["TICA JS"].state == "agree"
    assert rows(result.sets["shifted"])["TICA JS"].ratio > 1.5


def test_slow_coordinates_without_deeptime(reference, monkeypatch):
    monkeypatch.setitem(sys.modules, "deeptime.decomposition", None)
    sets = {"samples": FrameSet(peptide_ensemble(200, 11).positions)}
    with pytest.raises(UserError, match="Deeptime is not installed"):
        compare(sets, *reference, bins=20, tica=True)
    result = compare(sets, *reference, bins=20)
    assert "TICA JS" not in rows(result.sets["samples"])
    assert any("Deeptime" in note for note in result.about["notes"])


def test_correlated_replicas_are_judged_at_their_effective_size(reference):
    # 40 replicas, each of them one of 40 * 30 independent frames at a time and for 10 frames.
    own = np.repeat(peptide_ensemble(1200, 20).positions, 10, axis=0)
    replica = np.repeat(np.arange(40), 300)
    sets = {"simulation": FrameSet(own, "simulation", replica=replica), "samples": FrameSet(own)}
    result = compare(sets, *reference, bins=20, tica=False)
    moving, still = (rows(result.sets[name]) for name in ("simulation", "samples"))
    assert 900 < result.sets["simulation"].n < 1500
    for name in ("phi/psi ALA2 JS", "end-to-end distance JS", "bonds W1", "angles JS"):
        assert moving[name].n == pytest.approx(1200, rel=0.2)
        assert moving[name].ratio == pytest.approx(1, abs=0.35)
        assert moving[name].state == "agree"
        assert still[name].n == 2000
    assert result.between["simulation", "samples"].rows[0].n < 1500
    ratios = np.array([found["phi/psi ALA2 JS"].ratio for found in (still, moving)], dtype=float)
    assert ratios[0] > 1.2 * ratios[1]


@pytest.mark.slow
def test_fifty_thousand_frames_of_twenty_beads_take_seconds():
    training, held = peptide_ensemble(10_000, 12, residues=5), peptide_ensemble(10_000, 13, residues=5, first_block=100)
    own = np.concatenate([peptide_ensemble(10_000, seed, residues=5).positions for seed in range(14, 19)])
    start = time.process_time()
    compare({"samples": FrameSet(own)}, training, held, tica=False)
    assert time.process_time() - start < 20


@pytest.mark.slow
def test_two_hundred_replicas_of_twenty_beads_take_seconds():
    training, held = peptide_ensemble(10_000, 12, residues=5), peptide_ensemble(10_000, 13, residues=5, first_block=100)
    own = np.concatenate([peptide_ensemble(10_000, seed, residues=5).positions for seed in (14, 15)])
    sets = {"simulation": FrameSet(own, "simulation", replica=np.repeat(np.arange(200), 100), frame_ps=1.0)}
    start = time.process_time()
    compare(sets, training, held, tica=False)
    assert time.process_time() - start < 20


def test_stopped_replicas_and_broken_samples_are_faults_of_their_set(reference):
    training, held_out = reference
    same = peptide_ensemble(1000, 104)
    sets = {
        "samples": FrameSet(same.positions, faults={"samples not finite": (0, 1000)}),
        "simulation": FrameSet(
            same.positions, "simulation", replica=np.arange(1000) // 50, faults={"replicas stopped": (5, 25)}
        ),
    }
    found = compare(sets, training, held_out, bins=20, tica=False).sets
    assert rows(found["samples"])["samples not finite"].state == "agree"
    stopped = rows(found["simulation"])["replicas stopped"]
    assert (stopped.value, stopped.state) == (0.2, "differ")
    assert found["simulation"].verdict.state == "differ"
