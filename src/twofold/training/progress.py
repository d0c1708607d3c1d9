"""What a fit tells while it runs, and that it was asked to stop."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FitProgress:
    """How far a fit is: steps done and in all, loss, updates a second and seconds left; what is going on, in words.

    note: what was found out, to be kept in sight.
    """

    stage: str
    step: int = 0
    steps: int = 0
    loss: float = float("nan")
    validation: float = float("nan")
    rate: float = 0.0
    note: str = ""


class Interrupted(Exception):
    """The fit was asked to stop; a checkpoint holds everything."""


def silent(progress: FitProgress) -> None:
    del progress
