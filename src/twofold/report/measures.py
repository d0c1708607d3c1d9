"""What the figures draw: kinds of bonds and angles, pairs of torsions, weighted densities."""

from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from twofold.analysis.graph import angle_triples, pairs_apart, torsion_quadruples
from twofold.analysis.observables import torsions
from twofold.beads import Beads

Quadruple = tuple[int, int, int, int]
DASH = "–"  # noqa: RUF001


def torsion(positions: np.ndarray, quadruple: Quadruple) -> np.ndarray:
    """(frames,) degrees in (-180, 180], IUPAC sign."""
    return np.degrees(torsions(positions, np.array([quadruple]))[:, 0])


def bond_groups(beads: Beads) -> dict[str, np.ndarray]:
    """Bonds (bonds, 2) by the names of their ends (`N-CA`): bonds of one kind share a panel."""
    return _by_label(beads, beads.bonds.tolist())


def angle_groups(beads: Beads) -> dict[str, np.ndarray]:
    """Angles (angles, 3) between bonds that share a bead, by names (`N-CA-C`)."""
    return _by_label(beads, angle_triples(beads).tolist())


def _by_label(beads: Beads, items: Iterable[list[int]]) -> dict[str, np.ndarray]:
    groups: dict[str, list[list[int]]] = defaultdict(list)
    for members in items:
        groups[_label(beads, members)].append(members)
    return {name: np.array(found) for name, found in groups.items()}


def _label(beads: Beads, members: list[int]) -> str:
    """Names joined by dashes, in the order of the residues; inside a residue the direction does not matter."""
    names, residues = [beads.names[index] for index in members], [int(beads.residue_ids[index]) for index in members]
    forward = residues[0] < residues[-1] or (residues[0] == residues[-1] and names >= names[::-1])
    return DASH.join(names if forward else names[::-1])


def torsion_pairs(beads: Beads) -> list[tuple[str, str, str, Quadruple, Quadruple]]:
    """What to draw as maps: (title, x label, y label, torsion x, torsion y) of each residue with phi and psi.

    Without any, pairs of torsions about neighbouring bonds.
    """
    phi, psi = beads.torsions_named("phi"), beads.torsions_named("psi")
    names = dict(zip(beads.residue_ids.tolist(), beads.residue_names, strict=True))
    found = [
        (f"{names[residue]} {residue}", "φ (degrees)", "ψ (degrees)", phi[residue], psi[residue])
        for residue in phi
        if residue in psi
    ]
    return found or _neighbouring_torsions(beads)


def _neighbouring_torsions(beads: Beads) -> list[tuple[str, str, str, Quadruple, Quadruple]]:
    pairs = []
    for one, two in pairwise(torsion_quadruples(beads).tolist()):
        if {one[1], one[2]} & {two[1], two[2]}:
            names = [DASH.join(beads.names[index] for index in item) for item in (one, two)]
            pairs.append(("", f"{names[0]} (degrees)", f"{names[1]} (degrees)", tuple(one), tuple(two)))
    return pairs


def soft_pairs(beads: Beads, most: int = 400) -> np.ndarray:
    """(pairs, 2): pairs of beads at least three bonds apart (all when bonds are unknown), at most `most` of them."""
    pairs = pairs_apart(beads, 3)
    return pairs[np.unique(np.linspace(0, len(pairs) - 1, most).astype(int))] if len(pairs) > most else pairs


def weighted_density(values: np.ndarray, weights: np.ndarray | None, edges: np.ndarray) -> np.ndarray:
    """(bins,) density of all finite values; `weights` (frames,) is spread over further axes of `values`."""
    values = np.asarray(values, float)
    spread = np.ones(values.shape)
    if weights is not None:
        spread = spread * np.asarray(weights, float).reshape((-1,) + (1,) * (values.ndim - 1))
    good = np.isfinite(values)
    counts, _ = np.histogram(values[good], bins=edges, weights=spread[good])
    total = spread[good].sum()
    return counts / (total * np.diff(edges)) if total > 0 else np.zeros(len(edges) - 1)
