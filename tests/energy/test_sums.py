"""Terms side by side: sums of energies and scores, what is inherited, storage, batches of sizes."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twofold.architectures import CLASSES, beside, build
from twofold.beads import Beads
from twofold.energy.base import trainable
from twofold.energy.coulomb import coulomb
from twofold.energy.experts import PlainScore
from twofold.energy.mixed import energies_of_sizes
from twofold.energy.pairs import Bonds, Particles
from twofold.energy.springs import springs
from twofold.energy.sums import Sum
from twofold.ensemble import Ensemble
from twofold.errors import UserError
from twofold.files.trees import pack, unpack

SIGMA = jnp.float32(0.1)
FRAMES = np.random.default_rng(0).normal(size=(20, 4, 3)).astype(np.float32)


def charged(number):
    beads = Beads.anonymous(number, bonds=[(k, k + 1) for k in range(number - 1)]).to_dict()
    return Beads.from_dict(beads | {"charges": [(-1.0) ** k for k in range(number)]})


def frames_of_four():
    return Ensemble.build(charged(4), FRAMES, 300.0)


@pytest.fixture(scope="module")
def terms():
    beads = charged(4)
    return springs(beads.bonds, FRAMES), coulomb(beads, 300.0, 0.3, dielectric=20.0)


def test_energies_and_scores_add_up(terms):
    both = Sum(terms)

    @jax.jit
    def found(x):
        each = [one.energy(None, x, SIGMA) for one in terms], [one.score(None, x, SIGMA) for one in terms]
        slope = jax.grad(both.energy, argnums=1)(None, x, SIGMA)
        return each, both.energy(None, x, SIGMA), both.score(None, x, SIGMA), slope

    (energies, scores), energy, score, slope = found(jnp.asarray(FRAMES[0]))
    assert float(energy) == pytest.approx(float(sum(energies)), rel=1e-5)
    np.testing.assert_allclose(score, sum(scores), rtol=1e-5)
    np.testing.assert_allclose(score, -slope, rtol=1e-4, atol=1e-4)


def test_a_sum_is_what_its_terms_allow(terms):
    assert not Sum(terms).like_beads
    assert not Sum(terms).augment_rotation
    assert not any(jax.tree.leaves(trainable(Sum(terms))))
    assert isinstance(Sum(terms).at_level(0.1), Sum)
    ensemble = frames_of_four()
    built = build("cartesian", ensemble, jax.random.key(0), width=8, depth=1)
    plain = PlainScore.build(built.chart, jnp.zeros((4, 3)), jax.random.key(1), width=4, depth=1)
    assert Sum((*terms, plain)).conservative_to == 0
    assert Sum((*terms, plain)).augment_rotation


def test_terms_stand_beside_a_network_and_are_stored(terms):
    ensemble = frames_of_four()
    built = beside(build("particles", ensemble, jax.random.key(0), width=4, depth=1), *terms)
    arrays = {}
    text = json.dumps(pack(built.energy, arrays))
    assert eqx.tree_equal(unpack(json.loads(text), arrays, CLASSES), built.energy)
    # the network is left to learn, the terms are not
    assert jax.tree.leaves(eqx.filter(built.energy, trainable(built.energy)))
    with pytest.raises(UserError, match="Cartesian"):
        beside(build("internal", frames_of_four(), jax.random.key(0)), *terms)


def test_batches_of_sizes_carry_charges_and_bonds(terms):
    systems, places = [], []
    for number in (4, 3):
        beads = charged(number)
        bonds = Bonds(jnp.asarray(beads.bonds), jnp.ones(number - 1), jnp.full(number - 1, 0.2))
        systems.append(
            Particles(
                jnp.zeros(number, int),
                jnp.ones(number, bool),
                charges=jnp.asarray(beads.charges, jnp.float32),
                excluded=jnp.asarray(beads.bonds),
                bonds=bonds,
            )
        )
        places.append(jax.random.normal(jax.random.key(number), (number, 3)))
    found = energies_of_sizes(Sum(terms), systems, places, jnp.full(2, SIGMA), bound=10.0)
    alone = jax.jit(lambda one, x: Sum(terms).energy(one, x, SIGMA))
    for value, one, x in zip(found, systems, places, strict=True):
        assert float(value) == pytest.approx(float(alone(one, x)), rel=1e-4)
