"""Rates of Markov chains that are known: the same, faster by one factor, and different."""

import dataclasses
import sys

import numpy as np
import pytest

import synthetic
from twofold.diagnosis.kinetics import fitted, kinetics, slow_sets, unusable
from twofold.diagnosis.lags import Lag, chosen_lag, common_lags
from twofold.diagnosis.markov import (
    Discrete,
    Motion,
    Rates,
    counts_by_block,
    matrix_js,
    rates_of,
    require_deeptime,
    time_groups,
    transition_matrix,
)
from twofold.diagnosis.rate_tables import transition_table
from twofold.diagnosis.states import motion_features
from twofold.errors import UserError

SLOW = np.array([[0.98, 0.02, 0.0], [0.01, 0.985, 0.005], [0.0, 0.01, 0.99]])
OTHER = np.array([[0.98, 0.02, 0.0], [0.01, 0.94, 0.05], [0.0, 0.1, 0.9]])
PLACES = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])


def walks(matrix, chains, frames, seed):
    """States (chains, frames) of independent chains that start in equilibrium."""
    rng = np.random.default_rng(seed)
    values, vectors = np.linalg.eig(matrix.T)
    share = np.real(vectors[:, np.argmax(np.real(values))])
    states = np.empty((chains, frames), np.int64)
    now = rng.choice(len(matrix), chains, p=share / share.sum())
    for frame in range(frames):
        states[:, frame] = now
        now = np.minimum((rng.random(chains)[:, None] > matrix.cumsum(1)[now]).sum(1), len(matrix) - 1)
    return states


def motion(matrix, chains, frames, seed, frame_ps=0.5):
    states = walks(matrix, chains, frames, seed)
    noise = 0.15 * np.random.default_rng(seed + 1).standard_normal((*states.shape, 2))
    return Motion((PLACES[states] + noise).reshape(-1, 2), np.repeat(np.arange(chains), frames), frame_ps)


@pytest.fixture(scope="module")
def reference():
    return motion(SLOW, 10, 2000, 0)


def found(reference, other):
    checks = {check.key.split(".")[1]: check for check in kinetics(reference, other).checks}
    return checks, {name: check.state for name, check in checks.items()}


def test_rates_of_a_chain_are_exact():
    counts = 1e6 * np.diag([1.0, 2.0, 1.0]) @ SLOW  # in detailed balance
    rates = rates_of(counts, 1, 0.5, np.arange(3), 2)
    values = np.sort(np.linalg.eigvals(SLOW).real)[::-1][1:]
    assert rates.timescales == pytest.approx(-0.5 / np.log(values), rel=1e-3)
    for goal in range(3):
        rest = [state for state in range(3) if state != goal]
        exact = np.linalg.solve(np.eye(2) - SLOW[np.ix_(rest, rest)], np.ones(2)) * 0.5
        assert rates.passages[rest, goal] == pytest.approx(exact, rel=1e-3)


def test_counts_stay_within_series():
    part = Discrete(np.array([0, 1, 1, 0, 0]), np.array([0, 0, 0, 1, 1]), np.array([0, 0, 0, 1, 1]), 1.0, 2)
    counts = counts_by_block(part, 1)
    assert counts[0].tolist() == [[0, 1], [0, 1]]
    assert counts[1].tolist() == [[1, 0], [0, 0]]
    assert counts_by_block(part, 2).sum() == 1


def test_sets_and_matrices():
    counts = np.array([[8.0, 2, 0, 0], [2, 8, 0, 0], [0, 0, 5, 5], [0, 0, 5, 5]]) * 100
    counts[1, 2] = counts[2, 1] = 1
    sets = slow_sets(counts, 1, 4)
    assert sets[0] == sets[1] != sets[2] == sets[3]
    matrix = transition_matrix(counts, sets)
    assert matrix.sum(axis=1) == pytest.approx([1, 1])
    assert matrix[sets[0], sets[2]] == pytest.approx(1 / 2001)


