"""Do replicas of the force field move at the rates of the reference, up to one factor of time?

A coarse-grained force field has lost the friction of what was left out: as a rule it moves too fast. If all processes
are faster by the same factor, rates can be had by scaling the time; if not, they cannot.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from twofold.analysis.uncertainty import jackknife_error
from twofold.diagnosis import thresholds
from twofold.diagnosis.checks import Check, Curve, Findings, Line, Table, Threshold
from twofold.diagnosis.lags import Lag, chosen_lag, common_lags
from twofold.diagnosis.markov import (
    Discrete,
    Motion,
    Rates,
    counts_by_block,
    estimated,
    matrix_js,
    rates_of,
    time_groups,
    transition_matrix,
)
from twofold.diagnosis.rate_tables import times_table, transition_table
from twofold.diagnosis.states import states_of
from twofold.diagnosis.verdict import judged, skipped, state_of
from twofold.ensemble import Ensemble

ALIKE = 0.05
"""Logarithm of a factor of time that is called none."""
SAME_SCALED_LAG = 0.1
"""Relative difference of two lags that count as the same, one of which was scaled: the factor is not known better."""
MOST_SETS = 4
LEAST_CROSSINGS = 20
NAME = "rates"


def unusable(reference: Ensemble) -> str | None:
    """Why rates of a reference cannot be had; None where they can."""
    if np.ptp(reference.weights) > 1e-6 * np.mean(reference.weights):
        return (
            "Cannot be judged: the reference is weighted, so that it was made with a bias or from several runs. Its "
            "frames tell populations, but no rates."
        )
    if reference.frame_ps is None:
        return "Cannot be judged: the time between the frames of the reference is not known."
    return None


def not_judged(reason: str) -> Findings:
    """The place of the rates in a diagnosis that cannot have them."""
    return Findings((skipped("kinetics.rates", NAME, reason),))


def kinetics(reference: Motion, simulation: Motion, seed: int = 0) -> Findings:
    """Time scales, first-passage times and transition matrices of both, and the one factor of time between them."""
    number, assign = states_of(reference.features, seed)
    one, other = (
        Discrete(assign(part.features), part.series, time_groups(part.series), part.frame_ps, number)
        for part in (reference, simulation)
    )
    lags = common_lags(reference, simulation)
    if not lags:
        return not_judged("Cannot be judged: the series are too short, or their frames lie at times that never meet.")
    slow = {"reference": [], "simulation": []}
    for lag in lags:
        for name, part, frames in (("reference", one, lag.reference), ("simulation", other, lag.simulation)):
            slow[name].append(_slowest(part, frames))
    figure = _timescale_figure(lags, slow)
    place = chosen_lag(lags, *(np.array(slow[name]) for name in ("reference", "simulation")))
    if place is None:
        reason = "Cannot be judged: the frames of one of the two remember nothing of the frame before."
        return Findings(not_judged(reason).checks, (figure,))
    lag = lags[place]
    sets = slow_sets(counts_by_block(one, lag.reference).sum(axis=0), lag.reference, number)
    crossings = [_crossings(part, sets, frames) for part, frames in ((one, lag.reference), (other, lag.simulation))]
    if min(crossings) < LEAST_CROSSINGS:
        reason = (
            f"Cannot be judged: {crossings[0]} crossings between slow sets in the reference and {crossings[1]} in the "
            f"simulation; {LEAST_CROSSINGS} are needed. Simulate longer, or give a longer reference."
        )
        return Findings(not_judged(reason).checks, (figure,))
    return _compared(one, other, lags[place:], sets, figure)


def _compared(one: Discrete, other: Discrete, lags: list[Lag], sets: np.ndarray, figure: Curve) -> Findings:
    """All comparisons; rates are estimated at the first of `lags`."""
    lag = lags[0]
    tables = [counts_by_block(one, lag.reference), counts_by_block(other, lag.simulation)]
    kinds, spacing = int(sets.max()) + 1, (one.frame_ps, other.frame_ps)

    def rates(side: int, counts: np.ndarray) -> Rates:
        frames = (lag.reference, lag.simulation)[side]
        return rates_of(counts, frames, spacing[side], sets, kinds - 1)

    whole = [rates(side, tables[side].sum(axis=0)) for side in (0, 1)]
    if not all(rate.visited for rate in whole):
        reason = "Cannot be judged: one of the two never leaves or enters a slow set."
        return Findings(not_judged(reason).checks, (figure,))
    left_out = [[rates(side, tables[side].sum(axis=0) - part) for part in tables[side]] for side in (0, 1)]
    factor, spread = fitted(*whole)
    factor_error, spread_error = _fitted_errors(whole, left_out)
    checks, matrices = _matrices(one, other, lags, sets, factor)
    times = times_table(whole, left_out, lag.ps)
    return Findings(
        (_factor_check(factor, factor_error), _spread_check(spread, spread_error, factor), *checks),
        (figure, _passage_figure(times, factor)),
        tables=(times, *matrices),
    )


def _fitted_errors(whole: list[Rates], left_out: list[list[Rates]]) -> tuple[float, float]:
    """Jackknife errors of `fitted`, over the blocks of both sides."""
    squares = np.zeros(2)
    for side in (0, 1):
        found = [fitted(*(part if place == side else whole[place] for place in (0, 1))) for part in left_out[side]]
        kept = np.array([values for values in found if np.isfinite(values).all()])
        squares += np.square(np.asarray(jackknife_error(kept)))
    factor, spread = np.sqrt(squares)
    return float(factor), float(spread)


def _slowest(part: Discrete, lag: int) -> float:
    """The slowest implied time scale in ps, NaN where there is none."""
    model = estimated(counts_by_block(part, lag).sum(axis=0), lag)
    return float("nan") if model is None else float(model.timescales(k=1)[0]) * part.frame_ps


def slow_sets(counts: np.ndarray, lag: int, number: int) -> np.ndarray:
    """The slow set that each state belongs to (states,), by PCCA+ (Roeblitz and Weber 2013) of the reference.

    As many sets as the widest gap between time scales asks for, at most `MOST_SETS`. States that the reference never
    connects join the set of the state that they most often come from or go to, else the first.
    """
    model = estimated(counts, lag)
    times = np.asarray(model.timescales(k=min(MOST_SETS, model.n_states - 1)), np.float64)
    times = np.append(times, lag)
    gaps = times[:-1] / np.maximum(times[1:], 1e-12)
    kinds = min(int(np.argmax(gaps[: MOST_SETS - 1])) + 2, model.n_states)
    kept = np.asarray(model.count_model.state_symbols)
    sets = np.full(number, -1)
    assigned = np.asarray(model.pcca(kinds).assignments)
    sets[kept] = np.unique(assigned, return_inverse=True)[1]
    flow = counts + counts.T
    for state in np.flatnonzero(sets < 0):
        partner = kept[int(np.argmax(flow[state, kept]))]
        sets[state] = sets[partner]
    return sets


def _crossings(part: Discrete, sets: np.ndarray, lag: int) -> int:
    """Changes of set between frames `lag` apart, which do not count what wavers on a border in between."""
    counts = counts_by_block(part, lag).sum(axis=0)
    # every frame is a start: of `lag` starts in a row all but one tell of the same change
    return int(counts[sets[:, None] != sets[None, :]].sum() / lag)


def fitted(reference: Rates, simulation: Rates) -> tuple[float, float]:
    """Logarithm of the factor by which times of the simulation have to be stretched, and the spread that it leaves.

    Least squares over the logarithms of all time scales and first-passage times.
    """
    first, second = reference.times, simulation.times
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.log(first / second)
    ratios = ratios[np.isfinite(ratios)]
    if not len(ratios):
        return float("nan"), float("nan")
    return float(ratios.mean()), float(np.sqrt(np.mean(np.square(ratios - ratios.mean()))))


def _factor_check(factor: float, error: float) -> Check:
    value = float(np.exp(factor))
    limit = Threshold(0.22, 0.69, "error of the logarithm: " + thresholds.RATES.source)
    than = f"{max(value, 1 / value):.3g} times {'slower' if value < 1 else 'faster'} than the reference"
    if abs(factor) < ALIKE:
        than = "as fast as the reference"
    sentences = {
        "pass": f"The simulation is {than}.",
        "warn": f"The simulation is {than}, to within a factor of two.",
        "fail": f"The simulation may be {than}, but not even a factor of two is certain: simulate longer to use it.",
    }
    state = state_of(error, limit)  # an error that cannot be had is no better than a large one
    return Check("kinetics.factor", "factor of time", state, sentences[state], value, value * error, threshold=limit)


def _spread_check(spread: float, error: float, factor: float) -> Check:
    scaled = f"once times are multiplied by {np.exp(factor):.3g}: after that one factor all time scales agree."
    sentences = {
        "pass": "Rates can be trusted " + ("as they are: all time scales agree." if abs(factor) < ALIKE else scaled),
        "warn": "Rates can be trusted to about a factor of two, once times are scaled.",
        "fail": "Rates cannot be trusted: no single factor of time brings the processes of the simulation to those of "
        "the reference. Populations are not touched by this.",
    }
    return judged("kinetics.rates", NAME, spread, thresholds.RATES, sentences, error, "ln of time")


def _matrices(
    one: Discrete, other: Discrete, lags: list[Lag], sets: np.ndarray, factor: float
) -> tuple[list[Check], list[Table]]:
    """Transition matrices between slow sets over the same time, and over the same time once it is scaled."""
    found = [(lag, round(lag.ps * np.exp(-factor) / other.frame_ps)) for lag in lags]
    fine = [
        (lag, frames)
        for lag, frames in found
        if frames >= 1 and abs(np.log(frames * other.frame_ps / lag.ps) + factor) <= SAME_SCALED_LAG
    ]
    lag, scaled = fine[0] if fine else (lags[0], 0)
    parts = counts_by_block(one, lag.reference)
    reference = transition_table("reference", f"Transitions in {lag.ps:.3g} ps, reference", parts, sets)
    floor = matrix_js(*(transition_matrix(parts[start::2].sum(axis=0), sets) for start in (0, 1)))
    limits = Threshold(max(1e-3, 2 * floor), max(1e-2, 5 * floor), thresholds.TRANSITIONS_SOURCE)

    def compared(key: str, name: str, frames: int, words: str) -> tuple[Check, Table]:
        ps = frames * other.frame_ps
        table = transition_table(key, f"Transitions in {ps:.3g} ps, simulation", counts_by_block(other, frames), sets)
        where = f"({lag.ps:.3g} ps in the reference, {ps:.3g} ps in the simulation)"
        sentences = {
            "pass": f"Transitions between slow sets over {words} are those of the reference {where}.",
            "fail": f"Transitions between slow sets over {words} are not those of the reference {where}.",
        }
        value = matrix_js(reference.values, table.values)
        return judged(f"kinetics.transitions-{key}", name, value, limits, sentences, unit="nats"), table

    same, table = compared("same", "transitions, same lag", lag.simulation, "the same time")
    # to move too fast is what coarse graining does, and no fault of a model
    same = replace(same, state="warn") if same.state == "fail" else same
    name = "transitions, scaled lag"
    if not fine:
        reason = "Cannot be judged: no lag fits both once time is scaled. Record frames more often."
        return [same, skipped("kinetics.transitions-scaled", name, reason)], [reference, table]
    check, other_table = compared("scaled", name, scaled, "the scaled time")
    return [same, check], [reference, table, other_table]


def _timescale_figure(lags: list[Lag], slow: dict[str, list[float]]) -> Curve:
    times = np.array([lag.ps for lag in lags])
    lines = tuple(Line(name, times, np.array(values)) for name, values in slow.items())
    caption = (
        "Slowest implied time scale of the Markov state model over its lag time. Where it no longer rises the model "
        "has forgotten how its states were cut; it means nothing below the lag itself."
    )
    title = "Slowest time scale"
    return Curve("kinetics.timescales", title, "lag, ps", "time scale, ps", lines, caption, True, True)


def _passage_figure(times: Table, factor: float) -> Curve:
    (first, second), (error, other_error) = times.values.T, times.errors.T
    order = np.argsort(first)
    numbers = np.arange(1, len(first) + 1, dtype=np.float64)
    scale = np.exp(factor)
    lines = (
        Line("reference", numbers, first[order], error[order]),
        Line("simulation", numbers, second[order], other_error[order]),
        Line("simulation, times scaled", numbers, second[order] * scale, other_error[order] * scale),
    )
    caption = (
        "All time scales and mean first-passage times, in the order of the reference. One factor of time shifts the "
        "whole line; what it leaves is the difference of the rates."
    )
    return Curve("kinetics.passages", "Times of all processes", "process", "ps", lines, caption, False, True)
