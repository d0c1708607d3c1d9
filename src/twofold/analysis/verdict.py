"""Agree or differ: rules for single numbers, and the sentence over all of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twofold.analysis.comparison import Comparison, State

AGREE_RATIO = 1.2
CLOSE_RATIO = 2.0
ERRORS = 2.0
"""An excess within so many of its errors counts as none."""
TOLERANCES = {
    "bonds mean": (2e-4, 1e-3),
    "bonds W1": (2e-4, 1e-3),
    "bonds width": (0.03, 0.10),
    "angles mean": (0.01, 0.03),
    "angles width": (0.03, 0.10),
}
"""Values up to which a number agrees, and nearly agrees, however small its floor is: nm, radians or relative."""
FAULT_TOLERANCE = (1e-3, 5e-3)
"""Fraction above the reference's."""
LARGEST_FLOOR = 0.1
"""JS in nats above which the floor is mostly counting noise: even a wrong distribution scores about the floor then."""
POPULATION_TOLERANCE = (0.15, 0.40)
"""Relative to the reference's population."""
WORDS = {"agree": "agree", "close": "nearly agree", "differ": "differ", "unknown": "could not be compared"}


def judge_distance(row: Comparison) -> Comparison:
    """Agree: up to 1.2 times the floor, or within a tolerance, or within two errors of the floor and up to twice it.

    Unknown: too few independent frames for the floor to tell distributions apart.
    Close: up to twice the floor, or within two errors at any ratio. One bad block in twenty makes an error as large as
    the excess it causes, so an error alone never makes a set agree.
    """
    if row.unit == "nats" and row.floor is not None and row.floor > LARGEST_FLOOR:
        return replace(row, state="unknown", limit=AGREE_RATIO)
    agree, close = TOLERANCES.get(row.name, (0.0, 0.0))
    ratio = np.inf if row.ratio is None else row.ratio
    if row.value <= agree or ratio <= AGREE_RATIO or (ratio <= CLOSE_RATIO and _within(row)):
        state: State = "agree"
    elif row.ratio is None and not agree:
        state = "unknown"
    elif row.value <= close or ratio <= CLOSE_RATIO or _within(row):
        state = "close"
    else:
        state = "differ"
    return replace(row, state=state, limit=agree if agree else AGREE_RATIO)


def judge_level(row: Comparison, kind: str) -> Comparison:
    """Populations are judged like distances, by their relative error; free energies by the same of a ratio."""
    if kind == "fault":
        return judge_fault(row)
    reference = row.reference
    assert row.excess is not None
    assert reference is not None
    agree, close = POPULATION_TOLERANCE
    if kind == "population":
        size = max(abs(reference), 1e-12)
        return replace(row, state=_state(row, agree * size, close * size), limit=reference * (1 + agree))
    if not np.isfinite(row.excess):  # a basin that was not seen has no free energy
        return replace(row, ratio=None)
    agree, close = -float(np.log1p(-agree)), -float(np.log1p(-close))
    return replace(row, state=_state(row, agree, close), limit=reference + agree, ratio=None)


def _state(row: Comparison, agree: float, close: float) -> State:
    assert row.excess is not None
    off = abs(row.excess)
    if off <= agree or (off <= close and _within(row)):
        return "agree"
    return "close" if off <= close or _within(row) else "differ"


def judge_fault(row: Comparison) -> Comparison:
    """A fault may exceed the reference's figure, with two of its errors, by 0.1 %, or be that of a single frame.

    The set's own error gives no credit: what the reference never does is wrong however unevenly it comes.
    """
    assert row.excess is not None
    assert row.reference is not None
    agree, close = FAULT_TOLERANCE
    spare = ERRORS * (row.reference_error or 0.0) if np.isfinite(row.reference_error or 0.0) else 0.0
    off = row.excess - spare
    if off <= agree or row.value * row.n <= 1.0:
        state: State = "agree"
    else:
        state = "close" if off <= close else "differ"
    return replace(row, state=state, limit=row.reference + spare + agree)


def _within(row: Comparison) -> bool:
    if row.excess is None or row.excess_error is None or not np.isfinite(row.excess_error):
        return False
    off = row.excess if row.kind == "distance" else abs(row.excess)
    return off <= ERRORS * row.excess_error


@dataclass(frozen=True)
class Verdict:
    """Whether two sets agree. text: a sentence for people; differing: names of the numbers that differ, worst first."""

    first: str
    second: str
    state: State
    text: str
    differing: tuple[str, ...] = ()
    close: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"differing": list(self.differing), "close": list(self.close)}


def overall(first: str, second: str, rows: Iterable[Comparison]) -> Verdict:
    """The verdict over `rows`: as good as the worst of the key numbers; other numbers can lower it by one step."""
    judged = [row for row in rows if row.state != "unknown"]
    if not judged:
        return Verdict(first, second, "unknown", f"{_sentence(first)} and {second} could not be compared.")
    differing = tuple(row.name for row in sorted(judged, key=_badness, reverse=True) if row.state == "differ")
    close = tuple(row.name for row in sorted(judged, key=_badness, reverse=True) if row.state == "close")
    key = {row.state for row in judged if row.key}
    if "differ" in key:
        state: State = "differ"
    elif "close" in key or differing:
        state = "close"
    else:
        state = "agree"
    agreeing = sum(row.state == "agree" for row in judged)
    text = f"{_sentence(first)} and {second} {WORDS[state]}: {agreeing} of {len(judged)} numbers agree"
    if close:
        text += f"; near the limit: {_listed(close)}"
    if differing:
        text += f"; different: {_listed(differing)}"
    return Verdict(first, second, state, text + ".", differing, close)


def _badness(row: Comparison) -> float:
    if row.kind == "distance":
        return row.ratio if row.ratio is not None else 0.0
    return abs(row.excess or 0.0) / max(row.limit or 0.0, 1e-6)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _listed(names: tuple[str, ...], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
