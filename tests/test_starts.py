"""Where replicas begin."""

import numpy as np

from twofold.starts import starting_positions


def test_starts_are_spread_over_a_trajectory(untrained, chain_ensemble):
    def chosen(number, replicas):
        frames = chain_ensemble.positions[:number]
        starts = starting_positions(untrained, replicas, 0.3, frames, None, 0)
        return [int(np.argmin(np.abs(frames - start).max((1, 2)))) for start in starts]

    assert chosen(100, 4) == [0, 25, 50, 75]
    assert chosen(4, 4) == [0, 1, 2, 3]
    assert chosen(2, 5) == [0, 1, 0, 1, 0]
