"""The landscapes on which methods of the field are compared, under their published parameters."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from twofold.systems.landscape import Basin, Landscape
from twofold.systems.mixture import GaussianMixture


class _MixtureLandscape(Landscape):
    """A Gaussian mixture, sampled exactly."""

    timestep_fs: ClassVar[float] = 50.0
    frame_ps: ClassVar[float] = 1.0

    @property
    def mixture(self) -> GaussianMixture:
        """The mixture itself."""
        raise NotImplementedError

    def potential(self, x: Float[Array, " coordinates"]) -> Float[Array, ""]:
        return self.mixture.energy(x)

    def noised(self, x: Float[Array, " coordinates"], sigma: Float[Array, ""]) -> Float[Array, ""]:
        return self.mixture.energy(x, sigma)

    def reference(self, number: int, seed: int) -> np.ndarray:
        """Independent draws: chains could not cross between the modes."""
        return self.mixture.sample(number, np.random.default_rng(seed)).astype(np.float32)

    def basins(self) -> dict[str, Basin]:
        return {"left": lambda x: x.sum(-1) < 0, "right": lambda x: x.sum(-1) > 0}


class DoubleWell1D(_MixtureLandscape):
    """`1/2 N(-5, 1) + 1/2 N(5, 1)` (Plainer et al., NeurIPS 2025)."""

    name: ClassVar[str] = "double-well-1d"
    window: ClassVar[tuple[tuple[float, float], ...]] = ((-10.0, 10.0),)

    @property
    def mixture(self) -> GaussianMixture:
        return GaussianMixture.of(np.array([[-5.0], [5.0]]), np.array([0.5, 0.5]))


class DoubleWell2D(_MixtureLandscape):
    """`1/5 N((-5, -5), 1) + 4/5 N((5, 5), 1)` (Plainer et al., NeurIPS 2025)."""

    name: ClassVar[str] = "double-well-2d"
    window: ClassVar[tuple[tuple[float, float], ...]] = ((-10.0, 10.0), (-10.0, 10.0))

    @property
    def mixture(self) -> GaussianMixture:
        return GaussianMixture.of(np.array([[-5.0, -5.0], [5.0, 5.0]]), np.array([0.2, 0.8]))


class Checkerboard(Landscape):
    """Even density on the eight dark squares of a board of four by four, each of side 2."""

    name: ClassVar[str] = "checkerboard"
    timestep_fs: ClassVar[float] = 10.0
    frame_ps: ClassVar[float] = 1.0
    window: ClassVar[tuple[tuple[float, float], ...]] = ((-5.0, 5.0), (-5.0, 5.0))

    SIDE: ClassVar[float] = 2.0
    LOWEST: ClassVar[np.ndarray] = np.array(
        [(2.0 * i - 4.0, 2.0 * j - 4.0) for i in range(4) for j in range(4) if (i + j) % 2 == 0]
    )
    """Lower left corners of the squares."""
    EDGE: ClassVar[float] = 0.02
    """Noise at which `potential` is taken: the board itself has no force."""

    def potential(self, x: Float[Array, " coordinates"]) -> Float[Array, ""]:
        return self.noised(x, jnp.float32(self.EDGE))

    def noised(self, x: Float[Array, " coordinates"], sigma: Float[Array, ""]) -> Float[Array, ""]:
        lower, upper = (x - self.LOWEST) / sigma, (self.LOWEST + self.SIDE - x) / sigma
        # ln of the normal probability between two points, from the tail that is farther away
        far, near = jnp.minimum(lower, upper), jnp.maximum(lower, upper)
        log_cdf = jax.scipy.stats.norm.logcdf
        inside = log_cdf(far) + jnp.log1p(-jnp.exp(jnp.minimum(log_cdf(-near) - log_cdf(far), -1e-6)))
        count = len(self.LOWEST)
        return jnp.log(count * self.SIDE**2) - jax.nn.logsumexp(jnp.sum(inside, axis=-1))

    def reference(self, number: int, seed: int) -> np.ndarray:
        """Independent draws."""
        rng = np.random.default_rng(seed)
        corner = self.LOWEST[rng.integers(len(self.LOWEST), size=number)]
        return (corner + self.SIDE * rng.random((number, 2))).astype(np.float32)


class MuellerBrown(Landscape):
    """Mueller and Brown, Theor. Chim. Acta 53, 75 (1979), at kT = 23, as Plainer et al. (NeurIPS 2025) simulate it."""

    name: ClassVar[str] = "mueller-brown"
    thermal: ClassVar[float] = 23.0
    mass: ClassVar[float] = 0.5
    timestep_fs: ClassVar[float] = 5.0
    frame_ps: ClassVar[float] = 0.25
    window: ClassVar[tuple[tuple[float, float], ...]] = ((-1.8, 1.1), (-0.5, 2.0))

    HEIGHTS: ClassVar[np.ndarray] = np.array([-200.0, -100.0, -170.0, 15.0])
    XX: ClassVar[np.ndarray] = np.array([-1.0, -1.0, -6.5, 0.7])
    XY: ClassVar[np.ndarray] = np.array([0.0, 0.0, 11.0, 0.6])
    YY: ClassVar[np.ndarray] = np.array([-10.0, -10.0, -6.5, 0.7])
    CENTRES: ClassVar[np.ndarray] = np.array([[1.0, 0.0], [0.0, 0.5], [-0.5, 1.5], [-1.0, 1.0]])

    def potential(self, x: Float[Array, " coordinates"]) -> Float[Array, ""]:
        dx, dy = x[0] - self.CENTRES[:, 0], x[1] - self.CENTRES[:, 1]
        terms = self.HEIGHTS * jnp.exp(self.XX * dx**2 + self.XY * dx * dy + self.YY * dy**2)
        return jnp.sum(terms) / self.thermal

    def basins(self) -> dict[str, Basin]:
        """The two deepest minima, near (-0.56, 1.44) and (0.62, 0.03); the third lies between."""
        return {"upper": lambda x: x[:, 1] - x[:, 0] > 1.45, "lower": lambda x: x[:, 1] - x[:, 0] < 0.08}


class Prinz(Landscape):
    """Four wells on a line (Prinz et al., J. Chem. Phys. 134, 174105, 2011)."""

    name: ClassVar[str] = "prinz"
    timestep_fs: ClassVar[float] = 5.0
    friction: ClassVar[float] = 10.0
    frame_ps: ClassVar[float] = 0.25
    window: ClassVar[tuple[tuple[float, float], ...]] = ((-1.2, 1.2),)

    def potential(self, x: Float[Array, " coordinates"]) -> Float[Array, ""]:
        q = x[0]
        bumps = 0.8 * jnp.exp(-80.0 * q**2) + 0.2 * jnp.exp(-80.0 * (q - 0.5) ** 2)
        return 4.0 * (q**8 + bumps + 0.5 * jnp.exp(-40.0 * (q + 0.5) ** 2))

    def basins(self) -> dict[str, Basin]:
        sides = pairwise((-np.inf, -0.5, 0.0, 0.5, np.inf))
        return {f"well {k + 1}": _between(*pair) for k, pair in enumerate(sides)}


def _between(low: float, high: float) -> Basin:
    return lambda x: (x[:, 0] > low) & (x[:, 0] <= high)


LANDSCAPES: dict[str, Landscape] = {
    kind.name: kind() for kind in (DoubleWell1D, DoubleWell2D, Checkerboard, MuellerBrown, Prinz)
}
"""By the name that `twofold fit` knows."""
