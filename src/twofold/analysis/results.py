"""What an evaluation found, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twofold.analysis.comparison import Comparison
    from twofold.analysis.verdict import Verdict


@dataclass(frozen=True)
class SetResult:
    """Everything about one set. rows: its numbers; motion: crossings and effective sizes of a simulation.

    effective_size: Kish's, by weight. n: the common size of draws; of a simulation or a pair the least over `rows`, of
    which each has its own.
    """

    kind: str
    frames: int
    effective_size: float
    n: int
    rows: tuple[Comparison, ...]
    verdict: Verdict
    motion: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        own = {"kind": self.kind, "frames": self.frames, "effective_size": self.effective_size, "n": self.n}
        rows = [row.to_dict() for row in self.rows]
        return own | {"verdict": self.verdict.to_dict(), "motion": self.motion, "quantities": rows}


@dataclass(frozen=True)
class Evaluation:
    """The result of `compare`. sets: by name; between: pairs of sets; about: how it was made."""

    sets: dict[str, SetResult]
    between: dict[tuple[str, str], SetResult]
    about: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        pairs = [{"first": a, "second": b} | result.to_dict() for (a, b), result in self.between.items()]
        return {"about": self.about, "sets": {name: s.to_dict() for name, s in self.sets.items()}, "between": pairs}
