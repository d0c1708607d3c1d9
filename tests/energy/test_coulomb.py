"""Charges: values by hand, screening, noise, boxes, padding, bonds."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twofold.beads import Beads
from twofold.energy.coulomb import Coulomb, coulomb
from twofold.energy.pairs import Particles
from twofold.errors import UserError

NO_NOISE = jnp.float32(1e-4)
LENGTH = 0.25
"""nm a unit of the chart."""


def ions(charges, bonds=(), types=None):
    count = len(charges)
    return Beads(
        names=("I",) * count,
        types=types or tuple("+" if q > 0 else "-" for q in charges),
        masses=np.full(count, 23.0),
        charges=np.array(charges, float),
        bonds=np.array(bonds, int).reshape(-1, 2),
        residue_names=("ION",) * count,
        residue_ids=np.arange(count),
        chains=np.zeros(count, int),
    )


def apart(*distances):
    """Particles on a line at these places in nm, in units of the chart."""
    return jnp.array([[d, 0.0, 0.0] for d in distances], jnp.float32) / LENGTH


def boxed(charges, edge=2.0):
    return Particles(
        jnp.zeros(len(charges), int),
        jnp.ones(len(charges), bool),
        edges=jnp.full(3, edge / LENGTH, jnp.float32),
        charges=jnp.asarray(charges, jnp.float32),
    )


def test_two_ions_in_water_by_hand():
    """138.935458 / (78.3 * 0.5 nm * 2.494339 kJ/mol) = 1.42273 kT at 300 K."""
    energy = coulomb(ions([1, -1]), 300.0, LENGTH, dielectric=78.3)
    assert float(energy.energy(None, apart(0, 0.5), NO_NOISE)) == pytest.approx(-1.42273, rel=1e-5)
    # -2 at 0.4, +2 at 0.5, -1 at 0.9 nm
    three = coulomb(ions([2, -1, 1]), 300.0, LENGTH, dielectric=78.3)
    expected = 1.42273 * 0.5 * (-2 / 0.4 + 2 / 0.9 - 1 / 0.5)
    assert float(three.energy(None, apart(0, 0.4, 0.9), NO_NOISE)) == pytest.approx(expected, rel=1e-5)
    # screened: times exp(-0.5 / 0.7)
    screened = coulomb(ions([1, -1]), 300.0, LENGTH, dielectric=78.3, screening=0.7)
    assert float(screened.energy(None, apart(0, 0.5), NO_NOISE)) == pytest.approx(-0.69652, rel=1e-4)


def test_force_of_two_ions_by_hand():
    """1.42273 kT / 0.5 nm, in kT a unit of the chart, towards each other; minus the slope of the energy."""
    energy = coulomb(ions([1, -1]), 300.0, LENGTH, dielectric=78.3)
    score = energy.score(None, apart(0, 0.5), NO_NOISE)
    np.testing.assert_allclose(score[:, 0], np.array([1, -1]) * 1.42273 / 0.5 * LENGTH, rtol=1e-4)
    for charged in (energy, coulomb(ions([1, -1]), 300.0, LENGTH, screening=0.5)):
        x, step, sigma = apart(0, 0.3), 1e-2, jnp.float32(0.3)
        ends = [charged.energy(None, x.at[1, 0].add(shift), sigma) for shift in (step, -step)]
        slope = charged.score(None, x, sigma)[1, 0]
        assert float(slope) == pytest.approx(-float(ends[0] - ends[1]) / (2 * step), rel=2e-3)


def test_noise_averages_the_energy():
    """Against the mean over noised places, on a grid of the distance of two charges."""
    energy, sigma = coulomb(ions([1, 1]), 300.0, LENGTH, dielectric=78.3), 0.5
    axis = np.linspace(-5, 5, 101) * math.sqrt(2) * sigma
    steps = np.stack(np.meshgrid(axis + 1.003, axis, axis, indexing="ij"), -1)
    weight = np.exp(-((axis / (2 * sigma)) ** 2))
    weight = weight[:, None, None] * weight[:, None] * weight
    mean = np.sum(weight / np.linalg.norm(steps, axis=-1)) / np.sum(weight)
    found = energy.energy(None, jnp.array([[0, 0, 0], [1.003, 0, 0]]), jnp.float32(sigma))
    assert float(found) == pytest.approx(energy.strength * mean, rel=2e-3)
    # nothing is left where noise hides everything, and contact is no end of the world
    assert abs(energy.score(None, apart(0, 0.1), jnp.float32(1e3))).max() < 1e-6
    assert jnp.isfinite(energy.score(None, jnp.zeros((2, 3)), NO_NOISE)).all()


def test_in_a_box_energy_force_and_slope_end_at_the_cutoff():
    cutoff, charges = 0.9, [1, 1]
    energy = coulomb(ions(charges), 300.0, LENGTH, cutoff=cutoff)
    inside, end = 0.5 / LENGTH, cutoff / LENGTH
    square = inside**2 - end**2
    by_hand = 1 / inside - 1 / end + square / (2 * end**3) - 3 * square**2 / (8 * end**5)
    found = float(energy.energy(boxed(charges), apart(0, 0.5), NO_NOISE))
    assert found == pytest.approx(energy.strength * by_hand, rel=1e-4)

    def force(distance):
        return energy.score(boxed(charges), apart(0, distance), NO_NOISE)[1, 0]

    beyond, before = force(cutoff + 1e-3), force(cutoff - 1e-3)
    bare = energy.strength / end**2
    assert float(beyond) == 0
    assert float(energy.energy(boxed(charges), apart(0, cutoff + 1e-3), NO_NOISE)) == 0
    # a force that merely ended at zero would be 2e-3 of the bare one a thousandth of a nm before; a slope would too
    assert 0 <= float(before) < 2e-4 * bare
    distances = cutoff + np.linspace(-0.02, 0.02, 21)
    forces = np.array([float(force(distance)) for distance in distances])
    slopes = np.diff(forces) / np.diff(distances / LENGTH)
    assert np.abs(np.diff(slopes)).max() < 0.05 * 2 * bare / end


def test_a_box_takes_nearest_images():
    charges = [1, -1, 1]
    energy = coulomb(ions(charges), 300.0, LENGTH, cutoff=0.9)
    x = apart(0.1, 1.8, 1.2)
    here = float(energy.energy(boxed(charges), x, NO_NOISE))
    moved = x.at[1].add(jnp.array([-2.0, 4.0, 0.0]) / LENGTH)
    assert float(energy.energy(boxed(charges), moved, NO_NOISE)) == pytest.approx(here, rel=1e-4)
    assert float(energy.energy(boxed(charges), apart(0.1, -0.2, 1.2), NO_NOISE)) == pytest.approx(here, rel=1e-4)
    # lists that reach as far give the same
    by_list = coulomb(ions(charges), 300.0, LENGTH, cutoff=0.9, listed=True)
    listed = boxed(charges)._replace(neighbours=jnp.array([[1, 3], [0, 2], [1, 3]]))
    assert float(by_list.energy(listed, x, NO_NOISE)) == pytest.approx(here, rel=1e-4)


@pytest.mark.parametrize("edge", [None, 2.0])
def test_padding_has_no_charge(edge):
    charges = [1.0, -1.0, 0.5]
    energy = coulomb(ions(charges), 300.0, LENGTH, cutoff=0.9)
    x = apart(0, 0.3, 0.7)
    alone = boxed(charges, 2.0)._replace(excluded=jnp.array([[0, 1]]))
    alone = alone._replace(edges=None) if edge is None else alone
    filled = alone._replace(
        types=jnp.zeros(5, int),
        real=jnp.arange(5) < 3,
        charges=jnp.array([*charges, 7.0, -3.0]),
        excluded=jnp.array([[0, 1], [5, 5], [2, 4]]),
    )
    longer = jnp.concatenate([x, apart(0.1, 0.2)])
    both = jax.jit(lambda particles, places: jax.value_and_grad(energy.energy, argnums=1)(particles, places, NO_NOISE))
    (expected, slope), (found, longer_slope) = both(alone, x), both(filled, longer)
    assert float(found) == pytest.approx(float(expected), rel=1e-5)
    assert not np.any(longer_slope[3:])
    np.testing.assert_allclose(longer_slope[:3], slope, rtol=1e-4, atol=1e-5)


def test_bonded_charges_do_not_see_each_other():
    """Of a chain of four, with bonds and angles left out, the ends alone are left."""
    chain = ions([1, -1, 1, -1], bonds=[(0, 1), (1, 2), (2, 3)])
    x = apart(0, 0.1, 0.2, 0.3)
    strength = coulomb(chain, 300.0, LENGTH).strength
    ends = -strength / (0.3 / LENGTH)
    assert float(coulomb(chain, 300.0, LENGTH).energy(None, x, NO_NOISE)) == pytest.approx(ends, rel=1e-4)
    all_pairs = coulomb(chain, 300.0, LENGTH, apart=0).energy(None, x, NO_NOISE)
    assert float(all_pairs) == pytest.approx(strength * LENGTH * (-3 / 0.1 + 2 / 0.2 - 1 / 0.3), rel=1e-4)


def test_like_beads_are_those_of_one_charge():
    assert coulomb(ions([1, 1, -1]), 300.0, LENGTH).like_beads
    assert not coulomb(ions([1, 0.5], types=("A", "A")), 300.0, LENGTH).like_beads
    assert not coulomb(ions([1, 1], bonds=[(0, 1)]), 300.0, LENGTH).like_beads


def test_what_is_missing_is_told():
    energy = coulomb(ions([1, -1]), 300.0, LENGTH)
    assert isinstance(energy, Coulomb)
    with pytest.raises(UserError, match="cut-off"):
        energy.energy(boxed([1, -1]), apart(0, 0.5), NO_NOISE)
    with pytest.raises(UserError, match="charges"):
        energy.energy(boxed([1, -1])._replace(charges=None), apart(0, 0.5), NO_NOISE)
    with pytest.raises(UserError, match="ielectric"):
        coulomb(ions([1, -1]), 300.0, LENGTH, dielectric=0.0)
