"""Which atoms become beads: the presets, and MDTraj selections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from twofold.bond_graph import neighbours
from twofold.bonding import symbol
from twofold.errors import UserError

if TYPE_CHECKING:
    import mdtraj
    import numpy as np
    from mdtraj.core.topology import Atom, Residue

PRESETS = ("ca", "backbone", "backbone+cb", "heavy", "all")


@dataclass(frozen=True)
class Chosen:
    """A bead on one atom: index of the atom, name of the bead, name of its residue."""

    atom: int
    name: str
    residue_name: str


def choose(topology: mdtraj.Topology, beads: str, bonds: np.ndarray) -> list[Chosen]:
    """The beads of a preset or an MDTraj selection, in order.

    Raises UserError when there are none or it does not parse.

    ca: alpha carbons. backbone: N, CA, C of each residue, and of capping groups the C or N that continues the chain.
    backbone+cb: N, CA, CB, C. heavy: all but hydrogens, water and ions. all: every atom.
    """
    if beads in ("backbone", "backbone+cb"):
        chosen = _backbone(topology, bonds, with_cb=beads == "backbone+cb")
    else:
        chosen = [_plain(topology.atom(index)) for index in _indices(topology, beads)]
    if not chosen:
        do = (
            "choose atoms that are there"
            if beads not in PRESETS
            else "choose other beads, e.g. heavy or an MDTraj selection"
        )
        raise UserError(
            f"no atoms for beads {beads!r} among the {topology.n_atoms} atoms of the topology", "at least one", do
        )
    return chosen


def select_atoms(topology: mdtraj.Topology, selection: str) -> list[int]:
    """Indices of the atoms of an MDTraj selection, ascending. Raises UserError when it does not parse."""
    try:
        return [int(index) for index in topology.select(selection)]
    except Exception as error:  # the parser raises ValueError, ParseException, AttributeError and others
        raise UserError(
            f"selection {selection!r} does not parse",
            f"a preset ({', '.join(PRESETS)}), a YAML file, or an MDTraj selection such as 'protein and name CA'",
            "mend the selection",
        ) from error


def _indices(topology: mdtraj.Topology, beads: str) -> list[int]:
    if beads == "all":
        return list(range(topology.n_atoms))
    if beads == "heavy":
        return [a.index for a in topology.atoms if symbol(a) not in ("", "H", "D") and not _solvent(a.residue)]
    if beads == "ca":
        return [atom.index for atom in topology.atoms if atom.name == "CA" and atom.residue.name != "CA"]
    return select_atoms(topology, beads)


def _solvent(residue: Residue) -> bool:
    """Water and ions: residues that `heavy` leaves out."""
    return residue.is_water or residue.n_atoms == 1


def _plain(atom: Atom) -> Chosen:
    return Chosen(atom.index, atom.name, atom.residue.name)


def _backbone(topology: mdtraj.Topology, bonds: np.ndarray, *, with_cb: bool) -> list[Chosen]:
    bonded = neighbours(topology.n_atoms, bonds)
    names = ("N", "CA", "CB", "C") if with_cb else ("N", "CA", "C")
    chosen: list[Chosen] = []
    complete = [_backbone_atoms(residue) for residue in topology.residues]
    ends = {"N": {atoms["N"] for atoms in complete if atoms}, "C": {atoms["C"] for atoms in complete if atoms}}
    for residue, atoms in zip(topology.residues, complete, strict=True):
        caps = _caps(residue, bool(atoms), bonded, ends)
        chosen += [cap for cap in caps if cap.name == "C"]
        chosen += [Chosen(atoms[name], name, residue.name) for name in names if name in atoms]
        chosen += [cap for cap in caps if cap.name == "N"]
    return chosen


def _backbone_atoms(residue: Residue) -> dict[str, int]:
    """Index by name of N, CA, C (and CB) of an amino acid; empty for anything else."""
    atoms = {atom.name: atom.index for atom in residue.atoms if atom.name in ("N", "CA", "CB", "C")}
    return atoms if {"N", "CA", "C"} <= set(atoms) else {}


def _caps(residue: Residue, amino_acid: bool, bonded: list[list[int]], ends: dict[str, set[int]]) -> list[Chosen]:
    """Atoms of capping groups that continue the chain: a C bonded to an amino acid's N, or an N bonded to its C.

    Caps are residues of their own (ACE, NME), or patches within an amino acid with names of their own (CHARMM: CY, NT).
    """
    found = []
    for atom in residue.atoms:
        for name, partner, patch, label in (("C", "N", "CY", "ACE"), ("N", "C", "NT", "NME")):
            own = atom.name == name and not amino_acid
            if (own or (amino_acid and atom.name == patch)) and ends[partner] & set(bonded[atom.index]):
                found.append(Chosen(atom.index, name, label if amino_acid else residue.name))
    return found
