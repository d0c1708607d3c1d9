"""The noise schedule: which range of sigma is learned and how it is drawn."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray


class NoiseSchedule(eqx.Module):
    """Variance-exploding noise `y = x + sigma eps` with sigma from `smallest` to `largest`, in units of the chart."""

    smallest: float
    largest: float

    def draw(self, key: PRNGKeyArray, count: int) -> Float[Array, " count"]:
        """Log-uniform levels, one from each of `count` equal strata of log sigma, in ascending order."""
        place = (jnp.arange(count) + jax.random.uniform(key, (count,))) / count
        return self.at(place)

    def at(self, place: Float[Array, " count"]) -> Float[Array, " count"]:
        """Level at a place between 0 (smallest) and 1 (largest) on the scale of log sigma."""
        low, high = jnp.log(self.smallest), jnp.log(self.largest)
        return jnp.exp(low + (high - low) * place)

    def descent(self, steps: int, curvature: float = 7.0) -> Float[Array, " levels"]:
        """`steps + 1` levels from the largest to the smallest (Karras et al., NeurIPS 2022, eq. 5)."""
        power = 1.0 / curvature
        place = jnp.linspace(0.0, 1.0, steps + 1)
        return (self.largest**power + place * (self.smallest**power - self.largest**power)) ** curvature
