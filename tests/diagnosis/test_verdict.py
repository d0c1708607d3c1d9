"""From values to states, and from states to one sentence."""

import math

import pytest

from twofold.diagnosis.checks import Check, Findings, Threshold
from twofold.diagnosis.verdict import conclude, state_of

LIMIT = Threshold(1.0, 2.0, "a test")


@pytest.mark.parametrize(
    ("value", "error", "state"),
    [
        (0.5, None, "pass"),
        (1.5, None, "warn"),
        (2.5, None, "fail"),
        (2.5, 0.1, "fail"),
        (2.5, 0.4, "warn"),  # two errors less is still beyond what passes
        (2.5, 0.8, "pass"),  # within noise
        (2.5, 5.0, "warn"),  # so noisy that nothing can be said
        (math.nan, None, "fail"),
        (math.inf, 0.1, "fail"),
        (2.5, math.nan, "fail"),
    ],
)
def test_states(value, error, state):
    assert state_of(value, LIMIT, error) == state


def check(key, state):
    return Check(key, key, state, "")


def test_the_worst_decides_and_is_named():
    found = conclude([Findings((check("a.one", "pass"), check("a.two", "fail"))), Findings((check("b.x", "warn"),))])
    assert found.state == "fail"
    assert found.sentence == "1 of 3 checks fails: a.two; 1 of 3 checks is doubtful: b.x."
    assert found.check("b.x").group == "b"
    with pytest.raises(KeyError):
        found.check("b.y")


def test_what_is_skipped_does_not_count():
    assert conclude([Findings((check("a.one", "pass"), check("a.two", "skipped")))]).sentence.endswith("all 1 checks.")
    assert conclude([Findings((check("a.two", "skipped"),))]).state == "skipped"
