"""What is compared for a given molecule: the list of observables that its beads have, with the metrics of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twofold.analysis import graph, metrics, observables
from twofold.chart.internal import RIGID_ANGLE, RIGID_BOND
from twofold.systems.clusters import CLUSTERS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twofold.analysis.metrics import Metric
    from twofold.beads import Beads
    from twofold.ensemble import Ensemble

MOST_PAIRS = 400
"""Far pairs compared at most; of more, a fixed choice spread evenly over all."""


@dataclass(frozen=True)
class Observable:
    """One observable of a molecule.

    name, group: for tables. labels: one for each column. values: positions (frames, beads, 3) -> (frames, columns).
    metrics: reference values (frames, columns) -> metrics. key: shown beside the verdict.
    """

    name: str
    group: str
    labels: tuple[str, ...]
    values: Callable[[np.ndarray], np.ndarray]
    metrics: Callable[[np.ndarray], Sequence[Metric]]
    key: bool = False
    help: str = ""


def bead_labels(beads: Beads, rows: np.ndarray) -> tuple[str, ...]:
    """Labels such as "CA2-C2" for rows of bead indices."""
    return tuple("-".join(f"{beads.names[i]}{beads.residue_ids[i]}" for i in row) for row in np.asarray(rows).tolist())


def residues_with_both(beads: Beads) -> list[int]:
    """Residues that have phi and psi."""
    phi, psi = beads.torsions_named("phi"), beads.torsions_named("psi")
    return [residue for residue in phi if residue in psi]


def residue_label(beads: Beads, residue: int) -> str:
    place = int(np.argmax(beads.residue_ids == residue))
    return f"{beads.residue_names[place]}{residue}"


def observables_of(beads: Beads, reference: Ensemble, bins: int) -> list[Observable]:
    """Every observable that `beads` have. `reference` gives the structure for RMSD."""
    return [
        *_coordinates(reference, bins),
        *_ramachandran(beads, bins),
        *_stiff(beads),
        *_torsions(beads),
        *_shape(beads, reference),
        *(_cluster(reference) if "cluster" in reference.source else _pairs(beads)),
    ]


def _coordinates(reference: Ensemble, bins: int) -> list[Observable]:
    """Those of a particle in an external potential, all together and one by one."""
    count = reference.source.get("coordinates", 0)
    if not count:
        return []
    window = reference.source["window"]

    def values(x: np.ndarray) -> np.ndarray:
        return x.reshape(len(x), -1)[:, :count].astype(np.float64)

    found = []
    if count == 2:
        edges = [np.linspace(low, high, bins + 1) for low, high in window]
        found.append(
            Observable(
                "x/y",
                "coordinates",
                ("particle",),
                values,
                lambda _: (metrics.joint_js(edges), metrics.joint_pmf(window)),
                key=True,
                help="Distribution over the plane.",
            )
        )
    names = tuple("xyz"[:count])
    found.append(
        Observable(
            "coordinates",
            "coordinates",
            names,
            values,
            lambda ref: (metrics.line_js(ref),),
            key=count != 2,
            help="Distribution of each coordinate.",
        )
    )
    return found


def _ramachandran(beads: Beads, bins: int) -> list[Observable]:
    residues = residues_with_both(beads)
    phi, psi = beads.torsions_named("phi"), beads.torsions_named("psi")

    def of(chosen: list[int], name: str, key: bool) -> Observable:
        rows = np.array([row for residue in chosen for row in (phi[residue], psi[residue])])
        edges = [np.linspace(-np.pi, np.pi, bins + 1)] * len(rows)
        return Observable(
            name,
            "torsions",
            tuple(residue_label(beads, r) for r in chosen),
            lambda x: observables.torsions(x, rows),
            lambda _: (metrics.joint_js(edges), metrics.joint_pmf([(-np.pi, np.pi)] * len(rows))),
            key=key,
            help="Distribution of the two backbone torsions of a residue (Ramachandran plane).",
        )

    single = [of([r], f"phi/psi {residue_label(beads, r)}", key=len(residues) == 1) for r in residues]
    return [*single, of(residues, "phi/psi, mean over residues", key=True)] if len(residues) > 1 else single


def _stiff(beads: Beads) -> list[Observable]:
    found = []
    if len(beads.bonds):
        found.append(
            Observable(
                "bonds",
                "geometry",
                bead_labels(beads, beads.bonds),
                lambda x: observables.distances(x, beads.bonds),
                lambda ref: (
                    metrics.line_wasserstein(ref, "nm"),
                    metrics.mean_shift("nm"),
                    metrics.width_change(RIGID_BOND),
                ),
                key=True,
                help="Bond lengths: distance of the distributions, largest shift of a mean, largest change of a width.",
            )
        )
    triples = graph.angle_triples(beads)
    if len(triples):
        found.append(
            Observable(
                "angles",
                "geometry",
                bead_labels(beads, triples),
                lambda x: observables.angles(x, triples),
                lambda ref: (metrics.line_js(ref), metrics.mean_shift("rad"), metrics.width_change(RIGID_ANGLE)),
                help="Angles between bonds.",
            )
        )
    return found


def _torsions(beads: Beads) -> list[Observable]:
    rows = graph.torsion_quadruples(beads)
    if not len(rows):
        return []
    return [
        Observable(
            "torsions",
            "torsions",
            bead_labels(beads, rows),
            lambda x: observables.torsions(x, rows),
            lambda ref: (metrics.line_js(ref, periodic=True),),
            key=not residues_with_both(beads),
            help="Torsions about every bond, one by one.",
        )
    ]


def _shape(beads: Beads, reference: Ensemble) -> list[Observable]:
    found = []
    if len(beads) > 2:
        found.append(
            _line(
                "radius of gyration",
                lambda x: observables.radius_of_gyration(x, beads.masses)[:, None],
                "Mass-weighted.",
            )
        )
    if "cluster" in reference.source:
        return found  # of particles that change places none is the first, and none belongs onto a certain other
    if len(beads) > 2:
        frame = reference.positions[observables.medoid(reference.positions, reference.weights)]
        found.append(
            _line(
                "RMSD",
                lambda x: observables.rmsd(x, frame)[:, None],
                "From the most central reference frame, superposed.",
            )
        )
    if (ends := graph.chain_ends(beads)) is not None:
        label = " to ".join(bead_labels(beads, np.array(ends)[:, None]))
        found.append(
            _line("end-to-end distance", lambda x: observables.distances(x, np.array([ends])), label, key=True)
        )
    return found


def _line(name: str, values: Callable[[np.ndarray], np.ndarray], help: str, key: bool = False) -> Observable:
    return Observable(name, "shape", (name,), values, lambda ref: (metrics.line_js(ref),), key=key, help=help)


def _pairs(beads: Beads) -> list[Observable]:
    found = []
    for name, bonds, key in (
        ("pair distances", graph.FAR_BONDS - 1, False),
        ("far-pair distances", graph.FAR_BONDS, True),
    ):
        pairs = graph.pairs_apart(beads, bonds)
        if len(pairs) > MOST_PAIRS:
            pairs = pairs[np.linspace(0, len(pairs) - 1, MOST_PAIRS).astype(np.int64)]
        if len(pairs):
            found.append(
                _pair_observable(beads, name, pairs, key, f"All pairs at least {bonds} bonds apart, one by one.")
            )
    return found


def _cluster(reference: Ensemble) -> list[Observable]:
    """Like particles, whose pairs are told from each other by nothing, and the energy, which is known."""
    beads, cluster = reference.beads, CLUSTERS[reference.source["cluster"]]
    pairs = graph.pairs_apart(beads, 1)
    labels = ["-".join(sorted((beads.types[i], beads.types[j]))) for i, j in pairs.tolist()]
    names = sorted(set(labels))
    member = np.array([[label == name for label in labels] for name in names], dtype=np.float64)
    return [
        Observable(
            "pair distances by type",
            "shape",
            bead_labels(beads, pairs),
            lambda x: observables.distances(x, pairs).astype(np.float32),
            lambda ref: (metrics.pooled_tv(ref, member),),
            key=True,
            help=f"All pairs of {', '.join(names)} together.",
        ),
        Observable(
            "energy",
            "energy",
            ("energy",),
            lambda x: cluster.energies(x)[:, None],
            lambda ref: (metrics.line_wasserstein(ref, "kT"), metrics.mean_shift("kT"), metrics.line_js(ref)),
            key=True,
            help="Exact energy of each frame.",
        ),
    ]


def _pair_observable(beads: Beads, name: str, pairs: np.ndarray, key: bool, help: str) -> Observable:
    # float32 keeps 1e-7 nm, far below a bin, and halves the memory of the widest table.
    return Observable(
        name,
        "shape",
        bead_labels(beads, pairs),
        lambda x: observables.distances(x, pairs).astype(np.float32),
        lambda ref: (metrics.line_js(ref),),
        key=key,
        help=help,
    )
