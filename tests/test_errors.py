"""What a message to the user looks like."""

import pytest

from twofold.errors import UserError


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("no frames", "at least one", "check the file."), "No frames. Expected at least one. Check the file."),
        (("weights of\n  two kinds",), "Weights of two kinds."),
        (("cut.trr cannot be read", "a whole file"), "cut.trr cannot be read. Expected a whole file."),
        (("md/run.xtc has no frames",), "md/run.xtc has no frames."),
        (("run_1 exists already",), "run_1 exists already."),
        (("held-out fraction 2", "less than 1"), "Held-out fraction 2. Expected less than 1."),
        ((f"{'x' * 5000} is a folder",), f"{'X' + 'x' * 4999} is a folder."),
    ],
)
def test_one_line_that_begins_with_a_capital_or_a_name(arguments, text):
    assert str(UserError(*arguments)) == text


@pytest.mark.parametrize("name", ["run", "my run", "my  run.xtc", "run-a"])
def test_names_that_are_words_are_left_as_they_are(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).touch()
    assert str(UserError(f"{name} exists already", "a new name")) == f"{name} exists already. Expected a new name."
