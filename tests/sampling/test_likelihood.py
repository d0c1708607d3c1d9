"""Likelihood by the probability flow, where the density is known at every level."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import synthetic
from synthetic import Gaussian, Line
from twofold.chart.base import Chart
from twofold.chart.cartesian import CartesianChart, cartesian_chart
from twofold.chart.flat import FlatChart
from twofold.chart.internal import TORSION_UNIT, InternalChart, internal_chart
from twofold.energy.base import Energy
from twofold.energy.experts import Experts, PlainScore
from twofold.energy.fractional import FractionalEnergy
from twofold.errors import UserError
from twofold.noise import NoiseSchedule
from twofold.sampling.draw import draw_samples
from twofold.sampling.likelihood import log_likelihood
from twofold.systems.mixture import GaussianMixture

SCHEDULE = NoiseSchedule(0.05, 20.0)
COVARIANCE = np.array([[1.0, 0.6], [0.6, 0.5]])


def flat(covariance) -> FlatChart:
    """A chart that leaves the first coordinates of up to two beads as they are."""
    covariance = jnp.asarray(covariance, jnp.float32)
    return FlatChart(jnp.zeros(len(covariance)), jnp.float32(1.0), covariance, beads=1 if len(covariance) < 4 else 2)


def placed(points, beads: int = 1) -> np.ndarray:
    """Points (number, coordinates) as positions (number, beads, 3)."""
    rest = np.zeros((len(points), 3 * beads - points.shape[1]))
    return np.concatenate([points, rest], axis=1).reshape(-1, beads, 3).astype(np.float32)


def log_normal(points, covariance) -> np.ndarray:
    """Log-density (number,) of the Gaussian of mean zero, float64."""
    squares = np.sum(points @ np.linalg.inv(covariance) * points, -1)
    return -0.5 * (squares + np.linalg.slogdet(2 * np.pi * covariance)[1])


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(0).multivariate_normal(np.zeros(2), COVARIANCE, 200)


def test_gaussian_at_every_point_and_of_second_order_in_the_steps(points):
    exact = log_normal(points, COVARIANCE + 0.05**2 * np.eye(2))
    errors = []
    for steps in (50, 100, 200):
        found = log_likelihood(
            Gaussian.of(COVARIANCE), flat(COVARIANCE), SCHEDULE, placed(points), steps=steps, noise=0.05
        )
        assert found.dtype == np.float64
        errors.append(np.abs(found - exact).max())
    assert errors[1] < 0.012
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(4.0, rel=0.1)


@pytest.mark.parametrize("smallest", [0.05, 0.6])
def test_without_blur_it_is_the_density_of_deblurred_samples(points, smallest):
    """Deblurring leaves the covariance `v + sigma^4 / (4 (v + sigma^2))`; in sigma = 0.6 much, and in one axis."""
    schedule = NoiseSchedule(smallest, 20.0)
    covariance = np.diag([1.0, 0.04])
    total = covariance + smallest**2 * np.eye(2)
    exact = log_normal(points, covariance + smallest**4 / 4 * np.linalg.inv(total))
    found = log_likelihood(Gaussian.of(covariance), flat(covariance), schedule, placed(points), steps=200)
    np.testing.assert_allclose(found, exact, atol=2e-3, rtol=2e-3)


class Mixture(Energy):
    """The exact energy of a mixture; the score is `scale` times the exact one."""

    mixture: GaussianMixture
    scale: float = 1.0

    def energy(self, system, x, sigma):
        return self.scale * self.mixture.energy(x, sigma)


MEANS, SHARES = np.array([[2.1, -0.7], [-0.9, 0.3]]), np.array([0.3, 0.7])
MIXTURE = GaussianMixture.of(MEANS, SHARES, 0.25)
SPREAD = 0.25 * np.eye(2) + (MEANS.T * SHARES) @ MEANS


def test_mixture_of_two_modes():
    points = MIXTURE.sample(300, np.random.default_rng(1))
    found = log_likelihood(Mixture(MIXTURE), flat(SPREAD), SCHEDULE, placed(points), steps=100, noise=0.05)
    exact = -np.asarray(jax.vmap(lambda x: MIXTURE.energy(x, 0.05))(jnp.asarray(points, jnp.float32)))
    np.testing.assert_allclose(found, exact, atol=0.02)


@pytest.mark.parametrize(("scale", "noise"), [(1.0, 0.3), (0.8, None), (1.2, None)])
def test_it_integrates_to_one_whatever_the_score_is(scale, noise):
    edges = np.arange(-6.0, 6.0, 0.25)
    grid = np.stack(np.meshgrid(edges, edges), -1).reshape(-1, 2)
    schedule = NoiseSchedule(0.2, 20.0)
    found = log_likelihood(Mixture(MIXTURE, scale), flat(SPREAD), schedule, placed(grid), noise=noise)
    assert np.exp(found).sum() * 0.25**2 == pytest.approx(1.0, abs=5e-3)


def test_samples_of_the_flow_have_this_density():
    """With a wrong score, the mean of exp(-U) / q over samples is the integral of exp(-U), and U + ln q varies."""
    network, chart = Mixture(MIXTURE, 0.9), flat(SPREAD)
    samples = draw_samples(network, chart, SCHEDULE, 2000, solver="ode", batch=2000).positions
    log_density = log_likelihood(network, chart, SCHEDULE, samples)
    energy = np.asarray(jax.vmap(MIXTURE.energy)(jnp.asarray(samples[:, 0, :2])), np.float64)
    ratio = np.exp(-energy - log_density)
    assert ratio.std() > 0.1
    assert ratio.mean() == pytest.approx(1.0, abs=4 * ratio.std() / np.sqrt(len(ratio)) + 5e-3)


class Chain(Energy):
    """The Gaussian with the covariance of a Cartesian chart."""

    chart: CartesianChart

    def energy(self, system, x, sigma):
        along = jnp.matmul(self.chart.modes.T, x, precision=jax.lax.Precision.HIGHEST)
        return 0.5 * jnp.sum(along**2 / (self.chart.variances + sigma**2)[:, None])


def test_cartesian_gaussian_without_its_mean_over_beads():
    frames = 0.2 * np.cumsum(np.random.default_rng(0).standard_normal((500, 4, 3)), axis=1)
    chart = cartesian_chart(frames)
    found = log_likelihood(Chain(chart), chart, SCHEDULE, frames[:100] + 3.0, steps=200, noise=0.05)
    centred = (frames - frames.mean(1, keepdims=True))[:100] / float(chart.length)
    modes, variances = np.asarray(chart.modes, np.float64), np.asarray(chart.variances, np.float64) + 0.05**2
    along = np.einsum("bk,fbc->fkc", modes, centred)
    exact = -0.5 * np.sum(along**2 / variances[:, None] + np.log(2 * np.pi * variances)[:, None], axis=(1, 2))
    np.testing.assert_allclose(found, exact, atol=0.01)


class Torsions(Energy):
    """Stiff coordinates of unit variance, and every soft torsion normal about `centre` with `width` (rad), wrapped."""

    chart: InternalChart
    centre: float
    width: float

    def energy(self, system, x, sigma):
        variance = self.width**2 + (TORSION_UNIT * sigma) ** 2
        turns = 2 * jnp.pi * jnp.arange(-12, 13)[:, None]
        images = self.chart.soft_torsions(x) - self.centre + turns
        soft = jax.nn.logsumexp(-0.5 * images**2 / variance, axis=0)
        return 0.5 * jnp.sum(x[: self.chart.stiff_count] ** 2) / (1 + sigma**2) - jnp.sum(soft)


@pytest.fixture(scope="module")
def chain():
    frames = synthetic.frames(synthetic.dipeptide(), 400)
    return internal_chart(synthetic.tree(synthetic.dipeptide()), frames, np.ones(400)), frames[:100]


def test_internal_coordinates_on_lines_and_circles(chain):
    """A basin on the cut of the circle. The data fill it badly: the density is right anywhere."""
    chart, frames = chain
    network, noise = Torsions(chart, 3.0, 0.8), 0.25
    found = log_likelihood(network, chart, NoiseSchedule(0.1, 30.0), frames, noise=noise, coordinates=True)
    q = np.asarray(jax.jit(jax.vmap(chart.encode))(frames), np.float64)
    lines, circles = q[:, : chart.stiff_count], TORSION_UNIT * q[:, chart.stiff_count :]
    width = np.hypot(0.8, TORSION_UNIT * noise)
    images = (circles[..., None] - 3.0 + 2 * np.pi * np.arange(-9, 10)) / width
    soft = np.log(np.exp(-0.5 * images**2).sum(-1) * TORSION_UNIT / np.sqrt(2 * np.pi) / width).sum(-1)
    assert chart.soft_count == 2
    np.testing.assert_allclose(found, log_normal(lines, (1 + noise**2) * np.eye(7)) + soft, atol=0.03)
    per_position = log_likelihood(network, chart, NoiseSchedule(0.1, 30.0), frames, noise=noise)
    jacobian = np.asarray(jax.jit(jax.vmap(lambda x: chart.log_jacobian(chart.encode(x))))(frames))
    np.testing.assert_allclose(found - per_position, jacobian, atol=1e-3)
    assert np.ptp(jacobian) > 0.05


def test_random_probes_are_unbiased():
    covariance = ROOT @ ROOT.T + 0.1 * np.eye(6)
    copies = placed(np.tile([[0.3, -0.2, 0.5, 0.1, 0.4, -0.6]], (2000, 1)), beads=2)
    run = {"steps": 10, "batch": 2000}
    network, chart, schedule = Gaussian.of(covariance), flat(covariance), NoiseSchedule(0.3, 20.0)
    exact = log_likelihood(network, chart, schedule, copies[:1], **run)[0]
    assert log_likelihood(network, chart, schedule, copies[:1], probes=6, **run)[0] == pytest.approx(exact, abs=1e-4)
    found = log_likelihood(network, chart, schedule, copies, probes=1, **run)
    assert found.std() > 0.05
    assert found.mean() == pytest.approx(exact, abs=4 * found.std() / np.sqrt(2000))
    assert np.abs(log_likelihood(network, chart, schedule, copies, probes=1, seed=1, **run) - found).max() > 0.05


def test_a_plain_score_at_large_noise_is_enough(points):
    """A fresh one has the score of the unit Gaussian."""
    chart = flat(np.eye(2))
    plain = PlainScore.build(chart, jnp.zeros(2), jax.random.key(0), width=8, depth=1)
    network = Experts.of([Gaussian.of(np.eye(2)), plain], [1.0])
    found = log_likelihood(network, chart, SCHEDULE, placed(points), noise=0.1)
    np.testing.assert_allclose(found, log_normal(points, 1.01 * np.eye(2)), atol=0.02)


ROOT = np.random.default_rng(3).standard_normal((6, 6)) / 2
PLANE = np.cumsum(np.random.default_rng(2).standard_normal((100, 3, 3)), axis=1)


@pytest.mark.parametrize("chart", [flat(ROOT @ ROOT.T), cartesian_chart(PLANE, axes=2)], ids=["flat", "cartesian"])
def test_the_density_of_the_prior_has_the_entropy_of_its_draws(chart):
    draws = jax.jit(jax.vmap(lambda key: chart.prior(key, 0.5)))(jax.random.split(jax.random.key(0), 20_000))
    entropy = -np.mean(jax.jit(jax.vmap(lambda y: chart.log_prior(y, 0.5)))(draws))
    # without the null modes of the mean over beads
    values = np.linalg.eigvalsh(np.cov(np.asarray(draws).reshape(len(draws), -1).T))[-chart.dimension :]
    assert entropy == pytest.approx(0.5 * np.sum(np.log(2 * np.pi * np.e * values)), abs=0.03)


def test_the_density_of_the_prior_on_lines_and_circles(chain):
    chart, _ = chain
    y = np.linspace(-2.0, 2.0, 9)
    exact = log_normal(y[None, :7], 1.25 * np.eye(7))[0] - 2 * np.log(2 * np.pi / TORSION_UNIT)
    assert float(chart.log_prior(jnp.asarray(y, jnp.float32), 0.5)) == pytest.approx(exact, abs=1e-4)


def test_frames_that_the_last_step_cannot_give():
    """Two narrow modes that the smallest noise hardly tells apart, and a frame between them."""
    mixture = GaussianMixture.of(np.array([[1.0, 0.0], [-1.0, 0.0]]), np.ones(2), 0.01)
    frames = placed(np.array([[0.0, 0.0], [0.2, 0.0], [1.0, 0.0]]))
    chart, schedule = flat(np.diag([1.01, 0.01])), NoiseSchedule(0.5, 20.0)
    found = log_likelihood(Mixture(mixture), chart, schedule, frames, steps=10)
    np.testing.assert_array_equal(np.isnan(found), [True, True, False])


def test_of_a_model(untrained, chain_ensemble):
    frames = chain_ensemble.positions[:3]
    found = untrained.log_likelihood(frames, steps=5, noise=0.3)
    assert found.shape == (3,)
    assert np.isfinite(found).all()
    with pytest.raises(UserError, match=r"(?i)shape"):
        untrained.log_likelihood(frames[:, :4])


@pytest.mark.parametrize(
    "options",
    [{"steps": 0}, {"seed": -1}, {"seed": 2**32}, {"noise": 0.0}, {"noise": 30.0}, {"probes": 0}, {"batch": 0}],
)
def test_numbers_out_of_range(points, options):
    with pytest.raises(UserError):
        log_likelihood(Gaussian.of(COVARIANCE), flat(COVARIANCE), SCHEDULE, placed(points), **options)


class Unknown(Line):
    """A chart that does not say how its data are spread."""

    log_prior = Chart.log_prior


@pytest.mark.parametrize(
    ("chart", "network", "shape"),
    [
        (Unknown(3), Gaussian.of(np.eye(3)), (2, 1, 3)),
        (flat(np.eye(3)), FractionalEnergy(Gaussian.of(np.eye(3)), 1.5, -jnp.ones(3), jnp.ones(3)), (2, 1, 3)),
        (flat(np.eye(3)), Gaussian.of(np.eye(3)), (1, 3)),
    ],
)
def test_what_has_no_likelihood(chart: Chart, network: eqx.Module, shape: tuple[int, ...]):
    with pytest.raises(UserError):
        log_likelihood(network, chart, SCHEDULE, np.zeros(shape), steps=2)
