"""One wide picture for a README or a slide: the free energies of reference, samples and simulation in a row."""

from pathlib import Path
from typing import Any

import numpy as np

from twofold.errors import UserError
from twofold.files.atomic import atomic_path
from twofold.report import maps, measures
from twofold.report.content import ReportContent

FORMATS = (".png", ".svg", ".pdf")
INK = "#1d2126"


def write_summary_figure(
    content: ReportContent, path: str | Path, *, pair: int = 0, dpi: int = 160, overwrite: bool = False
) -> None:
    """Draws the free energy over the torsions `pair` of each set, the same colours everywhere, into a PNG, SVG or PDF.

    Raises UserError for another kind of file, or when there is no pair of torsions or no set to draw.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise UserError(f"figure file {path.name}", f"a name that ends in one of {', '.join(FORMATS)}")
    pairs = measures.torsion_pairs(content.beads)
    sets = list(content.drawn("reference", "samples", "simulation"))
    if pair >= len(pairs) or not sets:
        raise UserError("nothing to draw", "structures with two neighbouring torsions", "leave the summary figure out")
    _, x_label, y_label, *torsions = pairs[pair]
    frames = [len(item.positions) for item in sets]
    bins = maps.bins_for(min(frames))
    grids = [maps.histogram(item.positions, item.weights, tuple(torsions), bins) for item in sets]
    first = maps.free_energy(grids[0])
    energies = [first, *(maps.free_energy(grid, first.zero) for grid in grids[1:])]
    titles = [item.name[:1].upper() + item.name[1:] for item in sets]
    limit = maps.colour_limit([first.zero], frames)
    figure = _draw(energies, limit, titles, (x_label, y_label), _outline(grids[0], first.zero))
    with atomic_path(path, overwrite=overwrite) as temporary:
        figure.savefig(temporary, dpi=dpi, facecolor="white")


def _outline(grid: np.ndarray, zero: float) -> list[np.ndarray]:
    with np.errstate(divide="ignore"):
        return maps.contour_lines(-np.log(maps.smooth(grid)) - zero, (1.0, 3.0, 5.0))


def _draw(
    energies: list[maps.FreeEnergy], limit: float, titles: list[str], labels: tuple[str, str], lines: list[np.ndarray]
) -> Any:
    from matplotlib.figure import Figure

    edge = maps.EDGE
    figure = Figure(figsize=(3.5 * len(energies) + 0.9, 3.75), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(energies), sharey=True))
    pictures = []
    for axis, energy, title in zip(axes, energies, titles, strict=True):
        shown = np.where(energy.values <= limit, energy.values, np.nan)
        extent = (-edge, edge, -edge, edge)
        picture = axis.imshow(
            shown, origin="lower", extent=extent, cmap="viridis", vmin=0, vmax=limit, interpolation="nearest"
        )
        pictures.append(picture)
        for line in lines:
            axis.plot(line[:, 0], line[:, 1], color="white", linewidth=0.7, alpha=0.85)
        axis.set(xlim=(-edge, edge), ylim=(-edge, edge), xticks=range(-180, 181, 90), yticks=range(-180, 181, 90))
        axis.set_title(title, color=INK, fontsize=12, loc="left", fontweight="bold")
        axis.set_xlabel(labels[0])
        axis.set_facecolor("#e8e8e2")
        axis.tick_params(colors="#5b636d", labelsize=9)
        for spine in axis.spines.values():
            spine.set_color("#c9ccc7")
    axes[0].set_ylabel(labels[1])
    bar = figure.colorbar(pictures[-1], ax=list(axes), pad=0.01, aspect=28)
    bar.set_label("free energy (kT)")
    bar.outline.set_visible(False)
    return figure
