"""Whether a fitted model is sound: its symmetries, its diffusion, its time step, its noise level, its rates."""

from twofold.diagnosis.checks import Check, Curve, Diagnosis, Findings, Line, Table, Threshold
from twofold.diagnosis.verdict import conclude

__all__ = ["Check", "Curve", "Diagnosis", "Findings", "Line", "Table", "Threshold", "conclude"]
