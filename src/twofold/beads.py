"""What the particles of a model are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import mdtraj

TORSION_ATOMS = {
    "phi": (("C", -1), ("N", 0), ("CA", 0), ("C", 0)),
    "psi": (("N", 0), ("CA", 0), ("C", 0), ("N", 1)),
    "omega": (("CA", 0), ("C", 0), ("N", 1), ("CA", 1)),
}
"""Bead names and residue offsets of the backbone torsions."""


@dataclass(frozen=True, eq=False)
class Beads:
    """The particles: a fixed list, in the order of the positions.

    names: names like those of atoms, "N", "CA", "CB".
    types: chemical type of each bead; beads of equal type are alike.
    masses: (beads,) float64, amu, positive.
    charges: (beads,) float64, elementary charges.
    bonds: (bonds, 2) int64, i < j, sorted, unique; (0, 2) when none is known.
    residue_names: name of the residue of each bead.
    residue_ids: (beads,) int64, number of the residue of each bead, unique over chains.
    chains: (beads,) int64, index of the chain of each bead.

    Raises UserError when the arrays do not fit together.
    """

    names: tuple[str, ...]
    types: tuple[str, ...]
    masses: np.ndarray
    charges: np.ndarray
    bonds: np.ndarray
    residue_names: tuple[str, ...]
    residue_ids: np.ndarray
    chains: np.ndarray

    def __post_init__(self) -> None:
        for name in ("names", "types", "residue_names"):
            object.__setattr__(self, name, tuple(str(text) for text in getattr(self, name)))
        for name, dtype in (
            ("masses", np.float64),
            ("charges", np.float64),
            ("residue_ids", np.int64),
            ("chains", np.int64),
        ):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=dtype))
        object.__setattr__(self, "bonds", _canonical_bonds(self.bonds, len(self)))
        for name in ("types", "masses", "charges", "residue_names", "residue_ids", "chains"):
            if np.shape(getattr(self, name)) != (len(self),):
                raise UserError(
                    f"{name} of shape {np.shape(getattr(self, name))}", f"one entry for each of {len(self)} beads"
                )
        if len(self) == 0:
            raise UserError("no beads", "at least one", "choose beads that the topology has")
        if not (np.all(np.isfinite(self.masses)) and np.all(self.masses > 0)):
            bead = int(np.argmin(np.where(np.isfinite(self.masses), self.masses, -np.inf)))
            raise UserError(
                f"mass {self.masses[bead]} amu of bead {bead} ({self.names[bead]})",
                "positive masses",
                "give the elements in the topology, or the masses in a YAML file of beads",
            )
        if not np.all(np.isfinite(self.charges)):
            raise UserError("charges that are not finite", "charges in elementary charges")

    @classmethod
    def anonymous(cls, number: int, *, mass: float = 12.0, bonds: Any = ()) -> Beads:
        """Beads of which only the number is known: B1, B2, ... in one residue."""
        return cls(
            names=tuple(f"B{i + 1}" for i in range(number)),
            types=tuple(f"B{i + 1}" for i in range(number)),
            masses=np.full(number, mass),
            charges=np.zeros(number),
            bonds=np.asarray(bonds, dtype=np.int64).reshape(-1, 2),
            residue_names=("MOL",) * number,
            residue_ids=np.ones(number, dtype=np.int64),
            chains=np.zeros(number, dtype=np.int64),
        )

    def __len__(self) -> int:
        return len(self.names)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Beads) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self.names, self.types, self.residue_names, self.bonds.tobytes(), self.masses.tobytes()))

    def select(self, index: Sequence[int] | np.ndarray) -> Beads:
        """The beads `index`, in that order; bonds between chosen beads are kept."""
        index = np.arange(len(self))[np.asarray(index)]
        place = np.full(len(self), -1)
        place[index] = np.arange(len(index))
        bonds = place[self.bonds]
        return Beads(
            names=tuple(self.names[i] for i in index),
            types=tuple(self.types[i] for i in index),
            masses=self.masses[index],
            charges=self.charges[index],
            bonds=bonds[np.all(bonds >= 0, axis=1)],
            residue_names=tuple(self.residue_names[i] for i in index),
            residue_ids=self.residue_ids[index],
            chains=self.chains[index],
        )

    def label(self, bead: int) -> str:
        """A bead for people: "CA of ALA2"."""
        return f"{self.names[bead]} of {self.residue_names[bead]}{self.residue_ids[bead]}"

    def residues(self) -> Iterator[tuple[int, int, list[int]]]:
        """(chain, residue id, beads) of each residue, in order of its first bead."""
        members: dict[tuple[int, int], list[int]] = {}
        for bead in range(len(self)):
            members.setdefault((int(self.chains[bead]), int(self.residue_ids[bead])), []).append(bead)
        for (chain, residue), beads in members.items():
            yield chain, residue, beads

    def torsions_named(self, name: str) -> dict[int, tuple[int, int, int, int]]:
        """Beads of the backbone torsion "phi", "psi" or "omega" of each residue that has it, by residue id.

        phi is C(i-1) N CA C, psi N CA C N(i+1), omega CA C N(i+1) CA(i+1) (IUPAC-IUB 1970). Neighbours are those
        that follow in the chain and are bonded C to N; where no bonds are known, numbers have to be consecutive.
        """
        if name not in TORSION_ATOMS:
            raise UserError(f"torsion {name!r}", "phi, psi or omega")
        bonds = {(int(i), int(j)) for i, j in self.bonds}
        residues = [
            (chain, residue, {self.names[bead]: bead for bead in beads}) for chain, residue, beads in self.residues()
        ]

        def joined(left: int) -> bool:
            if not 0 <= left < len(residues) - 1:
                return False
            (chain, residue, before), (next_chain, next_residue, after) = residues[left], residues[left + 1]
            if chain != next_chain or "C" not in before or "N" not in after:
                return False
            ends = sorted((before["C"], after["N"]))
            return (ends[0], ends[1]) in bonds if bonds else next_residue == residue + 1

        found: dict[int, tuple[int, int, int, int]] = {}
        for place, (_, residue, _) in enumerate(residues):
            offsets = {offset for _, offset in TORSION_ATOMS[name]} - {0}
            if not all(joined(place + min(offset, 0)) for offset in offsets):
                continue
            chosen = [residues[place + offset][2].get(atom) for atom, offset in TORSION_ATOMS[name]]
            if None not in chosen:
                found[residue] = tuple(chosen)  # type: ignore[assignment]
        return found

    def elements(self) -> tuple[str, ...]:
        """Symbol of the element that each bead is drawn as; "VS" (virtual site) where none suggests itself.

        A type that is a symbol counts ("Cl", but not "CA", an alpha carbon), else the first letter of the name.
        """
        from mdtraj.core.element import Element

        def symbol(bead: int) -> str:
            try:
                if Element.getBySymbol(self.types[bead]).symbol == self.types[bead]:
                    return self.types[bead]
            except KeyError:
                pass
            letter = self.names[bead][:1].upper()
            return letter if letter in set("CNOSHP") else "VS"

        return tuple(symbol(bead) for bead in range(len(self)))

    def topology(self) -> mdtraj.Topology:
        """The beads as an MDTraj topology, one atom a bead."""
        import mdtraj
        from mdtraj.core.element import Element

        topology = mdtraj.Topology()
        elements = self.elements()
        chains: dict[int, Any] = {}
        residues: dict[tuple[int, int], Any] = {}
        for bead in range(len(self)):
            chain, residue = int(self.chains[bead]), int(self.residue_ids[bead])
            if chain not in chains:
                chains[chain] = topology.add_chain()
            if (chain, residue) not in residues:
                residues[chain, residue] = topology.add_residue(self.residue_names[bead], chains[chain], resSeq=residue)
            topology.add_atom(self.names[bead], Element.getBySymbol(elements[bead]), residues[chain, residue])
        atoms = list(topology.atoms)
        for i, j in self.bonds:
            topology.add_bond(atoms[i], atoms[j])
        return topology

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; masses in amu, charges in elementary charges."""
        return {
            "names": list(self.names),
            "types": list(self.types),
            "masses": self.masses.tolist(),
            "charges": self.charges.tolist(),
            "bonds": self.bonds.tolist(),
            "residue_names": list(self.residue_names),
            "residue_ids": self.residue_ids.tolist(),
            "chains": self.chains.tolist(),
        }

    @classmethod
    def from_dict(cls, entries: dict[str, Any]) -> Beads:
        """Inverse of `to_dict`. Raises UserError when entries are missing or do not fit."""
        try:
            return cls(**{name: entries[name] for name in cls.__dataclass_fields__})
        except KeyError as error:
            raise UserError(f"a description of beads without {error}", "one that twofold wrote") from error


def _canonical_bonds(bonds: Any, number: int) -> np.ndarray:
    """Bonds as sorted unique pairs i < j."""
    pairs = np.asarray(bonds, dtype=np.int64).reshape(-1, 2)
    if pairs.size == 0:
        return np.zeros((0, 2), dtype=np.int64)
    if pairs.min() < 0 or pairs.max() >= number:
        raise UserError(
            f"a bond to bead {pairs.max() if pairs.max() >= number else pairs.min()}", f"beads 0 to {number - 1}"
        )
    if np.any(pairs[:, 0] == pairs[:, 1]):
        raise UserError("a bond of a bead with itself", "bonds between two beads")
    return np.unique(np.sort(pairs, axis=1), axis=0)


def pair_classes(beads: Beads, pairs: np.ndarray) -> np.ndarray:
    """(pairs,) int64: pairs whose two beads have the same names and types (in either order) share a class."""
    kinds = [f"{name}/{kind}" for name, kind in zip(beads.names, beads.types, strict=True)]
    labels = [tuple(sorted((kinds[i], kinds[j]))) for i, j in pairs.tolist()]
    table = {label: place for place, label in enumerate(sorted(set(labels)))}
    return np.array([table[label] for label in labels], dtype=np.int64)
