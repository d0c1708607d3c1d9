"""A model of the fractional score, which is a sampler and no force field."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from twofold.energy.base import Energy, System
from twofold.errors import UserError


class FractionalEnergy(Energy):
    """An energy that was trained with alpha-stable noise, alpha = `stability`, on coordinates in [lower, upper].

    Its score is `s = (E[x|y] - y) / sigma^2`, from which the fractional score is `sigma^(2-alpha) s` (see
    `objectives.fractional`). The mean lies among the data, however far out y is: a jump takes y to where the network
    has hardly been, so that its estimate is brought back into the box of the data.
    """

    inner: Energy
    stability: float
    lower: Array
    upper: Array

    @property
    def conservative_to(self) -> float:
        return 0.0

    def entries(self, system: System, count: int) -> int:
        return self.inner.entries(system, count)

    def energy(self, system: System, x: Float[Array, ...], sigma: Float[Array, ""]) -> Float[Array, ""]:
        """A potential of the score inside the box; not the logarithm of a density."""
        return self.inner.energy(system, x, sigma)

    def score(self, system: System, x: Float[Array, ...], sigma: Float[Array, ""]) -> Float[Array, ...]:
        mean = x + sigma**2 * self.inner.score(system, x, sigma)
        return (jnp.clip(mean, self.lower, self.upper) - x) / sigma**2

    def at_level(self, sigma: float) -> Energy:
        raise UserError(
            f"a model of the fractional score (stability {self.stability:g})",
            "one of the score, which is a force at small noise",
            "fit with stability 2 to simulate",
        )
