"""Known energies as labels of the energy itself, where the noise ends."""

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
    """Variance over the batch of `U(x, sigma) - beta U(x)`, for each coordinate; no constant has to be known.

    known: energies in kT of the density in coordinates of the chart. sigma: the smallest level, at which the energy of
    the noised density still differs from that of the clean one by half of `sigma^2` times what its curvature varies by.
    Scores fix an energy only where paths between frames lie in the data; energies fix it between any two frames, and so
    the weights of basins.
    """
    difference = energies(model, system, x, jnp.full(x.shape[0], sigma)) - known
    return jnp.var(difference, ddof=1) / chart.dimension
