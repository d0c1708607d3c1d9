"""Frames of one temperature as frames of another: springs, whose widths, forces and effective sizes are known."""

from dataclasses import replace

import numpy as np
import pytest

from files import molecules
from twofold.beads import Beads
from twofold.cli import main
from twofold.ensemble import Ensemble
from twofold.errors import UserError
from twofold.files.parts import UNIT_UNKNOWN
from twofold.files.readers import read_trajectory
from twofold.files.store import read_ensembles
from twofold.fitting import fit, read_split
from twofold.force_check import measure_forces
from twofold.tempering import at_temperature, worth_note
from twofold.training.labels import energy_labels, force_labels
from twofold.units import thermal_energy

FRAMES = 8000
STIFFNESS = 25_000.0
"""kJ/mol/nm^2."""
REST = np.array([[0.15, 0.0, 0.0], [0.05, 0.14, 0.0]])
HOT, COLD = 500.0, 300.0
RATIO = HOT / COLD


def springs(frames: int = FRAMES, kelvin: float = HOT) -> dict[str, np.ndarray]:
    """An archive like those of MD17, in nm and kJ/mol: three atoms, each held to the next by a spring, at `kelvin`."""
    rng = np.random.default_rng(0)
    stretched = np.sqrt(thermal_energy(kelvin) / STIFFNESS) * rng.standard_normal((frames, 2, 3))
    none = np.zeros((frames, 1, 3))
    pull = STIFFNESS * stretched
    return {
        "z": np.array([6, 6, 6]),
        "R": np.concatenate([none, np.cumsum(REST + stretched, axis=1)], axis=1),
        "F": np.concatenate([pull, none], axis=1) - np.concatenate([none, pull], axis=1),
        "E": 0.5 * STIFFNESS * np.sum(stretched**2, axis=(1, 2)) - 1e5,
        "r_unit": np.array("nm"),
        "e_unit": np.array("kJ/mol"),
    }


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return molecules.savez(tmp_path_factory.mktemp("springs") / "hot.npz", springs())


@pytest.fixture(scope="module")
def hot(file) -> Ensemble:
    return read_trajectory(file, temperature=HOT)


def stretches(ensemble: Ensemble) -> np.ndarray:
    """Squares of stretches, mean over six directions (frames,), over kT/k at the temperature of the ensemble."""
    away = np.diff(ensemble.positions.astype(np.float64), axis=1) - REST
    return np.mean(away**2, axis=(1, 2)) * STIFFNESS / thermal_energy(ensemble.temperature)


@pytest.mark.parametrize("kelvin", [COLD, 700.0])
def test_variances_are_those_of_the_other_temperature(hot, kelvin):
    """kT/k, colder and hotter; a share (2r - 1)^3 / r^6 of the frames is left of six directions, r = T0/T."""
    found = at_temperature(hot, kelvin)
    assert found.temperature == kelvin
    error = np.sqrt(2 / 6 / found.effective_size)
    assert np.average(stretches(found), weights=found.weights) == pytest.approx(1.0, abs=4 * error)
    assert np.average(stretches(found)) == pytest.approx(HOT / kelvin, rel=0.03)
    ratio = HOT / kelvin
    assert found.effective_size / FRAMES == pytest.approx(((2 * ratio - 1) / ratio**2) ** 3, rel=0.05)
    assert found.source["sampled_at"]["temperature"] == HOT
    assert found.source["sampled_at"]["effective_size"] == found.effective_size


def test_weights_that_were_there_are_multiplied(hot):
    """Frames of 700 K by way of 500 K, and frames without weight."""
    twice = at_temperature(at_temperature(hot, 400.0), COLD)
    np.testing.assert_allclose(twice.weights, at_temperature(hot, COLD).weights, rtol=1e-9)
    given = np.arange(FRAMES) % 3.0
    weighted = at_temperature(Ensemble.build(hot.beads, hot.positions, HOT, weights=given, energies=hot.energies), COLD)
    expected = at_temperature(hot, COLD).weights * given
    np.testing.assert_allclose(weighted.weights, expected / expected.mean(), rtol=1e-9)
    assert at_temperature(hot, HOT) is hot


def test_forces_and_energies_in_kt_are_those_at_the_other_temperature(hot):
    """The virial of the weighted frames is D kT there; without the weights it is that of the other temperature."""
    cold = at_temperature(hot, COLD)
    check = measure_forces(cold)
    assert check.verdict == "accepted"
    assert check.temperature == COLD
    assert check.ratio == pytest.approx(1.0, abs=4 * check.error)
    wrong = measure_forces(Ensemble.build(hot.beads, hot.positions, COLD, forces=hot.forces))
    assert wrong.ratio == pytest.approx(RATIO, rel=0.05)
    assert wrong.verdict == "refused"
    hot_labels, cold_labels = force_labels(hot, "auto"), force_labels(cold, "auto")
    np.testing.assert_allclose(cold_labels, RATIO * hot_labels, rtol=1e-5)
    energies = energy_labels(cold, 1.0)
    assert np.average(energies, weights=cold.weights) == pytest.approx(0.0, abs=1e-4)
    assert np.ptp(energies) == pytest.approx(np.ptp(hot.energies) / thermal_energy(COLD), rel=1e-4)


