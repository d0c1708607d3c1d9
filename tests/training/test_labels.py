"""Forces as labels of a fit: their size by type, and a fit that uses them."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import twofold
from twofold.beads import Beads
from twofold.chart.cartesian import cartesian_chart
from twofold.errors import UserError
from twofold.files.parts import UNIT_UNKNOWN
from twofold.systems.clusters import CLUSTERS
from twofold.training.labels import (
    described,
    energy_labels,
    force_labels,
    label_temperature,
    mean_squares,
    noise_budget,
    principal_squares,
)
from twofold.training.settings import TrainingSettings
from twofold.training.setup import set_up
from twofold.units import thermal_energy


@pytest.fixture(scope="module")
def cluster():
    return CLUSTERS["dw4"].ensemble(400, 3)


def test_mean_squares_make_up_for_the_mean_that_is_gone():
    """White forces of one kT/nm on every bead, less their mean, have a mean square of length squared."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((5000, 4, 3)).astype(np.float32)
    chart = cartesian_chart(x)
    forces = rng.standard_normal(x.shape) * np.array([1.0, 1.0, 2.0, 2.0])[:, None]
    scores = jnp.stack([chart.scores_of(x[0], jnp.asarray(f, jnp.float32)) for f in forces[:1]])
    np.testing.assert_allclose(scores[0].mean(0), 0, atol=1e-6)
    white = (forces / np.array([1.0, 1.0, 2.0, 2.0])[:, None]) * float(chart.length)
    white -= white.mean(1, keepdims=True)
    beads = CLUSTERS["dw4"].beads
    found = mean_squares(chart, beads, jnp.asarray(white), np.ones(5000))
    np.testing.assert_allclose(found, float(chart.length) ** 2, rtol=0.03)
    assert described(beads, found)["crossover_sigma"]["X"] == pytest.approx(1 / float(chart.length), rel=0.03)
    assert described(beads, None) == {"labels": "noise"}
    said = {use: described(beads, found, use=use)["labels"] for use in ("auto", "only")}
    assert said == {"auto": "noise and forces", "only": "forces"}


def test_mean_squares_are_those_of_types_and_of_weighted_frames():
    """Of two types with forces of one and three; half of the frames have ten times these, and no weight."""
    rng = np.random.default_rng(4)
    x = rng.standard_normal((8000, 4, 3)).astype(np.float32)
    scale = np.array([1.0, 3.0, 1.0, 3.0])[:, None] * np.where(np.arange(8000) % 2, 10.0, 1.0)[:, None, None]
    scores = rng.standard_normal(x.shape) * scale
    beads = Beads.from_dict(Beads.anonymous(4).to_dict() | {"types": ["A", "B", "A", "B"]})
    found = mean_squares(cartesian_chart(x), beads, jnp.asarray(scores), 1.0 - np.arange(8000) % 2)
    # a mean over beads that is not there is made up for all the same
    np.testing.assert_allclose(found[:, 0], np.array([1.0, 9.0, 1.0, 9.0]) * 4 / 3, rtol=0.05)
    squares, directions = principal_squares(jnp.asarray(scores), 1.0 - np.arange(8000) % 2)
    np.testing.assert_allclose(np.sort(squares[:, 0]), [1, 1, 9, 9], rtol=0.1)
    np.testing.assert_allclose(directions @ directions.T, np.eye(4), atol=1e-5)


def test_directions_that_few_frames_have_not_seen_are_not_without_noise():
    scores = jnp.asarray(np.random.default_rng(6).standard_normal((20, 30)))
    squares, _ = principal_squares(scores, np.ones(20))
    assert float(squares.min()) > 0.4
    assert float(squares.mean()) == pytest.approx(float(jnp.mean(scores**2)), rel=1e-5)


@pytest.mark.parametrize(("frames", "coordinates"), [(160, 60), (1000, 60), (1000, 12)])
def test_a_budget_of_nothing_but_noise_has_no_signal(frames, coordinates):
    rng = np.random.default_rng(5)
    x, noise = rng.standard_normal((2, frames, coordinates))
    assert noise_budget(x, noise, np.ones(frames), sigma=0.5).forces < 0.01
    assert noise_budget(x, noise - x, np.ones(frames), sigma=0.5).forces == pytest.approx(
        0.5 if frames > 5 * coordinates else 0.0, abs=0.03
    )


def test_energies_are_in_kt_from_their_mean(cluster):
    assert energy_labels(cluster, 0.0) is None
    labels = energy_labels(cluster, 1.0)
    assert labels.mean() == pytest.approx(0.0, abs=1e-4)
    assert np.ptp(labels) == pytest.approx(np.ptp(cluster.energies) / thermal_energy(cluster.temperature), rel=1e-5)
    bare = dataclasses.replace(cluster, energies=None)
    with pytest.raises(UserError, match=r"No energies of the frames. Expected for energy_weight the energy of every"):
        energy_labels(bare, 1.0)
    without_unit = dataclasses.replace(bare, source={"energies": UNIT_UNKNOWN})
    with pytest.raises(UserError, match=r"whose unit the file does not state.*--energy-unit"):
        energy_labels(without_unit, 1.0)
    np.testing.assert_allclose(energy_labels(cluster, 1.0, 2 * cluster.temperature), labels / 2, rtol=1e-5)


