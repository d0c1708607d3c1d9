"""The graph transformer of Two for One (Arts et al., J. Chem. Theory Comput. 19, 6151, 2023), as a baseline.

Its only geometric input is the displacement between beads, passed through affine maps: `e_ij = (x_j - x_i) W + c` is
added to keys and values. Whatever depends on i alone cancels in the softmax, so that with `A = softmax(q (k + X W)^T)`
the attention of the published pair tensor is `A (v + X W) - X W + c`: ordinary attention, linear in memory.

The published network predicts noise in variance-preserving coordinates, `eps = grad_u E(u, t)` with
`u = y / sqrt(1 + sigma^2)` and noise `sigma / sqrt(1 + sigma^2)`. In variance-exploding coordinates the score is
`-eps/sigma`, hence `U(y, sigma) = E(u, t) sqrt(1 + sigma^2) / sigma`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from equinox.nn import LayerNorm, Linear
from jaxtyping import Array, Float, PRNGKeyArray

from twofold.beads import Beads
from twofold.energy.base import Energy

HEAD_WIDTH = 64
OFFSET = 0.008
"""Offset of the cosine schedule that gives the network its time input."""


@dataclass(frozen=True)
class TransformerSettings:
    """Size of the network; the defaults are those published for alanine dipeptide."""

    width: int = 96
    layers: int = 2
    heads: int = 8


def diffusion_time(sigma: Float[Array, ""]) -> Float[Array, ""]:
    """Time in [0, 1] at which the published cosine schedule has the signal-to-noise ratio `1/sigma^2`."""
    start = jnp.cos(OFFSET / (1 + OFFSET) * jnp.pi / 2)
    angle = jnp.arccos(start / jnp.sqrt(1.0 + sigma**2))
    return angle * (2 / jnp.pi) * (1 + OFFSET) - OFFSET


class GatedResidual(eqx.Module):
    """`g new + (1 - g) old` with a scalar gate for each bead."""

    gate: Array

    def __init__(self, width: int, key: PRNGKeyArray) -> None:
        self.gate = jax.random.uniform(key, (3 * width,), minval=-1, maxval=1) / np.sqrt(3 * width)

    def __call__(self, new: Float[Array, "beads width"], old: Float[Array, "beads width"]) -> Array:
        gate = jax.nn.sigmoid(jnp.concatenate([new, old, new - old], -1) @ self.gate)[:, None]
        return gate * new + (1 - gate) * old


class Attention(eqx.Module):
    """Attention over beads with displacements in keys and values, without a tensor of pairs."""

    query: Linear
    key_value: Linear
    edge: Linear
    out: Linear
    heads: int = eqx.field(static=True)

    def __init__(self, width: int, heads: int, key: PRNGKeyArray) -> None:
        keys = jax.random.split(key, 4)
        inner = heads * HEAD_WIDTH
        self.heads = heads
        self.query = Linear(width, inner, key=keys[0])
        self.key_value = Linear(width, 2 * inner, key=keys[1])
        self.edge = Linear(width, inner, key=keys[2])
        self.out = Linear(inner, width, key=keys[3])

    def __call__(
        self, hidden: Float[Array, "beads width"], x: Float[Array, "beads 3"], step: Linear
    ) -> Float[Array, "beads width"]:
        weight = self.edge.weight @ step.weight
        constant = self.edge(step(jnp.zeros(3, x.dtype)))
        place = jnp.matmul(x, weight.T, precision=jax.lax.Precision.HIGHEST)
        query = self._by_head(jax.vmap(self.query)(hidden))
        keys, values = jnp.split(jax.vmap(self.key_value)(hidden), 2, axis=-1)
        keys, values = self._by_head(keys + place), self._by_head(values + place)
        attention = jax.nn.softmax(jnp.einsum("ihd,jhd->hij", query, keys) / np.sqrt(HEAD_WIDTH), axis=-1)
        gathered = jnp.einsum("hij,jhd->ihd", attention, values).reshape(place.shape)
        return jax.vmap(self.out)(gathered - place + constant)

    def _by_head(self, flat: Float[Array, "beads inner"]) -> Float[Array, "beads heads 64"]:
        return flat.reshape(flat.shape[0], self.heads, HEAD_WIDTH)


class TransformerBlock(eqx.Module):
    """Attention and a feed-forward layer of fourfold width, each behind a layer norm and a gated residual."""

    norms: tuple[LayerNorm, LayerNorm]
    gates: tuple[GatedResidual, GatedResidual]
    attention: Attention
    expand: Linear
    contract: Linear

    def __init__(self, width: int, heads: int, key: PRNGKeyArray) -> None:
        keys = jax.random.split(key, 5)
        self.norms = (LayerNorm(width), LayerNorm(width))
        self.gates = (GatedResidual(width, keys[0]), GatedResidual(width, keys[1]))
        self.attention = Attention(width, heads, keys[2])
        self.expand = Linear(width, 4 * width, key=keys[3])
        self.contract = Linear(4 * width, width, key=keys[4])

    def __call__(self, hidden: Array, x: Float[Array, "beads 3"], step: Linear) -> Float[Array, "beads width"]:
        hidden = self.gates[0](self.attention(jax.vmap(self.norms[0])(hidden), x, step), hidden)
        inner = jax.nn.gelu(jax.vmap(self.expand)(jax.vmap(self.norms[1])(hidden)), approximate=False)
        return self.gates[1](jax.vmap(self.contract)(inner), hidden)


class GraphTransformer(Energy):
    """Energy in kT of the published network; beads are told apart by their index."""

    augment_rotation: ClassVar[bool] = True

    nodes: Array
    time: Array
    step: Linear
    blocks: tuple[TransformerBlock, ...]
    last: Linear

    def __init__(self, beads: int, settings: TransformerSettings, key: PRNGKeyArray) -> None:
        keys = jax.random.split(key, settings.layers + 3)
        # one affine map of (one-hot index, time): its bias and its columns for the beads are kept as one table
        bound = 1 / np.sqrt(beads + 1)
        draws = jax.random.uniform(keys[0], (beads + 2, settings.width), minval=-bound, maxval=bound)
        self.nodes, self.time = draws[:beads] + draws[beads], draws[beads + 1]
        self.step = Linear(3, settings.width, key=keys[1])
        self.last = Linear(settings.width, "scalar", key=keys[2])
        self.blocks = tuple(TransformerBlock(settings.width, settings.heads, one) for one in keys[3:])

    def energy(self, system: Any, x: Float[Array, "beads 3"], sigma: Float[Array, ""]) -> Float[Array, ""]:
        scale = jnp.sqrt(1.0 + sigma**2)
        inputs = (x - jnp.mean(x, axis=0)) / scale
        return self.network(inputs, diffusion_time(sigma)) * scale / sigma

    def network(self, inputs: Float[Array, "beads 3"], time: Float[Array, ""]) -> Float[Array, ""]:
        """Scalar `E` whose gradient is the predicted noise in variance-preserving coordinates."""
        hidden = self.nodes + time * self.time
        for block in self.blocks:
            hidden = block(hidden, inputs, self.step)
        return jnp.sum(jax.vmap(self.last)(hidden))


def build_transformer(beads: Beads, key: PRNGKeyArray, settings: TransformerSettings | None = None) -> GraphTransformer:
    """The published network for `beads`; frames that it learns from must be turned at random."""
    return GraphTransformer(len(beads), settings or TransformerSettings(), key)
