"""Small topologies written by hand in formats that MDTraj reads but does not write."""

import json
from pathlib import Path

import h5py
import mdtraj
import numpy as np

import peptides


def psf(topology: mdtraj.Topology) -> str:
    """A PSF file (CHARMM) of the atoms and bonds."""
    lines = ["PSF", "", "       1 !NTITLE", " REMARKS made for a test", "", f"{topology.n_atoms:8d} !NATOM"]
    for atom in topology.atoms:
        residue, kind = atom.residue, atom.element.symbol
        lines.append(
            f"{atom.index + 1:8d} A    {residue.resSeq:<4d} {residue.name:<4s} {atom.name:<4s} {kind:<4s}"
            f" {0.0:10.6f} {atom.element.mass:13.4f} {0:11d}"
        )
    lines += ["", f"{topology.n_bonds:8d} !NBOND: bonds"]
    ends = [end.index + 1 for bond in topology.bonds for end in bond]
    lines += ["".join(f"{end:8d}" for end in ends[start : start + 8]) for start in range(0, len(ends), 8)]
    for section in ("NTHETA: angles", "NPHI: dihedrals", "NIMPHI: impropers", "NDON: donors", "NACC: acceptors"):
        lines += ["", f"{0:8d} !{section}", ""]
    return "\n".join(lines) + "\n"


def prmtop(topology: mdtraj.Topology) -> str:
    """A PRMTOP file (AMBER) with names, elements, residues and bonds."""
    bonds = [sorted((a.index, b.index)) for a, b in topology.bonds]
    hydrogen = [atom.element.symbol == "H" for atom in topology.atoms]
    split = {True: [], False: []}
    for i, j in bonds:
        split[hydrogen[i] or hydrogen[j]] += [3 * i, 3 * j, 1]
    pointers = [0] * 31
    pointers[:4] = [topology.n_atoms, 1, len(split[True]) // 3, len(split[False]) // 3]
    pointers[11] = topology.n_residues

    def section(name: str, layout: str, width: int, each: int, values: list[str]) -> str:
        cells = [value.ljust(width) if "a" in layout else value.rjust(width) for value in values]
        rows = ["".join(cells[start : start + each]) for start in range(0, len(cells), each)] or [""]
        return "\n".join([f"%FLAG {name}", f"%FORMAT({layout})", *rows])

    def numbers(name: str, values: list[int]) -> str:
        return section(name, "10I8", 8, 10, [str(value) for value in values])

    atoms, residues = list(topology.atoms), list(topology.residues)
    return "\n".join(
        [
            "%VERSION  VERSION_STAMP = V0001.000  DATE = 01/01/01  00:00:00",
            section("TITLE", "20a4", 4, 20, ["test"]),
            numbers("POINTERS", pointers),
            section("ATOM_NAME", "20a4", 4, 20, [atom.name for atom in atoms]),
            numbers("ATOMIC_NUMBER", [atom.element.number for atom in atoms]),
            section("RESIDUE_LABEL", "20a4", 4, 20, [residue.name for residue in residues]),
            numbers("RESIDUE_POINTER", [residue.atom(0).index + 1 for residue in residues]),
            numbers("BONDS_INC_HYDROGEN", split[True]),
            numbers("BONDS_WITHOUT_HYDROGEN", split[False]),
            "",
        ]
    )


def mmcif(frames: np.ndarray) -> str:
    """An mmCIF file of the dipeptide with a model for each frame (frames, 22, 3) in nm."""
    keys = (
        "group_PDB id type_symbol label_atom_id label_alt_id label_comp_id label_asym_id label_entity_id label_seq_id "
        "pdbx_PDB_ins_code Cartn_x Cartn_y Cartn_z occupancy B_iso_or_equiv auth_seq_id auth_comp_id auth_asym_id "
        "auth_atom_id pdbx_PDB_model_num"
    )
    lines = ["data_test", "#", "loop_", *(f"_atom_site.{key}" for key in keys.split())]
    numbers = {"ACE": 1, "ALA": 2, "NME": 3}
    for model, frame in enumerate(frames, start=1):
        for serial, ((residue, name, *_), place) in enumerate(zip(peptides.ATOMS, frame * 10, strict=True), start=1):
            number = numbers[residue]
            x, y, z = (f"{value:.3f}" for value in place)
            lines.append(
                f"ATOM {serial} {name[0]} {name} . {residue} A 1 {number} ? {x} {y} {z} 1.00 0.00 "
                f"{number} {residue} A {name} {model}"
            )
    return "\n".join([*lines, "#", ""])


def write_mdtraj_hdf5(path: Path, trajectory: mdtraj.Trajectory) -> None:
    """MDTraj's own HDF5 layout, without PyTables."""
    chains = []
    for chain in trajectory.topology.chains:
        residues = []
        for residue in chain.residues:
            atoms = [{"index": a.index, "name": a.name, "element": a.element.symbol} for a in residue.atoms]
            entry = {"index": residue.index, "name": residue.name, "resSeq": residue.resSeq, "atoms": atoms}
            residues.append(entry)
        chains.append({"index": chain.index, "residues": residues})
    bonds = [[a.index, b.index] for a, b in trajectory.topology.bonds]
    with h5py.File(path, "w") as file:
        file["coordinates"] = trajectory.xyz
        file["coordinates"].attrs["units"] = np.bytes_("nanometers")
        file["time"] = trajectory.time
        file["topology"] = np.array([json.dumps({"chains": chains, "bonds": bonds}).encode()])
        if trajectory.unitcell_lengths is not None:
            file["cell_lengths"] = trajectory.unitcell_lengths
            file["cell_lengths"].attrs["units"] = np.bytes_("nanometers")
            file["cell_angles"] = trajectory.unitcell_angles
