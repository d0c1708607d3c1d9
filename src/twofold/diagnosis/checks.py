"""What a diagnosis is made of. Plain data: nothing here computes, reads or draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

State = Literal["pass", "warn", "fail", "skipped"]


@dataclass(frozen=True)
class Threshold:
    """Up to `passes` a value passes, beyond `fails` it fails, in between it is worth a warning. source: why there."""

    passes: float
    fails: float
    source: str


@dataclass(frozen=True)
class Check:
    """One question put to a model, and the answer.

    key: "group.name", unique. value, error: with its standard error where it has one, in `unit`. sentence: the answer
    in plain words.
    """

    key: str
    name: str
    state: State
    sentence: str
    value: float | None = None
    error: float | None = None
    unit: str = ""
    threshold: Threshold | None = None

    @property
    def group(self) -> str:
        """The part of the diagnosis that it belongs to."""
        return self.key.split(".")[0]


@dataclass(frozen=True)
class Line:
    """One line of a curve: y over x, with standard errors where there are any."""

    name: str
    x: np.ndarray
    y: np.ndarray
    error: np.ndarray | None = None


@dataclass(frozen=True)
class Curve:
    """What a check was read from. rules: upright marks, by name, as the value that is in use."""

    key: str
    title: str
    x_label: str
    y_label: str
    lines: tuple[Line, ...]
    caption: str = ""
    log_x: bool = False
    log_y: bool = False
    rules: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """Numbers that a check was read from: values and standard errors (rows, columns), in `unit`."""

    key: str
    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: np.ndarray
    errors: np.ndarray
    unit: str = ""
    caption: str = ""


@dataclass(frozen=True)
class Findings:
    """The checks of one kind, the curves behind them, plain remarks, and tables of numbers."""

    checks: tuple[Check, ...] = ()
    curves: tuple[Curve, ...] = ()
    notes: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True)
class Diagnosis:
    """All findings in the order they were made, the worst state among them and what it means in one sentence."""

    findings: tuple[Findings, ...]
    state: State
    sentence: str

    @property
    def checks(self) -> tuple[Check, ...]:
        return tuple(check for one in self.findings for check in one.checks)

    @property
    def curves(self) -> tuple[Curve, ...]:
        return tuple(curve for one in self.findings for curve in one.curves)

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(note for one in self.findings for note in one.notes)

    @property
    def tables(self) -> tuple[Table, ...]:
        return tuple(table for one in self.findings for table in one.tables)

    def check(self, key: str) -> Check:
        """The check `key`. Raises KeyError."""
        return {check.key: check for check in self.checks}[key]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, apart from numbers that are not finite."""
        return {
            "state": self.state,
            "sentence": self.sentence,
            "checks": [asdict(check) for check in self.checks],
            "curves": [_lists(asdict(curve)) for curve in self.curves],
            "notes": list(self.notes),
            "tables": [_lists(asdict(table)) for table in self.tables],
        }


def _lists(content: Any) -> Any:
    """Arrays as lists."""
    if isinstance(content, dict):
        return {name: _lists(value) for name, value in content.items()}
    if isinstance(content, Sequence) and not isinstance(content, str):
        return [_lists(value) for value in content]
    return content.tolist() if isinstance(content, np.ndarray) else content
