"""Lists of neighbours against all pairs, in free space and in boxes."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twofold.energy.neighbours import DENSE, layout, neighbour_lists, neighbours
from twofold.energy.pairs import Particles
from twofold.energy.particles import ParticleEnergy
from twofold.errors import UserError

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


@pytest.mark.parametrize("edge", [1.8, 3.6, 4.2, 8.4])
def test_edges_of_whole_cells_are_no_narrower_in_single_precision(edge):
    # edges over cut-offs are whole numbers in double precision only
    assert neighbour_lists(cloud(DENSE + 1, edge), 0.6, np.full(3, edge)) is not None


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


@pytest.mark.parametrize("box", [None, (5.0, 6.0, 7.0)], ids=["free space", "box"])
def test_few_particles_all_see_all_and_many_have_lists_of_the_same_energy(box):
    size, sigma = np.array([5.0, 6.0, 7.0], np.float32), jnp.float32(0.5)
    edges = None if box is None else size
    energy = ParticleEnergy.build(
        np.zeros(1, int), np.full((1, 1), 0.5), jax.random.key(0), width=4, depth=1, cutoff=CUTOFF
    )
    energy = eqx.tree_at(lambda one: one.readout, energy, jax.random.normal(jax.random.key(1), energy.readout.shape))
    # in free space distances are seen in a unit that grows with the noise
    cutoff = CUTOFF * float(jnp.sqrt(1 + sigma**2)) if box is None else CUTOFF
    assert neighbour_lists(cloud(DENSE, size), cutoff, edges) is None
    x = cloud(DENSE + 1, size)
    index = neighbour_lists(x, cutoff, edges)
    assert index.shape[1] < DENSE / 2
    alike = Particles(jnp.zeros(len(x), int), jnp.ones(len(x), bool), None, None if box is None else jnp.asarray(size))
    value = eqx.filter_jit(energy.energy)
    listed, dense = (float(value(alike._replace(neighbours=one), x, sigma)) for one in (index, None))
    assert listed == pytest.approx(dense, rel=1e-5)
    # which lists without the nearest partner do not have
    short = alike._replace(neighbours=index.at[:, 0].set(len(x)))
    assert abs(float(value(short, x, sigma)) - dense) > 10 * 1e-5 * abs(dense)


def test_lattice_vectors_along_the_axes_are_edges_and_others_are_refused():
    x = cloud(200, 6.0)
    np.testing.assert_array_equal(
        neighbour_lists(x, CUTOFF, 6 * np.eye(3)), neighbour_lists(x, CUTOFF, np.full(3, 6.0))
    )
    for count in (10, 200):
        with pytest.raises(UserError, match="without right angles"):
            neighbour_lists(x[:count], CUTOFF, 6 * np.eye(3) + 3 * np.eye(3, k=-1))
        with pytest.raises(UserError, match=r"box 1\.5 wide"):
            neighbour_lists(x[:count], CUTOFF, np.array([6.0, 1.5, 6.0]))


@pytest.mark.parametrize("edges", [None, np.full(3, 2000.0)])
def test_a_particle_that_is_far_away_does_not_fill_the_memory_with_cells(edges):
    x = np.concatenate([cloud(200, 5.0), [[900.0, 900.0, -1e-17]]]).astype(np.float32)
    sizes = layout(x, CUTOFF, edges)
    assert np.prod(sizes.cells) <= 8 * len(x)
    found = neighbours(jnp.asarray(x), CUTOFF, sizes, None if edges is None else jnp.asarray(edges))
    assert bool(found.complete)
    assert as_sets(found, len(x)) == by_hand(x, edges)
