"""Symmetries of forces and energies that are known, and of broken ones."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import synthetic
from twofold.diagnosis.curl import curl_check, relative_curl
from twofold.diagnosis.symmetry import (
    Frames,
    handedness,
    like_pairs,
    mirror_check,
    mirrored,
    symmetry,
)

BEADS = synthetic.dipeptide()


@pytest.fixture(scope="module")
def frames():
    positions = synthetic.frames(BEADS, 128)
    return Frames(positions, np.ones(128), np.arange(128) // 8)


def torsion(x):
    """Torsion of four beads, radians."""
    first, axis, last = x[1] - x[0], x[2] - x[1], x[3] - x[2]
    normal, other = jnp.cross(first, axis), jnp.cross(axis, last)
    return jnp.arctan2(jnp.sum(first * other) * jnp.linalg.norm(axis), jnp.sum(normal * other))


def bonds(x):
    return 5000.0 * jnp.sum((jnp.linalg.norm(x[1:] - x[:-1], axis=-1) - 0.15) ** 2)


def well(angle):
    """kT: -1.2 (70 %) and 1.1, where the frames are."""
    parts = [np.log(share) + (jnp.cos(angle - centre) - 1) / 0.25**2 for centre, share in synthetic.BASINS]
    return -jnp.logaddexp(*parts)


def chiral(x):
    """kT: bonds, and the wells of both torsions."""
    return bonds(x) + well(torsion(x[:4])) + well(torsion(x[1:]))


@functools.cache
def force(energy):
    return lambda x: -jax.grad(energy)(x)


def states(found):
    return {check.key.split(".")[1]: check.state for check in found.checks}


def test_curl_of_matrices_is_exact(frames):
    matrix = np.random.default_rng(1).standard_normal((15, 15))
    directions = np.random.default_rng(2).standard_normal((128, 4, 2, 5, 3))

    def linear(table):
        return lambda x: (jnp.asarray(table, jnp.float32) @ x.reshape(-1)).reshape(5, 3)

    assert relative_curl(linear(matrix + matrix.T), frames.positions, directions) < 1e-6
    assert relative_curl(linear(matrix - matrix.T), frames.positions, directions) == pytest.approx(1, abs=1e-6)
    u, v = directions[:, :, 0].reshape(-1, 15), directions[:, :, 1].reshape(-1, 15)
    a, b = np.sum(u * (v @ matrix.T), 1), np.sum(v * (u @ matrix.T), 1)
    exact = np.sqrt(np.mean((a - b) ** 2) / np.mean((abs(a) + abs(b)) ** 2))
    assert relative_curl(linear(matrix), frames.positions, directions) == pytest.approx(exact, rel=1e-4)


def test_a_right_energy_passes(frames):
    found = symmetry(chiral, force(chiral), BEADS, frames)
    assert set(states(found).values()) == {"pass", "skipped"}
    assert states(found)["permutation"] == "skipped"
    assert "tells each bead from all others" in found.checks[-1].sentence


def test_a_rotational_field_is_no_gradient(frames):
    def swirl(x):
        centred = x - x.mean(0)
        return force(chiral)(x) + 2e4 * jnp.cross(jnp.array([0.0, 0.0, 1.0]), centred)

    check = curl_check(swirl, frames.positions)
    assert check.state == "fail"
    assert curl_check(force(chiral), frames.positions).state == "pass"
    found = states(symmetry(chiral, swirl, BEADS, frames))
    # the field has an axis: it turns the molecule and does not turn with it
    assert found["net-torque"] == found["rotation-force"] == "fail"
    assert found["rotation-energy"] == "pass"


def test_an_external_potential_breaks_space(frames):
    def held(x):
        return chiral(x) + 3.0 * jnp.sum(x[0, 0] ** 2)

    found = states(symmetry(held, force(held), BEADS, frames))
    assert found["translation-energy"] == "fail"
    assert found["rotation-energy"] == "fail"
    assert found["net-force"] == "fail"
    assert found["curl"] == "pass"


def test_a_particle_has_no_space_to_be_checked(frames):
    found = symmetry(chiral, force(chiral), BEADS, frames, free=False)
    assert states(found) == {"curl": "pass", "space": "skipped"}


def attraction(x, charges):
    """kT: every pair at a distance that its charges decide."""
    i, j = np.triu_indices(len(x), 1)
    apart = jnp.sqrt(jnp.sum((x[i] - x[j]) ** 2, axis=-1) + 1e-6)
    return 200.0 * jnp.sum(charges[i] * charges[j] * (apart - 0.3) ** 2)


def exchanged(frames, charges, types="CNCCN"):
    energy = functools.partial(attraction, charges=jnp.array(charges))
    beads = dataclasses.replace(BEADS, types=tuple(types))
    return symmetry(energy, force(energy), beads, frames, like_beads=True)


def test_pairs_of_like_beads():
    assert like_pairs(dataclasses.replace(BEADS, types=tuple("CNCCX"))).tolist() == [[0, 2], [0, 3], [2, 3]]
    assert like_pairs(dataclasses.replace(BEADS, types=tuple("ABCDE"))).shape == (0, 2)


def test_like_beads_may_change_places(frames):
    found = states(exchanged(frames, [1.0, 2.0, 1.0, 1.0, 2.0]))
    assert found["permutation-energy"] == found["permutation-force"] == "pass"
    found = states(exchanged(frames, [1.0, 2.0, 1.5, 1.0, 2.0]))  # one of the carbons is another
    assert found["permutation-energy"] == found["permutation-force"] == "fail"
    alone = exchanged(frames, [1.0, 2.0, 1.5, 1.0, 2.0], "ABCDE")
    assert states(alone)["permutation"] == "skipped"
    assert "no two beads are of one type" in alone.checks[-1].sentence


def test_a_plane_is_turned_within_itself(frames):
    def springs(x):
        return 50.0 * jnp.sum(x[:, 2] ** 2) + 200.0 * jnp.sum((x[1:, :2] - x[:-1, :2]) ** 2)

    def combed(x):
        return springs(x) + 100.0 * (x[1, 0] - x[0, 0]) ** 2

    flat = frames._replace(positions=frames.positions * np.array([1, 1, 0], np.float32))
    for axes, expected in ((2, "pass"), (3, "fail")):  # out of the plane it is springs that are turned
        found = states(symmetry(springs, force(springs), BEADS, flat, axes=axes))
        assert found["rotation-energy"] == found["rotation-force"] == expected
    assert states(symmetry(combed, force(combed), BEADS, flat, axes=2))["rotation-force"] == "fail"


def test_mirror_gap_is_the_divergence(frames):
    """The mean gap is KL(p || mirrored p), which a histogram of one torsion bounds from below."""
    angles = np.linspace(-np.pi, np.pi, 4001)[:-1]
    wells = [np.log(s) + (np.cos(angles - c) - 1) / 0.25**2 for c, s in synthetic.BASINS]
    p = np.exp(np.logaddexp(*wells))
    p /= p.sum()
    mirror = np.roll(p[::-1], 1)
    exact = 2 * float(np.sum(p * np.log(p / mirror)))  # two torsions that know nothing of each other
    check = mirror_check(chiral, BEADS, frames)
    assert check.state == "pass"
    assert check.value == pytest.approx(exact, abs=4 * check.error)
    assert handedness(BEADS, frames) < exact


def test_a_model_of_the_mirror_image_fails(frames):
    def wrong(x):
        return chiral(x * jnp.array([-1.0, 1.0, 1.0]))

    check = mirror_check(wrong, BEADS, frames)
    assert check.state == "fail"
    assert check.value < 0
    assert mirror_check(chiral, BEADS, frames._replace(positions=mirrored(frames.positions))).state == "fail"


def test_a_model_blind_to_handedness_fails(frames):
    assert mirror_check(bonds, BEADS, frames).state == "fail"


def test_data_without_handedness(frames):
    both = np.concatenate([frames.positions, mirrored(frames.positions)])
    even = Frames(both, np.ones(256), np.arange(256) // 16)
    assert handedness(BEADS, even) < 0.05
    glycine = dataclasses.replace(BEADS, residue_names=("ACE", "GLY", "GLY", "GLY", "NME"))
    assert mirror_check(bonds, glycine, even).state == "skipped"
    check = mirror_check(bonds, BEADS, even)  # alanine is not its own mirror image
    assert check.state == "fail"
    assert "though ALA has one" in check.sentence


def test_weights_decide_about_handedness(frames):
    both = np.concatenate([frames.positions, mirrored(frames.positions)])
    one_sided = Frames(both, np.repeat([1.0, 0.0], 128), np.arange(256) // 16)
    check = mirror_check(chiral, BEADS, one_sided)
    assert check.value == pytest.approx(mirror_check(chiral, BEADS, frames).value, rel=1e-6)
