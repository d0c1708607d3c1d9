"""Lists of neighbours against all pairs, in free space and in boxes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twofold.energy.neighbours import layout, neighbours

CUTOFF = 1.0


def cloud(count, size, seed=0):
    return (size * np.random.default_rng(seed).random((count, 3))).astype(np.float32)


def by_hand(x, edges):
    """The set of partners of each particle."""
    step = x[:, None].astype(np.float64) - x[None]
    if edges is not None:
        step -= edges * np.round(step / edges)
    near = np.linalg.norm(step, axis=-1) < CUTOFF
    return [set(np.flatnonzero(row)) - {place} for place, row in enumerate(near)]


def as_sets(found, count):
    """Of partners that are named once each."""
    rows = [row[row < count].tolist() for row in np.asarray(found.index)]
    assert all(len(set(row)) == len(row) for row in rows)
    return [set(row) for row in rows]


@pytest.mark.parametrize("edges", [None, (6.0, 6.0, 6.0), (3.5, 6.0, 9.0), (2.5, 6.0, 2.1)])
def test_lists_hold_all_partners_and_no_others(edges):
    edges = None if edges is None else np.array(edges, np.float32)
    x = cloud(300, np.array([6.0, 6.0, 6.0]) if edges is None else edges)
    sizes = layout(x, CUTOFF, edges)
    make = jax.jit(neighbours, static_argnums=(1, 2))
    # particles may have left the box, and a cloud may have moved
    moved = x + (np.array([12.0, -6.0, 9.0], np.float32) if edges is None else 2 * edges)
    for at in (x, moved):
        found = make(jnp.asarray(at), CUTOFF, sizes, None if edges is None else jnp.asarray(edges))
        assert bool(found.complete)
        assert as_sets(found, len(x)) == by_hand(at, edges)


def test_what_does_not_fit_is_told():
    x = cloud(200, 5.0)
    sizes = layout(x, CUTOFF)
    crowded = np.concatenate([cloud(100, 1.0, 1), x[100:]])
    assert not bool(neighbours(jnp.asarray(crowded), CUTOFF, sizes).complete)
    # cells that have become narrower than the cut-off would miss partners
    assert not bool(neighbours(jnp.asarray(0.5 * x), 1.0, sizes._replace(in_cell=200, partners=199)).complete)


def test_a_box_that_shows_a_partner_twice_is_told():
    x, edges = np.array([[0.0, 0, 0], [0.8, 0, 0]], np.float32), np.array([1.6, 4.0, 4.0], np.float32)
    assert not bool(neighbours(jnp.asarray(x), CUTOFF, layout(x, CUTOFF, edges), jnp.asarray(edges)).complete)


def test_a_single_particle_and_a_pair():
    pair = np.array([[0.0, 0, 0], [0.5, 0, 0]], np.float32)
    found = neighbours(jnp.asarray(pair), CUTOFF, layout(pair, CUTOFF))
    assert as_sets(found, 2) == [{1}, {0}]
