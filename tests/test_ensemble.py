import numpy as np
import pytest

from twofold.beads import Beads
from twofold.ensemble import Ensemble, concatenate, split, time_blocks
from twofold.errors import UserError

BEADS = Beads.anonymous(4)


def ensemble(frames=100, **changes):
    positions = np.random.default_rng(1).normal(size=(frames, 4, 3))
    return Ensemble.build(BEADS, positions, 300, **changes)


def test_weights_have_mean_one_and_stay_as_they_are():
    weights = np.random.default_rng(0).uniform(size=1000) * 1e-7
    first = ensemble(1000, weights=weights)
    assert first.weights.mean() == pytest.approx(1, abs=1e-14)
    assert np.allclose(first.weights / first.weights[0], weights / weights[0], rtol=1e-14)
    again = ensemble(1000, weights=first.weights)
    assert again.weights.tobytes() == first.weights.tobytes()


def test_effective_size():
    assert ensemble(50).effective_size == pytest.approx(50)
    assert ensemble(100, weights=[1.0] * 25 + [0.0] * 75).effective_size == pytest.approx(25)


def test_blocks_are_contiguous_of_equal_length_and_within_trajectories():
    trajectory = np.repeat([0, 1, 2], [600, 200, 5])
    block = time_blocks(trajectory, 40)
    assert np.all(np.diff(block) >= 0)
    assert np.all(np.diff(block) <= 1)
    assert np.all(np.diff(block)[np.diff(trajectory) > 0] == 1)
    counts = np.bincount(block)
    assert counts[-1] == 5
    assert set(counts[:-1].tolist()) <= {20, 21}
    assert time_blocks(np.zeros(3), 40).tolist() == [0, 1, 2]


def test_select_keeps_everything_together():
    rest = {"box": np.eye(3) * 3, "forces": np.ones((10, 4, 3)), "energies": np.arange(10.0)}
    data = ensemble(10, weights=np.arange(10) + 1.0, frame_ps=2.0, **rest)
    chosen = data.select([7, 2])
    assert np.array_equal(chosen.positions, data.positions[[7, 2]])
    assert chosen.weights.tolist() == pytest.approx([8 / 5.5, 3 / 5.5])
    assert chosen.box is not None
    assert chosen.box.shape == (2, 3, 3)
    assert chosen.forces is not None
    assert chosen.energies is not None
    assert chosen.energies.tolist() == [7.0, 2.0]
    assert len(data.select(slice(0, 4))) == len(data.select(np.arange(10) < 4)) == 4


def test_split_by_block_takes_the_end_of_every_trajectory():
    data = ensemble(300, trajectory=np.repeat([0, 1], [200, 100]), blocks=30)
    train, held = split(data, 0.2)
    assert len(held) == 60
    assert not set(train.block.tolist()) & set(held.block.tolist())
    assert np.array_equal(held.positions, np.concatenate([data.positions[160:200], data.positions[280:]]))
    assert train.weights.mean() == pytest.approx(1)


def test_split_by_trajectory_when_there_are_enough():
    data = ensemble(100, trajectory=np.repeat(np.arange(10), 10))
    train, held = split(data, 0.2)
    assert set(held.trajectory.tolist()) == {8, 9}
    assert set(train.trajectory.tolist()) == set(range(8))
    assert len(set(split(data, 0.2, by="block")[1].trajectory.tolist())) == 10
    unequal = ensemble(100, trajectory=np.repeat(np.arange(4), [70, 10, 10, 10]))
    assert 0 in split(unequal)[1].trajectory


def test_split_by_named_trajectories():
    data = ensemble(100, trajectory=np.repeat(np.arange(10), 10))
    train, held = split(data, held_out_trajectories=(0, 4))
    assert set(held.trajectory.tolist()) == {0, 4}
    assert len(train) == 80
    with pytest.raises(UserError, match=r"Held-out trajectories \[10\]"):
        split(data, held_out_trajectories=(0, 10))
    with pytest.raises(UserError, match="at least two, to hold one out"):
        split(data, held_out_trajectories=range(10))


def test_split_holds_something_out_even_of_short_data():
    train, held = split(ensemble(3), 0.01)
    assert (len(train), len(held)) == (2, 1)
    several = ensemble(6, trajectory=[0, 0, 1, 1, 2, 2], block=[0, 1, 2, 3, 4, 5])
    assert len(split(several, 0.2, by="block")[1]) >= 1
    with pytest.raises(UserError, match="at least two"):
        split(ensemble(20, blocks=1))


@pytest.mark.parametrize("arguments", [{"held_out": 0}, {"held_out": 1.0}, {"by": "frame"}])
def test_split_refuses(arguments):
    with pytest.raises(UserError):
        split(ensemble(), **arguments)


def test_concatenate_numbers_anew():
    joined = concatenate([ensemble(30, trajectory=np.repeat([3, 5], 15), frame_ps=1.0), ensemble(20, frame_ps=1.0)])
    assert len(joined) == 50
    assert joined.trajectory.tolist() == [0] * 15 + [1] * 15 + [2] * 20
    assert len(set(joined.block.tolist())) == 30 + 20
    assert joined.frame_ps == 1.0
    assert joined.forces is None
    with pytest.raises(UserError, match="different beads"):
        concatenate([ensemble(), Ensemble.build(Beads.anonymous(2), np.zeros((5, 2, 3)), 300)])
    with pytest.raises(UserError, match="300 K and 310 K"):
        concatenate([ensemble(), Ensemble.build(BEADS, np.zeros((5, 4, 3)), 310)])


@pytest.mark.parametrize("temperature", [0, -300, 5001, float("nan"), float("inf"), "warm", None])
def test_impossible_temperatures(temperature):
    with pytest.raises(UserError, match=r"Temperature .* K\. Expected above 0 and at most 5000 K"):
        Ensemble.build(BEADS, np.zeros((2, 4, 3)), temperature)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": [1.0, -1.0]}, "Weights that are negative"),
        ({"weights": [0.0, 0.0]}, "all zero"),
        ({"weights": [1.0]}, "one weight for each of 2 frames"),
        ({"forces": np.zeros((2, 3, 3))}, "Forces of shape"),
        ({"energies": np.zeros(7)}, "Energies of shape"),
        ({"energies": np.array([0.0, np.nan])}, "not finite in frame 1"),
        ({"box": np.zeros((3, 3, 3))}, "Box of shape"),
        ({"trajectory": [0]}, "one entry for each of 2 frames"),
        ({"frame_ps": 0.0}, "ps between frames"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    changes = {"trajectory": [0, 0], "block": [0, 0], **changes}
    with pytest.raises(UserError, match=message):
        Ensemble.build(BEADS, np.zeros((2, 4, 3)), 300, **changes)


def test_positions_have_to_fit_and_be_finite():
    positions = np.zeros((5, 4, 3))
    positions[3, 2, 1] = np.nan
    with pytest.raises(UserError, match=r"frame 3, bead 2 \(B3 of MOL1\)"):
        Ensemble.build(BEADS, positions, 300)
    with pytest.raises(UserError, match=r"\(frames, 4, 3\)"):
        Ensemble.build(BEADS, np.zeros((5, 3, 3)), 300)
    with pytest.raises(UserError, match="No frames"):
        Ensemble.build(BEADS, np.zeros((0, 4, 3)), 300)
