"""The region of the data."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from twofold.simulation.integrators import State
from twofold.simulation.region import REASONS, Region, diagnose, inside, pair_statistics, speed_limit

LIMIT = speed_limit(np.array([12.0, 12.0, 12.0]), 2.5)
PLACE = np.array([[0.0, 0, 0], [0.15, 0, 0], [0.15, 0.15, 0]], dtype=np.float32)


@pytest.fixture(scope="module")
def frames():
    return (PLACE + np.random.default_rng(0).normal(0, 0.003, (5000, 3, 3))).astype(np.float32)


def state(positions, velocities=0.0, potential=0.0):
    positions = jnp.asarray(positions, jnp.float32)[None]
    return State(
        positions,
        jnp.zeros_like(positions) + velocities,
        jnp.zeros_like(positions),
        jnp.full(1, potential, jnp.float32),
    )


@eqx.filter_jit
def judge(region, at):
    return inside(region, LIMIT, at), diagnose(region, LIMIT, at)


def verdict(region, at):
    (good,), (reason, beads) = judge(region, at)
    return bool(good), REASONS[int(reason[0])], tuple(sorted(int(bead) for bead in beads[0]))


def test_statistics_in_blocks(frames):
    low, high, width = pair_statistics(frames)
    distances = np.linalg.norm(frames[:, 0] - frames[:, 1], axis=-1).astype(np.float64)
    assert low[0, 1] == distances.min()
    assert high[0, 1] == distances.max()
    assert width[0, 1] == pytest.approx(distances.std(), rel=1e-4)


def test_honest_frames_are_inside_even_with_noise(frames):
    rng = np.random.default_rng(1)
    noised = jnp.asarray(frames + rng.normal(0, 0.002, frames.shape), jnp.float32)
    many = State(noised, jnp.zeros_like(noised), jnp.zeros_like(noised), jnp.zeros(len(noised)))
    assert bool(judge(Region.around(frames), many)[0].all())


@pytest.mark.parametrize(("change", "reason"), [(-0.07, "too close"), (0.07, "too far apart")])
def test_a_broken_bond_is_outside_and_named(frames, change, reason):
    broken = PLACE.copy()
    broken[0, 0] -= change
    good, found, beads = verdict(Region.around(frames), state(broken))
    assert (good, found, beads) == (False, reason, (0, 1))


def test_numbers_and_speed(frames):
    region = Region.around(frames)
    assert verdict(region, state(PLACE, potential=-31.0))[0]
    hot = np.zeros((1, 3, 3), np.float32)
    hot[0, 2, 1] = 5.0
    assert verdict(region, state(PLACE, velocities=hot)) == (False, "too fast", (-1, 2))
    assert verdict(None, state(PLACE, velocities=hot * np.nan))[:2] == (False, "not finite")
    assert verdict(region, state(PLACE * np.nan))[:2] == (False, "not finite")
    assert verdict(None, state(PLACE, potential=np.nan))[:2] == (False, "not finite")


def test_soft_pairs_may_come_nearer_than_the_data(frames):
    rng = np.random.default_rng(2)
    soft = frames + rng.normal(0, 0.05, (len(frames), 1, 3)) * np.array([0, 0, 1.0])[:, None]
    low = pair_statistics(soft)[0]
    region = Region.around(soft)
    smallest = low[~np.eye(3, dtype=bool)].min()
    assert float(region.lower[0, 2]) == pytest.approx(smallest / 2, rel=1e-3)
    assert float(region.lower[0, 1]) > 0.1


def test_one_bead_has_no_pairs():
    region = Region.around(np.zeros((10, 1, 3)))
    one = State(jnp.ones((1, 1, 3)), jnp.zeros((1, 1, 3)), jnp.zeros((1, 1, 3)), jnp.zeros(1))
    assert bool(inside(region, speed_limit(np.array([12.0]), 2.5), one)[0])


def test_a_torsion_may_turn_where_others_have_been():
    """A chain of five whose first torsion was trans in all frames and whose second was everywhere."""
    rng = np.random.default_rng(3)

    def chain(first, second):
        place = [np.array([-0.07, 0.122, 0.0]), np.zeros(3), np.array([0.15, 0.0, 0.0])]
        third = place[2] + 0.14 * np.array([0.5, 0.87 * np.cos(first), 0.87 * np.sin(first)])
        axis = (third - place[2]) / np.linalg.norm(third - place[2])
        back = place[1] - place[2]
        across = back - (back @ axis) * axis
        across /= np.linalg.norm(across)
        turned = np.cos(second) * across + np.sin(second) * np.cross(axis, across)
        return np.array([*place, third, third + 0.14 * (0.5 * axis + 0.87 * turned)])

    data = np.array([chain(np.pi + 0.2 * rng.standard_normal(), a) for a in rng.uniform(-np.pi, np.pi, 3000)])
    data = (data + rng.normal(0, 0.002, data.shape)).astype(np.float32)
    limit = speed_limit(np.full(5, 12.0), 2.5)
    cis = state(chain(0.1, 2.0))
    bonds = np.array([[0, 1], [1, 2], [2, 3], [3, 4]])
    assert not bool(inside(Region.around(data), limit, cis)[0])
    region = Region.around(data, bonds=bonds)
    assert bool(inside(region, limit, cis)[0])
    # as close as any of them was, and not much closer
    apart = np.linalg.norm(data[:, 1] - data[:, 4], axis=1).min()
    assert 0.6 * apart < float(region.lower[0, 3]) < apart
    squeezed = state(chain(0.1, 2.0) * np.array([1.0, 0.3, 0.3]))
    assert not bool(inside(region, limit, squeezed)[0])
