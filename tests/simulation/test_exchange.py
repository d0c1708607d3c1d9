"""Replica exchange: who trades, and that trades keep every rung's density."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twofold.beads import Beads
from twofold.errors import UserError
from twofold.simulation import Record, Region, SimulationSettings, record_ensemble, simulate
from twofold.simulation.exchange import Ladder, acceptance, trade
from twofold.simulation.integrators import init
from twofold.systems.double_well import DoubleWell

REPLICAS = 64
BARRIERS = (20.0, 12.0, 6.0, 2.0)
BEAD = Beads.anonymous(1)
OPTIONS = SimulationSettings(
    300.0, 80.0, frame_ps=0.2, timestep_fs=10.0, friction=5.0, seed=2, recentre=False, exchange=3
)


class Wells(eqx.Module):
    """One bead in a tilted double well, whose barrier is lower on every rung; a constant for each, which is nothing."""

    barriers: jax.Array
    offset: float = 50.0

    @property
    def levels(self):
        return self.barriers

    def _well(self, barrier):
        return dataclasses.replace(WELL, barrier=barrier)

    def energy(self, positions):
        return self._well(self.barriers[0]).energy(positions)

    def energies_and_forces(self, positions):
        def energy(one, barrier):
            return self._well(barrier).energy(one) + self.offset * barrier

        each = jnp.repeat(self.barriers, len(positions) // len(self.barriers))
        energies, gradients = jax.vmap(jax.value_and_grad(energy))(positions, each)
        return energies, -gradients


WELL = DoubleWell(barrier=20.0, minimum=0.1, tilt=1.5, stiffness=1000.0)
WELLS = Wells(jnp.array(BARRIERS))
WRONG = np.tile(np.array([0.1, 0.0, 0.0], np.float32), (4 * REPLICAS, 1, 1))


def share(path):
    x = record_ensemble(path, skip_ps=20.0).positions[:, 0, 0].reshape(REPLICAS, -1)
    left = (x < 0).mean(axis=1)
    return left.mean(), left.std(ddof=1) / np.sqrt(REPLICAS)


def anywhere(state):
    return jnp.ones(len(state.positions), bool)


def test_neighbours_trade_in_turns():
    partners = np.asarray(Ladder.build(2, 3, 1.0, jax.random.key(0)).partners)
    np.testing.assert_array_equal(partners, [[2, 3, 0, 1, 4, 5], [0, 1, 4, 5, 2, 3]])


def test_a_trade_that_costs_nothing_is_taken_and_a_dear_one_is_not():
    field = Wells(jnp.array([20.0, 20.0]), offset=0.0)
    ladder = Ladder.build(1, 2, 2.5, jax.random.key(0))
    ends = jnp.array([[[0.1, 0, 0]], [[-0.1, 0, 0]]], jnp.float32)
    state = init(field, ends, 2.0 * ends)
    running = jnp.ones(2, bool)
    same = trade(ladder, field, state, running, anywhere, jnp.int32(0))
    assert same.taken.tolist() == [1]
    np.testing.assert_array_equal(same.state.positions, ends[::-1])
    np.testing.assert_array_equal(same.state.velocities, 2.0 * ends[::-1])
    np.testing.assert_allclose(same.state.forces, init(field, ends[::-1], ends).forces)
    for frame, able in ((1, running), (0, jnp.array([True, False]))):
        kept = trade(ladder, field, state, able, anywhere, jnp.int32(frame))
        assert kept.taken.tolist() == [0]
        np.testing.assert_array_equal(kept.state.positions, ends)
    steep = Wells(jnp.array([2000.0, 0.0]))
    top = jnp.array([[[0.1, 0, 0]], [[0.0, 0, 0]]], jnp.float32)
    assert trade(ladder, steep, init(steep, top, top), running, anywhere, jnp.int32(0)).taken.tolist() == [0]
    # nobody is given what would stop him
    left = trade(ladder, field, state, running, lambda state: state.positions[:, 0, 0] > 0, jnp.int32(0))
    assert left.taken.tolist() == [0]


def test_a_rare_basin_is_filled_as_it_should_be(tmp_path):
    """All start in the shallower well behind eight kT. Without trades hardly any leaves it; with them all is exact."""
    edges = np.linspace(-0.3, 0.3, 601)
    exact = WELL.probabilities(edges, 300.0)[:300].sum()
    summary = simulate(WELLS, WRONG, OPTIONS, tmp_path / "md.h5", beads=BEAD)
    found, error = share(tmp_path / "md.h5")
    assert error < 0.03
    assert found == pytest.approx(exact, abs=3 * error)
    assert len(summary.acceptance) == 3
    assert all(0.2 < taken < 1 for taken in summary.acceptance)
    assert (summary.replicas, summary.stable) == (REPLICAS, REPLICAS)
    x = record_ensemble(tmp_path / "md.h5", skip_ps=20.0).positions[:, 0, 0]
    density = np.histogram(x, edges[150:451:10])[0] / len(x)
    expected = WELL.probabilities(edges, 300.0)[150:450].reshape(-1, 10).sum(1)
    assert np.abs(density - expected).max() < 0.015
    alone = dataclasses.replace(OPTIONS, exchange=0)
    simulate(WELLS.energy, WRONG[:REPLICAS], alone, tmp_path / "alone.h5", beads=BEAD)
    assert share(tmp_path / "alone.h5")[0] < exact / 2


def test_resume_is_bit_identical(tmp_path):
    whole, parts = (tmp_path / name for name in ("whole.h5", "parts.h5"))
    short, long = (dataclasses.replace(OPTIONS, length_ps=length) for length in (1.0, 3.0))
    simulate(WELLS, WRONG, long, whole, beads=BEAD)
    simulate(WELLS, WRONG, short, parts, beads=BEAD)
    summary = simulate(WELLS, None, long, parts, beads=BEAD, resume=True)
    assert summary.frames == 15
    with Record.open(whole) as one, Record.open(parts) as other:
        np.testing.assert_array_equal(one.read("positions"), other.read("positions"))
        assert set(one.state) == set(other.state)
        for name, value in one.state.items():
            np.testing.assert_array_equal(value, other.state[name])
        assert one.state["traded"].shape == (3,)
    with pytest.raises(UserError, match="exchange 3, and 2"):
        simulate(WELLS, None, dataclasses.replace(long, exchange=2), parts, beads=BEAD, resume=True)


def test_part_of_the_trades_that_were_taken():
    assert acceptance(np.array([6, 4]), np.full((3, 2), 5)) == (1.0, 1.0)
    assert np.isnan(acceptance(np.array([1, 0]), np.full((3, 2), 1))[1])
    assert acceptance(np.zeros(0), np.full((1, 2), 5)) == ()
    # who was stopped tries no more: the second replica has two tries at the first step, one at the second
    assert acceptance(np.array([5, 3]), np.array([[5, 5], [5, 4], [5, 2]])) == (1.0, 1.0)


def test_the_region_is_that_of_the_lowest_rung(tmp_path):
    """Two beads on a spring that is soft above: only what is recorded has to stay near its data."""
    pair = Beads.anonymous(2)
    still = np.tile(np.array([[0, 0, 0], [0.1, 0, 0]], np.float32), (4, 1, 1))
    region = Region.around(still + 0.001 * np.random.default_rng(0).standard_normal(still.shape))
    start = np.concatenate([still, still + np.array([[0, 0, 0], [0.2, 0, 0]], np.float32)])
    options = dataclasses.replace(OPTIONS, length_ps=1.0, exchange=1)
    summary = simulate(Wells(jnp.zeros(2)), start, options, tmp_path / "md.h5", beads=pair, region=region)
    assert (summary.stable, summary.copies_stopped) == (0, (0,))
    lost = start.copy()
    lost[5] = np.nan
    summary = simulate(Wells(jnp.zeros(2)), lost, options, tmp_path / "lost.h5", beads=pair)
    assert (summary.stable, summary.copies_stopped) == (4, (1,))


class Batched(DoubleWell):
    """Of one level, whatever it knows of batches."""

    def energies_and_forces(self, positions):
        energies, gradients = jax.vmap(jax.value_and_grad(self.energy))(positions)
        return energies, -gradients


@pytest.mark.parametrize("field", [WELL, Batched(**dataclasses.asdict(WELL))])
def test_levels_are_needed(tmp_path, field):
    with pytest.raises(UserError, match="one level"):
        simulate(field, WRONG, OPTIONS, tmp_path / "md.h5", beads=BEAD)


def test_starts_of_all_rungs_are_needed(tmp_path):
    with pytest.raises(UserError, match="a multiple of 4"):
        simulate(WELLS, WRONG[:6], OPTIONS, tmp_path / "md.h5", beads=BEAD)
