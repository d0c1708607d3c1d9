"""The figures of the report: each function takes the content and returns a Figure, or None when its data is missing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from twofold.analysis.graph import chain_ends
from twofold.analysis.observables import angles, distances, radius_of_gyration
from twofold.report import maps, measures
from twofold.report.content import SET_NAMES, Observable, ReportContent, StructureSet
from twofold.report.svg import Plot, marker, shorten

COMPARED = ("reference", "samples", "simulation")
ALL_SETS = (*COMPARED, "basin")
SHAPES = {"reference": "square", "samples": "circle", "simulation": "diamond", "basin": "triangle"}
CONTOURS = (1.0, 3.0, 5.0)


@dataclass(frozen=True)
class Figure:
    """Panels (SVG), more of them behind a fold, the sets in the legend, and a caption (HTML)."""

    title: str
    panels: Sequence[str]
    caption: str
    legend: Sequence[str] = ()
    folded: Sequence[str] = ()
    kind: str = "panels"

    def html(self) -> str:
        more = ""
        if self.folded:
            more = (
                f'<details class="more"><summary>{sum("<svg" in panel for panel in self.folded)} more panels</summary>'
                f'<div class="{self.kind}">{"".join(self.folded)}</div></details>'
            )
        caption = f"<figcaption>{self.caption}</figcaption>" if self.caption else ""
        return (
            f"<figure><h3>{escape(self.title)}</h3>{legend(self.legend)}"
            f'<div class="{self.kind}">{"".join(self.panels)}</div>{more}{caption}</figure>'
        )


def legend(keys: Sequence[str]) -> str:
    """Swatches of the sets, drawn as they are in the plots."""
    items = []
    for key in keys:
        if key == "reference":
            mark = f'<rect class="area {key}" x="1" y="2" width="24" height="9"/><path class="line {key}" d="M1 2H25"/>'
        else:
            mark = f'<path class="line {key}" d="M1 7H25"/>'
            mark += marker(13, 7, key, SHAPES[key]) if key in SHAPES else ""
        items.append(f'<li><svg viewBox="0 0 26 14" aria-hidden="true">{mark}</svg>{escape(SET_NAMES[key])}</li>')
    return f'<ul class="legend">{"".join(items)}</ul>' if items else ""


def _effective_frames(item: StructureSet) -> float:
    """Frames, or Kish's effective number of them when weights differ."""
    if item.weights is None:
        return float(len(item.positions))
    weights = np.asarray(item.weights, float)
    return float(weights.sum() ** 2 / max((weights**2).sum(), 1e-300))


def torsion_maps(content: ReportContent) -> Figure | None:
    """Free energies over pairs of torsions: one row of maps a residue, the same colours everywhere."""
    pairs = measures.torsion_pairs(content.beads)
    sets = list(content.drawn(*ALL_SETS))
    if not pairs or not sets:
        return None
    frames = [len(item.positions) for item in sets]
    bins = maps.bins_for(min(frames))
    grids = [[maps.histogram(item.positions, item.weights, pair[3:], bins) for item in sets] for pair in pairs]
    energies = []
    for row in grids:
        first = maps.free_energy(row[0])
        energies.append([first, *(maps.free_energy(grid, first.zero) for grid in row[1:])])
    limit = maps.colour_limit([row[0].zero for row in energies], frames)
    rows = []
    for pair, grid, energy in zip(pairs, grids, energies, strict=True):
        with np.errstate(divide="ignore"):
            lines = maps.contour_lines(-np.log(maps.smooth(grid[0])) - energy[0].zero, CONTOURS)
        titles = [" · ".join(filter(None, (pair[0].strip(), item.name))) for item in sets]
        panels = zip(energy, titles, strict=True)
        rows.append([maps.map_panel(value, limit, title, pair[1:3], lines) for value, title in panels])
    backbone = "φ (degrees)" in pairs[0][1:3]
    shown = 3
    caption = (
        f"Minus the logarithm of the probability in kT, {bins} × {bins} bins, the same colours in every map; "  # noqa: RUF001
        f"grey where no frame fell or the free energy is above {limit:g} kT. Lines: the {escape(sets[0].name)} at "
        f"{', '.join(f'{level:g}' for level in CONTOURS)} kT, repeated in every map."
    )
    return Figure(
        "Ramachandran free energies" if backbone else "Free energies of neighbouring torsions",
        [panel for row in rows[:shown] for panel in row] + [maps.colour_bar(0, limit, "viridis", "free energy (kT)")],
        caption,
        folded=[panel for row in rows[shown:] for panel in row],
        kind=f"maps of{min(len(sets), 4)}",
    )


