"""Internal coordinates: round trips, the exact Jacobian, whitening."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import synthetic
from twofold.beads import Beads
from twofold.chart.internal import (
    RIGID_BOND,
    TORSION_UNIT,
    ZMatrix,
    internal_chart,
    loosening,
    measure_frames,
    wrap_angle,
)
from twofold.chart.noising import noised_positions
from twofold.chart.tree import bead_tree
from twofold.energy.rotations import random_rotations
from twofold.training.data import training_data

MOLECULES = {
    "three": Beads.anonymous(3, bonds=[(0, 1), (1, 2)]),
    "four": Beads.anonymous(4, bonds=[(0, 1), (1, 2), (2, 3)]),
    "chain": synthetic.dipeptide(),
    "branched": synthetic.branched(),
    "star": Beads.anonymous(5, bonds=[(0, 1), (0, 2), (0, 3), (0, 4)]),
}


@pytest.fixture(scope="module", params=MOLECULES)
def case(request):
    beads = MOLECULES[request.param]
    positions = synthetic.frames(beads, 600)
    return beads, positions, internal_chart(synthetic.tree(beads), positions, np.ones(len(positions)))


def distances(positions):
    return np.linalg.norm(positions[..., :, None, :] - positions[..., None, :, :], axis=-1)


def volumes(positions):
    """Signed volumes of consecutive quadruples of beads."""
    edges = np.diff(positions, axis=-2)
    return np.einsum("...i,...i", np.cross(edges[..., :-2, :], edges[..., 1:-1, :]), edges[..., 2:, :])


def test_round_trip_up_to_rigid_motion(case):
    beads, positions, chart = case
    back = np.asarray(jax.jit(jax.vmap(lambda x: chart.decode(chart.encode(x))))(positions[:100]))
    np.testing.assert_allclose(distances(back), distances(positions[:100]), atol=3e-6)
    np.testing.assert_allclose(volumes(back), volumes(positions[:100]), atol=1e-7)
    assert chart.dimension == 3 * len(beads) - 6


def test_coordinates_come_back(case):
    _, positions, chart = case
    coordinates = jax.jit(jax.vmap(chart.encode))(positions[:50])
    again = jax.jit(jax.vmap(lambda q: chart.wrap(chart.encode(chart.decode(q)))))(coordinates)
    np.testing.assert_allclose(again, jax.jit(jax.vmap(chart.wrap))(coordinates), atol=3e-3)


def in_double(chart):
    return jax.tree.map(lambda a: a.astype(jnp.float64) if eqx.is_inexact_array(a) else a, chart)


def test_log_jacobian_is_the_determinant_with_rigid_motions(case):
    """|det (dx/dq, rotations, translations)| over exp(log_jacobian) is the same for all conformations."""
    beads, positions, chart = case
    with jax.enable_x64(True):
        chart = in_double(chart)
        coordinates = jax.jit(jax.vmap(chart.encode))(jnp.asarray(positions[:6], jnp.float64))

        def parts(q):
            x = chart.decode(q)
            columns = jax.jacfwd(chart.decode)(q).reshape(3 * len(beads), -1)
            turns = jnp.cross(jnp.eye(3)[:, None], x[None]).reshape(3, -1).T
            shifts = jnp.tile(jnp.eye(3), (len(beads), 1))
            return jnp.concatenate([columns, turns, shifts], 1), chart.log_jacobian(q)

        matrices, claimed = jax.jit(jax.vmap(parts))(coordinates)
        found = np.linalg.slogdet(np.asarray(matrices))[1]
        difference = found - np.asarray(claimed)
    np.testing.assert_allclose(difference, difference[0], atol=1e-7)
    assert np.ptp(found) > 0.01


def test_measures_what_was_put_in():
    """Against a builder that places bead after bead, signs of torsions included."""
    tree = synthetic.tree(MOLECULES["branched"])
    rng = np.random.default_rng(3)
    given = (rng.uniform(0.1, 0.2, (50, 6)), rng.uniform(1.0, 2.5, (50, 5)), rng.uniform(-np.pi, np.pi, (50, 4)))
    zmatrix = ZMatrix(tree)
    found = jax.jit(jax.vmap(lambda positions: zmatrix.measure(positions)))(synthetic.placed(tree, *given))
    np.testing.assert_allclose(found[0], given[0], atol=1e-6)
    np.testing.assert_allclose(found[1], given[1], atol=1e-5)
    np.testing.assert_allclose(wrap_angle(found[2] - given[2]), 0.0, atol=2e-5)


def test_measures_against_closed_forms():
    zmatrix = ZMatrix(bead_tree(4, np.array([(0, 1), (1, 2), (2, 3)])))
    x = np.array([[0.0, 1, 0], [0, 0, 0], [2, 0, 0], [2, 0, 3]], np.float32)
    measure = jax.jit(lambda positions: zmatrix.measure(positions))
    lengths, angles, torsions = measure(x)
    np.testing.assert_allclose(sorted(lengths), [1, 2, 3], atol=1e-6)
    np.testing.assert_allclose(angles, np.pi / 2, atol=1e-6)
    # IUPAC: clockwise seen from the front is positive
    np.testing.assert_allclose(torsions, [np.pi / 2], atol=1e-6)
    np.testing.assert_allclose(measure(np.float32([1, 1, -1]) * x)[2], [-np.pi / 2], atol=1e-6)


def test_whitened_coordinates_have_unit_covariance(case):
    _, positions, chart = case
    coordinates = np.asarray(jax.jit(jax.vmap(chart.encode))(positions), np.float64)[:, : chart.stiff_count]
    np.testing.assert_allclose(coordinates.mean(0), 0.0, atol=2e-3)
    np.testing.assert_allclose(np.cov(coordinates.T, bias=True), np.eye(chart.stiff_count), atol=2e-3)


def test_stiff_and_soft_torsions():
    beads = MOLECULES["branched"]
    chart = internal_chart(synthetic.tree(beads), synthetic.frames(beads, 600), np.ones(600))
    improper = np.asarray(chart.zmatrix.improper)[3:]
    np.testing.assert_array_equal(chart.soft, np.flatnonzero(~improper))
    np.testing.assert_array_equal(chart.stiff, np.flatnonzero(improper))


def test_weights_count_as_repeated_frames():
    beads = synthetic.dipeptide()
    positions = synthetic.frames(beads, 300)
    weights = np.random.default_rng(1).integers(0, 3, 300)
    weighted = internal_chart(synthetic.tree(beads), positions, weights.astype(float))
    repeated = internal_chart(synthetic.tree(beads), np.repeat(positions, weights, axis=0), np.ones(weights.sum()))
    np.testing.assert_allclose(weighted.mean, repeated.mean, rtol=1e-5)
    np.testing.assert_allclose(weighted.colouring, repeated.colouring, atol=1e-6)


def test_a_stiff_torsion_near_half_a_turn_is_not_cut():
    """A trans peptide bond sits at 180 degrees, where the angle jumps by a turn."""
    rng = np.random.default_rng(0)
    tree = bead_tree(4, np.array([(0, 1), (1, 2), (2, 3)]))
    torsion = np.pi + rng.normal(0, 0.1, (500, 1))
    lengths, angles = rng.normal(0.14, 0.002, (500, 3)), rng.normal(2.0, 0.05, (500, 2))
    x = synthetic.placed(tree, lengths, angles, torsion)
    chart = internal_chart(tree, x, np.ones(500))
    assert chart.soft_count == 0
    coordinates = np.asarray(jax.jit(jax.vmap(chart.encode))(x))
    assert np.abs(coordinates).max() < 5.0


def test_wrap_brings_torsions_to_one_turn(case):
    _, positions, chart = case
    q = chart.encode(jnp.asarray(positions[0]))
    turn = jnp.where(jnp.arange(q.size) < chart.stiff_count, 0.0, 2 * jnp.pi / TORSION_UNIT)
    np.testing.assert_allclose(chart.wrap(q + 3 * turn), chart.wrap(q), atol=2e-4)
    np.testing.assert_array_equal(chart.wrap(q)[: chart.stiff_count], q[: chart.stiff_count])
    assert np.abs(np.asarray(chart.soft_torsions(chart.wrap(q + turn)))).max(initial=0) <= np.pi + 1e-6
    np.testing.assert_allclose(wrap_angle(jnp.array([3.5, -3.5])), [3.5 - 2 * np.pi, 2 * np.pi - 3.5], atol=1e-6)


def test_prior_is_the_noised_density():
    beads = MOLECULES["branched"]
    chart = internal_chart(synthetic.tree(beads), synthetic.frames(beads, 600), np.ones(600))
    prior = jax.jit(jax.vmap(lambda key: chart.prior(key, 3.0)))
    draws = np.asarray(prior(jax.random.split(jax.random.key(0), 20_000)))
    lines, circles = draws[:, : chart.stiff_count], draws[:, chart.stiff_count :] * TORSION_UNIT
    np.testing.assert_allclose(lines.var(0), 10.0, rtol=0.05)
    np.testing.assert_allclose(np.abs(np.exp(1j * circles).mean(0)), 0.0, atol=0.03)
    assert np.abs(circles).max() <= np.pi


def test_noise_widens_whitened_coordinates_by_its_own_variance():
    beads = synthetic.dipeptide()
    positions = synthetic.frames(beads, 4000)
    chart = internal_chart(synthetic.tree(beads), positions, np.ones(4000))
    noised = noised_positions(chart, positions, 0.5, seed=1)
    coordinates = np.asarray(jax.jit(jax.vmap(chart.encode))(noised))[:, : chart.stiff_count]
    np.testing.assert_allclose(np.cov(coordinates.T), 1.25 * np.eye(chart.stiff_count), atol=0.1)
    np.testing.assert_array_equal(noised, noised_positions(chart, positions, 0.5, seed=1))
    assert np.abs(noised - noised_positions(chart, positions, 0.5, seed=2)).max() > 1e-3


def test_what_turns_or_shifts_the_molecule_is_no_label(case):
    _, frames, chart = case
    rng, x = np.random.default_rng(0), jnp.asarray(frames[0])
    forces = jnp.asarray(rng.standard_normal(x.shape), jnp.float32)
    rigid = jnp.asarray(rng.standard_normal(3), jnp.float32) + jnp.cross(jnp.array([30.0, -20.0, 10.0]), x)
    np.testing.assert_allclose(chart.scores_of(x, forces + rigid), chart.scores_of(x, forces), rtol=2e-3, atol=2e-3)


def test_forces_become_the_score_of_the_coordinates(case):
    """Of an energy of the coordinates, moved to positions, turned and shifted: back comes its own slope."""
    _, frames, chart = case

    def of_coordinates(q):
        return 0.5 * jnp.sum(q[: chart.stiff_count] ** 2) + jnp.sum(jnp.cos(chart.soft_torsions(q)))

    def of_positions(x):
        q = chart.encode(x)
        return of_coordinates(q) + chart.log_jacobian(q)

    turn = random_rotations(jax.random.key(0), 1)[0]
    for frame in frames[:4]:
        x = jnp.asarray(frame) @ turn.T + 0.3
        found = chart.scores_of(x, -jax.grad(of_positions)(x))
        np.testing.assert_allclose(found, -jax.grad(of_coordinates)(chart.encode(x)), rtol=2e-3, atol=2e-3)


def rigid_chain():
    """A chain whose bonds do not vary."""
    beads = synthetic.dipeptide()
    tree = synthetic.tree(beads)
    lengths, angles, torsions = (
        jnp.asarray(one, jnp.float32) for one in measure_frames(tree, synthetic.frames(beads, 2000))
    )
    return tree, np.asarray(jax.vmap(ZMatrix(tree).build)(jnp.full_like(lengths, 0.15), angles, torsions))


def test_rigid_bonds_have_the_least_width_and_others_their_own():
    tree, positions = rigid_chain()
    chart = internal_chart(tree, positions, np.ones(len(positions)))
    noised = noised_positions(chart, positions, 1.0, seed=0)
    bonds, angles, _ = (one.std(axis=0) for one in measure_frames(tree, noised))
    own = measure_frames(tree, positions)[1].std(axis=0)
    np.testing.assert_allclose(bonds, RIGID_BOND, rtol=0.1)
    np.testing.assert_allclose(angles, np.sqrt(2) * own, rtol=0.1)


def test_training_frames_get_the_width_that_rigid_bonds_lack():
    tree, positions = rigid_chain()
    ones = np.ones(len(positions))
    chart = internal_chart(tree, positions, ones)
    data = training_data(chart, positions, ones, loosening=loosening(chart, positions, ones))
    bonds, angles, torsions = measure_frames(tree, np.asarray(jax.vmap(chart.decode)(data.coordinates)))
    np.testing.assert_allclose(bonds.std(axis=0), RIGID_BOND, rtol=0.1)
    for found, own in zip((angles, torsions), measure_frames(tree, positions)[1:], strict=True):
        np.testing.assert_allclose(found, own, atol=2e-3)


def test_nothing_is_loosened_where_nothing_is_rigid(case):
    _, positions, chart = case
    assert loosening(chart, positions, np.ones(len(positions))) is None