def test_divergence_of_matrices():
    assert matrix_js(np.eye(2), np.eye(2)) == 0
    assert matrix_js(np.eye(2), np.eye(2)[::-1]) == pytest.approx(np.log(2))
    half = np.full((2, 2), 0.5)
    one = 0.5 * (np.log(1 / 0.75) + 0.5 * np.log(0.5 / 0.75) + 0.5 * np.log(0.5 / 0.25))
    assert matrix_js(np.eye(2), half) == pytest.approx(one)


def test_lags_have_the_same_unit():
    slow = Motion(np.zeros((1000, 1)), np.zeros(1000, int), 10.0)
    fast = Motion(np.zeros((90_000, 1)), np.zeros(90_000, int), 0.2)
    assert common_lags(slow, fast)[:2] == [Lag(10.0, 1, 50), Lag(20.0, 2, 100)]
    odd = fast._replace(frame_ps=3.0)  # 10 ps are 3.3 frames; 30 ps are ten
    assert common_lags(slow, odd)[0] == Lag(30.0, 3, 10)
    assert not common_lags(slow, Motion(np.zeros((3, 1)), np.zeros(3, int), 10.0))


def test_lag_where_time_scales_settle():
    lags = [Lag(float(n), n, n) for n in (1, 2, 5, 10)]
    settled = np.array([20.0, 40.0, 50.0, 51.0])
    assert chosen_lag(lags, settled, settled) == 2
    assert chosen_lag(lags, np.array([1.5, 0.5, np.nan, 1.0]), settled) == 0
    assert chosen_lag(lags, np.full(4, 0.1), settled) is None


def test_one_factor_is_taken_out():
    passages = np.array([[np.nan, 8.0], [2.0, np.nan]])
    slow = Rates(np.array([4.0]), passages, True)
    assert fitted(slow, Rates(np.array([2.0]), passages / 2, True)) == pytest.approx((np.log(2), 0))
    factor, spread = fitted(slow, Rates(np.array([4.0]), passages * [[1, np.e], [1 / np.e, 1]], True))
    assert factor == pytest.approx(0)
    assert spread == pytest.approx(np.sqrt(2 / 3))


def test_the_same_rates_pass(reference):
    checks, states = found(reference, motion(SLOW, 40, 1000, 5))
    assert set(states.values()) == {"pass"}
    assert checks["factor"].value == pytest.approx(1, abs=3 * checks["factor"].error)


def test_tables_hold_times_and_matrices_with_their_errors(reference):
    """Against those of the chain itself, whose states are the slow sets."""
    tables = {table.key: table for table in kinetics(reference, motion(SLOW, 40, 1000, 5)).tables}
    times = tables["kinetics.times"]
    assert times.rows[:3] == ("time scale 1", "time scale 2", "passage from 1 to 2")
    assert times.columns == ("reference", "simulation")
    exact = np.sort(-0.5 / np.log(np.sort(np.linalg.eigvals(SLOW).real)[:2]))[::-1]
    assert np.all(np.abs(times.values[:2] - exact[:, None]) < 4 * times.errors[:2])
    assert np.all((times.errors > 0) & (times.errors < 0.5 * times.values))
    one, other = tables["kinetics.transitions-reference"], tables["kinetics.transitions-same"]
    assert one.rows == ("from 1", "from 2", "from 3")
    steps = round(float(one.title.split(" ps")[0].split()[-1]) / 0.5)
    power = np.linalg.matrix_power(SLOW, steps)
    for table in (one, other):
        assert table.values.sum(axis=1) == pytest.approx(np.ones(3))
        # sets are numbered as they were found
        order = np.argsort(np.argsort(table.values.diagonal()))
        expected = power[np.ix_(np.argsort(power.diagonal())[order], np.argsort(power.diagonal())[order])]
        assert np.all(np.abs(table.values - expected) < 5 * table.errors + 1e-3)


