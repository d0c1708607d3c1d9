"""From atoms to beads: which atoms a bead is the centre of, and which it stands for.

A mapping is linear: the position of bead I is sum_i c_Ii r_i with weights c_Ii that sum to 1. The mass of a bead is
that of the atoms that it stands for. For presets and selections, where a bead sits on one atom, those are the atoms
that are nearer to it along the bonds than to any other bead (ties go to the earlier bead), so that the masses of a
molecule's beads add up to that of the molecule. For a YAML file they are the atoms of the group. Equilibrium does not
depend on masses. Charges are those that a YAML file states, else zero: MDTraj gives no charges of atoms.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.beads import Beads
from twofold.bonding import atom_bonds, atom_masses, check_masses, contracted, joined, nearest_source, symbol
from twofold.errors import UserError
from twofold.selection import PRESETS, Chosen, choose
from twofold.space import gather, make_whole, molecules

if TYPE_CHECKING:
    import mdtraj

    from twofold.groups import Groups


@dataclass(frozen=True, eq=False)
class Mapping:
    """A linear map from atoms to beads.

    beads: the beads.
    atoms, bead, weight: (entries,) each: atom `atoms[k]` counts with `weight[k]` in the centre of bead `bead[k]`;
        sorted by bead, weights sum to 1 in each bead.
    owner: (atoms of the topology,) int64, the bead that stands for each atom, -1 for none.
    bonds: (bonds, 2) bonds of atoms, along which broken molecules are made whole.
    description: JSON-able, what the user asked for.
    """

    beads: Beads
    atoms: np.ndarray
    bead: np.ndarray
    weight: np.ndarray
    owner: np.ndarray
    bonds: np.ndarray
    description: dict[str, Any] = field(default_factory=dict)

    @property
    def atom_count(self) -> int:
        """Number of atoms of a frame that can be mapped."""
        return len(self.owner)

    def positions(self, positions: np.ndarray, box: np.ndarray | None = None) -> np.ndarray:
        """Positions of the beads (frames, beads, 3) float32 of those of the atoms (frames, atoms, 3), nm.

        With a box (frames, 3, 3) molecules that are broken over it are made whole first, and brought together.
        """
        self._check(positions)
        if box is not None:
            positions = make_whole(positions, box, self.bonds)
            positions = gather(positions, box, molecules(self.bonds, self.atom_count))
        if len(self.atoms) == len(self.beads):
            return np.ascontiguousarray(positions[:, self.atoms], dtype=np.float32)
        parts = positions[:, self.atoms].astype(np.float64) * self.weight[:, None]
        starts = np.searchsorted(self.bead, np.arange(len(self.beads)))
        return np.add.reduceat(parts, starts, axis=1).astype(np.float32)

    def needed_atoms(self) -> np.ndarray:
        """Indices of the atoms of all molecules that have a bead: what has to be read."""
        molecule = molecules(self.bonds, self.atom_count)
        return np.flatnonzero(np.isin(molecule, molecule[self.atoms]))

    def restricted(self, atoms: np.ndarray) -> Mapping:
        """The same mapping for frames that hold only `atoms` (ascending), which must include `needed_atoms`."""
        place = np.full(self.atom_count, -1, dtype=np.int64)
        place[atoms] = np.arange(len(atoms))
        bonds = place[self.bonds]
        return replace(
            self, atoms=place[self.atoms], owner=self.owner[atoms], bonds=bonds[(bonds >= 0).all(axis=1)].reshape(-1, 2)
        )

    def _check(self, array: np.ndarray) -> None:
        if np.ndim(array) != 3 or np.shape(array)[1:] != (self.atom_count, 3):
            raise UserError(f"frames of shape {np.shape(array)}", f"(frames, {self.atom_count}, 3), as in the topology")


def build_mapping(
    topology: mdtraj.Topology,
    beads: str | Path | Groups = "backbone",
    positions: np.ndarray | None = None,
    box: np.ndarray | None = None,
) -> Mapping:
    """The mapping `beads`: a preset (ca, backbone, backbone+cb, heavy, all), an MDTraj selection, a YAML file, Groups.

    positions: (atoms, 3), nm, one frame, by which atoms are bonded for which the topology has no bonds; box: (3, 3).
    Raises UserError for a selection that does not parse or is empty, or for atoms of unknown mass.
    """
    if topology.n_atoms == 0:
        raise UserError("a topology without atoms", "at least one atom", "check the file")
    bonds = atom_bonds(topology, positions, box)
    from twofold.groups import Groups, read_groups

    if isinstance(beads, Groups):
        return beads.mapping(topology, bonds)
    if Path(str(beads)).suffix.lower() in (".yaml", ".yml"):
        return read_groups(Path(beads)).mapping(topology, bonds)
    chosen = choose(topology, str(beads), bonds)
    return _on_atoms(topology, chosen, str(beads), bonds)


def _on_atoms(topology: mdtraj.Topology, chosen: list[Chosen], beads: str, bonds: np.ndarray) -> Mapping:
    """The mapping whose beads sit on one atom each.

    Beads are bonded if their atoms are. Bonds between the groups of atoms that beads stand for are added only where
    they join what is still apart, so that no ring comes in.
    """
    atoms = np.array([bead.atom for bead in chosen], dtype=np.int64)
    owner = nearest_source(bonds, topology.n_atoms, atoms.tolist())
    masses = atom_masses(topology)
    check_masses(topology, masses, np.flatnonzero(owner >= 0))
    place = np.full(topology.n_atoms, -1, dtype=np.int64)
    place[atoms] = np.arange(len(atoms))
    bead_bonds = joined(contracted(bonds, place), contracted(bonds, owner), len(atoms))
    if len(bead_bonds) == 0 and beads == "ca":
        bead_bonds = _consecutive(topology, chosen)
    return Mapping(
        beads=described(
            topology,
            chosen,
            types=[_type(topology, beads, bead) for bead in chosen],
            masses=np.bincount(owner[owner >= 0], weights=masses[owner >= 0], minlength=len(atoms)),
            charges=np.zeros(len(atoms)),
            bonds=bead_bonds,
        ),
        atoms=atoms,
        bead=np.arange(len(atoms)),
        weight=np.ones(len(atoms)),
        owner=owner,
        bonds=bonds,
        description={"beads": beads, "atoms": atoms.tolist(), "atom_count": topology.n_atoms},
    )


def described(
    topology: mdtraj.Topology,
    chosen: list[Chosen],
    *,
    types: list[str],
    masses: np.ndarray,
    charges: np.ndarray,
    bonds: np.ndarray,
) -> Beads:
    """The beads `chosen`, with residues and chains of the topology."""
    numbers, chains = residue_numbers(topology, chosen)
    return Beads(
        names=tuple(bead.name for bead in chosen),
        types=tuple(types),
        masses=masses,
        charges=charges,
        bonds=bonds,
        residue_names=tuple(bead.residue_name for bead in chosen),
        residue_ids=numbers,
        chains=chains,
    )


def residue_numbers(topology: mdtraj.Topology, chosen: list[Chosen]) -> tuple[np.ndarray, np.ndarray]:
    """Residue number and chain of each bead: numbers of the file, or counted from 1 where two residues share one."""
    keys = [(topology.atom(bead.atom).residue.index, bead.residue_name) for bead in chosen]
    numbers = {key: topology.residue(key[0]).resSeq for key in keys}
    if len(set(numbers.values())) < len(numbers):
        numbers = {key: place + 1 for place, key in enumerate(numbers)}
    chains = [topology.atom(bead.atom).residue.chain.index for bead in chosen]
    order = {chain: place for place, chain in enumerate(dict.fromkeys(chains))}
    return np.array([numbers[key] for key in keys]), np.array([order[chain] for chain in chains])


def _type(topology: mdtraj.Topology, preset: str, bead: Chosen) -> str:
    """Type of a bead: residue for ca, atom name for backbones, else the element."""
    if preset == "ca":
        return bead.residue_name
    if preset in PRESETS and preset.startswith("backbone"):
        return bead.name
    return symbol(topology.atom(bead.atom)) or bead.name


def _consecutive(topology: mdtraj.Topology, chosen: list[Chosen]) -> np.ndarray:
    """Bonds between alpha carbons of consecutive residues of a chain, for files that hold nothing else."""
    residues = [topology.atom(bead.atom).residue for bead in chosen]
    pairs = [
        (i, i + 1)
        for i, (one, two) in enumerate(pairwise(residues))
        if one.chain.index == two.chain.index and two.resSeq == one.resSeq + 1
    ]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)