def difference_maps(content: ReportContent) -> Figure | None:
    """Where the free energies differ from the reference, and by how much."""
    reference, pairs = content.set("reference"), measures.torsion_pairs(content.beads)
    sets = list(content.drawn("samples", "simulation", "basin"))
    if reference is None or not pairs or not sets:
        return None
    effective, panels = _effective_frames(reference), list[list[str]]()
    for title, x, y, *pair in pairs:
        truth = maps.histogram(reference.positions, reference.weights, tuple(pair), maps.COARSE)
        panels.append([])
        for item in sets:
            grid = maps.histogram(item.positions, item.weights, tuple(pair), maps.COARSE)
            words = " · ".join(filter(None, (title.strip(), item.name)))
            panels[-1].append(maps.difference_panel(grid, truth, words, (x, y), effective))
    bound = maps.DIFFERENCE_LIMIT
    bar = maps.colour_bar(-bound, bound, "PuOr_r", "difference of free energy (kT)")
    words = (
        f"Free energy minus that of the reference, {maps.COARSE} × {maps.COARSE} bins, where the reference has at "  # noqa: RUF001
        "least five effective frames. White: equal. Orange: visited too rarely. Purple: visited too often. Scatter of "
        "single bins is counting noise; patches of one colour are not."
    )
    key = f'<div class="key">{bar}<p>{words}</p></div>'
    folded = [panel for row in panels[1:] for panel in ("<div></div>", *row)]
    columns = f"maps of{min(len(sets) + 1, 4)}"
    return Figure("Differences from the reference", [key, *panels[0]], "", folded=folded, kind=columns)


def _density_panel(
    sets: Sequence[StructureSet], measure: Callable[[np.ndarray], np.ndarray], title: str, label: str, bins: int = 70
) -> str:
    values = [np.asarray(measure(item.positions), float) for item in sets]
    pooled = np.concatenate([value[np.isfinite(value)].ravel() for value in values])
    if not pooled.size:
        return ""
    low, high = np.quantile(pooled, [0.0005, 0.9995])
    margin = max(0.12 * (high - low), 1e-4 * max(abs(high), 1e-3))
    edges = np.linspace(low - margin, high + margin, bins + 1)
    centres = (edges[1:] + edges[:-1]) / 2
    curves = [measures.weighted_density(v, s.weights, edges) for v, s in zip(values, sets, strict=True)]
    top = max(curve.max() for curve in curves) or 1.0
    names = ", ".join(item.name for item in sets)
    plot = Plot(
        (edges[0], edges[-1]), (0, top * 1.08), f"Distribution of {title}: {names}.", width=300, height=190,
        title=title, x_label=label, y_ticks=(), left=12, right=12,
    )  # fmt: skip
    for item, curve in zip(sets, curves, strict=True):
        if item.key == "reference":
            plot.area(centres, curve, item.key)
        plot.line(centres, curve, item.key)
    return plot.render()


def bond_distributions(content: ReportContent) -> Figure | None:
    """Bonds and angles: one panel a kind."""
    sets = list(content.drawn("reference", "samples", "simulation"))
    if not sets or not len(content.beads.bonds):
        return None
    panels = []
    for name, index in measures.bond_groups(content.beads).items():
        panels.append(_density_panel(sets, lambda x, i=index: distances(x, i), f"bond {name}", "nm"))
    bonds = len(panels)
    for name, index in measures.angle_groups(content.beads).items():
        panels.append(_density_panel(sets, lambda x, i=index: np.degrees(angles(x, i)), f"angle {name}", "degrees"))
    few = min(bonds, max(3, 6 - (len(panels) - bonds)))
    first = panels[:few] + panels[bonds : bonds + 6 - few]
    rest = panels[few:bonds] + panels[bonds + 6 - few :]
    caption = "Probability densities; bonds and angles of one kind (equal bead names) share a panel."
    if content.sigma_scan is not None:
        caption += " Frames of simulations were freed of the noise of σ* first."  # noqa: RUF001
    return Figure("Bonds and angles", first, caption, [item.key for item in sets], rest)


def size_distributions(content: ReportContent) -> Figure | None:
    """End-to-end distance, radius of gyration and the pool of far pairs."""
    sets, beads = list(content.drawn(*ALL_SETS)), content.beads
    if not sets or len(beads) < 3:
        return None
    panels, ends = [], chain_ends(beads)
    if ends is not None:
        first, last = (shorten(beads.names[bead], 8) for bead in ends)
        index = np.array([ends])
        panels.append(_density_panel(sets, lambda x: distances(x, index), f"end to end, {first} to {last}", "nm"))
    panels.append(_density_panel(sets, lambda x: radius_of_gyration(x, beads.masses), "radius of gyration", "nm"))
    soft = measures.soft_pairs(beads)
    if len(soft) > 1:
        panels.append(_density_panel(sets, lambda x: distances(x, soft), "pairs three or more bonds apart", "nm"))
    caption = "Probability densities. The radius of gyration is weighted by mass."
    return Figure("Size and shape", panels, caption, [item.key for item in sets])


