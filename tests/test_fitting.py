"""Fitting from files: which frames are held out, and what a resumed run accepts."""

import re
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pytest

import peptides
from twofold.cli import main
from twofold.errors import UserError
from twofold.files.readers import read_trajectory
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


def springs(frames):
    """Positions in nm and forces in kJ/mol/nm (frames, 3, 3) of three beads on springs at 300 K."""
    stretched = 0.01 * np.random.default_rng(0).standard_normal((frames, 2, 3))
    pull = thermal_energy(300.0) / 0.01**2 * stretched
    none = np.zeros((frames, 1, 3))
    rest = np.array([[0.15, 0.0, 0.0], [0.05, 0.14, 0.0]])
    positions = np.concatenate([none, np.cumsum(rest + stretched, axis=1)], axis=1)
    return positions, np.concatenate([pull, none], axis=1) - np.concatenate([none, pull], axis=1)


def test_forces_of_the_wrong_sign_are_refused_unless_told_otherwise(tmp_path, monkeypatch):
    positions, forces = springs(400)
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


@pytest.fixture
def tied(tmp_path):
    """Topology, and arrays of a peptide whose bond between N and H is rigid, with forces on all atoms."""
    topology, names = peptides.write_pdb(tmp_path), peptides.NAMES
    positions = peptides.wiggled(200).astype(np.float64)
    n, h = names.index("N"), names.index("H")
    apart = positions[:, h] - positions[:, n]
    positions[:, h] = positions[:, n] + 0.101 * apart / np.linalg.norm(apart, axis=1, keepdims=True)
    forces = np.random.default_rng(0).normal(size=positions.shape)
    stated = {"length_unit": "nm", "energy_unit": "kj/mol"}
    np.savez(tmp_path / "tied.npz", positions=positions, forces=forces, **stated)
    np.savez(tmp_path / "few.npz", positions=positions[:8], forces=forces[:8], **stated)
    return topology, tmp_path / "tied.npz"


BESIDE_ITS_HYDROGEN = {"beads": "resSeq 2 and name N H CA C", "temperature": 300.0}


def test_forces_that_nobody_wants_need_no_map(tied, tmp_path, monkeypatch):
    """N and H are beads that a constraint ties to each other: there is no map, unless the forces are left out."""
    fitted = []
    monkeypatch.setattr("twofold.fitting.fit_ensembles", lambda training, *_, **__: fitted.append(training))
    for check in (True, False):
        with pytest.raises(UserError, match=r"constraints tie to each other.*--forces none"):
            fit(*tied, out=tmp_path / "run", force_check=check, **BESIDE_ITS_HYDROGEN)
    fit(*tied, out=tmp_path / "run", forces="none", **BESIDE_ITS_HYDROGEN)
    held_out = {"held_out": [tied[1]], "forces": "none"}
    fit(*tied, out=tmp_path / "run", **held_out, **BESIDE_ITS_HYDROGEN)
    assert [len(training.beads) for training in fitted] == [4, 4]
    assert all(training.forces is None for training in fitted)
    (tmp_path / "none.yaml").write_text("forces: none")
    with pytest.raises(UserError, match=r"tied\.npz for frames that are read without forces"):
        fit(*tied, out=tmp_path / "run", forces=tied[1], config=tmp_path / "none.yaml", **BESIDE_ITS_HYDROGEN)


def test_prepare_leaves_forces_out(tied, tmp_path, capsys):
    few = [str(tied[0]), str(tmp_path / "few.npz"), "--beads=heavy", "--temperature=300"]
    with pytest.raises(SystemExit):
        main(["prepare", *few, f"--out={tmp_path / 'data.h5'}"])
    assert re.search(r"8 frames in .*few\.npz.*--forces none", capsys.readouterr().err)
    main(["prepare", *few, "--forces=none", f"--out={tmp_path / 'data.h5'}"])
    assert read_trajectory(tmp_path / "data.h5").forces is None
    main(["prepare", str(tied[0]), str(tied[1]), *few[2:], f"--out={tmp_path / 'all.h5'}"])
    assert read_trajectory(tmp_path / "all.h5").forces is not None
    assert read_trajectory(tmp_path / "all.h5", use_forces=False).forces is None


@pytest.mark.parametrize("apart", [True, False], ids=["a file of its own", "the last fifth"])
def test_forces_of_held_out_frames_are_checked_too(tmp_path, monkeypatch, apart):
    """Those of the last fifth of the frames are too large, in archives as of MD17: kcal/mol and Angstrom."""
    positions, forces = springs(1000)
    forces[800:] *= 4.184
    parts = {"all": slice(None), "seen": slice(0, 800), "unseen": slice(800, 1000)}
    for name, part in parts.items():
        arrays = {"R": 10 * positions[part], "F": forces[part] / 41.84, "E": np.zeros(len(positions[part]))}
        np.savez(tmp_path / f"{name}.npz", z=[6, 7, 8], **arrays)
    fitted = []
    monkeypatch.setattr("twofold.fitting.fit_ensembles", lambda *parts, **_: fitted.append(parts[:2]))
    given = {"temperature": 300.0, "out": tmp_path / "run"}
    given |= {"held_out": [tmp_path / "unseen.npz"]} if apart else {}
    first = tmp_path / ("seen.npz" if apart else "all.npz")
    with pytest.raises(UserError, match=r"Held out: forces whose virial is 4(.|\n)*too large, the factor between kJ"):
        fit(first, **given)
    assert not fitted
    fit(first, force_check=False, **given)
    fit(first, forces="none", **given)
    assert [len(part) for part in fitted[1]] == [800, 200]


