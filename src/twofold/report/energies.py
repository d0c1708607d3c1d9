"""Energies of a particle in an external potential at several levels of noise, beside the exact ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from twofold.report import maps
from twofold.report.content import ReportContent
from twofold.report.figures import ALL_SETS, Figure
from twofold.report.numerals import number
from twofold.report.svg import Plot

LIMIT = 8.0
"""kT above the least energy up to which energies are drawn."""
BINS = 60


@dataclass(frozen=True)
class NoisedEnergy:
    """Energies in kT of model and exact density at one level of noise, zero at their least.

    sigma: nm. axes: the points along each coordinate, nm. model, exact: (points, ...).
    """

    sigma: float
    axes: Sequence[np.ndarray]
    model: np.ndarray
    exact: np.ndarray

    @property
    def error(self) -> float:
        """Root of the mean squared difference in kT over the exact density, constants taken out."""
        share = np.exp(-self.exact) / np.exp(-self.exact).sum()
        difference = self.model - self.exact
        difference = difference - (share * difference).sum()
        return float(np.sqrt((share * difference**2).sum()))


def density_figure(content: ReportContent) -> Figure | None:
    """Minus the logarithm of the histograms of all sets, beside the exact energy at the least level of noise."""
    if not content.levels:
        return None
    axes, exact = content.levels[0].axes, content.levels[0].exact
    coarse = [np.linspace(1.5 * side[0] - 0.5 * side[1], 1.5 * side[-1] - 0.5 * side[-2], BINS + 1) for side in axes]
    panels = []
    for item in content.drawn(*ALL_SETS):
        points = item.positions.reshape(len(item.positions), -1)[:, : len(axes)]
        counts, _ = np.histogramdd(points, coarse, weights=item.weights)
        with np.errstate(divide="ignore"):
            energy = -np.log(counts / counts.sum())
        energy = energy - energy[np.isfinite(energy)].min()
        middles = [(side[1:] + side[:-1]) / 2 for side in coarse]
        panels.append(_panel(middles, energy, item.name, (axes, exact)))
    caption = (
        f"Minus the logarithm of the histogram of {BINS} bins a side in kT, up to {LIMIT:g} kT; for one coordinate "
        "over the exact energy with the noise of the simulation (area)."
    )
    return Figure("Densities", panels, caption, kind=f"maps of{min(len(panels), 4)}")


def energy_figure(levels: Sequence[NoisedEnergy]) -> Figure | None:
    """Model and exact energy side by side at each level."""
    if not levels:
        return None
    panels = []
    for which in ("exact", "model"):
        for level in levels:
            title = f"{which}, noise {number(level.sigma, 2)} nm"
            panels.append(_panel(level.axes, getattr(level, which), title, (level.axes, level.exact)))
    panels.append(maps.colour_bar(0, LIMIT, "viridis", "energy (kT)"))
    if len(levels[0].axes) == 1:
        panels = panels[len(levels) : 2 * len(levels)]
    words = ", ".join(f"{number(level.error, 2)} kT at {number(level.sigma, 2)} nm" for level in levels)
    caption = (
        f"Energy of the noised density in kT above its least, up to {LIMIT:g} kT. The exact one is the equilibrium "
        f"density convolved with the noise. Root mean squared difference over the exact density: {words}."
    )
    return Figure("Energy at several levels of noise", panels, caption, kind="maps of4")


def _panel(
    axes: Sequence[np.ndarray], energy: np.ndarray, title: str, exact: tuple[Sequence[np.ndarray], np.ndarray]
) -> str:
    """A map of two coordinates; of one, a line over the exact energy."""
    x = np.asarray(axes[0])
    if len(axes) == 1:
        plot = Plot(
            (float(x.min()), float(x.max())), (0.0, LIMIT), f"Energy, {title}: exact (area) and {title} (line).",
            width=320, height=240, title=title, x_label="x (nm)", y_label="energy (kT)", left=50, right=12,
        )  # fmt: skip
        plot.area(exact[0][0], exact[1], "reference")
        plot.line(x, np.where(np.isfinite(energy), energy, 2 * LIMIT), "simulation")
        return plot.render("square")
    y = np.asarray(axes[1])
    plot = Plot(
        (float(x.min()), float(x.max())), (float(y.min()), float(y.max())), f"Energy map: {title}.", width=320,
        height=312, title=title, x_label="x (nm)", y_label="y (nm)", left=50, right=12,
    )  # fmt: skip
    values = np.asarray(energy).T
    plot.image(maps.palette_png(np.where(values <= LIMIT, values / LIMIT, np.nan), maps.colours("viridis")))
    return plot.render("square")
