"""Bead networks: a small network with weights of its own for each bead, on invariant features, over a physical prior.

Each bead sees the distances, heights and torsions of its surroundings, of the raw and of the Wiener-filtered
coordinates. Beads exchange what they found by products with learned bead-by-bead matrices. The sum of all outputs is
added to the prior. Rotation and translation are exact symmetries, mirror images differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from twofold.beads import Beads
from twofold.chart.cartesian import CartesianChart
from twofold.chart.tree import stiff_bonds
from twofold.energy.base import Energy
from twofold.energy.features import BeadFeatures, surroundings
from twofold.energy.priors import Prior, build_prior
from twofold.energy.tables import FIRST_SIGMA, LAST_SIGMA, drawn_frames


@dataclass(frozen=True)
class BeadNetSettings:
    """Size of the network. `partners` and `torsions` cap what one bead sees, so that the cost grows as N, not N^2."""

    width: int = 64
    blocks: int = 3
    partners: int = 24
    torsions: int = 8
    levels: int = 12
    table_frames: int = 2048


class NoiseLevelFeatures(eqx.Module):
    """Smooth bumps (levels,) evenly spaced in ln sigma."""

    levels: int = eqx.field(static=True)

    def __call__(self, sigma: Float[Array, ""]) -> Float[Array, " levels"]:
        step = np.log(LAST_SIGMA / FIRST_SIGMA) / (self.levels - 1)
        place = jnp.log(sigma / FIRST_SIGMA) / step
        return jnp.exp(-0.5 * (place - np.arange(self.levels)) ** 2)


class BeadBlock(eqx.Module):
    """Residual block: each bead's own dense layer, and an exchange between beads by a learned matrix."""

    own: Array
    exchange: Array

    def __init__(self, beads: int, width: int, rng: np.random.Generator) -> None:
        self.own = _normal(rng, (beads, width, width), 1.0 / np.sqrt(width))
        self.exchange = _normal(rng, (beads, beads), 0.5 / np.sqrt(beads))

    def __call__(self, hidden: Float[Array, "beads width"]) -> Float[Array, "beads width"]:
        inner = own_dense(hidden, self.own)
        return hidden + jax.nn.silu(inner + jnp.einsum("nh,mn->mh", inner, self.exchange))


def _normal(rng: np.random.Generator, shape: tuple[int, ...], scale: float) -> Array:
    """Normal numbers from numpy, which needs no compilation for each shape."""
    return jnp.asarray(scale * rng.standard_normal(shape, np.float32))


def own_dense(x: Float[Array, "beads inputs"], weights: Float[Array, "beads inputs outputs"]) -> Array:
    """Every bead's inputs times its own weights."""
    return jnp.einsum("nf,nfh->nh", x, weights)


class BeadNet(Energy):
    """Energy `U = prior + sum over beads of a network's output`, in kT."""

    prior: Prior
    features: BeadFeatures
    level: NoiseLevelFeatures
    first: Array
    first_level: Array
    blocks: tuple[BeadBlock, ...]
    last: Array

    def __init__(self, prior: Prior, features: BeadFeatures, settings: BeadNetSettings, key: PRNGKeyArray) -> None:
        beads, inputs, width = features.beads, features.width, settings.width
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        self.prior, self.features = prior, features
        self.level = NoiseLevelFeatures(settings.levels)
        self.first = _normal(rng, (beads, inputs, width), 1.0 / np.sqrt(inputs))
        self.first_level = _normal(rng, (settings.levels, beads, width), 0.3)
        self.blocks = tuple(BeadBlock(beads, width, rng) for _ in range(settings.blocks))
        self.last = jnp.zeros((beads, width))

    def energy(self, system: Any, x: Float[Array, "beads 3"], sigma: Float[Array, ""]) -> Float[Array, ""]:
        components = self.features.filter.project(x)
        hidden = own_dense(self.features.standardised(components, sigma), self.first)
        hidden = hidden + jnp.tensordot(self.level(sigma), self.first_level, 1)
        for block in self.blocks:
            hidden = block(hidden)
        return self.prior.energy_of(components, sigma) + jnp.sum(jax.nn.silu(hidden) * self.last)


def build_beadnet(
    beads: Beads,
    positions: np.ndarray,
    chart: CartesianChart,
    key: PRNGKeyArray,
    settings: BeadNetSettings | None = None,
    weights: np.ndarray | None = None,
) -> BeadNet:
    """Bead networks with their tables from training frames (frames, beads, 3) in nm and weights (frames,).

    Bonds come from the topology or, without one, from the stiff pairs of the data. The network starts at the prior.
    """
    settings = settings or BeadNetSettings()
    bonds = beads.bonds if len(beads.bonds) else stiff_bonds(positions)
    chosen = drawn_frames(positions, weights, settings.table_frames, seed=0)
    frames = np.asarray(jax.vmap(chart.encode)(jnp.asarray(chosen)))
    sample = frames[:512].astype(np.float64)
    mean_distances = np.linalg.norm(sample[:, :, None] - sample[:, None], axis=-1).mean(0)
    around = surroundings(bonds, mean_distances, settings.partners, settings.torsions)
    features = BeadFeatures(chart, around, frames)
    return BeadNet(build_prior(chart, bonds, frames), features, settings, key)
