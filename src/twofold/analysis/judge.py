"""Judges sets of frames by one reference, whose values and floors are computed once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.analysis import comparison, verdict
from twofold.analysis.design import clusters_of
from twofold.analysis.draws import drawable
from twofold.analysis.kinetics import slowest_inefficiency
from twofold.analysis.levels import Level, levels_of
from twofold.analysis.metrics import joint_edges, joint_js
from twofold.analysis.motion import motion_of
from twofold.analysis.quantities import Observable, observables_of
from twofold.analysis.results import SetResult
from twofold.analysis.tallies import Part, means, widths
from twofold.analysis.uncertainty import block_groups, effective_size
from twofold.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold.analysis.comparison import Comparison, Estimate
    from twofold.analysis.frames import FrameSet, Reference
    from twofold.analysis.metrics import Metric

TICA_BINS = 40


class Judge:
    """Values and floors of the reference, computed once for all sets."""

    def __init__(self, reference: Reference, bins: int, seed: int, tica: bool | None) -> None:
        self.reference, self.seed = reference, seed
        self.beads = reference.held_out.beads
        self.notes: list[str] = []
        if reference.source == "halves":
            self.notes.append(
                "No training frames: every second block of the reference sets the floor, the rest judges."
            )
        self.observables = observables_of(self.beads, reference.other, bins) + self._tica(tica)
        self.levels = levels_of(self.beads, reference)
        self._seen: dict[Any, tuple[np.ndarray, np.ndarray, list[Metric]]] = {}
        self._parts: dict[Any, Part] = {}
        self._floors: dict[Any, Estimate] = {}
        self._worths: dict[Any, float] = {}

    def _tica(self, wanted: bool | None) -> list[Observable]:
        from twofold.analysis.tica import slow_coordinates

        if wanted is False or (wanted is None and len(self.beads) < 2):
            return []
        try:
            slow = slow_coordinates(self.beads, self.reference.other)
        except UserError as error:
            if wanted:
                raise
            self.notes.append(f"Slow coordinates (TICA) were left out. {error}")
            return []
        if slow.matrix.shape[1] < 2:
            return []

        def chosen(values: np.ndarray) -> list[Metric]:
            return [joint_js(joint_edges(values, TICA_BINS, periodic=False))]

        text = f"Two slowest coordinates of the reference, at a lag of {slow.lag} frames."
        return [Observable("TICA", "shape", ("TIC1", "TIC2"), slow.values, chosen, help=text)]

    def seen(self, observable: Observable) -> tuple[np.ndarray, np.ndarray, list[Metric]]:
        """Values of the held-out and the other part, and the metrics whose bins they fix."""
        if observable.name not in self._seen:
            one, other = (observable.values(part.positions) for part in (self.reference.held_out, self.reference.other))
            self._seen[observable.name] = one, other, list(observable.metrics(np.concatenate([one, other])))
        return self._seen[observable.name]

    def part(self, observable: Observable, metric: Metric, which: int) -> Part:
        place = (observable.name, metric.name, which)
        if place not in self._parts:
            part = (self.reference.held_out, self.reference.other)[which]
            held, other, _ = self.seen(observable)
            groups = block_groups(part.block, len(part))
            self._parts[place] = metric.part((held, other)[which], part.weights, groups)
        return self._parts[place]

    def floor(self, observable: Observable, metric: Metric, n: int, both: bool = False) -> Estimate:
        place = (observable.name, metric.name, n, both)
        if place not in self._floors:
            held, other = (self.part(observable, metric, which) for which in (0, 1))
            most = comparison.FLOOR_DRAWS
            self._floors[place] = comparison.estimate(
                metric.statistic, other, held, n, self.rng(), n if both else None, most
            )
        return self._floors[place]

    def rng(self) -> np.random.Generator:
        """The same draws for every metric, so that numbers of one set belong together."""
        return np.random.default_rng(self.seed)

    def set(self, name: str, one: FrameSet) -> SetResult:
        """All numbers of one set against the reference."""
        weights = one.all_weights()
        rows: list[Comparison] = []
        for observable in self.observables:
            rows += self._rows(observable, one)
        n = self.reference.size(drawable(weights))
        if one.moves:
            n = min((row.n for row in rows), default=n)
        rows += [self._level_row(level, one) for level in self.levels]
        rows += [verdict.judge_fault(comparison.counted_fault(name, *count)) for name, count in one.faults.items()]
        result = verdict.overall(name, "reference", rows)
        motion = motion_of(one, self.beads, self.reference.held_out) if one.moves else {}
        return SetResult(one.kind, len(one), effective_size(weights), n, tuple(rows), result, motion)

    def worth(self, observable: Observable, metric: Metric, one: FrameSet, values: np.ndarray, part: Part) -> float:
        """Independent frames that a set is worth for a metric: of independent ones, those that can be drawn."""
        drawn = drawable(one.all_weights())
        if not one.moves:
            return drawn
        place = (id(one), observable.name, metric.name)
        if place not in self._worths:
            clusters = clusters_of(one.replica, len(one), lambda: slowest_inefficiency(values, one.replica))
            # Kish's size is what `metric.worth` makes of independent frames; fewer of them can be drawn.
            share = drawn / effective_size(one.all_weights())
            self._worths[place] = min(float(drawn), max(1.0, share * metric.worth(part, clusters)))
        return self._worths[place]

    def _rows(self, observable: Observable, one: FrameSet) -> list[Comparison]:
        values = observable.values(one.positions)
        weights, groups = one.all_weights(), one.groups()
        *_, chosen = self.seen(observable)
        rows = []
        for metric in chosen:
            # The held-out part limits the size of histograms, whose noise it shares, but not that of means and widths.
            part = metric.part(values, weights, groups)
            worth = self.worth(observable, metric, one, values, part)
            most = drawable(self.reference.other.weights)
            n = min(int(worth), most) if metric.moments else self.reference.size(int(worth))
            size = comparison.draw_size(n, worth, drawable(weights))
            value = comparison.estimate(metric.statistic, part, self.part(observable, metric, 0), size, self.rng())
            row = _labelled(observable, metric, value, self.floor(observable, metric, n), n)
            if metric.name == "mean":
                row = replace(row, parts=_columns(observable.labels, part, self.part(observable, metric, 0)))
            rows.append(verdict.judge_distance(row))
        return rows

    def _level_row(self, level: Level, one: FrameSet) -> Comparison:
        part = Part(one.all_weights(), one.groups(), values=level.values(one.positions))
        labels = {"name": level.name, "group": level.group, "unit": level.unit, "key": level.key, "help": level.help}
        held, other = (self._level_part(level, which) for which in (0, 1))
        row = comparison.level(level.statistic, part, held, other, n=len(one), **labels)
        return verdict.judge_level(row, level.kind)

    def _level_part(self, level: Level, which: int) -> Part:
        if (level.name, which) not in self._parts:
            part = (self.reference.held_out, self.reference.other)[which]
            groups = block_groups(part.block, len(part))
            self._parts[level.name, which] = Part(part.weights, groups, values=level.values(part.positions))
        return self._parts[level.name, which]

    def pair(self, first: str, one: FrameSet, second: str, two: FrameSet) -> SetResult:
        """Two sets against each other, drawn to one size; the floor is the two parts of the reference drawn to it."""
        sizes = [drawable(s.all_weights()) for s in (one, two)]
        rows: list[Comparison] = []
        for observable in self.observables:
            rows += self._pair_rows(observable, one, two)
        n = min((row.n for row in rows), default=self.reference.size(min(sizes)))
        result = verdict.overall(first, second, rows)
        return SetResult("pair", len(one) + len(two), float(min(sizes)), n, tuple(rows), result)

    def _pair_rows(self, observable: Observable, one: FrameSet, two: FrameSet) -> list[Comparison]:
        _, _, chosen = self.seen(observable)
        sets = (one, two)
        values = [observable.values(s.positions) for s in sets]
        rows = []
        for metric in chosen:
            parts = [metric.part(v, s.all_weights(), s.groups()) for v, s in zip(values, sets, strict=True)]
            worths = [self.worth(observable, metric, s, v, p) for s, v, p in zip(sets, values, parts, strict=True)]
            n = self.reference.size(min(int(min(worths)), drawable(self.reference.held_out.weights)))
            a, b = (
                comparison.draw_size(n, worth, drawable(s.all_weights())) for worth, s in zip(worths, sets, strict=True)
            )
            value = comparison.estimate(metric.statistic, parts[0], parts[1], a, self.rng(), b)
            floor = self.floor(observable, metric, n, both=True)
            rows.append(verdict.judge_distance(_labelled(observable, metric, value, floor, n, shared=False)))
        return rows


def _labelled(
    observable: Observable, metric: Metric, value: Estimate, floor: Estimate, n: int, shared: bool = True
) -> Comparison:
    labels = {
        "name": f"{observable.name} {metric.name}",
        "group": observable.group,
        "n": n,
        "unit": metric.unit,
        "key": observable.key,
        "help": observable.help,
    }
    return comparison.distance(value, floor, shared=shared, **labels)


def _columns(labels: Sequence[str], part: Part, held_out: Part) -> dict[str, Any]:
    """Mean and width, with errors, of every column of the set and of the held-out reference, by label."""
    found: dict[str, dict[str, float]] = {label: {} for label in labels}
    for source, one in (("", part), ("reference_", held_out)):
        for name, statistic in (("mean", means), ("width", widths)):
            for label, value, error in zip(labels, *comparison.jackknifed(statistic, one), strict=True):
                found[label] |= {f"{source}{name}": float(value), f"{source}{name}_error": float(error)}
    return found
