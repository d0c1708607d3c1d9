import numpy as np
import pytest

from twofold.analysis import kinetics

LEFT, RIGHT = 1.0, -1.2


def test_crossings_on_a_constructed_path():
    phi = np.array([RIGHT, -0.1, 0.1, -0.1, RIGHT, 0.1, LEFT, -0.2, LEFT, 0.2, RIGHT, 3.1, -3.1, RIGHT, 3.1, 2.0])
    found = kinetics.crossings(phi)
    # Wavering at 0 and at pi does not count; RIGHT-LEFT, LEFT-RIGHT, RIGHT-(over pi)-LEFT do.
    assert (found.up, found.down, found.number) == (2, 1, 3)


def test_replicas_are_not_joined():
    phi = np.array([RIGHT, RIGHT, LEFT, LEFT, RIGHT, LEFT])
    found = kinetics.crossings(phi, np.array([0, 0, 1, 1, 2, 2]))
    assert found.by_replica.tolist() == [0, 0, 1]
    assert found.number == 1


def test_interleaved_replicas_are_put_in_order():
    phi = np.array([RIGHT, LEFT, RIGHT, LEFT])
    assert kinetics.crossings(phi, np.array([0, 1, 0, 1])).number == 0


def test_frames_before_the_first_core_have_no_state():
    assert kinetics.core_states(np.array([0.1, -0.1, LEFT, 0.1])).tolist() == [0, 0, 1, 1]
    assert kinetics.core_states(np.array([])).tolist() == []


def test_independent_frames():
    rng = np.random.default_rng(0)
    values = np.repeat(rng.standard_normal(400), 10)
    replica = np.repeat(np.arange(20), 200)
    sizes = kinetics.independent_frames({"slow": values, "fast": rng.standard_normal(4000)}, replica)
    assert sizes["slow"] == pytest.approx(400, rel=0.25)
    assert sizes["fast"] > 3000
    assert kinetics.independent_frames({}) == {}
