"""From evaluations and simulation summaries (as dictionaries) to the parts of the page."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from twofold.report.content import SET_NAMES, Comparison, Metric, Observable, Stability, Stop

GREEK = {"phi": "φ", "psi": "ψ", "omega": "ω"}
GROUPS = {
    "torsions": "Torsions",
    "geometry": "Bonds and angles",
    "shape": "Size and shape",
    "populations": "Populations",
    "free energies": "Free energies of basins",
    "faults": "Handedness, cis bonds, clashes",
}


@dataclass(frozen=True)
class Judged:
    """Parts of a `ReportContent` that come from an evaluation: pass them on with `**vars(judged)`."""

    verdict: str
    comparisons: tuple[Comparison, ...]
    metrics: tuple[Metric, ...]
    observables: tuple[Observable, ...]
    notes: tuple[str, ...]


def judged(evaluation: Any) -> Judged:
    """Reads `twofold.analysis.Evaluation`, or its `to_dict()` (what metrics.json holds)."""
    table: Mapping[str, Any] = evaluation if isinstance(evaluation, Mapping) else evaluation.to_dict()
    results = [(name, "reference", result) for name, result in table.get("sets", {}).items()]
    results += [(result["first"], result["second"], result) for result in table.get("between", ())]
    comparisons = tuple(_comparison(first, second, result) for first, second, result in results)
    metrics = tuple(_metric(first, second, row) for first, second, result in results for row in result["quantities"])
    observables = (*_populations(table), *_columns(table), *_motion(table))
    notes = tuple(str(note) for note in table.get("about", {}).get("notes", ()))
    return Judged(sentence(comparisons), comparisons, metrics, observables, notes)


def sentence(comparisons: Iterable[Comparison]) -> str:
    """One plain sentence over the three comparisons of samples, simulation and reference."""
    states = {(item.first, item.second): item.state for item in comparisons if item.state != "unknown"}
    three = [
        states.get(pair) for pair in (("samples", "reference"), ("simulation", "reference"), ("samples", "simulation"))
    ]
    if all(state == "agree" for state in three):
        return "Samples, simulation and reference agree."
    parts = [
        f"the {SET_NAMES[key]} {_clause(key, states[key, 'reference'])}"
        for key in SET_NAMES
        if (key, "reference") in states
    ]
    if not parts:
        return "Nothing was compared with the reference."
    between = three[2]
    if between is not None:
        word = {"agree": "agree", "close": "nearly agree", "differ": "differ"}[between]
        parts.append(f"samples and simulation {word} {'from' if between == 'differ' else 'with'} each other")
    text = ", and ".join(filter(None, ("; ".join(parts[:-1]), parts[-1]))) if len(parts) < 3 else "; ".join(parts)
    return text[:1].upper() + text[1:] + "."


def _clause(key: str, state: str) -> str:
    """What a set does, with the verb in its number: samples are many, a simulation is one."""
    verb = {"agree": "agree", "close": "nearly agree", "differ": "differ"}[state] + ("" if key == "samples" else "s")
    return f"{verb} {'from' if state == 'differ' else 'with'} the reference"


def _comparison(first: str, second: str, result: Mapping[str, Any]) -> Comparison:
    verdict = result["verdict"]
    detail = str(verdict.get("text", "")).partition(": ")[2]
    return Comparison(first, second, verdict["state"], pretty(detail[:1].upper() + detail[1:]))  # type: ignore[arg-type]


def pretty(words: str) -> str:
    """Greek letters for the names of torsions."""
    return re.sub(r"\b(phi|psi|omega)\b", lambda match: GREEK[match[0]], words)


def titled(words: str) -> str:
    """With a capital, unless it starts with a Greek letter."""
    words = pretty(words)
    return words[:1].upper() + words[1:] if words[:1].isascii() else words


def _metric(first: str, second: str, row: Mapping[str, Any]) -> Metric:
    level = row["kind"] == "level"
    percent = level and not row.get("unit")
    factor = 100.0 if percent else 1.0

    def scaled(name: str) -> float | None:
        return None if row[name] is None else factor * row[name]

    help_text = str(row.get("help") or "")
    return Metric(
        group=GROUPS.get(row["group"], str(row["group"])),
        name=titled(row["name"]),
        first=first,
        second=second,
        value=scaled("value"),
        error=scaled("error"),
        floor=scaled("floor"),
        ratio=None if level else row["ratio"],
        limit=row["limit"],
        state=row["state"],
        unit="%" if percent else row.get("unit") or "",
        help=pretty(help_text),
        key=bool(row.get("key")),
        reference=scaled("reference") if level else None,
        reference_error=scaled("reference_error") if level else None,
        excess=scaled("excess"),
        excess_error=scaled("excess_error"),
        n=None if level else row.get("n"),
    )


def _populations(table: Mapping[str, Any]) -> list[Observable]:
    """Populations of every set and of the reference, for the figure."""
    found: dict[tuple[str, str], Observable] = {}
    for name, result in table.get("sets", {}).items():
        for row in result["quantities"]:
            if row["group"] != "populations":
                continue
            label = pretty(row["name"].removeprefix("population of "))
            for key, value, error in (("reference", "reference", "reference_error"), (name, "value", "error")):
                found[label, key] = Observable(
                    "populations", label, key, row[value], row[error], help=row.get("help") or ""
                )
    return list(found.values())


def _columns(table: Mapping[str, Any]) -> list[Observable]:
    """Means and widths of single bonds and angles."""
    found: dict[tuple[str, str, str], Observable] = {}
    for name, result in table.get("sets", {}).items():
        for row in result["quantities"]:
            for label, numbers in (row.get("parts") or {}).items():
                for kind in ("mean", "width"):
                    group = f"{row['name'].split()[0]}, one by one: {kind}"
                    unit = row.get("unit") or ""
                    for key, entry in (("reference", f"reference_{kind}"), (name, kind)):
                        found[group, label, key] = Observable(
                            group, label, key, numbers[entry], numbers.get(f"{entry}_error"), unit
                        )
    return list(found.values())


def _motion(table: Mapping[str, Any]) -> list[Observable]:
    """Crossings and effective size of simulations."""
    found = []
    for name, result in table.get("sets", {}).items():
        found.append(Observable("sizes", "frames", name, result.get("frames")))
        found.append(Observable("sizes", "effective frames by weight", name, result.get("effective_size")))
        motion = result.get("motion") or {}
        for label, crossed in (motion.get("crossings") or {}).items():
            words = f"Passages between the cores of two basins ({_basins(label)}), counted within replicas."
            number = Observable("motion", f"crossings of {pretty(label)}", name, crossed["total"], crossed.get("error"))
            found.append(replace(number, help=words))
            found.append(Observable("motion", f"replicas that crossed, {pretty(label)}", name, crossed["replicas"]))
        if "independent_frames" in motion:
            slowest = pretty(motion["slowest"])
            words = f"Frames divided by the statistical inefficiency of the slowest observable ({slowest})."
            found.append(Observable("motion", "independent frames", name, motion["independent_frames"], help=words))
    return found


def _basins(label: str) -> str:
    return "φ < 0 and φ > 0" if label.startswith("phi") else "the two that the torsion has in the reference"


def simulated(summary: Any) -> tuple[Stability, dict[str, Any]]:
    """Stability and speed tiles from `twofold.simulation.Summary`, or its `to_dict()`."""
    table: Mapping[str, Any] = summary if isinstance(summary, Mapping) else summary.to_dict()
    heat, speed = table["temperatures"], table["speed"]
    stops = [Stop(s["replica"], s["time_ps"], s["names"] or s["beads"], s["reason"]) for s in table["stops"]]
    stability = Stability(
        replicas=table["replicas"],
        length_ps=table["length_ps"],
        stops=stops,
        temperature_target=table["temperature"],
        temperature_kinetic=heat["kinetic"],
        temperature_kinetic_error=heat["kinetic_error"],
        temperature_configurational=heat["configurational"],
        temperature_configurational_error=heat["configurational_error"],
    )
    tiles = {
        "replica-steps per second": float(speed["rate"]),
        "ns per day, all replicas": float(speed["ns_per_day"]),
        "ns in all": table["replicas"] * table["length_ps"] / 1000,
        "time step (fs)": table["timestep"]["timestep_fs"],
        "peak memory (MB)": float(table["peak_memory_mb"]),
    }
    return stability, tiles
