"""Fitting from files: which frames are held out, and what a resumed run accepts."""

import numpy as np
import pytest

import peptides
from twofold.errors import UserError
from twofold.fitting import fit, load, read_split

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


def test_a_run_is_resumed_with_its_own_settings(fitted_run):
    model = fit("unused.pdb", out=fitted_run, resume=True, steps=40, architecture="internal")
    assert model.identity == load(fitted_run).identity
    with pytest.raises(UserError, match=r"(?i)steps 80.*40"):
        fit("unused.pdb", out=fitted_run, resume=True, steps=80)
