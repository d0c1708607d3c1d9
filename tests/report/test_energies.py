"""Energies of landscapes on the page."""

import numpy as np
import pytest

from twofold.beads import Beads
from twofold.report import ReportContent, StructureSet, render
from twofold.report.energies import NoisedEnergy, density_figure, energy_figure


def levels(dimension):
    axes = [np.linspace(-2, 2, 20)] * dimension
    exact = sum(0.5 * axis**2 for axis in np.meshgrid(*axes, indexing="ij"))
    tilted = exact + 0.5 * axes[0].reshape([-1] + [1] * (dimension - 1))
    return [NoisedEnergy(sigma, axes, tilted, exact) for sigma in (0.1, 0.3)]


def content(dimension):
    positions = np.random.default_rng(0).standard_normal((500, 1, 3))
    sets = [StructureSet(key, positions) for key in ("reference", "samples", "simulation")]
    return ReportContent(beads=Beads.anonymous(1), verdict="They agree.", sets=sets, levels=levels(dimension))


@pytest.mark.parametrize("dimension", [1, 2])
def test_panels(dimension):
    energies, densities = energy_figure(levels(dimension)), density_figure(content(dimension))
    assert sum("<svg" in panel for panel in energies.panels) == (2 if dimension == 1 else 5)
    assert sum("<svg" in panel for panel in densities.panels) == 3
    page = render(content(dimension))
    assert "Energy at several levels of noise" in page
    assert "Densities" in page
    assert 'id="structures"' not in page


def test_error_is_that_of_the_slope():
    """A model tilted by x/2 over a unit Gaussian is off by half a standard deviation of x."""
    level = levels(1)[0]
    share = np.exp(-level.exact) / np.exp(-level.exact).sum()
    assert level.error == pytest.approx(0.5 * np.sqrt(share @ level.axes[0] ** 2), rel=1e-6)


def test_molecules_have_none():
    plain = ReportContent(beads=Beads.anonymous(1), verdict="They agree.")
    assert energy_figure(()) is None
    assert density_figure(plain) is None
