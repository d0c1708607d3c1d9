"""Message passing: symmetries, neighbour lists, padding, walls and energies of pairs."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twofold.energy.neighbours import layout, neighbours
from twofold.energy.pairs import Particles, contacts_by_type, pairs_of
from twofold.energy.particles import ParticleEnergy
from twofold.energy.rotations import random_rotations

TYPES = np.array([0, 0, 1, 1, 1, 0])
SIGMA = jnp.float32(0.4)


@pytest.fixture(scope="module")
def energy():
    """With readouts that say something: fresh ones are zero."""
    fresh = ParticleEnergy.build(TYPES, np.full((2, 2), 0.8), jax.random.key(0), width=8, depth=2)
    parts = fresh.readout, fresh.walls.height, fresh.by_distance.height
    keys = jax.random.split(jax.random.key(1), len(parts))
    values = [jax.random.normal(key, part.shape) for key, part in zip(keys, parts, strict=True)]
    return eqx.tree_at(lambda one: (one.readout, one.walls.height, one.by_distance.height), fresh, values)


@pytest.fixture(scope="module")
def x():
    return jax.random.normal(jax.random.key(2), (len(TYPES), 3))


@eqx.filter_jit
def compiled(energy, particles, x, sigma):
    return energy.energy(particles, x, sigma)


@eqx.filter_jit
def slope(energy, particles, x, sigma=SIGMA):
    return jax.grad(energy.energy, argnums=1)(particles, x, sigma)


def of(energy, x, particles=None, sigma=SIGMA):
    return float(compiled(energy, particles, x, sigma))


def test_turning_shifting_and_exchanging_like_particles_change_nothing(energy, x):
    here = of(energy, x)
    turn = random_rotations(jax.random.key(3), 1)[0]
    assert of(energy, x @ turn.T) == pytest.approx(here, rel=1e-5)
    like, unlike = jnp.array([1, 0, 2, 4, 3, 5]), jnp.array([2, 1, 0, 3, 4, 5])
    assert of(energy, x[like]) == pytest.approx(here, rel=1e-5)
    assert abs(of(energy, x[unlike]) - here) > 1e-2
    # all but the Gaussian, which belongs to coordinates without their mean
    shift = jnp.array([0.3, -0.2, 0.5])
    gaussian = 0.5 * jnp.sum((x + shift) ** 2 - x**2) / (1 + SIGMA**2)
    assert of(energy, x + shift) - float(gaussian) == pytest.approx(here, rel=1e-4)


def test_mirror_images_are_told_apart(energy, x):
    assert abs(of(energy, x * jnp.array([-1.0, 1.0, 1.0])) - of(energy, x)) > 1e-3


def full_list(count):
    rows = [[j for j in range(count) if j != i] + [count] for i in range(count)]
    return jnp.asarray(rows)


def test_a_list_of_neighbours_gives_what_all_pairs_give(energy, x):
    particles = Particles(jnp.asarray(TYPES), jnp.ones(len(TYPES), bool), full_list(len(TYPES)))
    assert of(energy, x, particles) == pytest.approx(of(energy, x), rel=1e-5)
    forces = [slope(energy, system, x) for system in (particles, None)]
    np.testing.assert_allclose(*forces, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("listed", [False, True])
def test_padding_counts_for_nothing(energy, x, listed):
    count = len(TYPES) + 3
    padded = jnp.concatenate([x, jax.random.normal(jax.random.key(5), (3, 3))])
    types, real = jnp.append(jnp.asarray(TYPES), jnp.array([0, 1, 1])), jnp.arange(count) < len(TYPES)
    particles = Particles(types, real, full_list(count) if listed else None)
    assert of(energy, padded, particles) == pytest.approx(of(energy, x), rel=1e-5)
    force = slope(energy, particles, padded)
    assert jnp.all(force[len(TYPES) :] == 0)


def test_partners_fade_out_at_the_cutoff():
    def weight(distance):
        x = jnp.array([[0.0, 0.0, 0.0], [distance, 0.0, 0.0]])
        return pairs_of(x, Particles(jnp.zeros(2, int), jnp.ones(2, bool)), 2.0).weight[0, 1]

    assert float(weight(1e-4)) == pytest.approx(1, abs=1e-3)
    assert float(weight(2.5)) == 0
    for derivative in (weight, jax.grad(weight), jax.grad(jax.grad(weight))):
        assert abs(float(derivative(1.999))) < 2e-2


def test_far_particles_do_not_speak(energy, x):
    """The energy of two clusters beyond the cut-off of each other is the sum of both, but for the Gaussian."""
    far = jnp.concatenate([x, x + jnp.array([100.0, 0.0, 0.0])])
    double = Particles(jnp.tile(jnp.asarray(TYPES), 2), jnp.ones(12, bool))

    def without_gaussian(particles, y):
        return of(energy, y, particles) - float(0.5 * jnp.sum(y**2) / (1 + SIGMA**2))

    assert without_gaussian(double, far) == pytest.approx(2 * without_gaussian(None, x), rel=1e-2, abs=0.05)


def test_walls_rise_towards_contact(x):
    fresh = ParticleEnergy.build(np.zeros(2, int), np.ones((1, 1)), jax.random.key(0), width=4, depth=1)
    height = jnp.ones_like(fresh.walls.height)
    walled = eqx.tree_at(lambda one: one.walls.height, fresh, height)

    def wall(distance):
        y = jnp.array([[0.5 * distance, 0, 0], [-0.5 * distance, 0, 0]])
        return of(walled, y, sigma=jnp.float32(0.02)) - of(fresh, y, sigma=jnp.float32(0.02))

    assert wall(0.5) > 3 * wall(0.9) > 3 * wall(1.3) > 0


def test_energies_of_pairs_are_sums_over_pairs(x):
    """Of a function of the distance for each two types, the same for A and B as for B and A."""
    fresh = ParticleEnergy.build(TYPES, np.full((2, 2), 0.8), jax.random.key(0), width=4, depth=1)
    height = jax.random.normal(jax.random.key(6), fresh.by_distance.height.shape)
    paired = eqx.tree_at(lambda one: one.by_distance.height, fresh, height)

    def of_two(i, j):
        types = jnp.asarray(TYPES[[i, j]])
        two = Particles(types, jnp.ones(2, bool))
        return of(paired, x[jnp.array([i, j])], two) - of(fresh, x[jnp.array([i, j])], two)

    pairs = [(i, j) for i in range(len(TYPES)) for j in range(i)]
    assert of(paired, x) - of(fresh, x) == pytest.approx(sum(of_two(i, j) for i, j in pairs), rel=1e-4)
    assert of_two(0, 2) == pytest.approx(of_two(2, 0), rel=1e-5)


def test_coinciding_particles_have_finite_forces(energy):
    assert jnp.isfinite(slope(energy, None, jnp.zeros((6, 3)))).all()


def test_contacts_are_the_least_distances_of_types():
    x = np.array([[[0, 0, 0], [1, 0, 0], [0, 3, 0]], [[0, 0, 0], [2, 0, 0], [0, 0.5, 0]]], float)
    np.testing.assert_allclose(contacts_by_type(x, np.array([0, 0, 1])), [[1, 0.5], [0.5, 0]])


def test_a_box_has_no_inside_and_no_outside(energy, x):
    """Moving one particle by an edge, or all of them by anything, changes nothing; lists give what all pairs give."""
    edges = jnp.array([17.0, 18.0, 19.0])  # nearest images are enough beyond twice the cut-off
    real = jnp.ones(len(TYPES), bool)
    box = Particles(jnp.asarray(TYPES), real, None, edges)
    here = of(energy, 3 * x, box)
    moved = (3 * x).at[2].add(jnp.array([17.0, 0.0, -19.0]))
    assert of(energy, moved, box) == pytest.approx(here, rel=1e-4)
    assert of(energy, 3 * x + jnp.array([4.0, -8.0, 11.0]), box) == pytest.approx(here, rel=1e-4)
    listed = box._replace(neighbours=full_list(len(TYPES)))
    assert of(energy, moved, listed) == pytest.approx(here, rel=1e-4)


def test_lists_from_cells_serve_many_particles():
    rng = np.random.default_rng(0)
    x = jnp.asarray(20 * rng.random((150, 3)), jnp.float32)
    fresh = ParticleEnergy.build(
        np.zeros(150, int), np.full((1, 1), 0.5), jax.random.key(0), width=4, depth=1, cutoff=3.0
    )
    readout = jax.random.normal(jax.random.key(1), fresh.readout.shape)
    walled = eqx.tree_at(lambda one: one.readout, fresh, readout)
    edges = jnp.full(3, 20.0)
    all_pairs = Particles(jnp.zeros(150, int), jnp.ones(150, bool), None, edges)
    found = neighbours(x, 3.0, layout(np.asarray(x), 3.0, np.asarray(edges)), edges)
    assert bool(found.complete)
    listed = all_pairs._replace(neighbours=found.index)
    assert of(walled, x, listed) == pytest.approx(of(walled, x, all_pairs), rel=1e-4)
