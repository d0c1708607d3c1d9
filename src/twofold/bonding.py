"""The bonds and masses of the atoms of an MDTraj topology, and what follows from the bond graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from twofold.bond_graph import neighbours
from twofold.errors import UserError
from twofold.space import displacement

if TYPE_CHECKING:
    from collections.abc import Sequence

    import mdtraj
    from mdtraj.core.topology import Atom

COVALENT_RADII: dict[str, float] = dict(
    zip(
        ("H", "B", "C", "N", "O", "F", "Si", "P", "S", "Cl", "Se", "Br", "I"),
        (0.031, 0.084, 0.076, 0.071, 0.066, 0.057, 0.111, 0.107, 0.105, 0.102, 0.120, 0.120, 0.139),
        strict=True,
    )
)
"""nm; Cordero et al., Dalton Trans. 2008, 2832."""
TOLERANCE = 0.04
"""nm; atoms nearer than the sum of their radii plus this are bonded."""


def atom_bonds(
    topology: mdtraj.Topology, positions: np.ndarray | None = None, box: np.ndarray | None = None
) -> np.ndarray:
    """Bonds (bonds, 2) of atoms: those of the topology, and by distance for atoms that have none there.

    positions: (atoms, 3), nm, one frame, or None. Distances are only looked at within a residue and to the residues
    next to it, and for atoms of residues of several atoms.
    """
    pairs = {tuple(sorted((bond[0].index, bond[1].index))) for bond in topology.bonds}
    if positions is not None:
        bonded = {atom for pair in pairs for atom in pair}
        pairs |= _bonds_by_distance(topology, bonded, np.asarray(positions, dtype=np.float64), box)
    return np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)


def _bonds_by_distance(
    topology: mdtraj.Topology, bonded: set[int], positions: np.ndarray, box: np.ndarray | None
) -> set[tuple[int, int]]:
    residues = list(topology.residues)
    radii = np.array([COVALENT_RADII.get(symbol(atom), 0.0) for atom in topology.atoms])
    found: set[tuple[int, int]] = set()
    for residue in residues:
        lonely = [atom.index for atom in residue.atoms if atom.index not in bonded and radii[atom.index] > 0]
        if not lonely or residue.n_atoms == 1 or residue.is_water:
            continue
        near = [
            other for other in residues[max(residue.index - 1, 0) : residue.index + 2] if other.chain is residue.chain
        ]
        others = np.array([atom.index for other in near for atom in other.atoms])
        for atom in lonely:
            distance = np.linalg.norm(displacement(positions[atom], positions[others], box), axis=-1)
            close = (distance < radii[atom] + radii[others] + TOLERANCE) & (radii[others] > 0) & (others != atom)
            hydrogens = radii[atom] == COVALENT_RADII["H"]
            close &= ~(hydrogens & (radii[others] == COVALENT_RADII["H"]))
            found |= {(min(atom, int(other)), max(atom, int(other))) for other in others[close]}
    return found


def symbol(atom: Atom) -> str:
    """Symbol of the element of an atom; "" when it is not known or a virtual site."""
    element = atom.element
    return "" if element is None or element.symbol == "VS" else element.symbol


def atom_masses(topology: mdtraj.Topology) -> np.ndarray:
    """(atoms,) float64, amu; 0 for virtual sites, NaN where the element is not known."""
    return np.array([np.nan if atom.element is None else float(atom.element.mass) for atom in topology.atoms])


def check_masses(topology: mdtraj.Topology, masses: np.ndarray, atoms: np.ndarray) -> None:
    """Raises UserError that names the first of `atoms` whose mass is not known."""
    if unknown := [int(atom) for atom in atoms if not np.isfinite(masses[atom])]:
        raise UserError(
            f"atom {unknown[0]} ({topology.atom(unknown[0])}) of unknown element",
            "an element for every atom",
            "fill in the element column of the topology, or give masses in a YAML file of beads",
        )


def nearest_source(bonds: np.ndarray, atoms: int, sources: Sequence[int]) -> np.ndarray:
    """(atoms,) int64: for each atom the place in `sources` of the nearest one along the bonds; -1 for none.

    Ties go to the earlier source.
    """
    lists = neighbours(atoms, bonds)
    owner = np.full(atoms, -1, dtype=np.int64)
    owner[np.asarray(sources)] = np.arange(len(sources))
    front = list(sources)
    while front:
        reached: dict[int, int] = {}
        for atom in front:
            for other in lists[atom]:
                if owner[other] < 0:
                    reached[other] = min(reached.get(other, len(sources)), int(owner[atom]))
        for atom, source in reached.items():
            owner[atom] = source
        front = list(reached)
    return owner


def contracted(bonds: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """Bonds between the groups that atoms belong to: (bonds, 2) int64, i < j, sorted; `owner` is -1 for no group."""
    pairs = owner[np.asarray(bonds, dtype=np.int64).reshape(-1, 2)]
    pairs = np.sort(pairs[(pairs >= 0).all(axis=1) & (pairs[:, 0] != pairs[:, 1])], axis=1)
    return np.unique(pairs, axis=0).reshape(-1, 2)


def joined(bonds: np.ndarray, further: np.ndarray, beads: int) -> np.ndarray:
    """`bonds` and those of `further` that connect what was not yet connected (Kruskal): no ring is added."""
    root = list(range(beads))

    def find(bead: int) -> int:
        while root[bead] != bead:
            root[bead] = bead = root[root[bead]]
        return bead

    kept = []
    for extra, pairs in ((False, bonds), (True, further)):
        for i, j in np.asarray(pairs).reshape(-1, 2).tolist():
            apart = find(i) != find(j)
            root[find(i)] = find(j)
            if apart or not extra:
                kept.append((i, j))
    return np.array(sorted(set(kept)), dtype=np.int64).reshape(-1, 2)
