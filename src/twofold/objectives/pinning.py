"""Known energies as labels of the energy itself, where the noise ends."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from twofold.chart.base import Chart
from twofold.energy.base import Energy, System, energies


def pinning(
    model: Energy,
    system: System,
    chart: Chart,
    x: Float[Array, "batch ..."],
    known: Float[Array, " batch"],
    sigma: Float[Array, ""],
) -> Float[Array, ""]:
    """Variance over the batch of `U(x, sigma) - sigma/2 dU/dsigma - beta U(x)`, for each coordinate.

    No constant has to be known. known: energies in kT of the density in coordinates of the chart. sigma: the smallest
    level. The energy there is that of the noised density, and its tangent over `sigma^2`, taken to zero, that of the
    clean one up to `sigma^4`. Scores fix an energy only where paths between frames lie in the data; energies fix it
    between any two frames, and so the weights of basins.
    """
    level = jnp.full(x.shape[0], sigma)
    value, slope = jax.jvp(lambda level: energies(model, system, x, level), (level,), (jnp.ones_like(level),))
    difference = value - 0.5 * sigma * slope - known
    return jnp.var(difference, ddof=1) / chart.dimension
