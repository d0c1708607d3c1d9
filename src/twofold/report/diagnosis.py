"""The page of a diagnosis: what was asked of the model, what it answered, and the curves behind the answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from itertools import cycle, pairwise
from pathlib import Path

import numpy as np

from twofold.diagnosis.checks import Check, Curve, Diagnosis, Line, Table
from twofold.files.atomic import write_text
from twofold.report.document import Section, document
from twofold.report.figures import Figure
from twofold.report.numerals import MISSING, is_number, number, plus_minus
from twofold.report.svg import Plot, log_ticks, marker

GROUPS = {
    "symmetry": ("Symmetry", "Symmetry and conservation", "What must not change, and what must."),
    "diffusion": ("Diffusion", "Diffusion", "Whether all levels of noise are of one density."),
    "basins": ("Basins", "Weights of basins", "Whether what is drawn and what is simulated weigh basins alike."),
    "timestep": ("Time step", "Time step", "How long a step the force field bears."),
    "noise": ("Noise level", "Noise level", "Whether the force field is taken at a good level of noise."),
    "kinetics": ("Rates", "Rates", "Whether replicas move at the rates of the reference."),
}
STATES = {"pass": "agree", "warn": "close", "fail": "differ", "skipped": "unknown"}
"""Classes of the style sheet."""
WORDS = {"pass": "pass", "warn": "doubtful", "fail": "fail", "skipped": "not judged"}
ICONS = {"pass": "✓", "warn": "≈", "fail": "✗", "skipped": MISSING}
KINDS = ("samples", "simulation", "basin")
SHAPES = {"samples": "circle", "simulation": "diamond", "basin": "triangle"}
"""Colours and shapes of the lines of a plot, in this order."""
ORDER = ("fail", "warn", "pass", "skipped")


def write_diagnosis(
    diagnosis: Diagnosis,
    path: str | Path,
    *,
    title: str = "twofold diagnosis",
    facts: Sequence[str] = (),
    created: str = "",
    overwrite: bool = False,
) -> None:
    """Writes the page to `path`, atomically. Raises UserError as `twofold.files.atomic` does."""
    write_text(path, render_diagnosis(diagnosis, title, facts, created), overwrite=overwrite)


def render_diagnosis(
    diagnosis: Diagnosis, title: str = "twofold diagnosis", facts: Sequence[str] = (), created: str = ""
) -> str:
    """The page as text. facts: a few words about the model, shown beside the title."""
    sections: list[Section] = []
    for group, (short, name, lead) in GROUPS.items():
        body = section(diagnosis, group)
        if body:
            sections.append((group, short, name, f'<p class="lead">{escape(lead)}</p>{body}'))
    return document(title, _head(diagnosis, title, facts), sections, created)


def section(diagnosis: Diagnosis, group: str) -> str:
    """Table and figures of one group, empty where nothing was asked; fits into any page with the style sheet."""
    checks = [check for check in diagnosis.checks if check.group == group]
    figures = [figure(curve).html() for curve in diagnosis.curves if curve.key.split(".")[0] == group]
    notes = [note for one in diagnosis.findings if any(c.group == group for c in one.checks) for note in one.notes]
    if not checks:
        return ""
    tables = [number_table(table).html() for table in diagnosis.tables if table.key.split(".")[0] == group]
    words = "".join(f'<p class="hint">{escape(note)}</p>' for note in notes)
    drawn = "".join(f'<div class="two">{"".join(parts)}</div>' for parts in (figures, tables) if parts)
    return check_table(checks) + words + drawn


def summary(diagnosis: Diagnosis) -> str:
    """All groups below one another, as a section of another page."""
    found = [(group, section(diagnosis, group)) for group in GROUPS]
    parts = [f"<h3>{escape(GROUPS[group][1])}</h3>{body}" for group, body in found if body]
    return f'<p class="lead">{escape(diagnosis.sentence)}</p>' + "".join(parts)


def _head(diagnosis: Diagnosis, title: str, facts: Sequence[str]) -> str:
    line = " · ".join(escape(fact) for fact in facts if fact)
    badges = "".join(
        _badge(short, [check for check in diagnosis.checks if check.group == group])
        for group, (short, _, _) in GROUPS.items()
        if any(check.group == group for check in diagnosis.checks)
    )
    return (
        f'<header class="top"><h1>{escape(title)}</h1><p class="kicker">{line}</p>'
        f'<p class="verdict">{escape(diagnosis.sentence)}</p><ul class="badges">{badges}</ul></header>'
    )


def _badge(name: str, checks: Sequence[Check]) -> str:
    """The worst check of a group."""
    worst = min(checks, key=lambda check: ORDER.index(check.state))
    state = worst.state
    passed = sum(check.state == "pass" for check in checks)
    asked = sum(check.state != "skipped" for check in checks)
    words = worst.sentence if state in ("warn", "fail") or not asked else f"{passed} of {asked} checks pass."
    return (
        f'<li class="{STATES[state]}"><span class="pair"><b>{escape(name)}</b></span>'
        f'<span class="word"><span aria-hidden="true">{ICONS[state]}</span> {WORDS[state]}</span>'
        f"<p>{escape(words)}</p></li>"
    )


def check_table(checks: Sequence[Check]) -> str:
    """One row a check: name, value with error, limits with their source, verdict, and what it means."""
    rows = "".join(_row(check) for check in checks)
    head = "".join(f'<th scope="col">{name}</th>' for name in ("Check", "Value ± error", "Limits", "Verdict", ""))
    return f'<div class="scroll"><table class="rows"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _row(check: Check) -> str:
    unit = f" <small>{escape(check.unit)}</small>" if check.unit and check.value is not None else ""
    value = plus_minus(check.value, check.error) + unit if is_number(check.value) else MISSING
    limits = MISSING
    if check.threshold is not None:
        low, high, source = check.threshold.passes, check.threshold.fails, escape(check.threshold.source, quote=True)
        limits = f'<abbr class="help" title="{source}">{number(low)} · {number(high)}</abbr>'
    mark = (
        f'<span class="state {STATES[check.state]}"><span aria-hidden="true">{ICONS[check.state]}</span> '
        f"{WORDS[check.state]}</span>"
    )
    return (
        f'<tr><th scope="row">{escape(check.name)}</th><td class="number">{value}</td><td class="number">{limits}</td>'
        f'<td>{mark}</td><td style="white-space:normal">{escape(check.sentence)}</td></tr>'
    )


def number_table(table: Table) -> Figure:
    """Values with their errors, and what rows and columns are."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in ("", *table.columns))
    rows = "".join(
        f'<tr><th scope="row" style="min-width:0">{escape(name)}</th>'
        + "".join(f'<td class="number">{plus_minus(*pair)}</td>' for pair in zip(values, errors, strict=True))
        + "</tr>"
        for name, values, errors in zip(table.rows, table.values, table.errors, strict=True)
    )
    body = f'<table class="rows"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    title = f"{table.title}, {table.unit}" if table.unit else table.title
    return Figure(title, [f'<div class="scroll">{body}</div>'], escape(table.caption), kind="single")


