"""The command line as a user meets it: help, the whole path, and mistakes that end in one line and destroy nothing."""

import re
import subprocess
import sys

import mdtraj
import numpy as np
import pytest

import peptides
import twofold
from synthetic import TINY
from twofold.cli import commands, main
from twofold.errors import UserError
from twofold.files.store import read_ensembles, write_ensembles
from twofold.files.trajectories import read_positions
from twofold.systems.catalogue import SYSTEMS

NAMES = [[name] for name in commands.COMMANDS] + [["reference", "ala2"]]


def leave(arguments, capsys):
    """Exit code and what was printed on both streams."""
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return caught.value.code, captured.out, captured.err


@pytest.mark.parametrize("name", NAMES, ids=" ".join)
def test_help_has_an_example(name, capsys):
    code, out, _ = leave([*name, "--help"], capsys)
    assert code == 0
    assert "Example: twofold " + name[0] in " ".join(out.split())


def test_help_names_all_commands(capsys):
    code, out, _ = leave(["--help"], capsys)
    assert code == 0
    assert all(
        name in out
        for name in ("fit", "sample", "simulate", "evaluate", "reweight", "prepare", "demo", "doctor", "reference")
    )


@pytest.mark.parametrize(
    "arguments",
    [[], ["nonsense"], ["fit"], ["sample", "run"], ["reference"], ["reference", "dna"], ["fit", "--bogus", "1"]],
)
def test_what_cannot_be_parsed(arguments, capsys):
    code, out, err = leave(arguments, capsys)
    assert code == 2
    assert out + err
    assert "Traceback" not in out + err


