"""Harmonic bonds beside a network that then need not learn what is known.

    U(x, sigma) = sum_b (r_b - length_b)^2 / (2 (width_b^2 + 2 sigma^2)) / (1 + (sigma / length_b)^2)

`width` is the standard deviation of the bond without noise, `sqrt(kT / k)` for a spring constant k, to which noise on
both ends adds `2 sigma^2`. Where noise exceeds the bond nothing of it is left to see, and a spring must not add to what
the Gaussian of the noise says already: the last factor lets it go as fast as what a bond changes in a Gaussian does.
"""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from twofold.energy.base import Energy, System
from twofold.energy.pairs import Bonds, Particles, in_space, steps_of
from twofold.errors import UserError
from twofold.fixed import Fixed


class Springs(Energy, Fixed):
    """Energy in kT of the bonds of `Particles`, of those that are given or of the one molecule that it holds.

    pairs: (bonds, 2). length, width: (bonds,), units of the chart.
    """

    pairs: Int[Array, "bonds 2"]
    length: Float[Array, " bonds"]
    width: Float[Array, " bonds"]
    number: int = eqx.field(static=True)

    def energy(self, system: System, x: Float[Array, "particles axes"], sigma: Float[Array, ""]) -> Float[Array, ""]:
        """Raises UserError for particles without bonds."""
        particles = self._molecule() if system is None else system
        if particles.bonds is None:
            raise UserError("particles without bonds", "pairs, lengths and widths")
        pairs, length, width = particles.bonds
        distance = jnp.sqrt(jnp.sum(steps_of(in_space(x), pairs, particles) ** 2, axis=-1))
        here = jnp.all(jnp.append(particles.real, False)[pairs], axis=-1)
        each = 0.5 * (distance - length) ** 2 / (width**2 + 2.0 * sigma**2) / (1.0 + (sigma / length) ** 2)
        return jnp.sum(jnp.where(here, each, 0.0))

    def _molecule(self) -> Particles:
        blank, real = jnp.zeros(self.number, int), jnp.ones(self.number, bool)
        return Particles(blank, real, bonds=Bonds(self.pairs, self.length, self.width))


def springs(pairs: np.ndarray, frames: np.ndarray, weights: np.ndarray | None = None) -> Springs:
    """Bonds (bonds, 2) with the mean and the width that they have in frames (frames, particles, 3) in chart units.

    weights: (frames,). Molecules are whole. Raises UserError for a bond to a particle that is not there.
    """
    pairs, count = np.asarray(pairs, int).reshape(-1, 2), frames.shape[1]
    if pairs.size and not 0 <= pairs.min() <= pairs.max() < count:
        raise UserError(f"bonds to particles {pairs.min()} to {pairs.max()}", f"particles 0 to {count - 1}")
    ends = np.asarray(frames, np.float64)[:, pairs]
    distances = np.linalg.norm(ends[:, :, 1] - ends[:, :, 0], axis=-1)
    mean = np.average(distances, axis=0, weights=weights)
    width = np.sqrt(np.average((distances - mean) ** 2, axis=0, weights=weights))
    return Springs(jnp.asarray(pairs), jnp.asarray(mean, jnp.float32), jnp.asarray(width, jnp.float32), count)
