"""Coulomb energy of point charges, beside a network that then need not learn what reaches far.

    U(x, sigma) = l sum_{i<j} q_i q_j v(r_ij),    v(r) = erf(r / (2 sigma)) / r exp(-sqrt(r^2 + pi sigma^2) / screening)

`l` is the Bjerrum length, Coulomb constant / (dielectric kT), in units of the chart. `erf(r / 2 sigma) / r` is `1 / r`
averaged over the noise of both charges, which makes it finite at contact and lets it fade where noise hides everything;
screening (Debye and Hueckel, Phys. Z. 24, 185, 1923) sees the mean distance of charges that coincide but for noise.

In free space the sum is over all pairs. In a periodic box it is over nearest images within a cut-off R, and the first
terms of the series of v in r^2 about R^2 are taken from it, so that energy, force and its slope end at zero:

    v(r) - v(R) - v'(R^2) (r^2 - R^2) - 1/2 v''(R^2) (r^2 - R^2)^2

For 1 / r this is the zero-quadrupole sum (Fukuda, J. Chem. Phys. 139, 174107, 2013), one order above a reaction field.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from twofold.beads import Beads
from twofold.bond_graph import bonds_apart
from twofold.energy.base import Energy, System
from twofold.energy.pairs import Particles, in_space, pairs_of, steps_of
from twofold.errors import UserError
from twofold.fixed import Fixed
from twofold.units import COULOMB, thermal_energy

LEAST_NOISE = 1e-6
"""Where there is less noise, quotients by it would not be finite."""
APART = 2
"""Bonds between two beads up to which they do not see each other's charge."""


class Coulomb(Energy, Fixed):
    """Coulomb energy in kT of `Particles` with charges, of those that are given or of the one molecule that it holds.

    charges: (particles,), elementary charges. excluded: (pairs, 2), pairs that do not see each other's charge.
    strength: Bjerrum length. screening: Debye length; None is none. cutoff: in a box, at most half its shortest edge.
    All lengths are in units of the chart. listed: lists of neighbours hold all partners within the cut-off. alike: like
    beads may change places.
    """

    charges: Float[Array, " particles"]
    excluded: Int[Array, "pairs 2"]
    strength: float = eqx.field(static=True)
    screening: float | None = eqx.field(static=True)
    cutoff: float | None = eqx.field(static=True)
    listed: bool = eqx.field(static=True)
    alike: bool = eqx.field(static=True)

    @property
    def like_beads(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.alike

    def energy(self, system: System, x: Float[Array, "particles axes"], sigma: Float[Array, ""]) -> Float[Array, ""]:
        """Raises UserError for particles without charges, and for a box without a cut-off."""
        particles = self._molecule() if system is None else system
        if particles.charges is None:
            raise UserError("particles without charges", "charges (particles,) in elementary charges")
        bare = self._bare(sigma)
        interaction = self._ending(bare, particles)
        x, charges = in_space(x), jnp.where(particles.real, particles.charges, 0.0)
        if particles.edges is None or not self.listed:
            particles = particles._replace(neighbours=None)
        pairs = pairs_of(x, particles, math.inf)
        other = charges[None]
        if particles.neighbours is not None:
            other = jnp.append(charges, 0.0)[particles.neighbours]
        # every pair is met twice; a weight is one or, for padding and for a particle and itself, zero
        total = 0.5 * jnp.sum(charges[:, None] * other * pairs.weight * interaction(pairs.distance**2))
        if particles.excluded is not None:
            step = steps_of(x, particles.excluded, particles)
            both = jnp.prod(jnp.append(charges, 0.0)[particles.excluded], axis=-1)
            square = jnp.sum(step**2, axis=-1)
            # the series stays: it stands for what surrounds a charge, of which its own molecule is a part
            seen = True if particles.edges is None or self.cutoff is None else square < self.cutoff**2
            total = total - jnp.sum(both * jnp.where(seen, bare(square), 0.0))
        return self.strength * total

    def _molecule(self) -> Particles:
        count = self.charges.shape[0]
        blank, real = jnp.zeros(count, int), jnp.ones(count, bool)
        return Particles(blank, real, charges=self.charges, excluded=self.excluded)

    def _bare(self, sigma: Array) -> Callable[[Array], Array]:
        """`v` of free space as a function of the square of the distance."""
        noise = jnp.maximum(sigma, LEAST_NOISE)

        def bare(square: Array) -> Array:
            distance = jnp.sqrt(square)
            value = jax.lax.erf(distance / (2.0 * noise)) / distance
            if self.screening is None:
                return value
            return value * jnp.exp(-jnp.sqrt(square + jnp.pi * noise**2) / self.screening)

        return bare

    def _ending(self, bare: Callable[[Array], Array], particles: Particles) -> Callable[[Array], Array]:
        """`v` as a function of the square of the distance."""
        if particles.edges is None:
            return bare
        if self.cutoff is None:
            raise UserError("charges in a periodic box without a cut-off", "one of at most half the shortest edge")
        end = jnp.float32(self.cutoff**2)
        value, slope, bend = bare(end), jax.grad(bare)(end), jax.grad(jax.grad(bare))(end)

        def ending(square: Array) -> Array:
            beyond = square - end
            return jnp.where(beyond < 0, bare(square) - value - slope * beyond - 0.5 * bend * beyond**2, 0.0)

        return ending


def coulomb(
    beads: Beads,
    temperature: float,
    length: float,
    *,
    dielectric: float = 1.0,
    screening: float | None = None,
    cutoff: float | None = None,
    apart: int = APART,
    listed: bool = False,
) -> Coulomb:
    """Coulomb energy of the charges of `beads` at `temperature` in K, in a chart whose unit is `length` in nm.

    dielectric: relative permittivity. screening, cutoff: nm. Beads up to `apart` bonds from each other are left out.
    Raises UserError for what is not above zero.
    """
    numbers = {"dielectric": dielectric, "screening": screening, "cutoff": cutoff, "temperature": temperature}
    for name, value in numbers.items():
        if value is not None and not value > 0:
            raise UserError(f"{name} {value:g}", "a number above 0")
    excluded = np.argwhere(np.triu(bonds_apart(len(beads), beads.bonds) <= apart, 1))
    kinds = set(zip(beads.types, beads.charges.tolist(), strict=True))
    return Coulomb(
        jnp.asarray(beads.charges, jnp.float32),
        jnp.asarray(excluded),
        strength=COULOMB / (dielectric * thermal_energy(temperature) * length),
        screening=None if screening is None else screening / length,
        cutoff=None if cutoff is None else cutoff / length,
        listed=listed,
        alike=len(kinds) == len(set(beads.types)) and len(excluded) == 0,
    )
