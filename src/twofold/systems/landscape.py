"""Particles in a potential whose equilibrium density is known by quadrature: what methods are measured against.

A landscape has one, two or three coordinates. They are the first components of the position of a single particle, in
nm, so that a landscape passes through the same files, fits, simulations and reports as a molecule.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from twofold.beads import Beads
from twofold.ensemble import Ensemble
from twofold.errors import UserError
from twofold.systems.known import KnownSystem

NODES = 6
Basin = Callable[[np.ndarray], np.ndarray]


class Landscape(KnownSystem):
    """A density `exp(-U)` of a few coordinates, with what is needed to simulate it.

    window: the range (low, high) of each coordinate in which densities are compared.
    """

    window: eqx.AbstractClassVar[tuple[tuple[float, float], ...]]

    @property
    def dimension(self) -> int:
        """Number of coordinates."""
        return len(self.window)

    @property
    def beads(self) -> Beads:
        return replace(Beads.anonymous(1), masses=np.array([self.mass]))

    @abstractmethod
    def potential(self, x: Float[Array, " coordinates"]) -> Float[Array, ""]:
        """Energy in kT."""

    def energy(self, positions: Float[Array, "1 3"]) -> Float[Array, ""]:
        """Energy in kJ/mol; coordinates that the landscape lacks are held near zero by a spring."""
        unused = positions[0, self.dimension :]
        return self.thermal * (self.potential(positions[0, : self.dimension]) + 0.5 * jnp.sum(unused**2))

    def noised(self, x: Float[Array, " coordinates"], sigma: Float[Array, ""]) -> Float[Array, ""] | None:
        """`-ln` of the density with noise of `sigma` nm, up to a constant; None where there is no closed form."""
        del x, sigma
        return None

    def score(self, points: np.ndarray, sigma: float = 0.0) -> np.ndarray:
        """Exact `grad ln p` per nm of points (points, coordinates), of the density with noise of `sigma` nm.

        Raises UserError for noise where there is no closed form.
        """
        if sigma and self.noised(jnp.zeros(self.dimension), jnp.float32(sigma)) is None:
            raise UserError(f"noise on {self.name}", "a landscape with a closed form of it", "use noised_grid")
        return np.asarray(_scores(self, jnp.asarray(points, jnp.float32), jnp.float32(sigma) if sigma else None))

    def basins(self) -> dict[str, Basin]:
        """Regions whose populations are compared, as functions of points (points, coordinates)."""
        return {}

    def grid_energy(self, points: np.ndarray) -> np.ndarray:
        """Energies in kT (points,) of points (points, coordinates)."""
        return np.asarray(_grid_energy(self, jnp.asarray(points, jnp.float32)), np.float64)

    def probabilities(self, edges: Sequence[np.ndarray], order: int = NODES) -> np.ndarray:
        """Probability of each bin, given that the point is in one of them; `edges` in nm for each coordinate.

        Gauss-Legendre quadrature with `order` points along each side of a bin.
        """
        nodes, weights = np.polynomial.legendre.leggauss(order)
        axes, shares = [], []
        for side in edges:
            side = np.asarray(side, np.float64)
            half = np.diff(side)[:, None] / 2
            axes.append(((side[1:] + side[:-1])[:, None] / 2 + half * nodes).ravel())
            shares.append((half * weights).ravel())
        mesh = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
        energy = self.grid_energy(mesh.reshape(-1, len(axes))).reshape(mesh.shape[:-1])
        mass = np.exp(-(energy - energy.min()))
        for axis, share in enumerate(shares):
            mass = mass * share.reshape([-1 if k == axis else 1 for k in range(len(axes))])
        for axis in range(len(axes)):
            mass = mass.reshape(*mass.shape[:axis], -1, order, *mass.shape[axis + 1 :]).sum(axis + 1)
        return mass / mass.sum()

    def noised_grid(self, sigma: float, cells: int = 100) -> tuple[list[np.ndarray], np.ndarray]:
        """Exact energy of the density with noise of `sigma` nm, on a grid over the window.

        Gives the centres of `cells` cells along each coordinate and energies in kT (cells, ...), zero at their least.
        The density is convolved with the noise by Fourier transform, on a grid that reaches five sigma farther.
        """
        spacing = [(high - low) / cells for low, high in self.window]
        extra = [int(np.ceil(5 * sigma / width)) for width in spacing]
        edges = [
            low + width * np.arange(-more, cells + more + 1)
            for (low, _), width, more in zip(self.window, spacing, extra, strict=True)
        ]
        density = self.probabilities(edges, order=2)
        wave = np.fft.fftn(density)
        for axis, width in enumerate(spacing):
            angular = 2 * np.pi * np.fft.fftfreq(density.shape[axis], width)
            damping = np.exp(-0.5 * (sigma * angular) ** 2)
            wave = wave * damping.reshape([-1 if k == axis else 1 for k in range(len(edges))])
        inner = tuple(slice(more, more + cells) for more in extra)
        blurred = np.maximum(np.fft.ifftn(wave).real[inner], 1e-300)
        centres = [((side[1:] + side[:-1]) / 2)[part] for side, part in zip(edges, inner, strict=True)]
        energy = -np.log(blurred)
        return centres, energy - energy.min()

    def populations(self, cells: int = 300) -> dict[str, float]:
        """Exact probability of each basin, by summing over a fine grid of the window."""
        edges = [np.linspace(low, high, cells + 1) for low, high in self.window]
        mass = self.probabilities(edges)
        centres = np.meshgrid(*((side[1:] + side[:-1]) / 2 for side in edges), indexing="ij")
        points = np.stack([axis.ravel() for axis in centres], -1)
        return {name: float(mass.ravel()[inside(points)].sum()) for name, inside in self.basins().items()}

    def draw(self, number: int, rng: np.random.Generator, cells: int = 1000) -> np.ndarray:
        """Independent points (number, coordinates), evenly spread within the cells of a fine grid."""
        edges = [np.linspace(low, high, cells + 1) for low, high in self.window]
        mass = self.probabilities(edges, order=1).ravel()
        cell = np.unravel_index(rng.choice(len(mass), size=number, p=mass), [cells] * self.dimension)
        low = np.stack([side[index] for side, index in zip(edges, cell, strict=True)], -1)
        return low + np.array([side[1] - side[0] for side in edges]) * rng.random(low.shape)

    def starts(self, replicas: int, rng: np.random.Generator) -> np.ndarray:
        """Draws of the exact density, so that chains have nothing to forget."""
        return self.placed(self.draw(replicas, rng))

    def placed(self, points: np.ndarray) -> np.ndarray:
        """Points (number, coordinates) as positions (number, 1, 3) in nm."""
        positions = np.zeros((len(points), 1, 3), np.float32)
        positions[:, 0, : self.dimension] = points
        return positions

    def reference(self, number: int, seed: int) -> np.ndarray:
        """Points (number, coordinates) as a simulation gives them: chains that start from the exact density.

        See `chains` for how they are run and kept.
        """
        from twofold.systems.chains import chains

        return chains(self, number, seed)[:, 0, : self.dimension]

    def ensemble(self, number: int, seed: int) -> Ensemble:
        """`reference` points as frames of the particle."""
        positions = self.placed(self.reference(number, seed))
        from twofold.systems.chains import chain_of

        source = {"landscape": self.name, "coordinates": self.dimension, "window": self.window}
        return Ensemble.build(
            self.beads, positions, self.temperature, trajectory=chain_of(number), frame_ps=self.frame_ps, source=source
        )


@eqx.filter_jit
def _scores(landscape: Landscape, points: Array, sigma: Array | None) -> Array:
    def energy(x: Array) -> Array:
        value = landscape.potential(x) if sigma is None else landscape.noised(x, sigma)
        assert value is not None  # asked before
        return value

    return -jax.vmap(jax.grad(energy))(points)


@eqx.filter_jit
def _grid_energy(landscape: Landscape, points: Array) -> Array:
    return jax.lax.map(landscape.potential, points, batch_size=65536)
