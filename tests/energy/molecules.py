"""Synthetic molecules for tests of energies: a chiral chain with one free torsion, and Gaussian chains."""

import numpy as np

from twofold.beads import Beads

CHAIN_BONDS = np.array([[0, 1], [1, 2], [1, 3], [3, 4], [4, 5]])
CHAIN = np.array(
    [
        [-0.05, -0.13, 0.02],
        [0.0, 0.0, 0.0],
        [-0.06, 0.08, 0.11],
        [0.15, 0.02, -0.01],
        [0.21, 0.13, 0.03],
        [0.35, 0.15, 0.02],
    ]
)


def beads(count: int, bonds: np.ndarray) -> Beads:
    return Beads(
        names=("CA",) * count,
        types=("C",) * count,
        masses=np.full(count, 12.0),
        charges=np.zeros(count),
        bonds=np.asarray(bonds).reshape(-1, 2),
        residue_names=("GLY",) * count,
        residue_ids=np.arange(count),
        chains=np.zeros(count),
    )


def rotations(number: int, seed: int) -> np.ndarray:
    """Random rotation matrices (number, 3, 3)."""
    matrices, upper = np.linalg.qr(np.random.default_rng(seed).standard_normal((number, 3, 3)))
    matrices = matrices * np.sign(np.diagonal(upper, axis1=1, axis2=2))[:, None, :]
    matrices[:, :, 0] *= np.linalg.det(matrices)[:, None]
    return matrices


def chain_frames(number: int, seed: int = 0) -> np.ndarray:
    """Frames (number, 6, 3) in nm: the chain turned by any angle about its bond 1-3, shaken and turned as a whole."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(-np.pi, np.pi, number)
    axis = (CHAIN[3] - CHAIN[1]) / np.linalg.norm(CHAIN[3] - CHAIN[1])
    arms = CHAIN[4:] - CHAIN[3]
    along = np.outer(arms @ axis, axis)
    turned = along + np.cos(angle)[:, None, None] * (arms - along) + np.sin(angle)[:, None, None] * np.cross(axis, arms)
    frames = np.concatenate([np.broadcast_to(CHAIN[:4], (number, 4, 3)), CHAIN[3] + turned], axis=1)
    frames = frames + 0.004 * rng.standard_normal(frames.shape)
    return (frames @ rotations(number, seed + 1)).astype(np.float32)


def gaussian_frames(number: int, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Frames (number, count, 3) of a rotation-invariant Gaussian without mean over beads, and its covariance."""
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((count, count)) * np.linspace(0.1, 1.0, count)
    mixing -= mixing.mean(0)
    frames = np.einsum("ij,fjc->fic", mixing, rng.standard_normal((number, count, 3)))
    return frames, mixing @ mixing.T
