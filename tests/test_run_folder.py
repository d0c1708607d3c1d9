"""The folder of a run."""

import json

import pytest

import synthetic
from files.test_atomic import little_space
from twofold.errors import UserError
from twofold.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path):
    run = RunFolder(tmp_path / "run")
    parts = [synthetic.ensemble(synthetic.dipeptide(), 10, seed) for seed in (0, 1)]
    run.create(*parts, {"settings": {"seed": 3}, "source": {}})
    return run


def test_what_was_written_is_read(folder):
    config = folder.read_config()
    assert config["settings"] == {"seed": 3}
    assert config["units"]["energy"] == "kJ/mol"
    assert {"python", "jax", "twofold"} <= set(config["versions"])
    training, held_out = folder.read_data()
    assert len(training) == len(held_out) == 10
    assert abs(training.positions - held_out.positions).max() > 0


def test_an_existing_folder_is_left_alone(folder, tmp_path):
    before = folder.config.read_bytes()
    parts = folder.read_data()
    with pytest.raises(UserError, match="exists already"):
        folder.create(*parts, {"settings": {}})
    assert folder.config.read_bytes() == before
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="exists already"):
        RunFolder(tmp_path / "file").create(*parts, {})
    assert (tmp_path / "file").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    RunFolder(tmp_path / "empty").create(*parts, {"settings": {}})


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"format": "twofold run"}', '{"format": "other", "settings": {}}']
)
def test_a_damaged_or_foreign_config(folder, text):
    folder.config.write_text(text)
    with pytest.raises(UserError) as caught:
        folder.read_config()
    assert str(folder.config) in str(caught.value)


def test_a_later_version(folder):
    folder.config.write_text(json.dumps(folder.read_config() | {"version": 9}))
    with pytest.raises(UserError, match="version 9"):
        folder.read_config()


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(UserError, match="No run in"):
        RunFolder(tmp_path).read_config()


def test_log_survives_a_cut_line_and_is_trimmed(folder):
    assert folder.read_log() == []
    for step in (10, 20, 30):
        folder.append_log({"step": step, "loss": 0.1 * step})
    with folder.log.open("a") as file:
        file.write('{"step": 40, "lo')
    assert [entry["step"] for entry in folder.read_log()] == [10, 20, 30]
    folder.trim_log(20)
    assert folder.log.read_text().count("\n") == 2
    folder.append_log({"step": 30})
    assert [entry["step"] for entry in folder.read_log()] == [10, 20, 30]


def test_a_folder_that_does_not_fit_on_the_disk_is_not_begun(folder, tmp_path, monkeypatch):
    parts = folder.read_data()
    with little_space(1000), pytest.raises(UserError, match="No space left"):
        RunFolder(tmp_path / "new").create(*parts, {"settings": {}})
    assert not (tmp_path / "new").exists()
    monkeypatch.setattr(RunFolder, "write_config", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        RunFolder(tmp_path / "new").create(*parts, {"settings": {}})
    assert not (tmp_path / "new").exists()


def test_a_full_disk_is_told_in_one_line(folder):
    folder.append_log({"step": 10})
    with little_space(folder.log.stat().st_size), pytest.raises(UserError, match=r"No space left while writing .*log"):
        folder.append_log({"step": 20})
    assert [entry["step"] for entry in folder.read_log()] == [10]
