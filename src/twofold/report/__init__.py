"""Figures and the HTML page that says whether samples, simulation and reference agree."""

from twofold.report.content import (
    Comparison,
    Metric,
    Observable,
    ReportContent,
    SigmaScan,
    Stability,
    Stop,
    StructureSet,
)
from twofold.report.energies import NoisedEnergy
from twofold.report.intake import Judged, judged, simulated
from twofold.report.page import render, write_report
from twofold.report.summary import write_summary_figure

__all__ = [
    "Comparison",
    "Judged",
    "Metric",
    "NoisedEnergy",
    "Observable",
    "ReportContent",
    "SigmaScan",
    "Stability",
    "Stop",
    "StructureSet",
    "judged",
    "render",
    "simulated",
    "write_report",
    "write_summary_figure",
]
