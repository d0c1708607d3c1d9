"""Chains with known bonds, angles and torsions, made for the tests of the analysis."""

import numpy as np

from twofold.beads import Beads
from twofold.ensemble import Ensemble

MASSES = {"N": 14.0, "C": 12.0}


def place(a, b, c, length, angle, torsion):
    """The bead d at `length` from c, with angle b-c-d and torsion a-b-c-d (IUPAC sign); (frames, 3) each."""
    axis = (c - b) / np.linalg.norm(c - b, axis=-1, keepdims=True)
    normal = np.cross(b - a, axis)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    third = np.cross(normal, axis)
    length, angle, torsion = (np.asarray(v, dtype=np.float64)[..., None] for v in (length, angle, torsion))
    # The first term leads on from c; the torsion 0 is cis, on the side of a.
    return c + length * (-np.cos(angle) * axis + np.sin(angle) * (np.cos(torsion) * third + np.sin(torsion) * normal))


def peptide_beads(residues=3):
    """N, CA, CB, C of each residue, bonded as in a peptide of alanine."""
    names, bonds = [], []
    for r in range(residues):
        start = 4 * r
        names += ["N", "CA", "CB", "C"]
        bonds += [(start, start + 1), (start + 1, start + 2), (start + 1, start + 3)]
        if r:
            bonds.append((start - 1, start))
    ids = np.repeat(np.arange(1, residues + 1), 4)
    types = tuple(name[0] for name in names)
    return Beads(
        names=tuple(names),
        types=types,
        masses=np.array([MASSES[t] for t in types]),
        charges=np.zeros(len(names)),
        bonds=np.array(bonds),
        residue_names=("ALA",) * len(names),
        residue_ids=ids,
        chains=np.zeros(len(names)),
    )


def peptide_positions(phi, psi, omega=np.pi, rng=None, residues=3):
    """(frames, beads, 3) nm; phi, psi (frames, residues) radians, omega broadcast; bonds of width 3 pm with `rng`."""
    frames = len(phi)
    omega = np.broadcast_to(omega, (frames, residues))

    def length(mean):
        return mean + (0.003 * rng.standard_normal(frames) if rng is not None else np.zeros(frames))

    def bent(mean):
        return mean + (0.04 * rng.standard_normal(frames) if rng is not None else np.zeros(frames))

    zero = np.zeros((frames, 3))
    n, ca = zero, zero + np.stack([length(0.146), np.zeros(frames), np.zeros(frames)], axis=1)
    before = zero + np.array([-0.05, 0.12, 0.0])
    beads = []
    for r in range(residues):
        c = place(before, n, ca, length(0.152), bent(1.94), phi[:, r])
        cb = place(before, n, ca, length(0.153), bent(1.93), phi[:, r] - 2.1)
        beads += [n, ca, cb, c]
        following = place(n, ca, c, length(0.133), bent(2.03), psi[:, r])
        next_ca = place(ca, c, following, length(0.146), bent(2.12), omega[:, r])
        before, n, ca = c, following, next_ca
    return np.stack(beads, axis=1)


def peptide_ensemble(frames, seed, left=0.1, residues=3, first_block=0):
    """Independent frames of a peptide whose phi is positive with probability `left`."""
    rng = np.random.default_rng(seed)
    size = (frames, residues)
    phi = np.where(rng.random(size) < left, 1.0, -1.5) + 0.25 * rng.standard_normal(size)
    psi = np.where(rng.random(size) < 0.5, 2.4, -0.7) + 0.3 * rng.standard_normal(size)
    positions = peptide_positions(phi, psi, rng=rng, residues=residues)
    block = first_block + np.arange(frames) * 20 // frames
    return Ensemble.build(peptide_beads(residues), positions, 300.0, block=block)