def test_doctor(capsys):
    main(["doctor"])
    out = capsys.readouterr().out
    for word in ("python", "jax", "twofold", "devices", "cpu", "memory", "precision", "float32", "openmm"):
        assert word in out


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Alanine dipeptide in 120 frames, and many ways to get it wrong."""
    folder = tmp_path_factory.mktemp("files")
    trajectory = peptides.trajectory(folder, 120)
    trajectory.save_xtc(str(folder / "run.xtc"))
    trajectory[0].save_xtc(str(folder / "one.xtc"))
    trajectory.save_xyz(str(folder / "cut.xyz"))
    lines = (folder / "cut.xyz").read_text().splitlines(keepends=True)
    (folder / "cut.xyz").write_text("".join(lines[:-5]))
    (folder / "run.lammpstrj").write_text("ITEM: TIMESTEP\n")
    trajectory.atom_slice(range(20)).save_xtc(str(folder / "fewer.xtc"))
    whole = (folder / "run.xtc").read_bytes()
    (folder / "cut.xtc").write_bytes(whole[: len(whole) // 2 + 7])
    (folder / "empty.xtc").write_bytes(b"")
    (folder / "foreign.xtc").write_text("this is a letter to a friend\n" * 40)
    (folder / "foreign.pdb").write_text("this is a letter to a friend\n" * 40)
    (folder / "foreign.h5").write_text("this is a letter to a friend\n" * 40)
    (folder / "weights.npy").write_bytes(b"")
    np.save(folder / "unitless.npy", trajectory.xyz)
    broken = trajectory.xyz.copy()
    broken[60, 8, 1] = np.nan
    np.save(folder / "broken.npy", broken)
    np.savetxt(folder / "weights.txt", np.ones(7))
    (folder / "bad.yaml").write_text("stpes: 10")
    (folder / "taken").mkdir()
    (folder / "taken" / "thesis.txt").write_text("mine")
    (folder / "taken.h5").write_text("mine")
    return folder


FIT = ["fit", "ala2.pdb", "run.xtc", "--temperature", "300", "--steps", "10"]
OR_A_SYSTEM = f"Expected a file that exists, or one of {', '.join(SYSTEMS)}"
MISTAKES = {
    "missing trajectory": (["fit", "ala2.pdb", "none.xtc", "--temperature", "300"], "none.xtc"),
    "missing topology": (
        ["fit", "none.pdb", "run.xtc", "--temperature", "300"],
        "none.pdb. Expected a file that exists. ",
    ),
    "a system and files": (["fit", "dw4", "run.xtc"], "dw4 with trajectories. Expected the name of a known system"),
    "neither a file nor a system": (["fit", "doublewell"], f"doublewell, and no system of that name. {OR_A_SYSTEM}."),
    "a folder says file": (
        ["fit", "runs/doublewell", "--temperature", "300"],
        "file runs/doublewell. Expected a file that",
    ),
    "missing config": ([*FIT, "--config", "none.yaml"], "none.yaml"),
    "empty": (["fit", "ala2.pdb", "empty.xtc", "--temperature", "300"], "empty"),
    "truncated": (["fit", "ala2.pdb", "cut.xtc", "--temperature", "300"], "cut.xtc"),
    "foreign trajectory": (["fit", "ala2.pdb", "foreign.xtc", "--temperature", "300"], "foreign.xtc"),
    "foreign topology": (["fit", "foreign.pdb", "run.xtc", "--temperature", "300"], "foreign.pdb"),
    "foreign data set": (["fit", "foreign.h5", "--temperature", "300"], "foreign.h5"),
    "no trajectory": (["fit", "data.h5.none"], "data.h5.none"),
    "atoms differ": (["fit", "ala2.pdb", "fewer.xtc", "--temperature", "300"], "20"),
    "selection does not parse": ([*FIT, "--beads", "name CA and and"], "name CA and and"),
    "selection without atoms": ([*FIT, "--beads", "resname TRP"], "resname TRP"),
    "no temperature": (["fit", "ala2.pdb", "run.xtc"], "temperature"),
    "no such temperature": (["fit", "ala2.pdb", "run.xtc", "--temperature", "-3"], "-3"),
    "temperature of the sun": (["fit", "ala2.pdb", "run.xtc", "--temperature", "1e6"], "5000"),
    "no number": (["fit", "ala2.pdb", "run.xtc", "--temperature", "nan"], "nan"),
    "unknown unit": (
        ["fit", "ala2.pdb", "unitless.npy", "--temperature", "300", "--length-unit", "furlong"],
        "furlong",
    ),
    "no unit": (["fit", "ala2.pdb", "unitless.npy", "--temperature", "300"], "unit"),
    "NaN": (["fit", "ala2.pdb", "broken.npy", "--temperature", "300", "--length-unit", "nm"], "60"),
    "one frame": (["fit", "ala2.pdb", "one.xtc", "--temperature", "300"], "frame"),
    "weights of another run": ([*FIT, "--weights", "weights.txt"], "7"),
    "empty weights": ([*FIT, "--weights", "weights.npy"], "weights.npy"),
    "unknown setting": ([*FIT, "--config", "bad.yaml"], "stpes"),
    "unknown architecture": ([*FIT, "--architecture", "resnet"], "resnet"),
    "steps and minutes": ([*FIT, "--minutes", "1"], "minutes"),
    "no steps": (["fit", "ala2.pdb", "run.xtc", "--temperature", "300", "--steps", "0"], "steps"),
    "no stride": ([*FIT, "--stride", "0"], "stride"),
    "all held out": ([*FIT, "--held-out-fraction", "1.5"], "1.5"),
    "resume of nothing": (["fit", "ala2.pdb", "run.xtc", "--out", "nowhere", "--resume"], "nowhere"),
    "resume of something else": (["fit", "ala2.pdb", "run.xtc", "--out", "taken", "--resume"], "taken"),
    "run folder exists": ([*FIT, "--out", "taken"], "taken"),
    "run folder is a file": ([*FIT, "--out", "taken.h5"], "taken.h5"),
    "output exists": (["prepare", "ala2.pdb", "run.xtc", "--temperature", "300", "--out", "taken.h5"], "taken.h5"),
    "no folder for output": (["prepare", "ala2.pdb", "run.xtc", "--temperature", "300", "--out", "no/data.h5"], "no"),
    "one frame to prepare": (
        ["prepare", "ala2.pdb", "one.xtc", "--temperature", "300", "--out", "new.h5"],
        "one frame. Expected at least two",
    ),
    "cut text": (["prepare", "ala2.pdb", "cut.xyz", "--temperature", "300", "--out", "new.h5"], "cut.xyz ends at line"),
    "unit of a dump": (
        ["prepare", "ala2.pdb", "run.lammpstrj", "--temperature", "300", "--out", "new.h5"],
        "twofold: run.lammpstrj does not state its unit",
    ),
    "unit of XTC": (
        ["prepare", "ala2.pdb", "run.xtc", "--temperature", "300", "--length-unit", "nm", "--out", "new.h5"],
        "leave it out",
    ),
    "units of nothing": (
        ["prepare", "ala2.pdb", "run.xtc", "--temperature", "300", "--energy-unit", "foo", "--out", "new.h5"],
        "foo",
    ),
    "sample of no run": (["sample", "nowhere", "--out", "iid.xtc"], "nowhere"),
    "sample of another folder": (["sample", "taken", "--out", "iid.xtc"], "taken"),
    "sample into a picture": (["sample", "taken", "--out", "iid.png"], "iid.png"),
    "simulate no run": (["simulate", "nowhere", "--out", "md.xtc"], "nowhere"),
    "simulate at no level": (["simulate", "taken", "--out", "md.xtc", "--sigma", "small"], "small"),
    "evaluate no run": (["evaluate", "nowhere", "--out", "report"], "nowhere"),
}


def state(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


# MDTraj leaves a topology open that it cannot read
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_end_in_one_clear_line(files, monkeypatch, capfd, name):
    monkeypatch.chdir(files)
    arguments, text = MISTAKES[name]
    out = [] if "--out" in arguments else ["--out", "new"]
    before = state(files)
    code, _, err = leave([*arguments, *out], capfd)
    assert code == 2
    lines = [line for line in err.splitlines() if line.strip()]
    assert len(lines) == 1, err
    assert lines[0].startswith("twofold: ")
    assert text.lower() in lines[0].lower()
    assert state(files) == before


def test_a_process_leaves_with_code_two_and_no_traceback(files):
    command = [sys.executable, "-m", "twofold", "fit", "none.pdb", "run.xtc", "--temperature", "300", "--out", "new"]
    done = subprocess.run(command, cwd=files, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "none.pdb" in done.stderr


def test_prepare_is_what_fit_reads(files, tmp_path, capsys):
    arguments = ["prepare", files / "ala2.pdb", files / "run.xtc", "--beads", "backbone", "--temperature", "300"]
    main([str(argument) for argument in [*arguments, "--out", tmp_path / "data.h5"]])
    assert "120 frames of 5 beads" in capsys.readouterr().out
    (ensemble,) = read_ensembles(tmp_path / "data.h5")
    assert ensemble.positions.shape == (120, 5, 3)
    assert ensemble.temperature == 300.0
    with pytest.raises(SystemExit) as left:
        main(["fit", str(tmp_path / "data.h5"), "--beads", "ca", "--out", str(tmp_path / "run")])
    assert left.value.code == 2
    assert "its own beads" in capsys.readouterr().err


def test_the_whole_path(fitted_run, tmp_path, monkeypatch, capsys):
    """sample, simulate and evaluate of one run, in the words of the README."""
    monkeypatch.chdir(tmp_path)
    run = str(fitted_run)
    main(["sample", run, "--number", "200", "--steps", "20", "--out", "iid.xtc"])
    assert "200 conformations" in capsys.readouterr().out
    assert len(read_positions("iid.xtc", 5)) == 200
    simulate = ["simulate", run, "--replicas", "8", "--frame-ps", "0.05", "--start", "iid.xtc", "--out", "md.xtc"]
    main([*simulate, "--length-ps", "1", "--timestep-fs", "2"])
    assert "8 replicas" in capsys.readouterr().out
    main([*simulate, "--length-ps", "2", "--timestep-fs", "2", "--resume"])
    assert mdtraj.load("md.xtc", top="md.pdb").n_frames > 160
    capsys.readouterr()
    main(["evaluate", run, "--samples", "iid.xtc", "--simulation", "md.xtc", "--bins", "16", "--out", "evaluation"])
    out = capsys.readouterr().out
    assert "samples" in out
    assert "floor" in out
    assert (tmp_path / "evaluation" / "report.html").is_file()
    before = state(tmp_path)
    for arguments in (
        ["sample", run, "--number", "20", "--out", "iid.xtc"],
        ["simulate", run, "--out", "md.xtc"],
        ["evaluate", run, "--samples", "iid.xtc", "--out", "evaluation"],
        ["sample", run, "--number", "0", "--out", "other.xtc"],
        ["simulate", run, "--temperature", "-1", "--out", "other.xtc"],
        ["simulate", run, "--start-basin", "chi<0", "--start", "iid.xtc", "--out", "other.xtc"],
        ["simulate", run, "--sigma", "1e9", "--out", "other.xtc"],
        ["evaluate", run, "--samples", "iid.pdb.none", "--out", "other"],
    ):
        code, _, err = leave(arguments, capsys)
        assert (code, err.count("\n")) == (2, 1), (arguments, err)
    assert state(tmp_path) == before


def test_fit_from_a_data_set_in_python_and_by_name(chain_ensemble, tmp_path, capsys):
    """twofold.fit and `twofold fit` share one door: a folder that exists is refused by both."""
    write_ensembles(tmp_path / "data.h5", chain_ensemble)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    with pytest.raises(twofold.UserError, match="exists already"):
        twofold.fit(tmp_path / "data.h5", out=tmp_path / "run", **TINY)
    code, _, _ = leave(["fit", tmp_path / "data.h5", "--out", tmp_path / "run"], capsys)
    assert code == 2
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.txt"]


def springs(folder, edge):
    """A file of four particles held together by springs at 300 K, nm and kJ/mol, that rest `edge` from the first."""
    thermal, stiffness = 2.4943, 900.0
    rest = edge * np.eye(4)[:, 1:]
    moved = np.sqrt(thermal / stiffness) * np.random.default_rng(0).standard_normal((2000, 4, 3))
    forces = -stiffness * (moved - moved.mean(axis=1, keepdims=True))
    np.savez(folder / "springs.npz", positions=rest + moved, forces=forces)
    return folder / "springs.npz"


@pytest.mark.parametrize(
    ("forces", "labels", "noise", "signal"),
    [("auto", "noise and forces", True, True), ("only", "forces", False, True), ("none", "noise", True, False)],
)
def test_first_lines_of_a_fit_say_what_it_learns_from(tmp_path, capsys, monkeypatch, forces, labels, noise, signal):
    """All of a Gaussian's forces is signal; of the noise `sigma^2 / (v + sigma^2)` for modes of the variance v.

    The unit is the root mean square of a coordinate, in which the three modes of four beads have v = 4/3.
    """

    def stopped(*_, **__):
        raise UserError("enough", "the first lines alone")

    monkeypatch.setattr("twofold.training.fit._Fit.run", stopped)
    given = ["fit", springs(tmp_path, 0.0), "--temperature=300", "--length-unit=nm", "--energy-unit=kj/mol"]
    (tmp_path / "small.yml").write_text("{architecture: particles, width: 4, depth: 1}")
    asked = ["--config", tmp_path / "small.yml", f"--forces={forces}", "--out", tmp_path / "run"]
    _, out, _ = leave([*given, *asked], capsys)
    said = " ".join(out.split())
    assert ("they can be those of this ensemble" in said) == signal
    assert f"Learning from {labels}; " in said
    assert ("; forces: at least 100 % is signal." in said) == signal
    found = re.search(r"labels of noise at sigma 0.004: at least (\S+) % is signal", said)
    assert (found is not None) == noise
    if found:
        assert float(found[1]) == pytest.approx(100 * 0.004**2 / (4 / 3 + 0.004**2), rel=0.05)


def test_forces_of_another_unit_are_refused_before_anything_is_written(tmp_path, capsys):
    """They are said to be in kcal/mol."""
    given = ["fit", str(springs(tmp_path, 0.4)), "--temperature", "300", "--length-unit", "nm", "--steps", "1"]
    out = ["--out", str(tmp_path / "run"), "--architecture", "cartesian"]
    with pytest.raises(SystemExit) as left:
        main([*given, "--energy-unit", "kcal/mol", *out])
    assert left.value.code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "forces" in said.lower()
    assert "unit" in said
    assert not (tmp_path / "run").exists()