def test_the_temperature_of_labels_is_one_in_kelvin():
    assert label_temperature(500.0, None) == 500.0
    assert label_temperature(500.0, 271) == 271.0
    for wrong, words in (
        (1.3, r"(?i)force_temperature 1\.3 K for frames of 500 K(.|\n)*650 for 1\.3 times 500 K"),
        (6e3, "(?i)force_temperature 6000 K"),
        (float("nan"), "(?i)force_temperature nan K"),
    ):
        with pytest.raises(UserError, match=words):
            label_temperature(500.0, wrong)


@pytest.mark.slow
def test_energies_as_labels_bring_energies_closer(tmp_path):
    unseen = CLUSTERS["dw4"].ensemble(200, 7)

    def error(**settings):
        out = tmp_path / str(len(list(tmp_path.iterdir())))
        model = twofold.fit(
            "dw4",
            out=out,
            frames=500,
            steps=60,
            batch=32,
            width=8,
            seed=0,
            forces="none",
            learning_rate=2e-2,
            **settings,
        )
        found = model.energy(unseen.positions, sigma=model.schedule.smallest)
        return np.std((found - unseen.energies) / thermal_energy(300.0))

    assert error(energy_weight=1.0) < 0.8 * error()


def test_forces_are_in_kt(cluster):
    labels = force_labels(cluster, "auto")
    np.testing.assert_allclose(labels, cluster.forces / thermal_energy(cluster.temperature), rtol=1e-5)
    assert force_labels(cluster, "none") is None
    np.testing.assert_allclose(force_labels(cluster, "auto", 2 * cluster.temperature), labels / 2, rtol=1e-5)


def test_budget_of_a_gaussian_is_exact():
    rng = np.random.default_rng(1)
    variance = np.array([0.5, 2.0])
    x = 3.0 + rng.standard_normal((200_000, 2)) * np.sqrt(variance)
    forces = -(x - 3.0) / variance + np.sqrt(4.0) * rng.standard_normal(x.shape)
    found = noise_budget(x, forces, np.ones(len(x)), sigma=0.5)
    assert found.noise == pytest.approx(np.mean(0.25 / (variance + 0.25)), rel=0.01)
    assert found.forces == pytest.approx(np.sum(1 / variance) / np.sum(1 / variance + 4.0), rel=0.02)
    assert "at least" in str(found)
    assert noise_budget(x, None, np.ones(len(x)), sigma=0.5).forces is None


def test_budget_of_beads_does_not_mind_rotations_nor_the_mean_that_is_gone():
    """A harmonic pair without noise in its forces: everything is signal, at any orientation."""
    rng = np.random.default_rng(2)
    x = rng.standard_normal((20_000, 2, 3))
    x -= x.mean(1, keepdims=True)
    found = noise_budget(x, -2.0 * x, rng.uniform(0.5, 1.5, len(x)), sigma=1.0)
    assert found.forces == pytest.approx(1.0)
    # the variance of a mode of the pair is one
    assert found.noise == pytest.approx(0.5, rel=0.02)
    flat = x * np.array([1.0, 1.0, 0.0])
    assert noise_budget(flat, -flat, np.ones(len(x)), sigma=1.0).noise == pytest.approx(0.5, rel=0.02)


def test_principal_squares_of_a_known_covariance():
    rng = np.random.default_rng(3)
    moments = np.array([[2.0, 0.5], [0.5, 1.0]])
    scores = rng.multivariate_normal(np.zeros(2), moments, 200_000)
    values, directions = principal_squares(jnp.asarray(scores), np.ones(len(scores)))
    np.testing.assert_allclose(directions @ np.diag(values) @ directions.T, moments, rtol=0.03)
    # of beads: alike for the directions of space, and none of the mean that is gone
    beads = rng.standard_normal((50_000, 3, 3)) * np.array([1.0, 1.0, 2.0])[:, None]
    beads -= beads.mean(1, keepdims=True)
    values, directions = principal_squares(jnp.asarray(beads), np.ones(len(beads)))
    assert values.shape == (3, 1)
    project = np.eye(3) - 1 / 3
    expected = project @ np.diag([1.0, 1.0, 4.0]) @ project
    np.testing.assert_allclose((directions * values.T) @ directions.T, expected, atol=0.05)


