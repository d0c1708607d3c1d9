from itertools import product

import numpy as np
import pytest

from twofold.errors import UserError
from twofold.space import displacement, gather, make_whole, molecules, wrap

CUBIC = np.eye(3) * 2.0
# The rhombic dodecahedron, the most tilted of the usual cells.
DODECAHEDRON = 2.0 * np.array([[1, 0, 0], [0, 1, 0], [0.5, 0.5, np.sqrt(0.5)]])


def nearest_by_search(vector, box):
    shifts = np.array(list(product(range(-4, 5), repeat=3))) @ box
    return min(np.linalg.norm(vector + shifts, axis=1))


@pytest.mark.parametrize("box", [CUBIC, DODECAHEDRON])
def test_displacement_is_the_shortest_image(box):
    first, second = np.random.default_rng(0).uniform(-3, 3, size=(2, 200, 3))
    found = displacement(first, second, box)
    for vector, start, end in zip(found, first, second, strict=True):
        assert np.linalg.norm(vector) == pytest.approx(nearest_by_search(end - start, box))
        shift = (vector - (end - start)) @ np.linalg.inv(box)
        assert shift == pytest.approx(np.round(shift), abs=1e-9)


def test_displacement_takes_a_box_for_each_frame_and_keeps_the_type():
    boxes = np.stack([CUBIC, 3 * np.eye(3)])
    first = np.zeros((2, 5, 3), dtype=np.float32)
    second = np.full((2, 5, 3), 1.4, dtype=np.float32)
    found = displacement(first, second, boxes)
    assert found.dtype == np.float32
    assert found[0] == pytest.approx(np.full((5, 3), -0.6), abs=1e-6)
    assert found[1] == pytest.approx(np.full((5, 3), 1.4))
    assert displacement(first, second) == pytest.approx(second)


@pytest.mark.parametrize("box", [CUBIC, DODECAHEDRON])
def test_wrap_puts_positions_into_the_cell(box):
    positions = np.random.default_rng(1).normal(scale=5, size=(50, 7, 3))
    inside = wrap(positions, np.broadcast_to(box, (50, 3, 3)))
    fractions = inside @ np.linalg.inv(box)
    assert fractions.min() >= -1e-9
    assert fractions.max() < 1 + 1e-9
    assert displacement(positions, inside, box) == pytest.approx(np.zeros_like(positions), abs=1e-9)
    assert wrap(positions) is positions


@pytest.mark.parametrize("box", [CUBIC, DODECAHEDRON])
def test_broken_molecules_are_made_whole(box):
    rng = np.random.default_rng(2)
    steps = rng.normal(size=(20, 12, 3))
    steps *= 0.3 / np.linalg.norm(steps, axis=-1, keepdims=True)
    whole = np.cumsum(steps, axis=1)  # longer than the box
    bonds = np.array([(i + 1, i) for i in range(11)])
    mended = make_whole(wrap(whole, box), np.broadcast_to(box, (20, 3, 3)), bonds)
    assert mended - mended[:, :1] == pytest.approx(whole - whole[:, :1], abs=1e-9)
    assert make_whole(whole, None, bonds) == pytest.approx(whole)


def test_molecules_and_gather():
    bonds = np.array([[0, 2], [1, 3]])
    assert molecules(bonds, 5).tolist() == [0, 1, 0, 1, 4]
    positions = np.zeros((1, 5, 3))
    positions[0, [1, 3], 0] = [1.7, 1.9]  # whole, but in the next image
    gathered = gather(positions, CUBIC, molecules(bonds, 5))
    assert gathered[0, :, 0] == pytest.approx([0, -0.3, 0, -0.1, 0])


@pytest.mark.parametrize("box", [np.zeros((3, 3)), np.full((3, 3), np.nan), np.ones(3)])
def test_impossible_boxes(box):
    with pytest.raises(UserError, match="box"):
        displacement(np.zeros(3), np.ones(3), box)
