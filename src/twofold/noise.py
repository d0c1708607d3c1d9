"""The noise schedule: which range of sigma is learned and how it is drawn.

Noise is variance exploding throughout, `y = x + sigma eps`. What is published for variance-preserving noise,
`z = alpha (x + sigma eps)` with `alpha^2 + sigma_vp^2 = 1` and `sigma = sigma_vp / alpha`, is another view of the same
energy: a map between its time and sigma, a change of scale, and a density of time in which levels are drawn.
"""

from abc import abstractmethod
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from twofold.energy.base import Energy, System, energies, scores


def along_frames(values: Float[Array, " batch"], like: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
    """One number for each frame, in a shape that multiplies all coordinates of that frame."""
    return values.reshape((-1,) + (1,) * (like.ndim - 1))


class NoiseSchedule(eqx.Module):
    """Variance-exploding noise `y = x + sigma eps` with sigma from `smallest` to `largest`, in units of the chart."""

    smallest: float
    largest: float

    def draw(self, key: PRNGKeyArray, count: int) -> Float[Array, " count"]:
        """Levels, one from each of `count` strata of equal probability, in ascending order; log-uniform here."""
        place = (jnp.arange(count) + jax.random.uniform(key, (count,))) / count
        return self.at(place)

    def at(self, place: Float[Array, " count"]) -> Float[Array, " count"]:
        """Level at a place between 0 (smallest) and 1 (largest) on the scale of log sigma."""
        low, high = jnp.log(self.smallest), jnp.log(self.largest)
        return jnp.exp(low + (high - low) * place)

    def edges(self, count: int) -> np.ndarray:
        """Ends (count + 1,) of the strata of `draw`, known before anything is compiled."""
        with jax.ensure_compile_time_eval():
            return np.asarray(self.at(jnp.linspace(0.0, 1.0, count + 1)), np.float64)

    def descent(self, steps: int, curvature: float = 7.0) -> Float[Array, " levels"]:
        """`steps + 1` levels from the largest to the smallest (Karras et al., NeurIPS 2022, eq. 5)."""
        power = 1.0 / curvature
        place = jnp.linspace(0.0, 1.0, steps + 1)
        return (self.largest**power + place * (self.smallest**power - self.largest**power)) ** curvature


class VariancePreserving(eqx.Module):
    """Variance-preserving noise `z = alpha(t) (x + sigma(t) eps)` as a view of an energy `U(y, sigma)`.

    Time runs from `first` to `last`. Half of the loss of a recipe belongs to times before `middle`, either by a weight
    or by how often they are drawn, which for the expected loss is the same.
    """

    first: ClassVar[float]
    last: ClassVar[float]
    middle: ClassVar[float]

    @abstractmethod
    def sigma(self, time: Float[Array, "..."]) -> Float[Array, "..."]:
        """Level of the variance-exploding noise at a time, `sigma_vp / alpha`."""

    @abstractmethod
    def time(self, sigma: Float[Array, "..."]) -> Float[Array, "..."]:
        """Time at which the noise has this level: the inverse of `sigma`."""

    @abstractmethod
    def at(self, place: Float[Array, " count"]) -> Float[Array, " count"]:
        """Times before which the recipe draws this part of all times, from 0 to 1."""

    @abstractmethod
    def weight(self, time: Float[Array, " count"]) -> Float[Array, " count"]:
        """Factor of the loss `|eps + sigma_vp s_vp|^2` at these times, of mean one over the draws."""

    @property
    def range(self) -> NoiseSchedule:
        """Levels between the first time and the last."""
        with jax.ensure_compile_time_eval():
            ends = self.sigma(jnp.array([self.first, self.last]))
            return NoiseSchedule(float(ends[0]), float(ends[1]))

    def scale(self, time: Float[Array, "..."]) -> Float[Array, "..."]:
        """`alpha`: how much is left of the data."""
        return 1.0 / jnp.sqrt(1.0 + self.sigma(time) ** 2)

    def width(self, time: Float[Array, "..."]) -> Float[Array, "..."]:
        """`sigma_vp`: standard deviation of the noise beside the data that are left."""
        return self.sigma(time) * self.scale(time)

    def score(
        self, model: Energy, system: System, z: Float[Array, "batch ..."], time: Float[Array, " batch"]
    ) -> Float[Array, "batch ..."]:
        """Scores in coordinates of this view, `s_vp(z, t) = s(z / alpha, sigma) / alpha`."""
        alpha = along_frames(self.scale(time), z)
        return scores(model, system, z / alpha, self.sigma(time)) / alpha

    def energy(
        self, model: Energy, system: System, z: Float[Array, "batch ..."], time: Float[Array, " batch"], dimension: int
    ) -> Float[Array, " batch"]:
        """Energies in kT in coordinates of this view, `U(z / alpha, sigma) + D ln alpha` for D = `dimension`.

        The second term is the change of volume, which matters between times; differences at one time are those of U.
        """
        alpha = self.scale(time)
        y = z / along_frames(alpha, z)
        return energies(model, system, y, self.sigma(time)) + dimension * jnp.log(alpha)


class LinearPreserving(VariancePreserving):
    """`beta = 0.1 + 19.9 t` (Song et al., ICLR 2021), with times and weights of Plainer et al. (NeurIPS 2025)."""

    first: ClassVar[float] = 1e-5
    last: ClassVar[float] = 1.0
    middle: ClassVar[float] = 0.3
    LEAST: ClassVar[float] = 0.1
    MOST: ClassVar[float] = 20.0

    def sigma(self, time: Float[Array, "..."]) -> Float[Array, "..."]:
        # -2 ln alpha is the integral of beta
        return jnp.sqrt(jnp.expm1(self.LEAST * time + 0.5 * (self.MOST - self.LEAST) * time**2))

    def time(self, sigma: Float[Array, "..."]) -> Float[Array, "..."]:
        # the root of the quadratic in the form that subtracts nothing
        integral = jnp.log1p(sigma**2)
        return 2.0 * integral / (self.LEAST + jnp.sqrt(self.LEAST**2 + 2.0 * (self.MOST - self.LEAST) * integral))

    def at(self, place: Float[Array, " count"]) -> Float[Array, " count"]:
        """Uniform times."""
        return self.first + (self.last - self.first) * place

    def weight(self, time: Float[Array, " count"]) -> Float[Array, " count"]:
        """`equal_weight`: the times on either side of `middle` have half of the weight."""
        length = self.last - self.first
        early, late = 0.5 * length / (self.middle - self.first), 0.5 * length / (self.last - self.middle)
        return jnp.where(time <= self.middle, early, late)


class CosinePreserving(VariancePreserving):
    """`alpha = cos a(t) / cos a(0)`, `a = (t + 0.008) / 1.008 pi/2` (Nichol and Dhariwal, ICML 2021).

    Times are those of Two for One (Arts et al., J. Chem. Theory Comput. 19, 6151, 2023): half of all draws from the
    first tenth, and no weight. They are continuous here. Of the thousand discrete ones, (i + 1) / 1000, the last one is
    missing: nothing is left of the data there.
    """

    first: ClassVar[float] = 0.001
    last: ClassVar[float] = 0.999
    middle: ClassVar[float] = 0.1
    OFFSET: ClassVar[float] = 0.008

    def _angle(self, time: Array | float) -> Array:
        return jnp.asarray(0.5 * jnp.pi * (time + self.OFFSET) / (1.0 + self.OFFSET))

    def sigma(self, time: Float[Array, "..."]) -> Float[Array, "..."]:
        # cos^2 a(0) - cos^2 a as a product: their difference loses all digits at early times
        start, angle = self._angle(0.0), self._angle(time)
        opened = 0.5 * jnp.pi * time / (1.0 + self.OFFSET)
        return jnp.sqrt(jnp.sin(opened) * jnp.sin(angle + start)) / jnp.cos(angle)

    def time(self, sigma: Float[Array, "..."]) -> Float[Array, "..."]:
        # 1 + sigma^2 = cos^2 a(0) / cos^2 a
        slope = jnp.tan(self._angle(0.0))
        angle = jnp.arctan(jnp.sqrt(slope**2 + sigma**2 * (1.0 + slope**2)))
        return angle * (1.0 + self.OFFSET) * (2.0 / jnp.pi) - self.OFFSET

    def at(self, place: Float[Array, " count"]) -> Float[Array, " count"]:
        """Half of the times up to `middle`, half beyond it, uniform in either part."""
        early = self.first + (self.middle - self.first) * 2.0 * place
        late = self.middle + (self.last - self.middle) * (2.0 * place - 1.0)
        return jnp.where(place <= 0.5, early, late)

    def weight(self, time: Float[Array, " count"]) -> Float[Array, " count"]:
        return jnp.ones_like(time)


VIEWS: dict[str, VariancePreserving] = {"vp-linear": LinearPreserving(), "vp-cosine": CosinePreserving()}
"""By the name of the setting `schedule`."""


class TimeSchedule(NoiseSchedule):
    """Levels as the recipe of a variance-preserving view draws and weights them."""

    view: VariancePreserving

    @staticmethod
    def of(view: VariancePreserving) -> "TimeSchedule":
        """The whole range of the view."""
        return TimeSchedule(view.range.smallest, view.range.largest, view)

    def at(self, place: Float[Array, " count"]) -> Float[Array, " count"]:
        """Level before which the recipe draws this part of all levels, from 0 to 1."""
        return self.view.sigma(self.view.at(place))

    def weight(self, sigma: Float[Array, " count"]) -> Float[Array, " count"]:
        """Factor of the loss at these levels."""
        return self.view.weight(self.view.time(sigma))
