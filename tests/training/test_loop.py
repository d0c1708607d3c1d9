"""The training step: known answers, weights of frames, averages, the schedule of the learning rate."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import Line
from twofold.energy.base import Energy
from twofold.fixed import Fixed
from twofold.noise import NoiseSchedule
from twofold.training.data import TrainingData, draw_frames, training_data
from twofold.training.loop import Trainer
from twofold.training.optimiser import build_optimiser
from twofold.training.settings import TrainingSettings

VARIANCE = np.array([0.3, 1.0, 2.5])
FRAMES = 4000


class Scale(Fixed):
    factor: jax.Array


class Widths(Energy):
    """Exact for Gaussian data when `logarithm` is ln of their variance."""

    logarithm: jax.Array
    table: Scale

    def energy(self, system, x, sigma):
        return 0.5 * jnp.sum(self.table.factor * x**2 / (jnp.exp(self.logarithm) + sigma**2))


@pytest.fixture(scope="module")
def data():
    x = np.random.default_rng(0).standard_normal((FRAMES, 3))
    x = (x - x.mean(0)) / x.std(0) * np.sqrt(VARIANCE)
    return training_data(Line(3), jnp.asarray(x, jnp.float32), jnp.ones(FRAMES))


def trainer_of(model, **changes):
    values = {"batch": 512, "optimiser": "adam", "learning_rate": 0.05, "warmup": 10, "softening": 0.05}
    settings = TrainingSettings(**(values | changes))
    return Trainer(model, Line(3), None, NoiseSchedule(0.02, 5.0), settings, steps=200)


@pytest.fixture(scope="module")
def trained(data):
    """One compiled run of 200 steps, on both losses."""
    results = {}
    for loss in ("antithetic", "denoising"):
        model = Widths(jnp.zeros(3), Scale(jnp.float32(1.0)))
        trainer = trainer_of(model, loss=loss, ema=0.98)
        state, losses = trainer.many(200)(trainer.initial(model, jax.random.key(1)), data)
        results[loss] = (trainer.model(state.average), np.asarray(losses), state)
    return results


@pytest.mark.parametrize("loss", ["antithetic", "denoising"])
def test_the_exact_score_of_gaussian_data_is_recovered(trained, loss):
    model, losses, state = trained[loss]
    np.testing.assert_allclose(np.exp(model.logarithm), VARIANCE, rtol=0.12)
    assert losses[-20:].mean() < losses[:5].mean()
    assert int(state.step) == 200


def test_tables_are_left_as_they_are(trained):
    model, _, state = trained["antithetic"]
    assert float(model.table.factor) == 1.0
    assert state.parameters.table.factor is None


def test_the_average_forgets_the_start_and_then_forgets_slowly(data):
    model = Widths(jnp.zeros(3), Scale(jnp.float32(1.0)))
    trainer = trainer_of(model, ema=0.999, batch=32)
    many = trainer.many(10)

    def coefficient(step):
        """Share that an average from before still has ten steps later."""
        ends = []
        for shift in (0.0, 1000.0):
            state = trainer.initial(model, jax.random.key(1))
            average = jax.tree.map(lambda leaf, shift=shift: leaf + shift, state.average)
            state, _ = many(state._replace(average=average, step=jnp.array(step)), data)
            ends.append(np.asarray(state.average.logarithm))
        return (ends[1] - ends[0]).mean() / 1000

    assert coefficient(0) < 0.01
    assert coefficient(200_000) == pytest.approx(0.999**10, abs=1e-4)


def test_levels_weigh_with_forces_as_without_and_alike_by_forces_alone():
    sigma, squares = jnp.array([0.02, 0.3, 4.0]), jnp.array([1.0, 4.0, 25.0])
    model = Widths(jnp.zeros(3), Scale(jnp.ones(())))
    found = {}
    for use in ("auto", "only"):
        settings = TrainingSettings(softening=0.1, forces=use)
        trainer = Trainer(model, Line(3), None, NoiseSchedule(0.02, 5.0), settings, 10, squares)
        found[use] = trainer._weight(sigma, trainer._share(sigma))
    np.testing.assert_allclose(found["auto"], sigma**2 + 0.01, rtol=1e-5)
    np.testing.assert_allclose(found["only"], 0.1, rtol=1e-5)


def test_frames_are_drawn_in_proportion_to_their_weights():
    weights = np.random.default_rng(3).gamma(1.0, 1.0, 40)
    weights[[0, 7, 39]] = 0.0
    one = training_data(Line(1), jnp.arange(40.0)[:, None], jnp.asarray(weights))
    draw = jax.jit(jax.vmap(lambda key: draw_frames(one, key, 16)))
    found = np.asarray(draw(jax.random.split(jax.random.key(0), 2000))).astype(int).ravel()
    counts, expected = np.bincount(found, minlength=40), weights / weights.sum() * 32_000
    assert counts[[0, 7, 39]].sum() == 0
    some = expected > 0
    # systematic resampling scatters less than independent draws, whose chi-square would be about 36
    assert np.sum((counts - expected)[some] ** 2 / expected[some]) < 60


def test_a_weight_of_one_frame_is_that_frame():
    weights = np.zeros(5)
    weights[2] = 3.0
    one = training_data(Line(1), jnp.arange(5.0)[:, None], jnp.asarray(weights))
    assert set(np.asarray(draw_frames(one, jax.random.key(0), 9)).ravel()) == {2.0}


@pytest.mark.parametrize("optimiser", ["adam"])
def test_learning_rate_warms_up_and_falls_as_a_cosine(optimiser):
    settings = TrainingSettings(warmup=15, learning_rate=0.01, optimiser=optimiser)
    rule = build_optimiser(settings, 200)

    def step(state, _):
        # a gradient that never changes: the update of Adam is the learning rate
        update, state = rule.update(jnp.float32(1.0), state, jnp.float32(0.0))
        return state, -update

    rate = np.asarray(jax.lax.scan(step, rule.init(jnp.float32(0.0)), None, length=200)[1])
    assert rate[0] < 0.002
    assert rate.max() == pytest.approx(0.01, rel=0.01)
    assert 10 <= rate.argmax() <= 20
    assert rate[-1] < 1e-5
    middle = rate[rate.argmax() + (200 - rate.argmax()) // 2]
    assert middle == pytest.approx(0.005, rel=0.05)
    assert (np.diff(rate[20:]) < 0).all()


def test_the_residual_is_looked_at_every_few_updates_by_groups_inside_its_range(data, monkeypatch):
    shapes = []

    def inside(model, system, chart, y, sigma, key, *, exact):
        """One for a level inside the range, if levels differ."""
        shapes.append((y.shape, sigma.shape, exact))
        return jnp.where((sigma >= 0.1) & (sigma <= 0.5) & (jnp.ptp(sigma) > 0.1), 1.0, jnp.nan)

    monkeypatch.setattr("twofold.training.loop.fokker_planck", inside)
    model = Widths(jnp.zeros(3), Scale(jnp.float32(1.0)))
    asked = {"fokker_planck": 0.3, "fokker_planck_every": 5, "fokker_planck_groups": 6, "fokker_planck_members": 7}
    trainer = trainer_of(model, **asked, fokker_planck_smallest=0.1, fokker_planck_largest=0.5)
    parameters = trainer.initial(model, jax.random.key(0)).parameters
    terms = [float(trainer.consistency(parameters, data, jax.random.key(1), jnp.array(k))) for k in range(11)]
    np.testing.assert_allclose(terms, [0.3 * 5 if k in (4, 9) else 0.0 for k in range(11)], rtol=1e-6)
    assert set(shapes) == {((6, 7, 3), (6,), False)}


def test_trainer_keeps_the_structure_of_the_model(data):
    model = Widths(jnp.zeros(3), Scale(jnp.float32(1.0)))
    state = trainer_of(model).initial(model, jax.random.key(0))
    whole = trainer_of(model).model(state.parameters)
    assert eqx.tree_equal(whole, model)
    assert isinstance(data, TrainingData)
    assert float(data.cumulative[-1]) == 1.0


def test_runs_of_any_length_share_compiled_code(data):
    traces = []

    class Counted(Widths):
        def energy(self, system, x, sigma):
            traces.append(sigma)
            return super().energy(system, x, sigma)

    model = Counted(jnp.zeros(3), Scale(jnp.float32(1.0)))
    shorter = trainer_of(model)
    longer = eqx.tree_at(lambda trainer: trainer.steps, shorter, jnp.asarray(20_000))
    ends, seen = [], []
    for trainer in (shorter, longer):
        ends.append(trainer.many(12)(trainer.initial(model, jax.random.key(0)), data)[0])
        seen.append(len(traces))
    assert seen[0] == seen[1] > 0
    # after the warm-up of 10 updates the learning rate of the longer run falls more slowly
    assert not np.array_equal(*(np.asarray(end.parameters.logarithm) for end in ends))
