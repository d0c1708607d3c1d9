"""What a report is made of. Plain data: nothing here computes, reads or draws.

Every part but the verdict and the beads may be missing; the page then says so or leaves the section out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from twofold.beads import Beads
from twofold.diagnosis.checks import Curve, Diagnosis

SetKey = Literal["reference", "samples", "simulation", "basin"]
State = Literal["agree", "close", "differ", "unknown"]

SET_NAMES: dict[str, str] = {
    "reference": "reference",
    "samples": "samples",
    "simulation": "simulation",
    "basin": "simulation from one basin",
}
STATE_WORDS: dict[str, str] = {
    "agree": "agree",
    "close": "nearly agree",
    "differ": "differ",
    "unknown": "not compared",
}


@dataclass(frozen=True)
class StructureSet:
    """Structures of one origin, thinned for drawing (some ten thousand frames are plenty).

    `key` gives colour and place: "reference", "samples", "simulation" (started from samples) or "basin" (a simulation
    whose replicas all started in one basin).
    """

    key: SetKey
    positions: np.ndarray
    """(frames, beads, 3) nm."""
    weights: np.ndarray | None = None
    """(frames,) >= 0, or None when all count the same."""
    trajectory: np.ndarray | None = None
    """(frames,) which trajectory or replica, frames in order of time; lets the viewer play one of them."""
    total_frames: int | None = None
    """How many frames the set had before thinning."""

    @property
    def name(self) -> str:
        return SET_NAMES[self.key]


@dataclass(frozen=True)
class Comparison:
    """One badge: two sets, whether they agree, and the reason in a few words."""

    first: SetKey
    second: SetKey
    state: State
    detail: str = ""


@dataclass(frozen=True)
class Metric:
    """One number that compares two sets, beside what perfect agreement would give."""

    group: str
    name: str
    first: str
    second: str
    value: float | None
    error: float | None = None
    floor: float | None = None
    ratio: float | None = None
    limit: float | None = None
    """The largest ratio, or value, that still counts as agreement: a value below 1, a ratio from 1 on."""
    state: State = "unknown"
    unit: str = ""
    help: str = ""
    key: bool = False
    """Shown beside the verdict."""
    reference: float | None = None
    """For an average (not a distance): that of the reference, shown in place of the floor."""
    reference_error: float | None = None
    excess: float | None = None
    excess_error: float | None = None
    n: int | None = None
    """Effective number of frames that the floor is computed at."""


@dataclass(frozen=True)
class Observable:
    """One average of one set with its error: the population of a basin, a mean bond, crossings of a barrier."""

    group: str
    name: str
    set: str
    value: float | None
    error: float | None = None
    unit: str = ""
    help: str = ""


@dataclass(frozen=True)
class SigmaScan:
    """Implicit score-matching loss on clean held-out frames over the noise level, and the level chosen."""

    sigma_nm: np.ndarray
    """(levels,) nm, or the chart's own unit (state it in `unit`)."""
    loss: np.ndarray
    """(levels,)."""
    chosen: float
    error: np.ndarray | None = None
    unit: str = "nm"
    overridden: bool = False


@dataclass(frozen=True)
class Stop:
    """A replica that was stopped."""

    replica: int
    time_ps: float
    beads: Sequence[str | int] = ()
    reason: str = ""


@dataclass(frozen=True)
class Stability:
    """How the simulation went: replicas, length of each (ps), and those that were stopped."""

    replicas: int
    length_ps: float
    stops: Sequence[Stop] = ()
    temperature_target: float | None = None
    temperature_kinetic: float | None = None
    temperature_kinetic_error: float | None = None
    temperature_configurational: float | None = None
    temperature_configurational_error: float | None = None


@dataclass(frozen=True)
class ReportContent:
    """Everything on the page. `write_report` turns it into one HTML file."""

    beads: Beads
    verdict: str
    """One plain sentence: do samples, simulation and reference agree?"""
    comparisons: Sequence[Comparison] = ()
    title: str = "twofold report"
    subtitle: str = ""
    temperature: float | None = None
    sets: Sequence[StructureSet] = ()
    metrics: Sequence[Metric] = ()
    observables: Sequence[Observable] = ()
    training: Sequence[Mapping[str, Any]] = ()
    """Rows of log.jsonl: `step`, `loss`, `validation` (may be absent or null in a row)."""
    kept: int | None = None
    """Step whose energy was kept; the loss curve marks it where it is not the last."""
    sigma_scan: SigmaScan | None = None
    stability: Stability | None = None
    speed: Mapping[str, Any] = field(default_factory=dict)
    """Label to number or text, shown as tiles in this order: {"replica-steps per second": 241000, ...}."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, Any] = field(default_factory=dict)
    seeds: Mapping[str, Any] = field(default_factory=dict)
    levels: Sequence[Any] = ()
    """Energies at several levels of noise (`report.energies.NoisedEnergy`), of a particle in an external potential."""
    residual: Curve | None = None
    """The Fokker-Planck residual over the levels of noise, of a system whose density is known."""
    diagnosis: Diagnosis | None = None
    """What `twofold diagnose` asked of the model."""
    notes: Sequence[str] = ()
    """Plain sentences under the verdict: what was left out, what to be careful about."""
    created: str = ""

    def set(self, key: str) -> StructureSet | None:
        """The set of that key with at least one frame, or None."""
        return next((item for item in self.sets if item.key == key and len(item.positions)), None)

    def drawn(self, *keys: str) -> Iterator[StructureSet]:
        """Those of the sets `keys` that are there, in that order."""
        for key in keys:
            found = self.set(key)
            if found is not None:
                yield found
