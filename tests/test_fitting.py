"""Fitting from files: which frames are held out, and what a resumed run accepts."""

from contextlib import suppress

import numpy as np
import pytest

import peptides
from twofold.cli import main
from twofold.errors import UserError
from twofold.fitting import fit, load, read_split
from twofold.units import thermal_energy

READING = {"beads": "backbone", "temperature": 300.0}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Three runs of alanine dipeptide, of 30, 20 and 10 frames."""
    folder = tmp_path_factory.mktemp("files")
    whole = peptides.trajectory(folder, 60)
    for number, part in enumerate((slice(0, 30), slice(30, 50), slice(50, 60))):
        whole[part].save_xtc(str(folder / f"{number}.xtc"))
    return folder


def test_held_out_files_are_the_held_out_frames(files):
    weights = np.arange(1.0, 61.0)
    seen, unseen = read_split(
        files / "ala2.pdb", [files / "0.xtc", files / "1.xtc"], [files / "2.xtc"], weights=weights, **READING
    )
    assert (len(seen), len(unseen)) == (50, 10)
    assert seen.trajectory.tolist() == 30 * [0] + 20 * [1]
    np.testing.assert_allclose(unseen.weights / unseen.weights[0], weights[50:] / weights[50])


def test_held_out_files_need_others(files):
    with pytest.raises(UserError, match="train on"):
        read_split(files / "ala2.pdb", [], [files / "2.xtc"], **READING)


def test_forces_of_the_wrong_sign_are_refused_unless_told_otherwise(tmp_path, monkeypatch):
    """Three beads on springs, whose forces are known."""
    stretched = 0.01 * np.random.default_rng(0).standard_normal((400, 2, 3))
    pull = thermal_energy(300.0) / 0.01**2 * stretched
    none = np.zeros((400, 1, 3))
    rest = np.array([[0.15, 0.0, 0.0], [0.05, 0.14, 0.0]])
    positions = np.concatenate([none, np.cumsum(rest + stretched, axis=1)], axis=1)
    forces = np.concatenate([pull, none], axis=1) - np.concatenate([none, pull], axis=1)
    reading = {"temperature": 300.0, "length_unit": "nm", "energy_unit": "kj/mol", "out": tmp_path / "run"}
    fitted = []
    monkeypatch.setattr("twofold.fitting.fit_ensembles", lambda training, *_, **__: fitted.append(training))
    for name, sign in (("right.npz", 1), ("wrong.npz", -1)):
        np.savez(tmp_path / name, positions=positions, forces=sign * forces)
    notes = []
    fit(tmp_path / "right.npz", progress=lambda now: notes.append(now.note), **reading)
    assert "can be those of this ensemble" in "".join(notes)
    with pytest.raises(UserError, match=r"their sign is opposite(.|\n)*--force-check off"):
        fit(tmp_path / "wrong.npz", **reading)
    assert len(fitted) == 1
    fit(tmp_path / "wrong.npz", force_check=False, **reading)
    fit(tmp_path / "wrong.npz", forces="none", **reading)
    assert len(fitted) == 3
    assert np.allclose(fitted[1].forces, -fitted[0].forces)
    asked = [f"--{name.replace('_', '-')}={value}" for name, value in reading.items()]
    for forces, check, fits in (("auto", "on", False), ("auto", "off", True), ("none", "on", True)):
        before = len(fitted)
        with suppress(SystemExit, AttributeError):  # of a fit that ends here there is no model to report on
            main(["fit", str(tmp_path / "wrong.npz"), *asked, f"--forces={forces}", f"--force-check={check}"])
        assert (len(fitted) > before) == fits


def test_a_run_is_resumed_with_its_own_settings(fitted_run):
    model = fit("unused.pdb", out=fitted_run, resume=True, steps=40, architecture="internal")
    assert model.identity == load(fitted_run).identity
    with pytest.raises(UserError, match=r"(?i)steps 80.*40"):
        fit("unused.pdb", out=fitted_run, resume=True, steps=80)
