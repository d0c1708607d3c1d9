"""Langevin dynamics of many replicas of one molecule under any differentiable potential."""

from twofold.simulation.export import export_table, export_trajectory, record_ensemble
from twofold.simulation.force_field import ForceField, Potential, as_force_field, fingerprint
from twofold.simulation.record import Record
from twofold.simulation.region import Region
from twofold.simulation.run import Progress, simulate
from twofold.simulation.settings import SimulationSettings
from twofold.simulation.stability import TimestepCheck, choose_timestep, stiffest_frequencies
from twofold.simulation.summary import Stop, Summary

__all__ = [
    "ForceField",
    "Potential",
    "Progress",
    "Record",
    "Region",
    "SimulationSettings",
    "Stop",
    "Summary",
    "TimestepCheck",
    "as_force_field",
    "choose_timestep",
    "export_table",
    "export_trajectory",
    "fingerprint",
    "record_ensemble",
    "simulate",
    "stiffest_frequencies",
]