def pair_parity(content: ReportContent) -> Figure | None:
    """Means and widths of all pair distances against the reference."""
    reference = content.set("reference")
    sets = list(content.drawn("samples", "simulation", "basin"))
    if reference is None or not sets or len(content.beads) < 3:
        return None
    pairs = np.stack(np.triu_indices(len(content.beads), 1), 1)
    if len(pairs) > 600:
        pairs = pairs[np.unique(np.linspace(0, len(pairs) - 1, 600).astype(int))]
    mean, width = _moments(reference, pairs)
    found = [(item, _moments(item, pairs)) for item in sets]
    across = (float(mean.min()) - 0.02, float(mean.max()) + 0.02)
    panels = []
    for title, label, values in (
        ("mean distance, model − reference", "pm", [(item, 1e3 * (own[0] - mean)) for item, own in found]),  # noqa: RUF001
        ("width, model / reference − 1", "%", [(item, 100 * (own[1] / width - 1)) for item, own in found]),  # noqa: RUF001
    ):
        low, high = (float(edge([edge(value) for _, value in values])) for edge in (np.min, np.max))
        margin = 0.12 * max(high, -low, high - low, 1e-3)
        plot = Plot(
            across, (min(low, 0.0) - margin, max(high, 0.0) + margin), f"{title} in {label}, for each pair of beads.",
            width=420, height=220, title=f"{title} ({label})", x_label="mean distance in the reference (nm)", grid=True,
        )  # fmt: skip
        plot.rule("rule strong", y=0)
        for item, value in values:
            plot.dots(mean, value, item.key, SHAPES[item.key], 3.0 if len(pairs) < 60 else 2.2)
        panels.append(plot.render())
    caption = (
        "Each mark is one pair of beads; on the zero line mean and standard deviation equal those of the reference."
    )
    return Figure("Pair distances", panels, caption, [item.key for item in sets], kind="panels wide")


def _moments(item: StructureSet, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values = distances(item.positions, pairs).astype(float)
    mean = np.average(values, axis=0, weights=item.weights)
    variance = np.average((values - mean) ** 2, axis=0, weights=item.weights)
    return mean, np.sqrt(np.maximum(variance, 1e-16))


def populations(content: ReportContent) -> Figure | None:
    """Averages of the group "populations" with error bars, one row a state."""
    rows: dict[str, dict[str, Observable]] = {}
    for item in content.observables:
        if item.group.lower() == "populations" and item.value is not None and np.isfinite(item.value):
            rows.setdefault(item.name, {})[item.set] = item
    if not rows:
        return None
    names = list(rows)
    panels = [_population_panel(name, rows[name]) for name in names]
    keys = [key for key in ALL_SETS if any(key in row for row in rows.values())]
    caption = "Share of (weighted) frames in each state; bars are one standard error from a block jackknife."
    return Figure("Populations", panels[:6], caption, keys, panels[6:], kind="panels rows")


def _population_panel(name: str, row: dict[str, Observable]) -> str:
    keys = [key for key in ALL_SETS if key in row]
    values = {key: (100 * float(row[key].value or 0), 100 * float(row[key].error or 0)) for key in keys}
    low = min(value - 1.6 * error for value, error in values.values())
    high = max(value + 1.6 * error for value, error in values.values())
    middle, half = (low + high) / 2, max((high - low) / 2, 0.06 * abs(high), 0.02)
    bottom = max(middle - 1.25 * half, 0.0) if low >= 0 else middle - 1.25 * half
    words = "; ".join(f"{SET_NAMES[key]} {values[key][0]:.2f} ± {values[key][1]:.2f} %" for key in keys)
    plot = Plot(
        (bottom, middle + 1.25 * half), (-0.6, len(keys) - 0.4), f"Population of {name}: {words}.", width=300,
        height=84 + 20 * len(keys), title=name, x_label="% of frames", y_ticks=(), left=12, right=14, grid=True,
    )  # fmt: skip
    if "reference" in values:
        centre, error = values["reference"]
        x = np.array([centre - error, centre + error])
        plot.area(x, np.full(2, len(keys) - 0.4), "reference", -0.6)
    for place, key in enumerate(reversed(keys)):
        value, error = values[key]
        plot.error_bar((value - error, value + error), (place, place), key)
        plot.dots(np.array([value]), np.array([place]), key, SHAPES[key], 4.2)
    return plot.render()
