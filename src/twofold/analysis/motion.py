"""What a simulation did over time: crossings between basins, and how many independent frames it is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.analysis import kinetics, observables
from twofold.analysis.barriers import about, barriers
from twofold.analysis.graph import chain_ends, torsion_quadruples
from twofold.analysis.quantities import bead_labels

if TYPE_CHECKING:
    from twofold.analysis.frames import FrameSet
    from twofold.beads import Beads
    from twofold.ensemble import Ensemble


def motion_of(one: FrameSet, beads: Beads, reference: Ensemble) -> dict[str, Any]:
    """Replicas, length_ps, crossings between basins, independent frames by observable and of the slowest one.

    Basins are phi < 0 and phi > 0 of each residue. Where no bead has a phi, they are the two of each torsion that has
    two in the reference.
    """
    phi = beads.torsions_named("phi")
    series: dict[str, np.ndarray] = {}
    replicas = len(kinetics.by_replica(one.replica, len(one)))
    found: dict[str, Any] = {"replicas": replicas, "frames": len(one), "crossings": {}}
    if one.frame_ps is not None:
        found["length_ps"] = float(one.frame_ps * len(one))
    for residue, row in phi.items():
        values = observables.torsions(one.positions, np.array([row]))[:, 0]
        found["crossings"][f"phi, residue {residue}"] = _counted(values, one)
        series[f"phi > 0, residue {residue}"] = (values > 0).astype(np.float64)
    rows = torsion_quadruples(beads)
    columns = observables.torsions(one.positions, rows).T
    there = observables.torsions(reference.positions, rows).T
    for label, values, known in zip(bead_labels(beads, rows), columns, there, strict=True):
        series[f"torsion {label}"] = np.sin(values)
        if not phi and (cuts := barriers(known, reference.weights)) is not None:
            found["crossings"][f"torsion {label}"] = _counted(about(values, cuts), one)
    if (ends := chain_ends(beads)) is not None:
        series["end-to-end distance"] = observables.distances(one.positions, np.array([ends]))[:, 0]
    sizes = kinetics.independent_frames(series, one.replica)
    if sizes:
        slowest = min(sizes, key=lambda name: sizes[name])
        found |= {"independent_frames": sizes[slowest], "slowest": slowest, "independent_frames_by_observable": sizes}
    return found


def _counted(angles: np.ndarray, one: FrameSet) -> dict[str, Any]:
    """Crossings of angles (frames,) between their two halves of the circle."""
    crossed = kinetics.crossings(angles, one.replica)
    active = int(np.count_nonzero(crossed.by_replica))
    counts = {"up": crossed.up, "down": crossed.down, "total": crossed.number, "error": crossed.error}
    return counts | {"replicas": active}
