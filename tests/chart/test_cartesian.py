import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twofold.chart.cartesian import cartesian_chart


@pytest.fixture(scope="module")
def positions():
    rng = np.random.default_rng(0)
    frames = 0.2 * np.cumsum(rng.standard_normal((2000, 7, 3)), axis=1)
    return frames + 5.0 * rng.standard_normal((2000, 1, 3))


def test_round_trip_up_to_the_mean(positions):
    chart = cartesian_chart(positions)
    frame = jnp.asarray(positions[3], jnp.float32)
    back = chart.decode(chart.encode(frame))
    np.testing.assert_allclose(back, frame - frame.mean(0), atol=2e-6)
    assert chart.dimension == 18
    assert float(chart.log_jacobian(chart.encode(frame))) == 0.0


def test_length_is_the_standard_deviation_of_the_centred_data(positions):
    chart = cartesian_chart(positions)
    coordinates = jax.vmap(chart.encode)(jnp.asarray(positions, jnp.float32))
    assert float(jnp.mean(coordinates**2)) == pytest.approx(1.0, rel=1e-4)


def test_modes_rebuild_the_covariance(positions):
    chart = cartesian_chart(positions)
    centred = positions - positions.mean(1, keepdims=True)
    covariance = np.einsum("fic,fjc->ij", centred, centred) / (3 * len(centred)) / float(chart.length) ** 2
    modes, variances = np.asarray(chart.modes), np.asarray(chart.variances)
    np.testing.assert_allclose((modes * variances) @ modes.T, covariance, atol=1e-5)
    np.testing.assert_allclose(modes.sum(0), 0.0, atol=1e-6)
    np.testing.assert_allclose(modes.T @ modes, np.eye(6), atol=1e-6)


def test_weights_count_as_repeated_frames(positions):
    weights = np.random.default_rng(1).integers(0, 3, len(positions))
    weighted, repeated = cartesian_chart(positions, weights), cartesian_chart(np.repeat(positions, weights, axis=0))
    assert float(weighted.length) == pytest.approx(float(repeated.length), rel=1e-6)
    np.testing.assert_allclose(weighted.variances, repeated.variances, rtol=1e-4)


def test_noise_loses_its_mean_and_nothing_else(positions):
    chart = cartesian_chart(positions)
    noise = jax.random.normal(jax.random.key(0), (7, 3))
    projected = chart.project(noise)
    np.testing.assert_allclose(projected.sum(0), 0.0, atol=1e-6)
    np.testing.assert_allclose(chart.project(projected), projected, atol=1e-6)
    np.testing.assert_array_equal(chart.wrap(noise), noise)


def test_prior_has_the_covariance_of_noised_data(positions):
    chart = cartesian_chart(positions)
    draws = jax.vmap(lambda key: chart.prior(key, 3.0))(jax.random.split(jax.random.key(0), 40_000))
    found = np.einsum("fic,fjc->ij", draws, draws) / (3 * len(draws))
    modes, variances = np.asarray(chart.modes), np.asarray(chart.variances)
    np.testing.assert_allclose(found, (modes * (variances + 9.0)) @ modes.T, atol=0.15)


def test_rigid_and_tiny_molecules():
    rigid = np.broadcast_to(np.arange(6.0).reshape(2, 3), (10, 2, 3))
    chart = cartesian_chart(rigid)
    assert chart.modes.shape == (2, 1)
    assert np.isfinite(np.asarray(chart.variances)).all()
    assert (np.asarray(chart.variances) > 0).all()


def test_what_turns_or_shifts_the_molecule_is_no_label(positions):
    chart, rng = cartesian_chart(positions), np.random.default_rng(3)
    x = jnp.asarray(positions[7], jnp.float32)
    forces = jnp.asarray(rng.standard_normal(x.shape), jnp.float32)
    rigid = jnp.asarray(rng.standard_normal(3), jnp.float32) + jnp.cross(jnp.array([3.0, -2.0, 1.0]), x)
    labels = chart.scores_of(x, forces + rigid)
    np.testing.assert_allclose(labels, chart.scores_of(x, forces), rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(jnp.sum(jnp.cross(x, labels), axis=0), 0.0, atol=1e-3)
    # those of an energy of distances have no such part, and stay what they are
    inner = -jax.grad(lambda x: jnp.sum(jnp.linalg.norm(x[1:] - x[:-1], axis=-1) ** 2))(x)
    np.testing.assert_allclose(chart.scores_of(x, inner), inner * chart.length, atol=1e-4)
