"""Particles in a double well along x and a harmonic well across: a density known by quadrature."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from twofold.units import thermal_energy


class DoubleWell(eqx.Module):
    """`U = sum_i barrier ((x_i / minimum)^2 - 1)^2 + tilt x_i / minimum + 1/2 stiffness (y_i^2 + z_i^2)`.

    barrier, tilt: kJ/mol. minimum: nm, where the wells are. stiffness: kJ/mol/nm^2. The particles do not interact.
    """

    barrier: Float[Array, ""] = eqx.field(converter=jnp.asarray, default=5.0)
    minimum: Float[Array, ""] = eqx.field(converter=jnp.asarray, default=0.1)
    tilt: Float[Array, ""] = eqx.field(converter=jnp.asarray, default=0.0)
    stiffness: Float[Array, ""] = eqx.field(converter=jnp.asarray, default=1000.0)

    def energy(self, positions: Float[Array, "beads 3"]) -> Float[Array, ""]:
        """kJ/mol, positions in nm."""
        along = positions[:, 0] / self.minimum
        across = jnp.sum(jnp.square(positions[:, 1:]))
        return (
            jnp.sum(self.barrier * jnp.square(jnp.square(along) - 1) + self.tilt * along)
            + 0.5 * self.stiffness * across
        )

    def profile(self, x: np.ndarray) -> np.ndarray:
        """Energy along x (nm) of one particle, kJ/mol, float64."""
        along = np.asarray(x, dtype=np.float64) / float(self.minimum)
        return float(self.barrier) * np.square(np.square(along) - 1) + float(self.tilt) * along

    def probabilities(self, edges: np.ndarray, temperature: float, points: int = 200) -> np.ndarray:
        """Probability of x in each bin of `edges` (nm), given that it is in one of them; Gauss-Legendre quadrature."""
        nodes, weights = np.polynomial.legendre.leggauss(points)
        edges = np.asarray(edges, dtype=np.float64)
        centres, halves = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
        x = centres[:, None] + halves[:, None] * nodes
        mass = halves * (np.exp(-self.profile(x) / thermal_energy(temperature)) @ weights)
        return mass / mass.sum()