def figure(curve: Curve) -> Figure:
    """A curve as a figure with its legend."""
    lines = [_cleaned(line, curve) for line in curve.lines]
    lines = [line for line in lines if len(line.x)]
    if not lines:
        missing = '<p class="missing">Nothing to draw: no value is finite.</p>'
        return Figure(curve.title, [missing], escape(curve.caption), kind="single")
    plot = _axes(curve, lines)
    for line, kind in zip(lines, cycle(KINDS), strict=False):
        if line.error is not None:
            for x, y, e in zip(line.x, line.y, line.error, strict=True):
                plot.error_bar((x, x), (y - e, y + e), f"{kind} faint")
        plot.line(line.x, line.y, kind)
        plot.dots(line.x, line.y, kind, SHAPES[kind], 2.6)
    low, high = plot.y
    for place, (name, value) in enumerate(curve.rules.items()):
        if plot.x[0] <= value <= plot.x[1]:
            plot.rule("rule chosen" if not place else "rule", x=value)
            plot.note(
                value, high - (0.07 + 0.08 * place) * (high - low), f" {name}", kind="chosen" if not place else ""
            )
    return Figure(curve.title, [_legend(lines), plot.render("broad")], escape(curve.caption), kind="single")


def _legend(lines: Sequence[Line]) -> str:
    if len(lines) < 2:
        return ""
    items = (
        f'<li><svg viewBox="0 0 26 14" aria-hidden="true"><path class="line {kind}" d="M1 7H25"/>'
        f"{marker(13, 7, kind, SHAPES[kind])}</svg>{escape(line.name)}</li>"
        for line, kind in zip(lines, cycle(KINDS), strict=False)
    )
    return f'<ul class="legend">{"".join(items)}</ul>'


def _cleaned(line: Line, curve: Curve) -> Line:
    """Only what can be drawn; logarithms where the axis is one, since a plot has none upwards."""
    x, y = np.asarray(line.x, float), np.asarray(line.y, float)
    error = None if line.error is None else np.nan_to_num(np.asarray(line.error, float))
    good = np.isfinite(x) & np.isfinite(y) & ((x > 0) | (not curve.log_x)) & ((y > 0) | (not curve.log_y))
    x, y = x[good], y[good]
    error = None if error is None else error[good]
    if curve.log_y:
        error = None if error is None else error / np.maximum(y, 1e-300) / math.log(10)
        y = np.log10(y)
    return Line(line.name, x, y, error)


def _axes(curve: Curve, lines: Sequence[Line]) -> Plot:
    x = np.concatenate([line.x for line in lines] + [np.array(list(curve.rules.values()), float)])
    y = np.concatenate([line.y for line in lines])
    reach = np.concatenate([np.zeros(len(line.y)) if line.error is None else line.error for line in lines])
    # one wild point must not flatten all others
    low, high = float(np.min(y - reach)), float(np.max(y + reach))
    if not curve.log_y and len(y) > 4:
        middle, spread = float(np.median(y)), 8 * float(np.median(np.abs(y - np.median(y)))) + 1e-9
        low, high = max(low, middle - spread), min(high, middle + spread)
    margin = 0.08 * (high - low) or 0.1
    left, right = (x.min() / 1.15, x.max() * 1.15) if curve.log_x else (x.min() - 0.3, x.max() + 0.3)
    ticks = None
    labels = None
    if curve.log_y:
        span = (10 ** (low - margin), 10 ** (high + margin))
        values = log_ticks(*span)
        values = values if len(values) > 1 else [float(f"{10**v:.1g}") for v in np.linspace(low, high, 3)]
        values = [a for a, b in pairwise([*values, math.inf]) if a != b]
        ticks, labels = [math.log10(value) for value in values], [number(value, 2) for value in values]
    name = f"{curve.title}: {curve.y_label} over {curve.x_label}."
    return Plot(
        (float(left), float(right)), (low - margin, high + margin), name,
        width=480, height=260, log_x=curve.log_x, x_label=curve.x_label, y_label=curve.y_label, y_ticks=ticks,
        y_tick_labels=labels, grid=True, left=62, right=16,
    )  # fmt: skip
