"""Systems of different size in batches against each of them alone."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from precision import products
from twofold.energy import together
from twofold.energy.base import Energy
from twofold.energy.mixed import buckets_of, energies_of_sizes, energy_of, over_batch, padded, score_of, scores_of_sizes
from twofold.energy.pairs import Particles, pairs_of
from twofold.energy.particles import ParticleEnergy
from twofold.errors import UserError

SIZES = (5, 3, 6, 3, 6)
CUTOFF = 1.5


class PairSum(Energy):
    """Something of types, partners and places that compiles in no time."""

    def energy(self, system, x, sigma):
        pairs = pairs_of(x, system, CUTOFF)
        own = jnp.sum(jnp.where(system.real, jnp.sum(x**2, axis=1) + system.types, 0.0))
        return sigma * jnp.sum(pairs.weight * pairs.distance) + own


def listed(x, edge):
    """Partners within the cut-off, nearest images of a cube."""
    step = np.asarray(x)[:, None] - np.asarray(x)
    step -= 0.0 if math.isinf(edge) else edge * np.round(step / edge)
    rows = [[j for j in np.flatnonzero(row < CUTOFF**2) if j != i] for i, row in enumerate(np.sum(step**2, -1))]
    most = max(1, *map(len, rows))
    return jnp.array([row + [len(rows)] * (most - len(row)) for row in rows])


def systems(kind):
    rng = np.random.default_rng(3)
    found, positions = [], []
    for count in SIZES:
        edges = jnp.full(3, 4.0, jnp.float32) if kind == "box" else None
        x = jnp.asarray(4.0 * rng.random((count, 3)), jnp.float32)
        particles = Particles(jnp.asarray(rng.integers(0, 2, count)), jnp.ones(count, bool), None, edges)
        if kind != "free":
            particles = particles._replace(neighbours=listed(x, 4.0 if kind == "box" else math.inf))
        found.append(particles)
        positions.append(x)
    return found, positions, jnp.linspace(0.1, 0.6, len(SIZES))


def compare(model, kind):
    several, positions, sigma = systems(kind)
    assert 1 < len(buckets_of(several)) < len(set(SIZES))
    energies, scores = (of(model, several, positions, sigma) for of in (energies_of_sizes, scores_of_sizes))
    alone = jax.jit(lambda one, x, level: jax.value_and_grad(model.energy, argnums=1)(one, x, level))
    for place, (one, x) in enumerate(zip(several, positions, strict=True)):
        value, slope = alone(one, x, sigma[place])
        assert float(energies[place]) == pytest.approx(float(value), rel=1e-4, abs=1e-4)
        np.testing.assert_allclose(scores[place], -slope, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("kind", "entries"), [("free", 1), ("listed", 70), ("box", 10_000)])
def test_batches_give_what_each_system_gives_alone(kind, entries, monkeypatch):
    """Whether members of a bucket are worked on one by one, two by two, or all at once."""
    monkeypatch.setattr(together, "ENTRIES", entries)
    monkeypatch.setattr(together, "CORES", 1)
    compare(PairSum(), kind)


def test_batches_of_message_passing_too():
    fresh = ParticleEnergy.build(np.arange(2), np.full((2, 2), 0.8), jax.random.key(0), width=4, depth=1, cutoff=CUTOFF)
    model = eqx.tree_at(lambda one: one.readout, fresh, jax.random.normal(jax.random.key(1), fresh.readout.shape))
    several, positions, sigma = (part[:2] for part in systems("free"))
    energies = energies_of_sizes(model, several, positions, sigma, bound=3.0)
    alone = jax.jit(lambda one, y, level: model.energy(one, y, level))
    for place, (one, x) in enumerate(zip(several, positions, strict=True)):
        assert float(energies[place]) == pytest.approx(float(alone(one, x, sigma[place])), rel=1e-4)


@pytest.mark.parametrize("quantity", [energy_of, score_of])
def test_products_of_batches_are_never_rounded(quantity):
    model = ParticleEnergy.build(np.arange(2), np.full((2, 2), 0.8), jax.random.key(0), width=4, depth=1, cutoff=CUTOFF)
    several, positions, sigma = (part[:2] for part in systems("free"))
    (bucket,) = buckets_of(several, bound=3.0)
    batch, x = padded(several, positions, bucket)
    found = products(lambda x: over_batch(quantity, model, batch, x, sigma), x)
    assert len(found) > 5
    assert all(found)


def test_what_is_added_is_not_real_and_nobodys_neighbour():
    several, positions, _ = systems("listed")
    for bucket in buckets_of(several, bound=10.0):
        batch, x = padded(several, positions, bucket)
        assert batch.neighbours is not None
        assert x.shape == (len(SIZES), 6, 3)
        for place, count in enumerate(SIZES):
            assert batch.real[place].tolist() == [True] * count + [False] * (6 - count)
            assert not np.any(x[place, count:])
            listed = np.asarray(batch.neighbours[place])
            assert np.all(listed[count:] == 6)
            assert np.all((listed < count) | (listed == 6))


def test_systems_that_do_not_go_together_are_refused():
    several, positions, _ = systems("listed")
    several[0] = several[0]._replace(neighbours=None)
    with pytest.raises(UserError, match="neighbours"):
        padded(several, positions, buckets_of(several, bound=10.0)[0])
