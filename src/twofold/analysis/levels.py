"""Levels: averages with a value of their own, beside the reference's: populations, free energies, structural faults."""

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

    Basin = Callable[[np.ndarray], np.ndarray]
    """Positions (frames, beads, 3) to which of them are inside."""

SHORT_CONTACT_NM = 0.25
"""Beads that no torsion joins are never this close at room temperature unless one is a hydrogen."""
BROKEN_BOND = 0.25
"""Relative deviation from the reference's mean length beyond which a bond counts as broken."""


def average(totals: np.ndarray) -> np.ndarray:
    """The mean over columns of their means."""
    return means(totals).mean()


def free_energy(totals: np.ndarray) -> np.ndarray:
    """`-ln(p_1 / p_0)` in kT of two columns that say which frames are in a basin; NaN where one was not seen."""
    below, inside = means(totals)
    return np.asarray(np.log(below / inside) if below > 0 < inside else np.nan)


@dataclass(frozen=True)
class Level:
    """One average. values: positions (frames, beads, 3) -> (frames, columns); the level is `statistic` of their sums.

    kind "fault": good is at most the reference's; "population", "free energy": good is equal.
    """

    name: str
    group: str
    kind: Literal["fault", "population", "free energy"]
    values: Callable[[np.ndarray], np.ndarray]
    unit: str = ""
    key: bool = False
    help: str = ""
    statistic: Callable[[np.ndarray], np.ndarray] = average


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
    """Those of a landscape, and the free energies of all but the first over it."""
    source = reference.held_out.source
    if "landscape" not in source:
        return []
    count = source["coordinates"]

    def of(inside: Callable[[np.ndarray], np.ndarray]) -> Basin:
        return lambda x: inside(x.reshape(len(x), -1)[:, :count])

    basins = {name: of(inside) for name, inside in LANDSCAPES[source["landscape"]].basins().items()}
    what = "Fraction of frames in this basin of the landscape."
    found = [_population(f"basin {name}", inside, what) for name, inside in basins.items()]
    names = list(basins)
    for one in names[1:]:
        found.append(_free_energy(f"basin {one} over {names[0]}", basins[one], basins[names[0]]))
    return found


def _populations(beads: Beads) -> list[Level]:
    def of(residue: int, row: tuple[int, ...]) -> tuple[Level, Level]:
        def left(x: np.ndarray) -> np.ndarray:
            return observables.torsions(x, np.array([row]))[:, 0] > 0

        label = residue_label(beads, residue)
        return (
            _population(f"phi > 0, {label}", left, "Fraction of frames with 0 < phi < 180 degrees."),
            _free_energy(f"phi > 0 over phi < 0, {label}", left, lambda x: ~left(x)),
        )

    return [level for residue, row in beads.torsions_named("phi").items() for level in of(residue, row)]


def _population(name: str, inside: Basin, what: str) -> Level:
    return Level(
        f"population of {name}",
        "populations",
        "population",
        lambda x: inside(x).astype(np.float64)[:, None],
        key=True,
        help=what,
    )


def _free_energy(name: str, inside: Basin, below: Basin) -> Level:
    return Level(
        f"free energy of {name}",
        "free energies",
        "free energy",
        lambda x: np.stack([below(x), inside(x)], axis=1).astype(np.float64),
        unit="kT",
        help="Minus the logarithm of the ratio of the two populations.",
        statistic=free_energy,
    )


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
