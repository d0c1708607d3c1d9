"""Walls between far pairs: shared by alike ones, none before training, steeper without noise."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tests.analysis.chains import peptide_beads

from twofold.beads import Beads
from twofold.energy.contacts import BLUR, SOFTNESS, excluded_volume

PAIRS = np.array([[0, 4], [0, 8], [1, 5], [4, 8]])  # N-N, N-N, CA-CA, N-N of a peptide with four beads a residue
DISTANCES = np.array([[0.40, 0.90, 0.50, 0.35], [0.38, 0.80, 0.45, 0.36]])


@pytest.fixture(scope="module")
def untaught():
    return excluded_volume(peptide_beads(), PAIRS, DISTANCES)


def test_alike_pairs_share_the_least_distance(untaught):
    np.testing.assert_allclose(untaught.walls.contact, [0.35, 0.35, 0.45, 0.35])
    assert untaught.height.shape[:2] == (2, len(SOFTNESS))


def test_no_energy_before_training(untaught):
    assert float(untaught(jnp.asarray(DISTANCES[0]), jnp.float32(0.3))) == 0.0


@pytest.mark.parametrize("sigma", [0.05, 1.0])
def test_sum_over_pairs_in_closed_form(untaught, sigma):
    found = untaught.walls(jnp.asarray(DISTANCES[0], jnp.float32), jnp.float32(sigma))
    width = np.sqrt(np.array(SOFTNESS) ** 2 + (BLUR * sigma) ** 2)
    overlap = np.log1p(np.exp((np.array([0.35, 0.35, 0.45, 0.35]) - DISTANCES[0])[:, None] / width))
    expected = np.stack([overlap[2], overlap[[0, 1, 3]].sum(0)])
    classes = np.asarray(untaught.walls.member).T @ np.array([0, 0, 1, 0])  # which row holds CA-CA
    np.testing.assert_allclose(found.T, expected if classes[0] else expected[::-1], rtol=1e-5)


def test_raised_walls_push_apart_ever_harder(untaught):
    walls = eqx.tree_at(lambda one: one.height, untaught, jnp.ones_like(untaught.height))
    force = -jax.vmap(jax.grad(lambda d: walls(d, jnp.float32(0.1))))(jnp.linspace(0.2, 0.5, 7)[:, None] * jnp.ones(4))
    assert (np.asarray(force) > 0).all()
    assert (np.diff(np.asarray(force)[:, 0]) < 0).all()


def test_molecules_without_far_pairs():
    none = excluded_volume(Beads.anonymous(4), np.zeros((0, 2), int), np.zeros((3, 0)))
    assert float(none(jnp.zeros(0), jnp.float32(0.1))) == 0.0
