"""Frames without weight take no part in anything that is minimised, whatever they hold."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import synthetic
from twofold.chart.cartesian import cartesian_chart
from twofold.ensemble import Ensemble
from twofold.noise import NoiseSchedule
from twofold.systems.clusters import CLUSTERS
from twofold.training.data import TrainingData, draw_index, training_data
from twofold.training.labels import energy_labels, force_labels, mean_squares, noise_budget, principal_squares
from twofold.training.loop import Trainer
from twofold.training.settings import TrainingSettings

COVARIANCE = np.array([[1.0, 0.3, 0.0], [0.3, 0.5, 0.1], [0.0, 0.1, 2.0]])
FRAMES = 60
CHART = synthetic.Line(3)


def frames_and_weights():
    """Gaussian frames, and weights of which those of the first, the last and every fourth frame are zero."""
    rng = np.random.default_rng(0)
    weights = rng.gamma(1.0, 1.0, FRAMES)
    weights[::4] = weights[-1] = 0.0
    return rng.multivariate_normal(np.zeros(3), COVARIANCE, FRAMES), weights


def labelled(x, weights) -> TrainingData:
    """Frames with their exact scores and energies."""
    scores = -x @ np.linalg.inv(COVARIANCE)
    data = training_data(CHART, jnp.asarray(x, jnp.float32), weights)
    labels = (jnp.asarray(part, jnp.float32) for part in (scores, -0.5 * np.sum(scores * x, axis=1)))
    return TrainingData(data.coordinates, data.cumulative, *labels)


OBJECTIVES = {
    "denoising": {"forces": "none", "loss": "denoising"},
    "antithetic": {"forces": "none"},
    "heavy tails": {"forces": "none", "loss": "denoising", "stability": 1.7},
    "potential": {"forces": "only"},
    "mixture": {},
    "mixture, denoising": {"loss": "denoising"},
    "matrix": {"force_mixture": "matrix"},
    "energies": {"energy_weight": 1.0},
    "classification": {"classification": 1.0},
    "Fokker-Planck": {"fokker_planck": 1.0, "fokker_planck_every": 1},
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_no_objective_sees_frames_without_weight(name):
    x, weights = frames_and_weights()
    given = weights > 0
    settings = TrainingSettings(**{"batch": 32, "softening": 0.1} | OBJECTIVES[name])
    data = labelled(x[given], weights[given])
    squares, directions = principal_squares(data.scores, weights[given])
    if settings.force_mixture == "scalar":
        squares, directions = jnp.ones(3), None
    if settings.forces == "none":
        data = data._replace(scores=None)
    model = synthetic.Gaussian.of(1.5 * COVARIANCE)
    trainer = Trainer(model, CHART, None, NoiseSchedule(0.05, 5.0), settings, 10, squares, directions)
    parameters = trainer.initial(model, jax.random.key(0)).parameters

    @jax.jit
    def values(data):
        key = jax.random.key(1)
        return trainer.loss(parameters, data, key), trainer.consistency(parameters, data, key, jnp.array(0))

    broken = labelled(np.where(given[:, None], x, np.nan), weights)
    assert np.isnan(broken.energies).sum() == (~given).sum() > 15
    if data.scores is None:
        broken = broken._replace(scores=None)
    matching, consistency = (np.asarray(part) for part in values(data))
    tied = any(settings.model_dump()[part] for part in ("energy_weight", "classification", "fokker_planck"))
    assert np.isfinite(matching).all()
    assert (consistency != 0) == tied
    for found, expected in zip(values(broken), (matching, consistency), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    # and one of them with a weight is seen
    seen = labelled(np.where(given[:, None], x, np.nan), np.ones(FRAMES))
    seen = seen if data.scores is not None else seen._replace(scores=None)
    assert np.isnan(np.sum(values(seen)))


def test_the_last_frame_is_not_drawn_without_weight_by_rounding():
    """The last place of a large batch is rounded to one now and then."""
    x = jnp.arange(4.0)[:, None]
    data = TrainingData(x, jnp.asarray([0.0, 0.5, 1.0, 1.0], jnp.float32))
    keys = jax.random.split(jax.random.key(0), 300)
    key = keys[np.argmax(jax.vmap(jax.random.uniform)(keys))]
    count = 2**20
    assert float((count - 1 + jax.random.uniform(key)) / count) == 1.0
    assert set(np.unique(draw_index(data, key, count))) == {1, 2}


def test_what_labels_are_measured_by_does_not_see_frames_without_weight():
    cluster = CLUSTERS["dw4"].ensemble(120, 3)
    weights = np.random.default_rng(1).uniform(0.5, 1.5, 120)
    weights[::3] = 0.0
    given = weights > 0
    wild = np.where(given, 1.0, 30.0)
    broken = Ensemble.build(
        cluster.beads,
        cluster.positions * wild[:, None, None],
        cluster.temperature,
        weights=weights,
        forces=cluster.forces * wild[:, None, None],
        energies=cluster.energies * wild,
        source=cluster.source,
    )
    clean = broken.select(given)
    np.testing.assert_allclose(energy_labels(broken, 1.0)[given], energy_labels(clean, 1.0), rtol=1e-5, atol=1e-5)
    measured = []
    for part in (broken, clean):
        chart = cartesian_chart(part.positions, part.weights, 2)
        data = training_data(chart, part.positions, part.weights, force_labels(part, "auto"))
        labels = data.scores, part.weights
        budget = noise_budget(np.asarray(data.coordinates), np.asarray(data.scores), part.weights, 0.1)
        matrix = principal_squares(*labels)[0], principal_squares(*labels, part.beads.types)[0]
        measured.append((chart.length, mean_squares(chart, part.beads, *labels), *matrix, budget.noise, budget.forces))
    for one, other in zip(*measured, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
