"""Beads held by springs: a Gaussian density, known exactly."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from twofold.units import thermal_energy


class Harmonic(eqx.Module):
    """`U = 1/2 sum_ij K_ij x_i . x_j`, `K` symmetric and positive semidefinite, in kJ/mol/nm^2.

    A diagonal `K` is a set of independent wells around the origin; one whose rows sum to zero is a molecule in free
    space.
    """

    stiffness: Float[Array, "beads beads"]

    @classmethod
    def wells(cls, constants: np.ndarray | list[float]) -> Harmonic:
        """Independent wells of force constants (beads,) kJ/mol/nm^2."""
        return cls(jnp.diag(jnp.asarray(constants, jnp.float32)))

    @classmethod
    def chain(cls, constants: np.ndarray | list[float]) -> Harmonic:
        """Beads in free space, neighbours joined by springs of no length, (beads - 1,) kJ/mol/nm^2."""
        beads = len(constants) + 1
        stiffness = np.zeros((beads, beads))
        for i, constant in enumerate(constants):
            stiffness[i : i + 2, i : i + 2] += constant * np.array([[1.0, -1.0], [-1.0, 1.0]])
        return cls(jnp.asarray(stiffness, jnp.float32))

    def energy(self, positions: Float[Array, "beads 3"]) -> Float[Array, ""]:
        """kJ/mol, positions in nm."""
        return 0.5 * jnp.sum(positions * (self.stiffness @ positions))

    def covariance(self, temperature: float) -> np.ndarray:
        """`kT K^+`, (beads, beads) nm^2, alike for x, y and z; of centred positions for a molecule in free space."""
        return thermal_energy(temperature) * np.linalg.pinv(
            np.asarray(self.stiffness, dtype=np.float64), rcond=1e-6, hermitian=True
        )

    def frequencies(self, masses: np.ndarray) -> np.ndarray:
        """Angular frequencies of the normal modes, (beads,) 1/ps, ascending; each is threefold."""
        root = np.sqrt(np.asarray(masses, dtype=np.float64))
        weighted = np.asarray(self.stiffness, dtype=np.float64) / np.outer(root, root)
        return np.sqrt(np.maximum(np.linalg.eigvalsh(weighted), 0.0))

    def sample(self, number: int, temperature: float, rng: np.random.Generator) -> np.ndarray:
        """Independent positions, (number, beads, 3) float32 nm."""
        values, vectors = np.linalg.eigh(self.covariance(temperature))
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        return (root @ rng.standard_normal((number, len(root), 3))).astype(np.float32)