def test_a_fit_learns_the_other_temperature(file, tmp_path, monkeypatch):
    """Both parts are weighted, the first lines say what they are worth, and the forces pass their check."""
    taken = []
    monkeypatch.setattr("twofold.fitting.fit_ensembles", lambda *parts, **_: taken.extend(parts[:2]))
    notes = []
    options = {"temperature": COLD, "sampled_at": HOT, "out": tmp_path / "run"}
    fit(file, progress=lambda now: notes.append(now.note), **options)
    training, held_out = taken
    assert (training.temperature, held_out.temperature) == (COLD, COLD)
    assert (len(training), len(held_out)) == (FRAMES * 4 // 5, FRAMES // 5)
    said = " ".join(notes)
    assert f"Frames of 500 K weighted to 300 K: 6400 training frames are worth {training.effective_size:.0f}" in said
    assert f"1600 held-out frames are worth {held_out.effective_size:.0f}" in said
    assert "can be those of this ensemble" in said
    fit(file, temperature=HOT, out=tmp_path / "run")
    assert worth_note(*taken[2:]) == ""
    np.testing.assert_array_equal(taken[2].weights, 1.0)


def test_by_command(file, tmp_path, monkeypatch):
    """What is fitted by the command are the weighted frames."""
    taken = []

    def stop(*parts, **_):
        taken.extend(parts[:2])
        raise KeyboardInterrupt

    monkeypatch.setattr("twofold.fitting.fit_ensembles", stop)
    with pytest.raises(SystemExit):
        main(["fit", str(file), "--temperature", "300", "--sampled-at", "500", "--out", str(tmp_path / "run")])
    assert [part.source["sampled_at"]["temperature"] for part in taken] == [HOT, HOT]


def test_prepared_frames_of_another_temperature(file, tmp_path, capsys):
    """Stored with their weights at the temperature that was asked for; a store can be weighted too."""
    out = str(tmp_path / "cold.h5")
    main(["prepare", str(file), "--temperature", "300", "--sampled-at", "500", "--out", out])
    (stored,) = read_ensembles(out)
    assert f"worth {stored.effective_size:.0f} at 300 K" in " ".join(capsys.readouterr().out.split())
    assert stored.temperature == COLD
    assert np.average(stretches(stored), weights=stored.weights) == pytest.approx(1.0, rel=0.04)
    seen, unseen = read_split(out, [], [], temperature=250.0, sampled_at=COLD)
    assert "Frames of 500 K weighted to 250 K" in worth_note(seen, unseen)
    assert np.average(stretches(seen), weights=seen.weights) == pytest.approx(1.0, rel=0.05)
    with pytest.raises(UserError, match=r"Temperature 250 K.*300 K, as it says.*--sampled-at 300"):
        read_split(out, [], [], temperature=250.0)


def test_heavy_tails_are_said():
    """Two springs at five times the temperature: weights have a tail with k = 1 - T0/T = 0.8."""
    energies = thermal_energy(HOT) * np.random.default_rng(0).exponential(size=40_000)
    found = at_temperature(
        Ensemble.build(Beads.anonymous(1), np.zeros((40_000, 1, 3)), HOT, energies=energies), 5 * HOT
    )
    assert found.source["sampled_at"]["pareto_k"] == pytest.approx(0.8, abs=0.1)
    assert "A few frames decide every average" in worth_note(found, found)


def test_what_cannot_be_weighted(file, hot, tmp_path):
    reading = {"temperature": COLD, "sampled_at": HOT}
    with pytest.raises(UserError, match=r"part of the atoms.*energy of every frame.*--beads all"):
        read_split(file, [], [], beads="index 0 1", **reading)
    few = molecules.savez(tmp_path / "few.npz", springs(90))
    with pytest.raises(UserError, match=r"(?i)72 frames of 500 K are worth 4\d\.\d at 300 K\. Expected at least 50"):
        read_split(few, [], [], **reading)
    np.savez(tmp_path / "bare.npz", positions=hot.positions)
    with pytest.raises(UserError, match=r"(?i)no energies of the frames"):
        read_split(tmp_path / "bare.npz", [], [], length_unit="nm", **reading)
    with pytest.raises(UserError, match=r"sampled at 500 K, and no other temperature"):
        read_split(file, [], [], sampled_at=HOT)
    with pytest.raises(UserError, match=r"(?i)temperature -1"):
        read_split(file, [], [], temperature=COLD, sampled_at=-1.0)
    with pytest.raises(UserError, match=r"(?i)dw4 with a temperature"):
        fit("dw4", out=tmp_path / "run", **reading)
    stiff = Ensemble.build(Beads.anonymous(1), np.zeros((60, 1, 3)), HOT, energies=1e6 * np.arange(60))
    with pytest.raises(UserError, match=r"60 frames of 500 K are worth 1\.0"):
        at_temperature(stiff, COLD)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"data": {"equilibrium": "no"}}, "stand for no temperature"),
        ({"data": {"forces": "forces, recomputed"}}, "another level of theory"),
    ],
)
def test_energies_that_are_not_those_of_the_simulation(hot, said, words):
    with pytest.raises(UserError, match=words):
        at_temperature(replace(hot, source=said), COLD)


def test_energies_without_a_unit_are_not_called_missing(hot):
    without = replace(hot, energies=None, source={"data": {"energies": UNIT_UNKNOWN}})
    with pytest.raises(UserError, match="energy-unit"):
        at_temperature(without, COLD)
