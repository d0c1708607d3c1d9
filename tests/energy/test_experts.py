"""Experts on Gaussian data, where each of them and their blend have a closed form."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import Gaussian, Line
from twofold import evaluation
from twofold.chart.flat import flat_chart
from twofold.energy.base import Energy, energies, scores
from twofold.energy.experts import Experts, PlainScore, smooth_step
from twofold.energy.flat import FlatEnergy
from twofold.errors import UserError
from twofold.model import Model
from twofold.noise import NoiseSchedule
from twofold.objectives import classification, fokker_planck
from twofold.systems.toys import LANDSCAPES
from twofold.training.fit import fit_ensembles
from twofold.training.settings import TrainingSettings

VARIANCE = np.array([0.5, 2.0])
BOUNDARIES, OVERLAP = (0.3, 2.0), 0.8
EXACT = Gaussian.of(np.diag(VARIANCE))
POINTS = jnp.asarray(np.random.default_rng(0).standard_normal((6, 2)), jnp.float32)


def of(*parts, offsets=(0.0, 0.0, 0.0)):
    experts = Experts.of(parts, BOUNDARIES[: len(parts) - 1], OVERLAP)
    return eqx.tree_at(lambda e: e.offsets, experts, jnp.asarray(offsets[: len(parts)]))


def grid(boundary, count=2001):
    return jnp.asarray(boundary * np.exp(np.linspace(-0.6, 0.6, count) * OVERLAP), jnp.float32)


def test_weights_are_a_partition_of_unity():
    sigma = jnp.asarray(np.geomspace(0.01, 50, 500), jnp.float32)
    shares = np.asarray(jax.vmap(of(EXACT, EXACT, EXACT).weights)(sigma))
    np.testing.assert_allclose(shares.sum(1), 1.0, atol=1e-6)
    assert shares.min() >= -1e-6
    assert ((shares > 1e-6).sum(1) <= 2).all()
    alone = np.abs(np.log(np.asarray(sigma)[:, None] / BOUNDARIES)).min(1) > OVERLAP / 2 + 1e-3
    np.testing.assert_array_equal(shares[alone].max(1), 1.0)
    np.testing.assert_allclose(of(EXACT, EXACT, EXACT).weights(jnp.float32(2.0)), [0, 0.5, 0.5], atol=1e-6)


def test_the_step_has_two_continuous_derivatives():
    for order, ends in ((jax.grad(smooth_step), 0.0), (jax.grad(jax.grad(smooth_step)), 0.0)):
        np.testing.assert_allclose([float(order(x)) for x in (1e-4, 1 - 1e-4)], ends, atol=1e-2)
    assert float(jax.grad(smooth_step)(0.5)) == pytest.approx(1.875)


def test_two_right_experts_are_right_whatever_their_constants():
    model = of(EXACT, EXACT, EXACT, offsets=(0.0, 40.0, -7.0))
    for sigma in (0.05, 0.27, 0.3, 0.4, 1.0, 2.0, 2.5, 9.0):
        found = jax.jit(scores)(model, None, POINTS, jnp.full(6, sigma))
        np.testing.assert_allclose(found, -POINTS / (VARIANCE + sigma**2), rtol=1e-5)


def test_energy_score_and_slope_have_no_jumps():
    """Between experts that disagree everywhere, no step of a fine grid is larger than a few times the mean one."""
    model = of(EXACT, Gaussian.of(np.eye(2), 1.7), Gaussian.of(4 * np.eye(2), 0.4), offsets=(0.0, 3.0, 1.0))
    rate = jax.vmap(jax.grad(model.energy, argnums=2), in_axes=(None, None, 0))
    for boundary in BOUNDARIES:
        sigma, x = grid(boundary), jnp.broadcast_to(POINTS[0], (2001, 2))
        for values in (energies(model, None, x, sigma), scores(model, None, x, sigma)[:, 0], rate(None, x[0], sigma)):
            steps = np.abs(np.diff(np.asarray(values)))
            assert steps.max() < 8 * steps.mean() + 1e-5 * np.abs(values).max()


def test_the_slope_along_sigma_holds_the_difference_of_the_experts():
    other = Gaussian.of(np.eye(2), 1.7)
    model, sigma, x = of(EXACT, other), jnp.float32(0.33), POINTS[1]
    rate = [jax.grad(e.energy, argnums=2)(None, x, sigma) for e in (EXACT, other)]
    place = np.log(0.33 / 0.3) / OVERLAP + 0.5
    share = place**3 * (10 - 15 * place + 6 * place**2)
    turn = 30 * place**2 * (1 - place) ** 2 / (OVERLAP * 0.33)
    difference = other.energy(None, x, sigma) - EXACT.energy(None, x, sigma)
    expected = (1 - share) * rate[0] + share * rate[1] + turn * difference
    assert float(jax.grad(model.energy, argnums=2)(None, x, sigma)) == pytest.approx(float(expected), rel=1e-4)


def test_the_residual_does_not_see_constants_and_does_see_disagreement():
    sigma, y = jnp.full(1, 0.33), jnp.asarray(np.random.default_rng(1).standard_normal((1, 200, 2)), jnp.float32)

    def residual(model):
        return float(fokker_planck(model, None, Line(2), y, sigma, jax.random.key(0), exact=True)[0])

    assert residual(of(EXACT, EXACT, offsets=(0.0, 40.0, 0.0))) == pytest.approx(0.0, abs=1e-6)
    assert residual(of(EXACT, Gaussian.of(np.diag(VARIANCE), 1.05))) > 1e-4


class Normalised(Energy):
    """-ln of the noised Gaussian density itself, plus `shift`."""

    shift: jax.Array

    def energy(self, system, x, sigma):
        total = VARIANCE + sigma**2
        return self.shift + 0.5 * jnp.sum(x**2 / total + jnp.log(total))


def test_offsets_are_learned_by_telling_levels_apart():
    """The slope of the cross-entropy vanishes where the offset undoes the shift, and is positive beyond."""
    data, noise = np.random.default_rng(2).standard_normal((2, 4000, 2))
    below = jnp.asarray(np.tile([0.15, 0.55], 2000), jnp.float32)
    above = jnp.asarray(np.tile([0.55, 0.15], 2000), jnp.float32)
    x = jnp.asarray(data * np.sqrt(VARIANCE), jnp.float32)

    @jax.jit
    def slope(offset):
        def loss(offset):
            model = of(Normalised(jnp.float32(0.0)), Normalised(jnp.float32(3.0)), offsets=(0.0, offset))
            return jnp.mean(classification(model, None, x, jnp.asarray(noise, jnp.float32), below, above))

        return jax.grad(loss)(offset)

    assert abs(float(slope(-3.0))) < 0.015
    assert float(slope(-2.0)) > 0.1
    assert float(slope(-4.0)) < -0.1


def flops(model, sigma):
    run = jax.jit(lambda x: jax.grad(model.energy, argnums=1)(None, x, jnp.float32(sigma)))
    return run.lower(POINTS[0]).compile().cost_analysis()["flops"]


@pytest.fixture(scope="module")
def chart():
    points = np.random.default_rng(3).standard_normal((400, 1, 3)).astype(np.float32)
    return flat_chart(points, np.ones(400), 2)


def networks(chart, count):
    """Energies whose networks say something."""
    fresh = [FlatEnergy.build(chart, jax.random.key(k), width=32, depth=2) for k in range(count)]
    return [
        eqx.tree_at(lambda e: e.network.readout, e, jax.random.normal(jax.random.key(9), e.network.readout.shape))
        for e in fresh
    ]


def test_one_level_needs_the_expert_in_force_alone(chart):
    model = of(*networks(chart, 3), offsets=(0.0, 2.0, 0.0))
    for sigma, names in ((0.1, (0,)), (0.31, (0, 1)), (0.9, (1,)), (8.0, (2,))):
        part = model.at_level(sigma)
        assert isinstance(part, Experts)
        assert part.experts == tuple(model.experts[k] for k in names)
        level = jnp.full(6, sigma)
        whole, found = (jax.jit(scores)(m, None, POINTS, level) for m in (model, part))
        np.testing.assert_allclose(found, whole, rtol=1e-5, atol=1e-6)
        both = [jax.jit(energies)(m, None, POINTS, level) for m in (model, part)]
        np.testing.assert_allclose(*both, rtol=1e-5, atol=1e-5)
    assert flops(model.at_level(0.1), 0.1) < 0.45 * flops(model, 0.1)


def test_pieces_of_a_batch_need_few_experts_and_give_the_same_scores(chart):
    model, schedule = of(*networks(chart, 3), offsets=(0.0, 2.0, 0.0)), NoiseSchedule(0.02, 10.0)
    sigma = schedule.draw(jax.random.key(0), 64)
    x = jax.random.normal(jax.random.key(1), (64, 2))
    pieces = model.pieces(schedule.edges(64))
    assert [len(part.experts) for _, part in pieces] == [1, 2, 1, 2, 1]
    assert [some.start for some, _ in pieces][1:] == [some.stop for some, _ in pieces][:-1]
    assert (pieces[0][0].start, pieces[-1][0].stop) == (0, 64)
    # one piece of either kind: the others compile to the same
    for some, part in pieces[1:3]:
        found, whole = (jax.jit(scores)(m, None, x[some], sigma[some]) for m in (part, model))
        np.testing.assert_allclose(found, whole, rtol=1e-4, atol=1e-5)


def plain_score(chart):
    fresh = PlainScore.build(chart, jnp.zeros(2), jax.random.key(5), width=16, depth=2)
    return fresh, eqx.tree_at(
        lambda e: e.network.readout, fresh, jax.random.normal(jax.random.key(6), fresh.network.readout.shape)
    )


def test_a_plain_score_is_no_gradient_and_has_no_energy(chart):
    fresh, taught = plain_score(chart)
    np.testing.assert_allclose(fresh.score(None, POINTS[0], jnp.float32(2.0)), -POINTS[0] / 5.0, rtol=1e-6)
    slopes = np.asarray(jax.jacfwd(lambda x: taught.score(None, x, jnp.float32(2.0)))(POINTS[0]))
    assert abs(slopes[0, 1] - slopes[1, 0]) > 1e-3
    assert np.isnan(taught.energy(None, POINTS[0], jnp.float32(2.0)))
    with pytest.raises(UserError, match="plain score"):
        taught.at_level(2.0)


def test_a_plain_score_takes_over_at_large_noise_only(chart):
    taught = plain_score(chart)[1]
    first = networks(chart, 1)[0]
    model = of(first, taught)
    edge = model.conservative_to
    assert edge == pytest.approx(0.3 * np.exp(-OVERLAP / 2), rel=2e-3)
    low, high = jnp.float32(0.999 * edge), jnp.float32(1.01 * edge)
    np.testing.assert_allclose(
        model.score(None, POINTS[0], low), -jax.grad(first.energy, argnums=1)(None, POINTS[0], low), rtol=1e-5
    )
    for level in (low, np.float32(edge), np.nextafter(np.float32(edge), np.float32(1.0))):
        assert np.isfinite(model.energy(None, POINTS[0], jnp.float32(level)))
    assert np.isnan(model.energy(None, POINTS[0], high))
    np.testing.assert_allclose(
        model.score(None, POINTS[0], jnp.float32(3.0)), taught.score(None, POINTS[0], jnp.float32(3.0)), rtol=1e-6
    )
    with pytest.raises(UserError):
        model.at_level(float(high))


def test_of_three_experts_two_may_be_scores(chart):
    taught, first = plain_score(chart)[1], networks(chart, 1)[0]
    model = Experts.of([first, taught, taught], (0.3, 2.0), OVERLAP)
    assert model.conservative_to == of(first, taught).conservative_to
    for level in (1.0, 2.0, 5.0):
        assert np.isnan(model.energy(None, POINTS[0], jnp.float32(level)))
        np.testing.assert_allclose(
            model.score(None, POINTS[0], jnp.float32(level)),
            taught.score(None, POINTS[0], jnp.float32(level)),
            rtol=1e-5,
        )


@pytest.mark.parametrize("boundaries", [(2.0, 0.3), (0.3, 0.4), (0.3,), (-1.0, 2.0)])
def test_windows_must_be_apart(boundaries):
    with pytest.raises(UserError, match="experts"):
        Experts.of([EXACT] * 3, boundaries, OVERLAP)


SMALL = {"width": 8, "depth": 1, "batch": 64, "steps": 10, "chunk": 5, "warmup": 2, "architecture": "flat"}


@pytest.mark.slow
def test_a_fit_with_experts(tmp_path):
    """From settings to a report, with one expert in the simulation, plain scores and the residual on top."""
    landscape = LANDSCAPES["double-well-2d"]
    training, unseen = landscape.ensemble(200, 0), landscape.ensemble(60, 1)
    settings = TrainingSettings(**SMALL, experts=(0.4, 1.5), experts_plain=2, fokker_planck=0.1)
    model = fit_ensembles(training, unseen, tmp_path / "run", settings)
    assert isinstance(model.network, Experts)
    assert isinstance(model.network.experts[-1], PlainScore)
    force_field = model.force_field(0.1)
    assert isinstance(force_field.network, Experts)
    assert len(force_field.network.experts) == 1
    again = Model.load(tmp_path / "run" / "model")
    np.testing.assert_array_equal(again.force(unseen.positions[:5], 0.1), model.force(unseen.positions[:5], 0.1))
    assert np.isfinite(model.sample(20, steps=5).positions).all()
    assert TrainingSettings(**settings.model_dump()) == settings
    model.simulate(tmp_path / "md.dcd", replicas=4, length_ps=2.0, frame_ps=0.1, timestep_fs=5.0, sigma=0.1)
    evaluation.evaluate(tmp_path / "run", simulation=[tmp_path / "md.dcd"], out=tmp_path / "evaluation")
    assert "Energy at several levels of noise" in (tmp_path / "evaluation" / "report.html").read_text()
    with pytest.raises(UserError, match=r"(?i)boundaries of experts"):
        fit_ensembles(training, unseen, tmp_path / "other", TrainingSettings(**SMALL, experts=(500.0,)))
