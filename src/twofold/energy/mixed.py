"""Systems of different size at once: filled up to the size of their bucket, one compiled call for each bucket."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from twofold.energy.base import Energy
from twofold.energy.buckets import BOUND, Bucket, buckets
from twofold.energy.pairs import Bonds, Particles
from twofold.energy.together import over
from twofold.errors import UserError

ON_ACCELERATORS = 1 << 22
"""Entries in tables of partners that are worked on together there: what keeps them busy."""


def energies_of_sizes(
    model: Energy,
    systems: Sequence[Particles],
    x: Sequence[Float[Array, "particles axes"]],
    sigma: Float[Array, " systems"],
    *,
    bound: float = BOUND,
) -> list[Float[Array, ""]]:
    """Energy of each system in kT, in their order; see `scores_of_sizes`."""
    return _of_sizes(energy_of, model, systems, x, sigma, bound)


def scores_of_sizes(
    model: Energy,
    systems: Sequence[Particles],
    x: Sequence[Float[Array, "particles axes"]],
    sigma: Float[Array, " systems"],
    *,
    bound: float = BOUND,
) -> list[Float[Array, "particles axes"]]:
    """Score of each system (particles, axes), per unit of the coordinates, in their order.

    systems, x, sigma: particles, chart coordinates and level of noise of each system. bound: predicted cost over that
    of the systems as they are. Raises UserError where some systems have what others lack (lists, a box).
    """
    found = _of_sizes(score_of, model, systems, x, sigma, bound)
    return [score[: one.types.shape[0]] for score, one in zip(found, systems, strict=True)]


def buckets_of(systems: Sequence[Particles], bound: float = BOUND) -> list[Bucket]:
    """Buckets of systems by their particles and, where they have lists of neighbours, the lengths of these."""
    sizes = [one.types.shape[0] for one in systems]
    if systems and all(one.neighbours is not None for one in systems):
        return buckets(sizes, [one.neighbours.shape[1] for one in systems if one.neighbours is not None], bound=bound)
    return buckets(sizes, bound=bound)


def padded(
    systems: Sequence[Particles], x: Sequence[Float[Array, "particles axes"]], bucket: Bucket
) -> tuple[Particles, Float[Array, "members size axes"]]:
    """The members of a bucket as one batch: each array of `Particles` and the coordinates have a first axis of members.

    Added particles are not real, lie at the origin, and are nobody's neighbours. Raises UserError where some systems
    have what others lack.
    """
    chosen = [systems[member] for member in bucket.members]
    for name in Particles._fields:
        if len({getattr(one, name) is None for one in chosen}) > 1:
            raise UserError(f"systems with and without {name} in one batch", "all with them or all without")
    columns = {
        name: _column(name, chosen, bucket) for name in Particles._fields if getattr(chosen[0], name) is not None
    }
    return Particles(**columns), _stacked([x[member] for member in bucket.members], (bucket.size,), 0.0)


def _column(name: str, chosen: list[Particles], bucket: Bucket) -> Any:
    """One field of the members of a bucket (members, ...)."""
    arrays = [getattr(one, name) for one in chosen]
    counts = [one.types.shape[0] for one in chosen]
    if name == "edges":
        return jnp.stack(arrays)
    if name == "neighbours":
        return _stacked(_refilled(arrays, counts, bucket.size), (bucket.size, bucket.partners), bucket.size)
    if name == "excluded":
        return _pairs(arrays, counts, bucket.size)
    if name == "bonds":
        most = max(len(one.length) for one in arrays)
        pairs = _pairs([one.pairs for one in arrays], counts, bucket.size)
        return Bonds(
            pairs, *(_stacked([getattr(one, part) for one in arrays], (most,), 1) for part in Bonds._fields[1:])
        )
    return _stacked(arrays, (bucket.size,), 0)


def _pairs(arrays: list[Array], counts: list[int], size: int) -> Array:
    """Pairs of each member (members, most, 2), filled up with `size`."""
    return _stacked(_refilled(arrays, counts, size), (max(map(len, arrays)),), size)


def _refilled(arrays: list[Array], counts: list[int], size: int) -> list[np.ndarray]:
    """Indices of particles, filled up with their new number: what fills up is the number of particles."""
    return [np.where(np.asarray(array) < count, array, size) for array, count in zip(arrays, counts, strict=True)]


def _stacked(arrays: Sequence[Array | np.ndarray], shape: tuple[int, ...], fill: float) -> Array:
    """Arrays filled up with `fill` to `shape` along their first axes, as one (arrays, *shape, ...)."""
    first = np.asarray(arrays[0])
    table = np.full((len(arrays), *shape, *first.shape[len(shape) :]), fill, first.dtype)
    for place, array in enumerate(arrays):
        table[(place, *map(slice, array.shape[: len(shape)]))] = array
    return jnp.asarray(table)


def _of_sizes(
    quantity: Callable[..., Array],
    model: Energy,
    systems: Sequence[Particles],
    x: Sequence[Array],
    sigma: Float[Array, " systems"],
    bound: float,
) -> list[Array]:
    found: dict[int, Array] = {}
    for bucket in buckets_of(systems, bound):
        batch, inside = padded(systems, x, bucket)
        levels = jnp.asarray(sigma)[np.array(bucket.members)]
        found.update(zip(bucket.members, over_batch(quantity, model, batch, inside, levels), strict=True))
    return [found[place] for place in range(len(systems))]


@eqx.filter_jit
def over_batch(
    quantity: Callable[[Energy, Particles, Array, Array], Array],
    model: Energy,
    batch: Particles,
    x: Float[Array, "members size axes"],
    sigma: Float[Array, " members"],
) -> Array:
    """`quantity(model, system, x, sigma)` of each member, as many together as `twofold.energy.together` says.

    In full float32.
    """

    def one(*member: Any) -> Array:
        # products rounded to TF32 would spoil differences of energies and of scores
        with jax.default_matmul_precision("float32"):
            return quantity(model, *member)

    partners = x.shape[1] if batch.neighbours is None else batch.neighbours.shape[-1]
    return over(one, (batch, x, sigma), x.shape[1] * partners, ON_ACCELERATORS)


def energy_of(model: Energy, system: Particles, x: Array, sigma: Array) -> Array:
    """Energy in kT of one system."""
    return model.energy(system, x, sigma)


def score_of(model: Energy, system: Particles, x: Array, sigma: Array) -> Array:
    """Score of one system."""
    return model.score(system, x, sigma)
