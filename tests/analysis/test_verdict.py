import numpy as np
import pytest

from twofold.analysis import verdict
from twofold.analysis.comparison import Comparison


def distance(value, floor=0.01, excess_error=0.0005, name="phi/psi JS", key=True):
    ratio, excess = (None, None) if floor is None else (value / floor, value - floor)
    row = Comparison(
        name,
        "torsions",
        "distance",
        value,
        0.001,
        floor,
        0.0005,
        100,
        ratio=ratio,
        excess=excess,
        excess_error=excess_error,
        key=key,
    )
    return verdict.judge_distance(row)


def level(value, reference, kind, error=0.0, reference_error=0.0, n=10_000):
    errors = {"reference_error": reference_error, "excess_error": (error**2 + reference_error**2) ** 0.5}
    row = Comparison(
        "x", "g", "level", value, error, None, None, n, reference=reference, excess=value - reference, **errors
    )
    return verdict.judge_level(row, kind)


@pytest.mark.parametrize(
    ("value", "error", "state"),
    [
        (0.009, 0.0005, "agree"),
        (0.012, 0.0005, "agree"),
        (0.014, 0.0005, "close"),
        (0.014, 0.002, "agree"),
        (0.03, 0.0005, "differ"),
        (0.03, 0.05, "close"),
        (0.014, float("nan"), "close"),
    ],
)
def test_distances(value, error, state):
    assert distance(value, excess_error=error).state == state


def test_distances_without_a_floor_or_with_a_tolerance():
    assert distance(0.01, floor=None).state == "unknown"
    assert distance(1.9e-4, floor=1e-6, excess_error=0, name="bonds mean").state == "agree"
    assert distance(2e-3, floor=1e-6, excess_error=0, name="bonds mean").state == "differ"


@pytest.mark.parametrize(
    ("value", "reference", "state"),
    [(0.0009, 0.0, "agree"), (0.004, 0.0, "close"), (0.02, 0.0, "differ"), (0.01, 0.3, "agree")],
)
def test_faults(value, reference, state):
    assert level(value, reference, "fault").state == state


def test_faults_get_no_credit_for_their_own_error_but_for_the_references():
    assert level(0.05, 0.0, "fault", error=0.05).state == "differ"
    assert level(0.05, 0.02, "fault", reference_error=0.02).state == "agree"
    assert level(0.01, 0.0, "fault", n=100).state == "agree"


@pytest.mark.parametrize(
    ("value", "error", "state"),
    [(3.75, 0.01, "agree"), (3.9, 0.01, "close"), (3.9, 0.2, "agree"), (4.5, 0.01, "differ"), (np.inf, 0.1, "unknown")],
)
def test_free_energies_are_judged_as_ratios_of_populations(value, error, state):
    assert level(value, 3.6, "free energy", error=error).state == state


def test_populations():
    assert level(0.022, 0.025, "population").state == "agree"
    assert level(0.018, 0.025, "population").state == "close"
    assert level(0.018, 0.025, "population", error=0.004).state == "agree"
    assert level(0.0, 0.025, "population", reference_error=0.002).state == "differ"


def test_the_worst_key_number_decides():
    good, near, bad = distance(0.01), distance(0.015), distance(0.05)
    assert verdict.overall("samples", "reference", [good]).state == "agree"
    assert verdict.overall("samples", "reference", [good, near]).state == "close"
    found = verdict.overall("samples", "reference", [good, near, bad])
    assert found.state == "differ"
    assert found.text == (
        "Samples and reference differ: 1 of 3 numbers agree; near the limit: phi/psi JS; different: phi/psi JS."
    )
    assert verdict.overall("samples", "reference", [good, distance(0.05, key=False)]).state == "close"
    assert verdict.overall("samples", "reference", []).state == "unknown"


@pytest.mark.parametrize(("floor", "state"), [(0.05, "agree"), (0.2, "unknown")])
def test_a_divergence_whose_floor_is_counting_noise_tells_nothing(floor, state):
    row = Comparison("phi/psi JS", "torsions", "distance", floor, 0.01, floor, 0.01, 20, unit="nats", ratio=1.0)
    assert verdict.judge_distance(row).state == state
