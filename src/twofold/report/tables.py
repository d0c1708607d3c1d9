"""Tables: every metric beside its floor, averages of each set, settings."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from twofold.report.content import SET_NAMES, STATE_WORDS, Metric, Observable, ReportContent, Stability
from twofold.report.numerals import MISSING, is_number, number, plain, plus_minus, small_length, text

ICONS = {"agree": "✓", "close": "≈", "differ": "✗", "unknown": "–"}  # noqa: RUF001
COLUMNS = (
    ("Metric", "What is compared. Hover over or tap a name for its definition."),
    ("Sets", "The two sets of structures that are compared."),
    ("Value ± error", "The metric and its standard error from a block jackknife."),
    (
        "Floor",
        "The same metric for reference against reference with as many effective frames, n: what perfect agreement "
        "gives. Frames of a simulation follow each other; n is the number of independent frames that would leave as "
        "much noise in this metric.",
    ),
    (
        "Ratio",
        "Value divided by floor: 1 is perfect. The bar shows how much of the limit (upright mark) is used.",
    ),
    ("Verdict", "Agree: within the limit. Nearly: slightly beyond it. Differ: clearly beyond."),
)
AVERAGE_COLUMNS = (
    *COLUMNS[:3],
    ("Reference", "The same average over the reference, with its error."),
    ("Difference", "Value minus reference, with the error of the difference."),
    COLUMNS[5],
)


def state_mark(state: str) -> str:
    """Sign and word of a state; never colour alone."""
    return (
        f'<span class="state {escape(state, quote=True)}"><span aria-hidden="true">{ICONS.get(state, MISSING)}</span> '
        f"{escape(STATE_WORDS.get(state, state))}</span>"
    )


def set_name(key: str) -> str:
    return escape(SET_NAMES.get(key, key))


def _pair(metric: Metric) -> str:
    swatch = f'<i class="swatch {escape(metric.first, quote=True)}"></i>'
    return f"{swatch}{set_name(metric.first)} <small>vs</small> {set_name(metric.second)}"


def _amount(value: float | None, error: float | None, factor: float) -> str:
    if value is None:
        return MISSING
    return plus_minus(factor * value, None if error is None else factor * error)


def _floor(metric: Metric, factor: float) -> str:
    """The floor, or for an average the value of the reference."""
    if metric.reference is not None:
        return _amount(metric.reference, metric.reference_error, factor)
    if metric.floor is None:
        return MISSING
    size = "" if metric.n is None else f" <small>n = {plain(metric.n)}</small>"
    return number(factor * metric.floor) + size


def ratio_text(ratio: float | None) -> str:
    """Two decimals are all that a ratio deserves."""
    return f"{ratio:.2f}" if ratio is not None and is_number(ratio) and 0.1 <= abs(ratio) < 100 else number(ratio, 2)


def _ratio(metric: Metric, factor: float) -> str:
    """Value over floor with a bar that shows how much of the limit is used; for an average the difference."""
    if metric.reference is not None:
        if metric.excess is None:
            return MISSING
        sign = "+" if metric.excess > 0 else ""
        return f"{sign}{_amount(metric.excess, metric.excess_error, factor)}"
    used = _share_of_limit(metric)
    bar = ""
    if used is not None:
        share = min(max(used, 0.02), 1.5) / 1.5
        bar = f'<i class="bar {escape(metric.state, quote=True)}" style="--share:{share:.3f}"></i>'
    return f'<span class="ratio">{bar}{ratio_text(metric.ratio)}</span>'


def _share_of_limit(metric: Metric) -> float | None:
    if metric.limit is None or not metric.limit > 0:
        return None
    measured = metric.ratio if metric.limit >= 1 else metric.value
    return float(measured) / metric.limit if is_number(measured) and measured is not None else None


def grouped(items: Iterable[Any]) -> dict[str, list[Any]]:
    groups: dict[str, list[Any]] = {}
    for item in items:
        groups.setdefault(item.group, []).append(item)
    return groups


def metric_tables(metrics: Sequence[Metric]) -> str:
    """One foldable table a group; groups in which something differs are open."""
    if not metrics:
        return '<p class="missing">No metrics: nothing was compared.</p>'
    parts = []
    for place, (group, rows) in enumerate(grouped(metrics).items()):
        columns = AVERAGE_COLUMNS if all(row.reference is not None for row in rows) else COLUMNS
        head = "".join(
            f'<th scope="col"><abbr title="{escape(words, quote=True)}">{escape(title)}</abbr></th>'
            for title, words in columns
        )
        states = [row.state for row in rows]
        tally = " · ".join(
            f"{states.count(state)} {STATE_WORDS[state]}" for state in ICONS if state in states and state != "unknown"
        )
        opened = " open" if place == 0 or "differ" in states else ""
        body = "".join(_rows_of_one_name(found) for found in _by_name(rows).values())
        parts.append(
            f'<details class="group"{opened}><summary>{escape(group)} <small>{tally}</small></summary>'
            f'<div class="scroll"><table class="metrics"><thead><tr>{head}</tr></thead>{body}</table></div></details>'
        )
    return "".join(parts)


def _by_name(rows: Sequence[Any]) -> dict[str, list[Any]]:
    names: dict[str, list[Any]] = {}
    for row in rows:
        names.setdefault(row.name, []).append(row)
    return names


def _rows_of_one_name(rows: Sequence[Metric]) -> str:
    first, lines = rows[0], []
    help_text = f' title="{escape(first.help, quote=True)}" tabindex="0" class="help"' if first.help else ""
    factor, unit = small_length(first.unit, *(row.value for row in rows))
    unit = f" <small>{escape(unit)}</small>" if unit else ""
    name = f'<th scope="rowgroup" rowspan="{len(rows)}"><span{help_text}>{escape(first.name)}</span>{unit}</th>'
    for place, row in enumerate(rows):
        lines.append(
            f"<tr>{name if place == 0 else ''}<td>{_pair(row)}</td>"
            f'<td class="number">{_amount(row.value, row.error, factor)}</td>'
            f'<td class="number">{_floor(row, factor)}</td>'
            f'<td class="number">{_ratio(row, factor)}</td><td>{state_mark(row.state)}</td></tr>'
        )
    return f"<tbody>{''.join(lines)}</tbody>"


def _average(item: Observable) -> str:
    if item.error is None and is_number(item.value):
        value = float(item.value or 0)
        return plain(value) if value == int(value) else number(value, 5)
    return plus_minus(item.value, item.error)


def observable_tables(observables: Sequence[Observable]) -> str:
    """Averages: one row a quantity, one column a set."""
    parts = []
    for group, rows in grouped(observables).items():
        keys = [key for key in SET_NAMES if any(row.set == key for row in rows)]
        keys += sorted({row.set for row in rows} - set(keys))
        head = "".join(
            f'<th scope="col"><i class="swatch {escape(k, quote=True)}"></i>{set_name(k)}</th>' for k in keys
        )
        lines = []
        for name, found in _by_name(rows).items():
            table = {row.set: row for row in found}
            help_text = (
                f' title="{escape(found[0].help, quote=True)}" class="help" tabindex="0"' if found[0].help else ""
            )
            unit = f" <small>{escape(found[0].unit)}</small>" if found[0].unit else ""
            cells = "".join(f'<td class="number">{_average(table[k]) if k in table else MISSING}</td>' for k in keys)
            lines.append(f'<tr><th scope="row"><span{help_text}>{escape(name)}</span>{unit}</th>{cells}</tr>')
        parts.append(
            f'<details class="group"><summary>{escape(group[:1].upper() + group[1:])}'
            ' <small>averages of each set</small></summary><div class="scroll"><table class="rows"><thead><tr>'
            f'<th scope="col">Quantity</th>{head}</tr></thead>'
            f"<tbody>{''.join(lines)}</tbody></table></div></details>"
        )
    return "".join(parts)


def key_metrics(content: ReportContent, most: int = 6) -> str:
    """The few numbers beside the verdict: one small card a metric with a line for each pair of sets."""
    chosen = [metric for metric in content.metrics if metric.key and metric.reference is None]
    cards = []
    for name, rows in list(_by_name(chosen).items())[:most]:
        factor, unit = small_length(rows[0].unit, *(row.value for row in rows))
        lines = "".join(
            f"<li>{_short_pair(row)}<b>{_amount(row.value, row.error, factor)}</b>{_times_floor(row)}</li>"
            for row in rows
        )
        unit = f" <small>{escape(unit)}</small>" if unit else ""
        cards.append(f'<div class="card"><h3>{escape(name)}{unit}</h3><ul>{lines}</ul></div>')
    return f'<div class="cards">{"".join(cards)}</div>' if cards else ""


def _short_pair(metric: Metric) -> str:
    """The first set; the second as well unless it is the reference."""
    swatch = f'<i class="swatch {escape(metric.first, quote=True)}"></i>'
    if metric.second == "reference":
        return f"{swatch}<span>{set_name(metric.first)}</span>"
    both = f'<i class="swatch two-sets {escape(metric.first, quote=True)}"></i>'
    if (metric.first, metric.second) == ("samples", "simulation"):
        return f"{both}<span>each other</span>"
    return f"{both}<span>{set_name(metric.first)} and {set_name(metric.second)}</span>"


def _times_floor(metric: Metric) -> str:
    if not is_number(metric.ratio):
        return "<em></em>"
    return f'<em class="state {escape(metric.state, quote=True)}">{ratio_text(metric.ratio)} × floor</em>'  # noqa: RUF001


def _tile(value: Any) -> str:
    return (
        number(value)
        if isinstance(value, float) and is_number(value)
        else text(plain(value) if is_number(value) else value)
    )


def tiles(values: Mapping[str, Any]) -> str:
    """Numbers with their labels."""
    cells = "".join(
        f"<div><dt>{escape(str(label))}</dt><dd>{_tile(value)}</dd></div>" for label, value in values.items()
    )
    return f'<dl class="tiles">{cells}</dl>' if cells else ""


def stop_table(stability: Stability, names: Sequence[str], most: int = 50) -> str:
    """Replicas that were stopped: when, which beads and why."""
    if not stability.stops:
        return ""
    lines = []
    for stop in sorted(stability.stops, key=lambda item: item.time_ps)[:most]:
        beads = [f"{names[b]} ({b})" if isinstance(b, int) and 0 <= b < len(names) else str(b) for b in stop.beads]
        lines.append(
            f'<tr><td class="number">{stop.replica}</td><td class="number">{plain(round(stop.time_ps, 3))}</td>'
            f"<td>{text(beads)}</td><td>{text(stop.reason)}</td></tr>"
        )
    rest = len(stability.stops) - most
    more = f'<p class="missing">and {rest} more</p>' if rest > 0 else ""
    return (
        '<div class="scroll"><table><thead><tr><th>Replica</th><th>Stopped at (ps)</th><th>Beads</th><th>Reason</th>'
        f"</tr></thead><tbody>{''.join(lines)}</tbody></table></div>{more}"
    )


def definition_table(title: str, values: Mapping[str, Any]) -> str:
    """A fold with names and values; nested mappings are flattened with dots."""
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{text(value)}</td></tr>' for name, value in flatten(values)
    )
    if not rows:
        return ""
    return (
        f'<details class="group"><summary>{escape(title)}</summary><div class="scroll"><table class="plain">'
        f"<tbody>{rows}</tbody></table></div></details>"
    )


def flatten(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in values.items():
        label = f"{prefix}{name}"
        found += flatten(value, f"{label}.") if isinstance(value, Mapping) else [(label, value)]
    return found
