"""From numbers to a verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from twofold.diagnosis.checks import Check, Diagnosis, Findings, State, Threshold

ERRORS = 2.0
"""Standard errors by which a value has to be beyond a limit before that is said."""
ORDER: tuple[State, ...] = ("skipped", "pass", "warn", "fail")


def state_of(value: float, threshold: Threshold, error: float | None = None) -> State:
    """The state of a value that should be small.

    What is not finite fails. Noise alone decides nothing: a value counts less `ERRORS` of its errors, and where these
    are larger than the limit of failing, nothing can be said and the state is a warning.
    """
    if not math.isfinite(value):
        return "fail"
    slack = ERRORS * error if error is not None and math.isfinite(error) else 0.0
    if value - slack > threshold.fails:
        return "fail"
    if value - slack > threshold.passes:
        return "warn"
    return "warn" if slack > threshold.fails and value > threshold.passes else "pass"


def judged(
    key: str,
    name: str,
    value: float,
    threshold: Threshold,
    sentences: Mapping[str, str],
    error: float | None = None,
    unit: str = "",
) -> Check:
    """A check of a value that should be small. sentences: what each state means; that of "fail" also warns."""
    state = state_of(value, threshold, error)
    return Check(key, name, state, sentences.get(state, sentences["fail"]), float(value), error, unit, threshold)


def skipped(key: str, name: str, reason: str) -> Check:
    """A check that does not apply."""
    return Check(key, name, "skipped", reason)


def conclude(findings: Sequence[Findings]) -> Diagnosis:
    """The worst state of all, and a sentence that names what is wrong."""
    checks = [check for one in findings for check in one.checks]
    asked = [check for check in checks if check.state != "skipped"]
    places = [ORDER.index(check.state) for check in checks]
    state = ORDER[max(places, default=0)]
    if state == "skipped":
        return Diagnosis(tuple(findings), state, "Nothing could be checked.")
    if state == "pass":
        return Diagnosis(tuple(findings), state, f"The model passes all {len(asked)} checks.")
    parts = []
    for kind, single, many in (("fail", "fails", "fail"), ("warn", "is doubtful", "are doubtful")):
        names = [check.name for check in asked if check.state == kind]
        words = single if len(names) == 1 else many
        parts += [f"{len(names)} of {len(asked)} checks {words}: {', '.join(names)}"] if names else []
    return Diagnosis(tuple(findings), state, "; ".join(parts) + ".")
