"""Levels: averages with a value of their own, populations of basins and structural faults, beside the reference's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from twofold.analysis import graph, observables
from twofold.analysis.quantities import residue_label
from twofold.analysis.tallies import means
from twofold.beads import pair_classes
from twofold.systems.toys import LANDSCAPES

if TYPE_CHECKING:
    from collections.abc import Callable

    from twofold.analysis.frames import Reference
    from twofold.beads import Beads

SHORT_CONTACT_NM = 0.25
"""Beads that no torsion joins are never this close at room temperature unless one is a hydrogen."""
BROKEN_BOND = 0.25
"""Relative deviation from the reference's mean length beyond which a bond counts as broken."""


@dataclass(frozen=True)
class Level:
    """One average. values: positions (frames, beads, 3) -> (frames, columns); the level is the mean over both.

    kind "fault": good is at most the reference's; "population": good is equal.
    """

    name: str
    group: str
    kind: Literal["fault", "population"]
    values: Callable[[np.ndarray], np.ndarray]
    unit: str = ""
    key: bool = False
    help: str = ""

    @staticmethod
    def statistic(totals: np.ndarray) -> np.ndarray:
        """The mean over columns of their means."""
        return means(totals).mean()


def levels_of(beads: Beads, reference: Reference) -> list[Level]:
    """Every level that `beads` have. Limits of faults come from `reference.other`: the held-out part has a figure."""
    return [
        *_basins(reference),
        *_populations(beads),
        *_handedness(beads, reference),
        *_cis(beads),
        *_contacts(beads, reference),
        *_broken(beads, reference),
    ]


def _basins(reference: Reference) -> list[Level]:
    """Those of a landscape."""
    source = reference.held_out.source
    if "landscape" not in source:
        return []
    count = source["coordinates"]

    def of(name: str, inside: Callable[[np.ndarray], np.ndarray]) -> Level:
        return Level(
            f"population of basin {name}",
            "populations",
            "population",
            lambda x: inside(x.reshape(len(x), -1)[:, :count]).astype(np.float64)[:, None],
            key=True,
            help="Fraction of frames in this basin of the landscape.",
        )

    return [of(*basin) for basin in LANDSCAPES[source["landscape"]].basins().items()]


def _populations(beads: Beads) -> list[Level]:
    def of(residue: int, row: tuple[int, ...]) -> Level:
        return Level(
            f"population of phi > 0, {residue_label(beads, residue)}",
            "populations",
            "population",
            lambda x: (observables.torsions(x, np.array([row])) > 0).astype(np.float64),
            key=True,
            help="Fraction of frames with 0 < phi < 180 degrees.",
        )

    return [of(residue, row) for residue, row in beads.torsions_named("phi").items()]


def _handedness(beads: Beads, reference: Reference) -> list[Level]:
    centres = graph.three_neighbour_centres(beads)
    if not len(centres):
        return []
    other = reference.other
    signs = observables.majority_signs(observables.signed_volumes(other.positions, centres), other.weights)
    if not signs.any():
        return []
    return [
        Level(
            "wrong handedness",
            "faults",
            "fault",
            lambda x: observables.wrong_handed(observables.signed_volumes(x, centres), signs).astype(np.float64),
            key=True,
            help=f"Fraction of {np.count_nonzero(signs)} chiral centres that are mirror images of the reference's.",
        )
    ]


def _cis(beads: Beads) -> list[Level]:
    rows = np.array(list(beads.torsions_named("omega").values()), dtype=np.int64).reshape(-1, 4)
    if not len(rows):
        return []
    return [
        Level(
            "cis peptide bonds",
            "faults",
            "fault",
            lambda x: observables.is_cis(observables.torsions(x, rows)).astype(np.float64),
            key=True,
            help="Fraction of peptide bonds with |omega| below 90 degrees.",
        )
    ]


def _contacts(beads: Beads, reference: Reference) -> list[Level]:
    pairs = graph.pairs_apart(beads, graph.FAR_BONDS)
    if not len(pairs):
        return []
    classes = pair_classes(beads, pairs)
    limits = observables.closest_by_class(observables.distances(reference.other.positions, pairs), classes)[classes]
    # A set of several thousand frames cannot come closer than one of a few hundred thousand without being wrong, but a
    # single pair can: limits are shared by all pairs of beads alike, and the held-out part is held to them as well.
    clash = Level(
        "clashes",
        "faults",
        "fault",
        lambda x: np.any(observables.distances(x, pairs) < limits, axis=1, keepdims=True).astype(np.float64),
        key=True,
        help=f"Fraction of frames with beads, {graph.FAR_BONDS} or more bonds apart, closer than beads of these names"
        " ever come in the other part of the reference.",
    )
    short = Level(
        f"contacts below {SHORT_CONTACT_NM} nm",
        "faults",
        "fault",
        lambda x: np.any(observables.distances(x, pairs) < SHORT_CONTACT_NM, axis=1, keepdims=True).astype(np.float64),
        help=f"Fraction of frames with beads, {graph.FAR_BONDS} or more bonds apart, this close.",
    )
    return [clash, short]


def _broken(beads: Beads, reference: Reference) -> list[Level]:
    if not len(beads.bonds):
        return []
    lengths = np.average(
        observables.distances(reference.other.positions, beads.bonds), axis=0, weights=reference.other.weights
    )

    def values(x: np.ndarray) -> np.ndarray:
        off = np.abs(observables.distances(x, beads.bonds) / lengths - 1.0) > BROKEN_BOND
        return np.any(off, axis=1, keepdims=True).astype(np.float64)

    help = f"Fraction of frames with a bond more than {BROKEN_BOND:.0%} off its mean length in the reference."
    return [Level("broken bonds", "faults", "fault", values, help=help)]
