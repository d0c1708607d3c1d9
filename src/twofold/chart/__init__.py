"""Where the noise lives: Cartesian coordinates of a molecule, or whitened internal coordinates."""

from twofold.chart.base import Chart

__all__ = ["Chart"]
