"""The diffusion of Gaussians and mixtures, which is known, and of energies that are wrong."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import synthetic
from twofold.diagnosis.diffusion import diffusion, integral_check, residual_curve
from twofold.diagnosis.floor import DataGaussian, FrameMixture, floor_check, floor_of
from twofold.diagnosis.losses import Coordinates, loss_figure, loss_gap, losses_of
from twofold.energy.base import Energy
from twofold.noise import NoiseSchedule
from twofold.objectives import traces
from twofold.systems.mixture import GaussianMixture

CHART = synthetic.Line(2)
SIGMA = np.geomspace(0.1, 5.0, 5)
KEY = jax.random.key(0)
MIXTURE = GaussianMixture.of(np.array([[-2.0, 0.0], [2.0, 1.0]]), np.array([0.3, 0.7]), 0.25)


class Known(Energy):
    """Energy of the noised mixture, with a distorted dependence on sigma and a bump that should not be there."""

    stretch: float = 1.0
    bump: float = 0.0

    def energy(self, system, x, sigma):
        return MIXTURE.energy(x, self.stretch * sigma) + self.bump * jnp.sum(jnp.cos(2 * x)) + 3 * jnp.log(sigma)


def drawn(number, seed):
    x = MIXTURE.sample(number, np.random.default_rng(seed))
    return Coordinates(jnp.asarray(x, jnp.float32), np.ones(number), np.arange(number) * 20 // number)


@pytest.fixture(scope="module")
def frames():
    return drawn(384, 0)


def test_terms_of_a_gaussian_are_exact():
    """`A = |y|^2 s^2 / (v + s^2)^2` for variance v; its spread over the noised data is `sqrt(2 D) s^2 / (v + s^2)`."""
    x = np.random.default_rng(1).standard_normal((4000, 2)) * np.sqrt(2.0)
    frames = Coordinates(jnp.asarray(x, jnp.float32), np.ones(4000), np.arange(4000) // 200)
    found = residual_curve(synthetic.Gaussian.of(2 * np.eye(2)), CHART, SIGMA, frames, KEY)
    exact = 2.0 * SIGMA**2 / (2 + SIGMA**2) / 2
    assert found.rate == pytest.approx(exact, rel=0.08)
    assert found.transport == pytest.approx(exact, rel=0.08)
    assert found.residual.max() < 1e-5


def test_wrong_terms_are_strangers():
    """With 4 U for U the residual is `4 A - 16 A'`, with `A' = A` up to a constant: `R = -12 A`."""
    x = np.random.default_rng(1).standard_normal((400, 2))
    frames = Coordinates(jnp.asarray(x, jnp.float32), np.ones(400), np.arange(400) // 20)
    found = residual_curve(synthetic.Gaussian.of(np.eye(2), 4.0), CHART, SIGMA, frames, KEY)
    assert found.relative == pytest.approx(12 / np.hypot(4, 16), rel=1e-3)
    assert found.pooled == pytest.approx(12 / np.hypot(4, 16), rel=1e-3)


def test_random_probes_agree_with_exact_traces(frames, monkeypatch):
    wrong = Known(bump=0.3)
    exact = residual_curve(wrong, CHART, SIGMA, frames, KEY)
    monkeypatch.setattr(traces, "EXACT", 0)
    jax.clear_caches()  # what is compiled holds the number that was there
    probed = residual_curve(wrong, CHART, SIGMA, frames, KEY)
    jax.clear_caches()
    assert probed.rate == pytest.approx(exact.rate)
    assert probed.residual == pytest.approx(exact.residual, rel=0.15)


def test_the_exact_mixture_passes(frames):
    found = diffusion(Known(), CHART, NoiseSchedule(0.1, 5.0), drawn(384, 1), frames, most=192)
    assert {check.key: check.state for check in found.checks} == {
        "diffusion.residual": "pass",
        "diffusion.overfit": "pass",
        "diffusion.floor": "pass",
        "diffusion.integral": "pass",
    }
    assert found.checks[0].value < 1e-3
    assert [curve.key for curve in found.curves] == ["diffusion.residual", "diffusion.loss"]


@pytest.mark.parametrize("wrong", [Known(stretch=2.0), Known(bump=1.0)], ids=["levels", "bump"])
def test_a_wrong_model_fails(frames, wrong):
    check = diffusion(wrong, CHART, NoiseSchedule(0.1, 5.0), frames, frames, most=192).checks[0]
    assert check.key == "diffusion.residual"
    assert check.state == "fail"


def test_losses_are_those_of_the_density(frames):
    """`L = -1/2 E|s|^2` for a right score, up to a constant of zero: for a Gaussian `-D / 2 (v + s^2)`."""
    x = np.random.default_rng(1).standard_normal((4000, 2))
    many = Coordinates(jnp.asarray(x, jnp.float32), np.ones(4000), np.arange(4000) // 200)
    right = synthetic.Gaussian.of(np.eye(2))
    one, other = (losses_of(right, CHART, SIGMA, many, key) for key in jax.random.split(KEY))
    for line in loss_figure(one, other, other, 2).lines:
        assert line.y == pytest.approx(-0.5 * SIGMA**2 / (1 + SIGMA**2), abs=0.02)
    gap, error = loss_gap(one, other)
    assert abs(gap) < 3 * error


def test_the_floor_is_the_better_of_two_densities():
    """Frames under the noise where there are enough of them, the Gaussian elsewhere."""
    x = np.random.default_rng(1).standard_normal((1500, 2))
    seen, fresh = (Coordinates(jnp.asarray(part, jnp.float32), np.ones(len(part)), np.arange(len(part)) // 50)
                   for part in (x[:1000], x[1000:]))  # fmt: skip
    gaussian = losses_of(DataGaussian(CHART), CHART, SIGMA, fresh, KEY)
    assert gaussian.loss.mean(1) / 2 == pytest.approx(-0.5 * SIGMA**2 / (1 + SIGMA**2), abs=0.05)
    mixture = FrameMixture.of(CHART, seen)
    place = jnp.array([0.3, -0.2])
    exact = GaussianMixture(seen.x, jnp.full(1000, 1e-3), jnp.float32(0.0))
    score, known = (jax.grad(energy)(place) for energy in (lambda y: mixture.energy(None, y, 0.5),
                                                           lambda y: exact.energy(y, 0.5)))  # fmt: skip
    assert np.asarray(score) == pytest.approx(np.asarray(known), rel=1e-4)
    floor = floor_of(CHART, SIGMA, seen, fresh, KEY)
    assert (floor.means(floor.loss)[0] <= gaussian.means(gaussian.loss)[0]).all()
    assert floor_check(gaussian, floor).state == "pass"  # these data are Gaussian


def test_a_model_that_has_learned_a_gaussian_fails(frames):
    """That is what a network is before the first update: the covariance of a mixture, and nothing of its modes."""
    spread = np.cov(np.asarray(frames.x).T)
    found = diffusion(synthetic.Gaussian.of(spread), CHART, NoiseSchedule(0.1, 5.0), drawn(384, 1), frames, most=50)
    check = {check.key: check for check in found.checks}["diffusion.floor"]
    assert check.state == "fail"
    assert check.value - 3 * check.error > 0.25
    assert "too little" in check.sentence


def test_learning_by_heart_is_seen():
    """A density of narrow peaks on forty training frames knows nothing of others."""
    few = drawn(40, 2)

    class Memory(Energy):
        def energy(self, system, x, sigma):
            return GaussianMixture(few.x, jnp.full(40, 1 / 40), jnp.float32(1e-3)).energy(x, sigma)

    found = diffusion(Memory(), CHART, NoiseSchedule(0.1, 5.0), few, drawn(40, 3))
    states = {check.key.split(".")[1]: check.state for check in found.checks}
    assert states["overfit"] == "fail"
    assert states["residual"] == "pass"  # it is a diffusing density, though a useless one


def test_a_score_that_is_no_gradient_fails(frames):
    energy = Known()

    def swirling(y, level):
        return -jax.grad(lambda x: energy.energy(None, x, level))(y) + 0.5 * jnp.array([-y[1], y[0]])

    assert integral_check(energy, CHART, SIGMA, frames, KEY).value < 1e-4
    assert integral_check(energy, CHART, SIGMA, frames, KEY, jax.tree_util.Partial(swirling)).state == "fail"


class Plain(Known):
    """A score without an energy from some level on, which may turn in circles there."""

    swirl: float | jax.Array = 0.0
    first: float = 0.0

    @property
    def conservative_to(self):
        return self.first

    def score(self, system, x, sigma):
        turn = self.swirl * jnp.array([-x[1], x[0]]) / (1 + sigma**2)
        return super().score(system, x, sigma) + jnp.where(sigma > self.first, turn, 0.0)


def test_a_score_without_an_energy_is_not_asked(frames):
    found = diffusion(Plain(), CHART, NoiseSchedule(0.1, 5.0), drawn(384, 1), frames, most=50)
    assert [check.state for check in found.checks] == ["pass", "pass", "pass", "skipped"]


def test_the_curl_of_a_plain_score_is_measured_where_there_is_no_energy(frames):
    """Of `-y/v + a (-y_2, y_1)/v` the products are `-u.v/v` -+ `a (u x v)/v`: relative curl up to a, and 0 for none."""
    for swirl, state in ((0.0, "pass"), (1.0, "fail")):
        model = Plain(swirl=jnp.float32(swirl), first=1.0)
        found = diffusion(model, CHART, NoiseSchedule(0.1, 5.0), drawn(384, 1), frames, most=50)
        checks = {check.key: check.state for check in found.checks}
        assert checks["diffusion.curl"] == state
        assert checks["diffusion.integral"] == checks["diffusion.residual"] == "pass"
