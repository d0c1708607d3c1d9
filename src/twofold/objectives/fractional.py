"""Fractional score matching: denoising with heavy-tailed noise (after Yoon et al., NeurIPS 2023).

The noise is isotropic and alpha-stable, `y = x + sigma eps` with `E exp(i u.eps) = exp(-|u|^alpha / alpha)`: standard
Gaussian for alpha = 2, and without a second moment below. (With the published convention, exp(-|u|^alpha), the level is
`alpha^(-1/alpha)` times the one here.) What takes the place of the score is the fractional score of the noised density,

    S = (-lap)^((alpha-2)/2) grad p / p.

For one frame x, the Fourier transform of `z q(z)`, z = y - x, is `-i grad_u exp(-sigma^alpha |u|^alpha / alpha)`
`= i sigma^alpha |u|^(alpha-2) u exp(...)`, that of `-sigma^alpha (-lap)^((alpha-2)/2) grad q`. Hence the label of y,

    S(y | x) = -(y - x) / sigma^alpha = -eps / sigma^(alpha-1)

(`-z / (alpha sigma^alpha)` in the published convention), and S is its mean given y. With `S = sigma^(2-alpha) s` that
mean is one of `-eps/sigma`, as for Gaussian noise: a network for `s(y, sigma) = (E[x|y] - y) / sigma^2` keeps its form
and its loss, and only the noise is another.

As sigma goes to zero S becomes the fractional score of the clean density, which is not local, and not a force unless
alpha = 2.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from twofold.chart.base import Chart
from twofold.energy.base import Energy, System, scores
from twofold.noise import along_frames
from twofold.objectives.denoising import draw_noise, plain


def variance_factor(key: PRNGKeyArray, count: int, stability: float) -> Float[Array, " count"]:
    """Positive (alpha/2)-stable numbers A for which `sqrt(A)` times Gaussian noise is alpha-stable; one for alpha = 2.

    `E exp(-l A) = exp(-(2 l)^(alpha/2) / alpha)`, by the formula of Chambers, Mallows and Stuck (J. Am. Stat. Assoc.
    71, 340, 1976) in the form of Kanter (Ann. Probab. 3, 697, 1975): with a = alpha/2, U uniform in (0, pi) and W
    exponential, `(sin aU / sin^(1/a) U) (sin((1-a)U) / W)^((1-a)/a)` has the transform exp(-l^a).
    """
    if stability == 2.0:
        return jnp.ones(count)
    a = 0.5 * stability
    turn, wait = jax.random.split(key)
    angle = jnp.pi * jax.random.uniform(turn, (count,), minval=1e-6, maxval=1.0 - 1e-6)
    size = jnp.log(jnp.sin(a * angle)) - jnp.log(jnp.sin(angle)) / a
    jump = jnp.log(jnp.sin((1.0 - a) * angle)) - jnp.log(jax.random.exponential(wait, (count,)) + 1e-30)
    return 2.0 * stability ** (-1.0 / a) * jnp.exp(size + jump * (1.0 - a) / a)


def stable_noise(
    key: PRNGKeyArray, chart: Chart, x: Float[Array, "batch ..."], stability: float
) -> Float[Array, "batch ..."]:
    """Isotropic alpha-stable noise in the coordinates of the chart; that of `draw_noise` itself for alpha = 2."""
    gaussian = draw_noise(key, chart, x)
    if stability == 2.0:
        return gaussian
    factor = variance_factor(jax.random.fold_in(key, 1), x.shape[0], stability)
    return along_frames(jnp.sqrt(factor), x) * gaussian


def fractional_scores(
    model: Energy, system: System, y: Float[Array, "batch ..."], sigma: Float[Array, " batch"], stability: float
) -> Float[Array, "batch ..."]:
    """Fractional scores `S = sigma^(2-alpha) s` of a model that was trained with `fractional`."""
    return along_frames(sigma, y) ** (2.0 - stability) * scores(model, system, y, sigma)


def fractional(
    model: Energy,
    system: System,
    x: Float[Array, "batch ..."],
    noise: Array,
    sigma: Float[Array, " batch"],
    stability: float,
) -> Float[Array, " batch"]:
    """`w(y) 1/2 |s(y) + eps/sigma|^2` for alpha-stable noise; `plain` for alpha = 2.

    The square of the label has no mean for alpha < 2. Given y its variance is that of x, which is bounded: a weight
    that depends on y alone leaves the minimiser where it is, and `w = 1 / (1 + |y|^2 / (D (1 + sigma^2)))` makes the
    mean finite. (Clipping the noise, or taking the absolute value of the error, would move the minimiser.)
    """
    value = plain(model, system, x, noise, sigma)
    if stability == 2.0:
        return value
    y = x + along_frames(sigma, x) * noise
    squares = jnp.sum(y.reshape(y.shape[0], -1) ** 2, -1)
    return value / (1.0 + squares / (x[0].size * (1.0 + sigma**2)))
