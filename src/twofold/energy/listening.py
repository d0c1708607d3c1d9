"""What particles hear from their partners: sums over lists of neighbours, a few particles at a time.

With `l_ij = w_ij (radial_ij filter)`, the same for both of a pair, particle i hears

    sum_j l_ij plain_j        and        sum_j l_ij (carried_j + pointing_j d_ij),        d_ij the way from i to j.

All that pairs tell each other is more than a cache holds, so that it is made where it is heard, and made again for the
gradient. Because a partner has the particle for a partner, what a particle said is asked for by the same sum over its
own list, and nothing has to be scattered.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

Tables = TypeVar("Tables", bound=tuple)
AT_ONCE = 16
"""Particles that listen at a time."""


class Sent(NamedTuple):
    """What particles tell their partners: numbers, vectors if they carry any, and numbers that point along the way."""

    plain: Float[Array, "particles width"]
    carried: Float[Array, "particles 3 width"] | None
    pointing: Float[Array, "particles width"]


class Ways(NamedTuple):
    """The ways from a particle to its partners: unit vectors, weights, and functions of the distance."""

    direction: Float[Array, "partners 3"]
    weight: Float[Array, " partners"]
    radial: Float[Array, "partners radial"]


def heard(
    filters: Float[Array, "radial width"], sent: Sent, ways: Ways
) -> tuple[Float[Array, " width"], Float[Array, "3 width"]]:
    """Numbers and vectors that one particle hears; `sent` is what its partners say."""
    loudness = (ways.radial @ filters) * ways.weight[:, None]
    arrows = jnp.einsum("jf,jx->xf", loudness * sent.pointing, ways.direction)
    if sent.carried is not None:
        arrows = arrows + jnp.einsum("jf,jxf->xf", loudness, sent.carried)
    return jnp.sum(loudness * sent.plain, axis=0), arrows


@jax.custom_vjp
def heard_from_lists(
    filters: Float[Array, "radial width"], sent: Sent, ways: Ways, partners: Int[Array, "particles most"]
) -> tuple[Float[Array, "particles width"], Float[Array, "particles 3 width"]]:
    """What every particle hears. ways: with a first axis of particles. partners: filled up with their number.

    Lists have to be symmetric, or the gradient is wrong: a partner has the particle on its list. Of derivatives the
    first one has to be taken backwards, further ones either way.
    """
    return _listening(filters, sent, ways, partners)


def _listening(filters: Array, sent: Sent, ways: Ways, partners: Array) -> tuple[Array, Array]:
    said = _filled(sent)

    def one(row: tuple[Ways, Array]) -> tuple[Array, Array]:
        way, at = row
        return heard(filters, _at(said, at), way)

    return jax.lax.map(one, (ways, partners), batch_size=AT_ONCE)


def _filled(tables: Tables) -> Tables:
    """With a last row of zeros, for what fills up lists."""
    return jax.tree.map(lambda table: jnp.concatenate([table, jnp.zeros_like(table[:1])]), tables)


def _at(tables: Tables, places: Array) -> Tables:
    return jax.tree.map(lambda table: table[places], tables)


def _forth(filters: Array, sent: Sent, ways: Ways, partners: Array) -> tuple[tuple[Array, Array], tuple]:
    return _listening(filters, sent, ways, partners), (filters, sent, ways, partners)


def _back(kept: tuple[Array, Sent, Ways, Array], given: tuple[Array, Array]) -> tuple[Array, Sent, Ways, None]:
    filters, sent, ways, partners = kept
    said, asked = _filled(sent), _filled(given)

    def one(row: tuple[tuple[Array, Array], Ways, Array]) -> tuple[Sent, Ways, Array]:
        (number, vector), way, at = row
        there, (numbers, vectors) = _at(said, at), _at(asked, at)
        filtered = way.radial @ filters
        loudness = filtered * way.weight[:, None]
        # the way back to who listened is the way there turned round
        back = -jnp.einsum("jx,jxf->jf", way.direction, vectors)
        own = Sent(
            jnp.sum(loudness * numbers, axis=0),
            None if there.carried is None else jnp.einsum("jf,jxf->xf", loudness, vectors),
            jnp.sum(loudness * back, axis=0),
        )
        along = way.direction @ vector
        louder = there.plain * number + there.pointing * along
        if there.carried is not None:
            louder = louder + jnp.einsum("jxf,xf->jf", there.carried, vector)
        turned = jnp.einsum("jf,xf->jx", loudness * there.pointing, vector)
        through = louder * way.weight[:, None]
        ahead = Ways(turned, jnp.sum(louder * filtered, axis=1), through @ filters.T)
        return own, ahead, way.radial.T @ through

    # what the caller asked of the sums does not reach here, where derivatives are taken outside of it
    with jax.default_matmul_precision("float32"):
        own, ahead, of_filters = jax.lax.map(one, (given, ways, partners), batch_size=AT_ONCE)
    return jnp.sum(of_filters, axis=0), own, ahead, None


heard_from_lists.defvjp(_forth, _back)
