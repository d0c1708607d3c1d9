"""Beads as weighted groups of atoms, listed in a YAML file.

    beads:
      - name: BB                            # as long as four letters, for PDB files
        atoms: name CA C N O and resSeq 2   # an MDTraj selection, or a list of zero-based indices: [4, 5, 6]
        weights: [1, 1, 1, 1]               # optional, one for each atom in ascending order; by default the masses
        type: BB                            # optional, by default the name
        mass: 72.0                          # optional, amu; by default the sum over the atoms
        charge: 0.0                         # optional, elementary charges
    bonds: [[0, 1], [1, 2]]                 # optional, of beads; by default beads with bonded atoms are bonded

A bead belongs to the residue and chain of its first atom. What the file says is stored with the frames that were
mapped, so that others can be mapped alike when the file has changed or is gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.bonding import atom_masses, check_masses, contracted
from twofold.errors import UserError
from twofold.mapping import Mapping, described
from twofold.selection import Chosen, select_atoms

if TYPE_CHECKING:
    import mdtraj

    from twofold.beads import Beads

KEYS = {"name", "atoms", "weights", "type", "mass", "charge"}


@dataclass(frozen=True)
class Groups:
    """What a YAML file says.

    path: of the file. entries: keys and values of each bead. bonds: pairs of beads, None where none are stated.
    """

    path: Path
    entries: list[dict[str, Any]]
    bonds: list[list[int]] | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; `from_dict` gives it back."""
        return {"path": str(self.path), "beads": self.entries, "bonds": self.bonds}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Groups:
        """Inverse of `to_dict`."""
        return cls(Path(content["path"]), content["beads"], content["bonds"])

    def mapping(self, topology: mdtraj.Topology, bonds: np.ndarray) -> Mapping:
        """The mapping of these groups; `bonds` (bonds, 2) are those of the atoms of `topology`.

        Raises UserError for groups that do not fit the topology.
        """
        path, entries = self.path, self.entries
        masses = atom_masses(topology)
        groups = [_atoms(path, number, entry, topology) for number, entry in enumerate(entries)]
        for group, entry in zip(groups, entries, strict=True):
            if "mass" not in entry or "weights" not in entry:
                check_masses(topology, masses, group)
        weights = [_weights(path, number, entries[number], masses[group]) for number, group in enumerate(groups)]
        atoms = np.concatenate(groups)
        bead = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
        owner = np.full(topology.n_atoms, -1, dtype=np.int64)
        owner[atoms[::-1]] = bead[::-1]  # of beads that share an atom the first owns it
        bead_bonds = contracted(bonds, owner) if self.bonds is None else np.array(self.bonds, dtype=np.int64)
        return Mapping(
            beads=_beads(path, topology, entries, groups, bead_bonds.reshape(-1, 2)),
            atoms=atoms,
            bead=bead,
            weight=np.concatenate(weights),
            owner=owner,
            bonds=bonds,
            description={
                "beads": str(path),
                "groups": [group.tolist() for group in groups],
                "atom_count": len(owner),
                "listed": self.to_dict(),
            },
        )


def read_groups(path: Path) -> Groups:
    """What the YAML file `path` says.

    Raises UserError for a file that is missing, does not parse, or says something else.
    """
    import yaml

    if not path.is_file():
        raise UserError(f"no file {path}", "a YAML file that lists beads", "check the name")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} is not YAML ({error})", "a list of beads under the key beads", "mend the file"
        ) from error
    entries = content.get("beads") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise UserError(f"{path} without a list of beads", "entries with atoms under the key beads", "mend the file")
    for number, entry in enumerate(entries):
        if "atoms" not in entry or set(entry) - KEYS:
            raise UserError(f"keys {sorted(entry)} of bead {number} of {path}", f"atoms and any of {sorted(KEYS)}")
    if (bonds := content.get("bonds")) is None:
        return Groups(path, [_plain(entry) for entry in entries], None)
    try:
        pairs = np.array(bonds, dtype=np.int64).reshape(-1, 2).tolist()
    except (TypeError, ValueError) as error:
        raise UserError(f"bonds {bonds} in {path}", "pairs of bead indices such as [[0, 1], [1, 2]]") from error
    return Groups(path, [_plain(entry) for entry in entries], pairs)


def _plain(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry whose name and type are text, which YAML may have read as numbers or dates."""
    return entry | {key: str(entry[key]) for key in ("name", "type") if key in entry}


def _beads(
    path: Path, topology: mdtraj.Topology, entries: list[dict[str, Any]], groups: list[np.ndarray], bonds: np.ndarray
) -> Beads:
    names = [str(entry.get("name", f"B{number + 1}")) for number, entry in enumerate(entries)]
    stated = [_numbers(path, number, entry) for number, entry in enumerate(entries)]
    sums = [atom_masses(topology)[group].sum() for group in groups]
    first = [int(group[0]) for group in groups]
    return described(
        topology,
        [Chosen(atom, name, topology.atom(atom).residue.name) for atom, name in zip(first, names, strict=True)],
        types=[str(entry.get("type", name)) for entry, name in zip(entries, names, strict=True)],
        masses=np.array([values.get("mass", total) for values, total in zip(stated, sums, strict=True)]),
        charges=np.array([values.get("charge", 0.0) for values in stated]),
        bonds=bonds,
    )


def _numbers(path: Path, number: int, entry: dict[str, Any]) -> dict[str, float]:
    """Mass and charge of a bead, where stated."""
    try:
        return {key: float(entry[key]) for key in ("mass", "charge") if key in entry}
    except (TypeError, ValueError) as error:
        raise UserError(f"mass or charge of bead {number} of {path} that is no number ({error})", "numbers") from error


def _atoms(path: Path, number: int, entry: dict[str, Any], topology: mdtraj.Topology) -> np.ndarray:
    """Atoms of a bead, ascending."""
    atoms = entry["atoms"]
    if isinstance(atoms, str):
        atoms = select_atoms(topology, atoms)
    if not isinstance(atoms, list) or not all(type(atom) is int for atom in atoms):
        raise UserError(f"atoms {atoms!r} of bead {number} of {path}", "a selection or a list of zero-based indices")
    if not atoms or min(atoms) < 0 or max(atoms) >= topology.n_atoms or len(set(atoms)) < len(atoms):
        expected = f"different atoms from 0 to {topology.n_atoms - 1}, at least one"
        raise UserError(f"atoms {entry['atoms']!r} of bead {number} of {path} give {atoms}", expected)
    return np.array(sorted(atoms), dtype=np.int64)


def _weights(path: Path, number: int, entry: dict[str, Any], masses: np.ndarray) -> np.ndarray:
    """Weights of the atoms of a bead, with sum 1."""
    try:
        weights = np.array(entry.get("weights", masses), dtype=np.float64)
    except (TypeError, ValueError):
        weights = np.empty(0)
    if weights.shape != masses.shape or not np.isfinite(weights).all() or weights.sum() <= 0:
        raise UserError(
            f"weights {entry.get('weights')} of bead {number} of {path}", f"{len(masses)} numbers with a positive sum"
        )
    return weights / weights.sum()
