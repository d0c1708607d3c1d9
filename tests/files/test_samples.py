"""Samples and how they were drawn, and energies beside them."""

import json

import numpy as np
import pytest

from files.test_trajectories import beads, positions
from twofold.errors import UserError
from twofold.files.energies import read_energies
from twofold.files.samples import read_drawn, write_samples
from twofold.files.trajectories import read_positions

DRAWN = {"model": "abc", "settings": {"solver": "ode", "seed": 3}}


def test_samples_that_are_not_finite_are_not_lost(tmp_path):
    frames = positions()
    assert write_samples(tmp_path / "a.xtc", frames, beads(), DRAWN) == tmp_path / "a.xtc"
    frames[0, 0, 0] = np.nan
    path = write_samples(tmp_path / "b.xtc", frames, beads(), DRAWN)
    assert path == tmp_path / "b.dcd"
    kept = read_positions(path, beads())
    np.testing.assert_array_equal(np.isnan(kept), np.isnan(frames))
    assert "nan" not in (tmp_path / "b.pdb").read_text()
    found = read_drawn(path)
    assert found is not None
    assert {name: found[name] for name in DRAWN} == DRAWN
    assert found["samples"] == "b.dcd"


def test_what_is_there_is_not_overwritten(tmp_path):
    (tmp_path / "a.json").write_text("mine")
    with pytest.raises(UserError, match=r"a\.json exists already"):
        write_samples(tmp_path / "a.xtc", positions(), beads(), DRAWN)
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_json_of_something_else_says_nothing(tmp_path):
    assert read_drawn(tmp_path / "a.xtc") is None
    for text in ("mine", "[1]", json.dumps({"format": "twofold simulation"})):
        (tmp_path / "a.json").write_text(text)
        assert read_drawn(tmp_path / "a.xtc") is None
    (tmp_path / "a.json").write_text(json.dumps({"format": "twofold samples", "version": 99}))
    with pytest.raises(UserError, match="version 99"):
        read_drawn(tmp_path / "a.xtc")


def test_energies_in_their_unit(tmp_path):
    np.save(tmp_path / "u.npy", [1.0, np.inf])
    np.testing.assert_allclose(read_energies(tmp_path / "u.npy", "kcal/mol"), [4.184, np.inf])
    np.savez(tmp_path / "u.npz", energies=np.arange(3), energy_unit="eV")
    np.testing.assert_allclose(read_energies(tmp_path / "u.npz"), 96.48533212331 * np.arange(3))
    (tmp_path / "u.txt").write_text("1\n2\n")
    np.testing.assert_allclose(read_energies(tmp_path / "u.txt", "kj/mol"), [1, 2])


@pytest.mark.parametrize(
    ("name", "content", "unit", "match"),
    [
        ("u.npy", np.zeros(3), None, "state its unit of energy"),
        ("u.npy", np.zeros((3, 1)), "kj/mol", r"shape \(3, 1\)"),
        ("u.npz", {"forces": np.zeros(3)}, "kj/mol", "arrays forces"),
        ("u.npz", {"energies": np.zeros(3), "energy_unit": "eV"}, "kj/mol", "says kj/mol"),
        ("u.txt", "one two\n", "kj/mol", "not a list of numbers"),
        ("u.txt", "", "kj/mol", "empty"),
    ],
)
def test_what_are_no_energies(tmp_path, name, content, unit, match):
    if name.endswith("npz"):
        np.savez(tmp_path / name, **content)
    elif name.endswith("npy"):
        np.save(tmp_path / name, content)
    else:
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=match):
        read_energies(tmp_path / name, unit)
