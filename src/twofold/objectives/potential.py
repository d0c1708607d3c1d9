"""Potential score matching: known forces as labels of the score, mixed with the noise.

For data `x` of density `exp(-U)` and `y = x + sigma eps`, both the force `T = -grad U(x)` in kT and the noise
`D = -eps / sigma` have the score of the noised density at y as their mean given y (De Bortoli et al. 2024, target score
matching; Vincent 2011). They are uncorrelated, since eps does not depend on x, with second moments `J = <|T|^2>` and
`1/sigma^2` for each coordinate. Of all constant mixtures `w T + (1 - w) D` that with

    w = 1 / (1 + J sigma^2)

has the least second moment, `J / (1 + J sigma^2)`. Forces rule at small noise, where the noise itself says nothing, and
noise rules where a force at x says little of the score at y.

J may be a matrix, `<T T^t>`: then `W = (1 + sigma^2 J)^-1`, and along the eigenvectors of J the mixture is again one of
numbers. For Gaussian data, where J is the inverse covariance, nothing of the label is noise then.

Biased data stay biased: T is the force of the true density, but what it is averaged over, x given y, is of the data.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from twofold.energy.base import Energy, System, scores
from twofold.noise import along_frames
from twofold.objectives.denoising import products, squares


def force_share(sigma: Float[Array, " batch"], variance: Float[Array, " ..."]) -> Float[Array, "batch ..."]:
    """`w = 1 / (1 + J sigma^2)` for J = `variance`, one number or one for each coordinate."""
    level = sigma.reshape((-1,) + (1,) * variance.ndim)
    return 1.0 / (1.0 + variance * level**2)


def along(directions: Float[Array, "n n"] | None, values: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
    """Components of coordinates, or of beads for each direction of space, along the columns of `directions`."""
    if directions is None:
        return values
    return jnp.einsum("bi...,ij->bj...", values, directions, precision=jax.lax.Precision.HIGHEST)


def plain_mixture(
    model: Energy,
    system: System,
    x: Float[Array, "batch ..."],
    noise: Array,
    sigma: Float[Array, " batch"],
    forces: Float[Array, "batch ..."],
    share: Float[Array, "batch ..."],
    directions: Float[Array, "n n"] | None = None,
) -> Float[Array, " batch"]:
    """`1/2 |s(y) - W T - (1 - W) D|^2`.

    forces: T in the coordinates of x. share: the diagonal of W, in a shape that multiplies x, `along` the directions if
    they are given.
    """
    level = along_frames(sigma, x)
    target = share * along(directions, forces) - (1.0 - share) * along(directions, noise) / level
    return 0.5 * squares(along(directions, scores(model, system, x + level * noise, sigma)) - target)


def antithetic_mixture(
    model: Energy,
    system: System,
    x: Float[Array, "batch ..."],
    noise: Array,
    sigma: Float[Array, " batch"],
    forces: Float[Array, "batch ..."],
    share: Float[Array, "batch ..."],
    directions: Float[Array, "n n"] | None = None,
) -> Float[Array, " batch"]:
    """The mean of `plain_mixture` over `y+- = x +- sigma eps`, less what does not depend on the model.

    `(|s+|^2 + |s-|^2)/4 - w T.(s+ + s-)/2 + (1 - w) eps.(s+ - s-)/(2 sigma)`: both have the same force as their label,
    and opposite noise.
    """
    level = along_frames(sigma, x)
    both = jnp.concatenate([x + level * noise, x - level * noise])
    plus, minus = jnp.split(scores(model, system, both, jnp.concatenate([sigma, sigma])), 2)
    by_noise = products((1.0 - share) * along(directions, noise), along(directions, plus - minus)) / (2.0 * sigma)
    by_force = 0.5 * products(share * along(directions, forces), along(directions, plus + minus))
    return 0.25 * (squares(plus) + squares(minus)) + by_noise - by_force


MIXTURES = {"antithetic": antithetic_mixture, "denoising": plain_mixture}
"""By the name of the loss that they are without forces."""
