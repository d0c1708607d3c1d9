"""A small molecule for the tests: alanine dipeptide, as files and arrays."""

from pathlib import Path

import mdtraj
import numpy as np

ATOMS = (
    ("ACE", "H1", 0.1761, 0.0983, -0.3030),
    ("ACE", "CH3", 0.2510, 0.0525, -0.2385),
    ("ACE", "H2", 0.3398, 0.1128, -0.2194),
    ("ACE", "H3", 0.2932, -0.0442, -0.2658),
    ("ACE", "C", 0.1822, 0.0289, -0.1040),
    ("ACE", "O", 0.2269, 0.0961, -0.0119),
    ("ALA", "N", 0.0825, -0.0598, -0.1063),
    ("ALA", "H", 0.0713, -0.1018, -0.1974),
    ("ALA", "CA", -0.0140, -0.0804, 0.0030),
    ("ALA", "HA", -0.0923, -0.1494, -0.0287),
    ("ALA", "CB", 0.0632, -0.1561, 0.1095),
    ("ALA", "HB1", -0.0101, -0.2050, 0.1737),
    ("ALA", "HB2", 0.1164, -0.2386, 0.0620),
    ("ALA", "HB3", 0.1298, -0.0876, 0.1619),
    ("ALA", "C", -0.0840, 0.0422, 0.0529),
    ("ALA", "O", -0.0267, 0.1536, 0.0579),
    ("NME", "N", -0.2095, 0.0241, 0.1002),
    ("NME", "H", -0.2545, -0.0661, 0.0940),
    ("NME", "C", -0.2986, 0.1293, 0.1558),
    ("NME", "H1", -0.3966, 0.0816, 0.1607),
    ("NME", "H2", -0.2503, 0.1516, 0.2509),
    ("NME", "H3", -0.2959, 0.2180, 0.0925),
)
"""Residue, name and position in nm of each atom of ACE-ALA-NME."""
BACKBONE = [4, 6, 8, 14, 16]
NAMES = tuple(name for _, name, *_ in ATOMS)
STRUCTURE = np.array([place for _, _, *place in ATOMS], dtype=np.float32)


def pdb_text(positions: np.ndarray = STRUCTURE, cell: str = "", elements: bool = True) -> str:
    """A PDB file of one model, written by hand."""
    lines = [cell] if cell else []
    numbers = {"ACE": 1, "ALA": 2, "NME": 3}
    for serial, ((residue, name, *_), (x, y, z)) in enumerate(zip(ATOMS, positions * 10, strict=True), start=1):
        element = name[0] if elements else ""
        lines.append(
            f"ATOM  {serial:5d}  {name:<3s} {residue} A{numbers[residue]:4d}    {x:8.3f}{y:8.3f}{z:8.3f}"
            f"  1.00  0.00          {element:>2s}"
        )
    return "\n".join([*lines, "END", ""])


def write_pdb(folder: Path) -> Path:
    """ala2.pdb in `folder`."""
    path = folder / "ala2.pdb"
    path.write_text(pdb_text())
    return path


def wiggled(frames: int = 30, seed: int = 0) -> np.ndarray:
    """(frames, 22, 3) float32, nm: the structure with small seeded noise."""
    noise = np.random.default_rng(seed).normal(scale=0.005, size=(frames, len(ATOMS), 3))
    return (STRUCTURE + noise).astype(np.float32)


def trajectory(folder: Path, frames: int = 30, boxed: float | None = None) -> mdtraj.Trajectory:
    """The wiggled structure, 2 ps between frames, in a cubic box of edge `boxed` nm where given."""
    topology = mdtraj.load_topology(str(write_pdb(folder)))
    result = mdtraj.Trajectory(wiggled(frames), topology, time=np.arange(frames) * 2.0)
    if boxed is not None:
        result.unitcell_vectors = np.broadcast_to(np.eye(3, dtype=np.float32) * boxed, (frames, 3, 3)).copy()
    return result


def chain_topology(*residues: str) -> mdtraj.Topology:
    """A peptide with the heavy atoms N, CA, CB, C and O (glycine without CB), and H and HA."""
    topology = mdtraj.Topology()
    chain = topology.add_chain()
    for number, name in enumerate(residues, start=1):
        residue = topology.add_residue(name, chain, resSeq=number)
        for atom in ("N", "H", "CA", "HA", "CB", "C", "O"):
            if not (name == "GLY" and atom == "CB"):
                topology.add_atom(atom, mdtraj.element.Element.getBySymbol(atom[0]), residue)
    topology.create_standard_bonds()
    return topology
