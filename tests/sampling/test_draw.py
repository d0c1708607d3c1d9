"""Drawing a number of conformations: all are delivered, those at fault are counted."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import Gaussian, Line
from twofold.energy.base import Energy
from twofold.errors import UserError
from twofold.noise import NoiseSchedule
from twofold.sampling import draw, memory
from twofold.sampling.draw import draw_samples

MODEL, LINE, SCHEDULE = Gaussian.of(np.diag([1.0, 0.5, 2.0, 1.0, 0.5, 2.0])), Line(6), NoiseSchedule(0.05, 20.0)


def samples(number, model=MODEL, **options):
    return draw_samples(model, LINE, SCHEDULE, number, **({"batch": 64, "steps": 20, "solver": "ode"} | options))


@pytest.mark.parametrize("number", [1, 64, 100])
def test_as_many_as_were_asked_for(number):
    drawn = samples(number)
    assert drawn.positions.shape == (number, 2, 3)
    assert drawn.positions.dtype == np.float32
    assert len(drawn) == number
    assert (drawn.not_finite, drawn.outside) == (0, 0)


def test_seeds_reproduce_and_differ():
    first = samples(100).positions
    np.testing.assert_array_equal(first, samples(100).positions)
    np.testing.assert_array_equal(first[:64], samples(64).positions)
    assert np.abs(first - samples(100, seed=1).positions).min() > 0
    assert np.abs(first[:36] - first[64:]).min() > 0  # batches are not copies of each other


def test_samples_have_the_covariance_of_the_data():
    drawn = samples(8000, steps=60, batch=4000).positions.reshape(-1, 6)
    np.testing.assert_allclose(np.cov(drawn.T), np.asarray(MODEL.covariance), atol=0.12)
    kept = samples(8000, steps=60, batch=4000, noise=1.0).positions.reshape(-1, 6)
    np.testing.assert_allclose(np.cov(kept.T), np.asarray(MODEL.covariance) + np.eye(6), atol=0.2)


class Broken(Energy):
    """Half of the line has no number for an energy."""

    def energy(self, system, x, sigma):
        return jnp.where(x[0] > 0, jnp.nan, 1.0) * 0.5 * jnp.sum(x**2) / (1 + sigma**2)


def test_those_that_are_not_finite_are_counted_and_kept():
    drawn = samples(100, Broken())
    assert len(drawn) == 100
    assert 20 < drawn.not_finite < 80
    assert (~np.isfinite(drawn.positions).all((1, 2))).sum() == drawn.not_finite


def test_those_outside_of_the_region_are_counted_and_kept():
    ends = np.array([[-1.0, 1.0], [1.0, -1.0]])
    region = SimpleNamespace(lower=ends, upper=np.array([[np.inf, 2.0], [2.0, np.inf]]))
    drawn = samples(100, region=region)
    distance = np.linalg.norm(drawn.positions[:, 0] - drawn.positions[:, 1], axis=-1)
    assert drawn.outside == ((distance < 1) | (distance > 2)).sum()
    assert 0 < drawn.outside < 100


def test_progress_ends_with_all():
    seen = []
    samples(100, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(64, 100), (100, 100)]


def test_a_batch_that_does_not_fit_is_halved(monkeypatch):
    inner, tried = draw._batch, []

    def refuse(network, chart, levels, key, batch, *rest):
        tried.append(batch)
        if batch > 64:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
        return inner(network, chart, levels, key, batch, *rest)

    monkeypatch.setattr(draw, "_batch", refuse)
    drawn = samples(300, batch=256)
    assert tried == [256, 128, 64, 64, 64, 64, 64]
    assert drawn.settings["batch"] == 64
    np.testing.assert_array_equal(drawn.positions, samples(300).positions)


@pytest.mark.parametrize(("number", "free", "batch"), [(1, None, 16), (40, None, 40), (100, None, 64), (100, 1.0, 16)])
def test_batches_are_no_larger_than_asked_for_or_than_memory(monkeypatch, number, free, batch):
    monkeypatch.setattr(memory, "free_bytes", lambda: free)
    assert samples(number).settings["batch"] == batch


@pytest.mark.parametrize(
    "options", [{"number": 0}, {"number": 5, "steps": 0}, {"number": 5, "seed": -1}, {"number": 5, "solver": "euler"}]
)
def test_numbers_out_of_range(options):
    with pytest.raises(UserError):
        samples(**options)


@pytest.mark.parametrize("noise", [0.0, -1.0, 30.0, float("nan")])
def test_levels_out_of_range(noise):
    with pytest.raises(UserError, match=r"(?i)noise"):
        samples(5, noise=noise)


def test_large_seeds():
    with pytest.raises(UserError, match=r"(?i)seed"):
        samples(5, seed=2**40)
