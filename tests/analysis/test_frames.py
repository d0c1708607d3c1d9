import numpy as np
import pytest
from tests.analysis.chains import peptide_ensemble

from twofold.analysis.frames import FrameSet, assert_unseen, reference_parts
from twofold.errors import UserError


def test_training_frames_are_refused_as_a_reference():
    training, other = peptide_ensemble(400, 0), peptide_ensemble(200, 1)
    assert assert_unseen(other.positions, training.positions) == 0
    mixed = np.concatenate([other.positions, training.positions[100:130]])
    with pytest.raises(UserError, match="30 of 230 frames of the reference were used in training"):
        assert_unseen(mixed, training.positions)


def test_one_shared_frame_is_no_leak():
    training, other = peptide_ensemble(20, 0), peptide_ensemble(1500, 1)
    joined = np.concatenate([training.positions[-1:], other.positions])
    assert assert_unseen(joined, training.positions) == 1


def test_reference_without_training_is_cut_in_two_by_blocks():
    held = peptide_ensemble(400, 2)
    parts = reference_parts(held, None)
    assert parts.source == "halves"
    assert len(parts.held_out) + len(parts.other) == 400
    assert not set(parts.held_out.block) & set(parts.other.block)


def test_common_size_is_the_smallest():
    parts = reference_parts(peptide_ensemble(300, 3), peptide_ensemble(900, 4))
    assert parts.size(10_000) == 300
    assert parts.size(50) == 50


def test_replicas_group_a_simulation():
    one = FrameSet(np.zeros((400, 2, 3)), "simulation", replica=np.repeat(np.arange(40), 10))
    assert len(np.unique(one.groups())) == 20
    assert one.moves
