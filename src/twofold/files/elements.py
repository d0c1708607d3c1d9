"""Molecules of which only the elements and the positions of the atoms are known: names, bonds and masses."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.bonding import atom_bonds
from twofold.errors import UserError
from twofold.space import displacement

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import mdtraj

SAMPLE = 25
"""Frames whose bonds are compared."""
NEAREST = (0.05, 0.7)
"""nm; a median distance to the nearest atom outside means a wrong unit."""


def symbols(kinds: Iterable[Any], path: Path) -> tuple[str, ...]:
    """Symbol of the element of each atom from symbols ("Cl", in any case) or atomic numbers (17 or "17").

    Raises UserError that names the first atom whose element is not known.
    """
    from mdtraj.core.element import Element

    found: dict[str, str] = {}
    result = []
    for atom, kind in enumerate(kinds):
        text = str(kind)
        if text not in found:
            try:
                element = Element.getByAtomicNumber(int(text)) if text.isdecimal() else Element.getBySymbol(text)
            except KeyError:
                element = None
            if element is None or element.number < 1:
                raise UserError(f"{path} with an unknown element {text!r}, atom {atom}", "symbols or atomic numbers")
            found[text] = element.symbol
        result.append(found[text])
    return tuple(result)


def molecule_topology(
    elements: tuple[str, ...], positions: np.ndarray, box: np.ndarray | None, path: Path
) -> mdtraj.Topology:
    """The atoms as one residue MOL, named by element and number (C1, C2, O1), with bonds by distance.

    positions: (frames, atoms, 3), nm; box: (frames, 3, 3), nm, or None. A bond that is stretched, or a proton that is
    passed on, looks different from frame to frame: of up to 25 frames the bonds are those of the one that differs least
    from all. Raises UserError when no hydrogen has a bond, which a wrong unit of length does.
    """
    topology = _unbonded(elements)
    sample = np.unique(np.linspace(0, len(positions) - 1, min(SAMPLE, len(positions))).astype(int))
    bonds = _common_bonds(
        [atom_bonds(topology, positions[frame], None if box is None else box[frame]) for frame in sample]
    )
    bonded = {atom for pair in bonds for atom in pair}
    hydrogens = {atom for atom, element in enumerate(elements) if element == "H"}
    if hydrogens and not hydrogens & bonded:
        raise UserError(
            f"{path} with hydrogens that are bonded to nothing",
            "bonds of about 0.1 nm",
            "check the unit of length",
        )
    atoms = list(topology.atoms)
    for i, j in bonds:
        topology.add_bond(atoms[i], atoms[j])
    return topology


def check_distances(path: Path, positions: np.ndarray, box: np.ndarray | None = None) -> None:
    """Raises UserError when the atoms (atoms, 3) of a frame are too near or too far from each other for nm."""
    if len(positions) < 2:
        return
    distance = [
        np.partition(np.linalg.norm(displacement(place, positions, box), axis=-1), 1)[1] for place in positions[:SAMPLE]
    ]
    median = float(np.median(distance))
    if not NEAREST[0] < median < NEAREST[1]:
        raise UserError(
            f"atoms whose nearest neighbour is {median:.3g} nm away (median) in {path}",
            "about 0.1 nm",
            "check the unit of length",
        )


def _unbonded(elements: tuple[str, ...]) -> mdtraj.Topology:
    import mdtraj
    from mdtraj.core.element import Element

    topology = mdtraj.Topology()
    residue = topology.add_residue("MOL", topology.add_chain(), resSeq=1)
    count: Counter[str] = Counter()
    for element in elements:
        count[element] += 1
        topology.add_atom(f"{element}{count[element]}", Element.getBySymbol(element), residue)
    return topology


def _common_bonds(found: list[np.ndarray]) -> list[tuple[int, int]]:
    """Of the bonds of several frames those of the frame that differs in the fewest bonds from the others."""
    sets = [{(int(i), int(j)) for i, j in bonds} for bonds in found]
    apart = [sum(len(one ^ other) for other in sets) for one in sets]
    return sorted(sets[int(np.argmin(apart))])