def test_errors_of_a_matrix_are_those_of_counted_transitions():
    """Binomial: `p (1 - p) / n` for blocks of independent transitions."""
    rng = np.random.default_rng(0)
    blocks = np.zeros((200, 2, 2))
    blocks[:, 0, 1] = rng.binomial(50, 0.3, 200)
    blocks[:, 0, 0] = 50 - blocks[:, 0, 1]
    blocks[:, 1] = [10, 40]
    table = transition_table("a", "A", blocks, np.arange(2))
    assert table.errors[0] == pytest.approx(np.sqrt(0.3 * 0.7 / 10_000), rel=0.15)
    assert table.errors[1] == pytest.approx(0, abs=1e-12)


def test_one_factor_of_time_is_found(reference):
    checks, states = found(reference, motion(SLOW @ SLOW @ SLOW, 40, 1000, 7))
    assert states["rates"] == "pass"
    assert checks["factor"].value == pytest.approx(3, abs=3 * checks["factor"].error)
    assert 0.05 < checks["factor"].error < 0.6
    assert states["transitions-same"] == "warn"
    assert states["transitions-scaled"] == "pass"
    assert "times faster" in checks["factor"].sentence


def test_equal_speed_is_no_factor(reference):
    checks, states = found(reference, motion(SLOW, 40, 4000, 8))
    assert abs(np.log(checks["factor"].value)) < 0.05
    assert "as fast as the reference" in checks["factor"].sentence
    assert "as they are" in checks["rates"].sentence
    assert states["rates"] == "pass"


@pytest.mark.parametrize(("seed", "state", "words"), [(3, "warn", "to within a factor of two"), (13, "fail", "longer")])
def test_a_factor_from_few_crossings_is_not_sold_as_known(reference, seed, state, words):
    checks, states = found(reference, motion(SLOW, 3, 500, seed))
    assert states["factor"] == state
    assert words in checks["factor"].sentence


def test_other_rates_fail(reference):
    checks, states = found(reference, motion(OTHER, 40, 1000, 9))
    assert states["rates"] == "fail"
    assert "cannot be trusted" in checks["rates"].sentence


def test_frames_without_memory_are_not_judged(reference):
    rng = np.random.default_rng(0)
    shuffled = reference._replace(features=rng.permutation(reference.features))
    checks, states = found(shuffled, reference)
    assert states == {"rates": "skipped"}
    assert "remember nothing" in checks["rates"].sentence


def test_too_few_crossings_are_not_judged(reference):
    still = Motion(reference.features[:400], np.zeros(400, int), 0.5)
    checks, states = found(reference, still)
    assert states == {"rates": "skipped"}
    assert "Cannot be judged" in checks["rates"].sentence


def test_references_without_rates(chain_ensemble):
    assert unusable(chain_ensemble) is None
    assert "not known" in (unusable(dataclasses.replace(chain_ensemble, frame_ps=None)) or "")
    biased = dataclasses.replace(chain_ensemble, weights=np.linspace(0.5, 1.5, len(chain_ensemble)))
    assert "bias" in (unusable(biased) or "")


def test_what_is_followed(chain_ensemble):
    angles = motion_features(chain_ensemble.beads, chain_ensemble)(chain_ensemble.positions)
    assert angles.shape == (1200, 4)
    assert np.square(angles[:, :2]) + np.square(angles[:, 2:]) == pytest.approx(1)
    flat = dataclasses.replace(chain_ensemble, source={"coordinates": 2})
    followed = motion_features(flat.beads, flat)(flat.positions)
    assert followed == pytest.approx(chain_ensemble.positions[:, 0, :2])
    long = synthetic.ensemble(synthetic.branched(), 600)
    assert motion_features(long.beads, long)(long.positions).shape == (600, 2)


def test_blocks_of_time_follow_the_series():
    groups = time_groups(np.repeat([3, 1], 50), 10)
    assert groups[50:].tolist() == np.repeat(np.arange(5), 10).tolist()
    assert groups[:50].tolist() == np.repeat(np.arange(5, 10), 10).tolist()


def test_deeptime_is_named_when_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "deeptime", None)
    with pytest.raises(UserError, match=r"twofold\[analysis\]"):
        require_deeptime()