def uneven(types):
    """Forces without a mean, correlated and stronger from bead to bead, which like beads show in few frames only."""
    rng = np.random.default_rng(8)
    scores = rng.standard_normal((500, len(types), 3)) @ np.diag([1.0, 1.5, 1.0])
    scores += 0.5 * np.roll(scores, 1, axis=1) * np.arange(1, len(types) + 1)[:, None]
    return jnp.asarray(scores - scores.mean(1, keepdims=True), jnp.float32), rng.uniform(0.5, 1.5, len(scores))


def test_matrix_of_like_beads_keeps_their_exchange():
    types = ["A", "B", "A", "C", "B", "A"]
    scores, weights = uneven(types)
    matrix = {}
    for name, alike in (("as they are", None), ("alike", types)):
        squares, directions = principal_squares(scores, weights, alike)
        matrix[name] = np.asarray((directions * squares.T) @ directions.T)
    swapped = np.array([2, 4, 5, 3, 1, 0])
    moved, directions = principal_squares(scores[:, swapped], weights, types)
    np.testing.assert_allclose((directions * moved.T) @ directions.T, matrix["alike"], atol=1e-4)
    for level in (0.1, 1.0):
        share = {name: np.linalg.inv(np.eye(6) + level**2 * one) for name, one in matrix.items()}
        apart = {name: np.abs(one[swapped][:, swapped] - one).max() for name, one in share.items()}
        assert apart["alike"] < 1e-5 < 1e-3 < apart["as they are"]
    # by hand: the mean over all exchanges, drawn by three types to the mean of the eigenvalues
    moments = np.einsum("f,fia,fja->ij", weights / weights.sum(), scores, scores) / 3
    changes = [np.array([*a, *b]) for a in itertools.permutations([0, 2, 5]) for b in ([1, 4], [4, 1])]
    order = np.argsort([0, 2, 5, 1, 4, 3])
    mean = np.mean([moments[np.ix_(p, p)] for p in (np.append(one, 3)[order] for one in changes)], axis=0)
    doubt = 3 / (3 + 3 * weights.sum() ** 2 / np.sum(weights**2))
    expected = (1 - doubt) * mean + doubt * np.trace(mean) / 6 * np.eye(6)
    np.testing.assert_allclose(matrix["alike"], expected, rtol=1e-4, atol=1e-4)


def test_matrix_of_particles_all_alike_is_the_number_beside_their_mean():
    scores, weights = uneven(["X"] * 5)
    beads = Beads.from_dict(Beads.anonymous(5).to_dict() | {"types": ["X"] * 5})
    number = mean_squares(cartesian_chart(np.asarray(scores)), beads, scores, weights)
    squares, directions = principal_squares(scores, weights, beads.types)
    np.testing.assert_allclose(np.abs(directions[:, 0]), 5**-0.5, rtol=1e-5)
    np.testing.assert_allclose(squares[1:], number[1:], rtol=1e-3)
    assert float(squares[0, 0]) < 1e-3 * float(number[0, 0])


def test_only_an_energy_of_like_beads_has_their_matrix(cluster):
    def squares(architecture):
        asked = TrainingSettings(architecture=architecture, force_mixture="matrix", width=4, depth=1)
        return np.asarray(set_up(cluster, cluster, asked, jax.random.key(0)).squares[0])[1:]

    assert np.ptp(squares("particles")) < 1e-5 * squares("particles").max()
    assert np.ptp(squares("cartesian")) > 1e-2 * squares("cartesian").max()


@pytest.mark.slow
def test_a_fit_learns_forces_and_says_so(tmp_path):
    model = twofold.fit("dw4", out=tmp_path / "run", frames=500, steps=60, batch=32, width=8, depth=1, seed=0)
    assert model.report["labels"] == "noise and forces"
    assert 0 < model.report["label_signal"]["forces"] <= 1
    assert model.report["architecture"] == "particles"
    unseen = CLUSTERS["dw4"].ensemble(100, 7)
    force = model.force(unseen.positions)
    cosine = np.sum(force * unseen.forces) / np.linalg.norm(force) / np.linalg.norm(unseen.forces)
    assert cosine > 0.5
    np.testing.assert_allclose(force.sum(1)[:, :2], 0, atol=1e-3 * np.abs(force).max())
    # the third axis is no coordinate: a spring holds it
    lifted = unseen.positions[:2] + np.array([[0, 0, 0.5], [0, 0, 0], [0, 0, 0], [0, 0, 0]], np.float32)
    pull = model.force(lifted)[..., 2]
    assert (pull[:, 0] < 0).all()
    np.testing.assert_allclose(pull.sum(1), 0, atol=1e-4)
    mixed = twofold.fit(
        "dw4", out=tmp_path / "matrix", frames=500, steps=3, batch=32, width=8, seed=0, force_mixture="matrix"
    )
    assert list(mixed.report["mean_square_force"]) == [f"direction {place}" for place in range(4)]
    loaded = twofold.load(tmp_path / "run")
    np.testing.assert_array_equal(loaded.force(unseen.positions), force)
    samples = model.sample(16, steps=10, seed=0)
    assert not samples.positions[..., 2].any()