def test_what_the_check_says_of_held_out_forces_is_told(tmp_path, monkeypatch):
    positions, forces = springs(1000)
    np.savez(tmp_path / "a.npz", z=[6, 7, 8], R=10 * positions, F=forces / 41.84, E=np.zeros(1000))
    monkeypatch.setattr("twofold.fitting.fit_ensembles", lambda *_, **__: None)
    said: list[str] = []
    fit(tmp_path / "a.npz", temperature=300.0, out=tmp_path / "run", progress=lambda now: said.append(now.note))
    verdicts = [note for note in said if note and "whose virial is" in note]
    assert len(verdicts) == 2
    assert re.match(
        r"Held out: forces whose virial is \S+ \+- .* for stretches of the stiffest pairs\): accepted\.$", verdicts[1]
    )


def test_forces_are_checked_at_the_temperature_that_is_set_for_them(tmp_path, monkeypatch):
    """Springs of 300 K whose frames are called ones of 500 K: accepted at 300 K, and at no other."""
    positions, forces = springs(2000)
    np.savez(tmp_path / "a.npz", positions=positions, forces=forces, length_unit="nm", energy_unit="kj/mol")
    fitted, notes = [], []
    monkeypatch.setattr("twofold.fitting.fit_ensembles", lambda *parts, **_: fitted.append(parts[:2]))
    given = {"temperature": 500.0, "out": tmp_path / "run"}
    with pytest.raises(UserError, match=r"not 500 K(.|\n)*force_temperature 3\d\d \(in --config\)"):
        fit(tmp_path / "a.npz", **given)
    fit(tmp_path / "a.npz", force_temperature=300.0, progress=lambda now: notes.append(now.note), **given)
    assert len(fitted) == 1
    assert "can be those of this ensemble" in "".join(notes)
    with pytest.raises(UserError, match="not 900 K"):
        fit(tmp_path / "a.npz", force_temperature=900.0, **given)
    with pytest.raises(UserError, match=r"(?i)force_temperature 1\.3 K for frames of 500 K"):
        fit(tmp_path / "a.npz", force_temperature=1.3, **given)
    assert len(fitted) == 1


OF_FILES = {
    "temperature": 600.0,
    "sampled_at": 500.0,
    "weights": "nonexistent.npy",
    "forces": "nofile.npy",
    "beads": "ca",
    "stride": 7,
    "length_unit": "nm",
    "energy_unit": "kj/mol",
    "molecule": "ala",
    "held_out": ["run.xtc"],
}


@pytest.mark.parametrize("name", OF_FILES)
def test_what_concerns_files_is_refused_for_a_known_system(tmp_path, name):
    words = r"(?i)dw4 with .*known system alone.*\./dw4 for a file"
    with pytest.raises(UserError, match=words):
        fit("dw4", out=tmp_path / "run", **{name: OF_FILES[name]})
    with pytest.raises(UserError, match=words):
        fit("dw4", out=tmp_path / "run", weights=np.ones(3))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("frames", "fraction"), [(1, 0.2), (2, 0.9), (0, 0.2), (100, 1.0)])
def test_a_known_system_needs_frames_on_either_side(tmp_path, frames, fraction):
    with pytest.raises(UserError, match=rf"{frames} frames, {fraction:g} of them held out"):
        fit("dw4", out=tmp_path / "run", frames=frames, held_out_fraction=fraction)


def test_frames_are_made_of_systems_and_not_of_files(tmp_path):
    (tmp_path / "a.npz").touch()
    with pytest.raises(UserError, match=r"500 frames of .*a\.npz(.|\n)*--stride"):
        fit(tmp_path / "a.npz", out=tmp_path / "run", frames=500)


@pytest.mark.parametrize("forces", [None, "auto", "none", "only"])
def test_how_forces_are_used_may_be_said_of_a_known_system(tmp_path, monkeypatch, forces):
    made = []
    monkeypatch.setattr("twofold.fitting.fit_ensembles", lambda *given, **_: made.append(given[-1]))
    monkeypatch.setattr("twofold.fitting.system_split", lambda *_: 2 * (SimpleNamespace(source={}),))
    fit("dw4", out=tmp_path / "run", forces=forces, force_check=False)
    with suppress(SystemExit, AttributeError):  # of a fit that ends here there is no model to report on
        main(["fit", "dw4", f"--out={tmp_path / 'run'}", *([f"--forces={forces}"] if forces else [])])
    assert [chosen.forces for chosen in made] == 2 * [forces or "auto"]


def test_a_run_is_resumed_with_its_own_settings(fitted_run):
    model = fit("unused.pdb", out=fitted_run, resume=True, steps=40, architecture="internal")
    assert model.identity == load(fitted_run).identity
    with pytest.raises(UserError, match=r"(?i)steps 80.*40"):
        fit("unused.pdb", out=fitted_run, resume=True, steps=80)
