"""The report: one self-contained HTML file, verdict first."""

from collections.abc import Callable
from html import escape
from pathlib import Path

from twofold.files.atomic import write_text
from twofold.report import curves, diagnosis, energies, figures, tables, viewer
from twofold.report.content import SET_NAMES, STATE_WORDS, Comparison, ReportContent, Stability
from twofold.report.document import document
from twofold.report.figures import Figure
from twofold.report.glossary import GLOSSARY
from twofold.report.numerals import plain, plus_minus

PAIRS = (("samples", "reference"), ("simulation", "reference"), ("samples", "simulation"))


def write_report(content: ReportContent, path: str | Path, *, overwrite: bool = False) -> None:
    """Writes the page to `path`, atomically. Raises UserError as `twofold.files.atomic` does."""
    write_text(path, render(content), overwrite=overwrite)


def render(content: ReportContent) -> str:
    """The page as text."""
    sections = [
        (name, short, title, body)
        for name, short, title, build in SECTIONS
        for body in [build(content)]
        if body
    ]  # fmt: skip
    viewers = any('id="structure-data"' in text for *_, text in sections)
    credit = " The 3D view is 3Dmol.js (BSD-3-Clause licence)." if viewers else ""
    return document(
        content.title, _head(content), sections, content.created, credit, viewer.scripts() if viewers else ""
    )


def _head(content: ReportContent) -> str:
    badges = {(item.first, item.second): item for item in content.comparisons}
    shown = [badges.pop(pair, Comparison(pair[0], pair[1], "unknown")) for pair in PAIRS]  # type: ignore[arg-type]
    shown += list(badges.values())
    notes = "".join(f"<li>{escape(note)}</li>" for note in content.notes)
    facts = [content.subtitle, "1 bead" if len(content.beads) == 1 else f"{len(content.beads)} beads"]
    if content.temperature:
        facts.append(f"{plain(content.temperature)} K")
    line = " · ".join(escape(fact) for fact in facts if fact)
    return (
        f'<header class="top"><h1>{escape(content.title)}</h1><p class="kicker">{line}</p>'
        f'<p class="verdict">{escape(content.verdict)}</p>'
        f'<ul class="badges">{"".join(map(_badge, shown))}</ul>'
        + (f'<ul class="notes">{notes}</ul>' if notes else "")
        + f"{tables.key_metrics(content)}</header>"
    )


def _badge(item: Comparison) -> str:
    def end(key: str) -> str:
        return f'<b><i class="swatch {escape(key, quote=True)}"></i>{escape(SET_NAMES.get(key, key))}</b>'

    word = STATE_WORDS.get(item.state, item.state)
    icon = tables.ICONS.get(item.state, "")
    return (
        f'<li class="{escape(item.state, quote=True)}">'
        f'<span class="pair">{end(item.first)} vs {end(item.second)}</span>'
        f'<span class="word"><span aria-hidden="true">{icon}</span> {escape(word)}</span>'
        f"<p>{escape(item.detail)}</p></li>"
    )


def _join(*parts: Figure | None) -> str:
    return "".join(part.html() for part in parts if part is not None)


def _conformations(content: ReportContent) -> str:
    return _join(
        energies.density_figure(content),
        energies.energy_figure(content.levels),
        diagnosis.figure(content.residual) if content.residual is not None else None,
        figures.torsion_maps(content),
        figures.difference_maps(content),
        figures.populations(content),
    )


def _geometry(content: ReportContent) -> str:
    size = figures.size_distributions(content)
    three = size.html().replace("<figure>", '<figure class="three">', 1) if size is not None else ""
    return _join(figures.bond_distributions(content)) + three + _join(figures.pair_parity(content))


def _structures(content: ReportContent) -> str:
    if len(content.beads) < 2:
        return ""
    words = "Each structure is laid over one common frame. A simulation shows one replica in order of time."
    return f'<p class="lead">{words}</p>' + viewer.viewer_html(content)


def _numbers(content: ReportContent) -> str:
    lead = '<p class="lead">Every metric with its error, beside what perfect agreement would give (floor).</p>'
    covered = {metric.group.lower() for metric in content.metrics}
    averages = [item for item in content.observables if item.group.lower() not in covered]
    return lead + tables.metric_tables(content.metrics) + tables.observable_tables(averages)


def _training(content: ReportContent) -> str:
    both = _join(curves.training_curve(content), curves.sigma_curve(content.sigma_scan))
    return f'<div class="two">{both}</div>' if both else ""


def _running(content: ReportContent) -> str:
    parts = []
    if content.stability is not None:
        parts.append(f'<p class="lead">{_stability_sentence(content.stability)}</p>')
    values = dict(content.speed)
    if content.stability is not None:
        values.update(_temperatures(content.stability))
    parts.append(tables.tiles(values))
    if content.stability is not None:
        parts.append(tables.stop_table(content.stability, content.beads.names))
    return "".join(parts)


def _stability_sentence(stability: Stability) -> str:
    stopped, length = len(stability.stops), f"{plain(stability.length_ps)} ps"
    if not stopped:
        return f"All {stability.replicas} replicas ran to the end, {length} each."
    return (
        f"{stopped} of {stability.replicas} replicas {'was' if stopped == 1 else 'were'} stopped before {length}; "
        "their last good frames are kept and counted."
    )


def _temperatures(stability: Stability) -> dict[str, str]:
    found = {}
    for label, value, error in (
        ("kinetic temperature (K)", stability.temperature_kinetic, stability.temperature_kinetic_error),
        (
            "configurational temperature (K)",
            stability.temperature_configurational,
            stability.temperature_configurational_error,
        ),
    ):
        if value is not None:
            found[label] = plus_minus(value, error)
    if found and stability.temperature_target is not None:
        found["thermostat (K)"] = plain(stability.temperature_target)
    return found


def _diagnosis(content: ReportContent) -> str:
    return diagnosis.summary(content.diagnosis) if content.diagnosis is not None else ""


def _details(content: ReportContent) -> str:
    sets = {
        item.name: f"{plain(item.total_frames or len(item.positions))} frames"
        + (
            ""
            if not item.total_frames or item.total_frames == len(item.positions)
            else f", {plain(len(item.positions))} drawn"
        )
        for item in content.sets
    }
    return "".join(
        tables.definition_table(title, values)
        for title, values in (
            ("Settings", content.settings),
            ("Versions", content.versions),
            ("Seeds", content.seeds),
            ("Structures", sets),
        )
    )


def _glossary(_: ReportContent) -> str:
    rows = "".join(f"<dt>{escape(word)}</dt><dd>{escape(meaning)}</dd>" for word, meaning in GLOSSARY)
    return f'<dl class="glossary">{rows}</dl>'


SECTIONS: tuple[tuple[str, str, str, Callable[[ReportContent], str]], ...] = (
    ("conformations", "Conformations", "Conformations", _conformations),
    ("structures", "Structures", "Structures", _structures),
    ("geometry", "Geometry", "Geometry", _geometry),
    ("numbers", "All numbers", "All numbers", _numbers),
    ("training", "Training", "Training and noise level", _training),
    ("running", "Speed and stability", "Speed and stability", _running),
    ("diagnosis", "Diagnosis", "Is the model sound?", _diagnosis),
    ("details", "Settings", "Settings, versions, seeds", _details),
    ("glossary", "Glossary", "What the numbers mean", _glossary),
)
