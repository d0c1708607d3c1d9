"""Terms that tie the levels of noise together, in a fit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import twofold
from twofold.objectives import residual
from twofold.systems.toys import LANDSCAPES

FIT = {"frames": 4000, "steps": 600, "width": 24, "depth": 2, "batch": 128, "chunk": 100, "warmup": 50, "seed": 3}


def spread_of_residual(model):
    """Standard deviation of `sigma R` among noised frames that share a level."""
    chart = model.chart
    points = LANDSCAPES["double-well-2d"].ensemble(400, 9).positions
    x = jax.vmap(chart.encode)(jnp.asarray(points))
    eps = jax.random.normal(jax.random.key(0), x.shape)
    found = [
        float(sigma * jnp.std(residual(model.network, None, chart, x + sigma * eps, jnp.full(len(x), sigma))))
        for sigma in (0.1, 0.3, 0.8)
    ]
    return np.mean(found)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return twofold.fit(
        "double-well-2d", out=tmp_path_factory.mktemp("plain") / "run", fokker_planck=0.0, classification=0.0, **FIT
    )


@pytest.mark.parametrize(
    "options",
    [{}, {"fokker_planck_exact": True, "fokker_planck_smallest": 0.05, "fokker_planck_largest": 2.0}],
    ids=["probes", "exact"],
)
def test_the_fokker_planck_term_lowers_the_residual(plain, tmp_path, options):
    tie = {"fokker_planck": 3.0, "fokker_planck_every": 2, "classification": 0.0} | options
    tied = twofold.fit("double-well-2d", out=tmp_path / "run", **tie, **FIT)
    assert spread_of_residual(tied) < 0.8 * spread_of_residual(plain)


def test_classification_makes_energies_comparable_between_levels(plain, tmp_path):
    """U + ln of the norm of the density is what it should be at every level, up to one constant for all."""
    told = twofold.fit("double-well-2d", out=tmp_path / "run", fokker_planck=0.0, classification=1.0, **FIT)

    def offsets(model):
        found = []
        for sigma in (0.1, 0.3, 1.0):
            unit = float(model.chart.length)
            centre = np.zeros((1, 1, 3), np.float32)
            centre[..., :2] = 5.0
            energy = model.energy(centre, sigma=sigma)[0] / LANDSCAPES["double-well-2d"].thermal
            exact = LANDSCAPES["double-well-2d"].noised(jnp.array([5.0, 5.0]), jnp.float32(sigma * unit))
            found.append(energy - float(exact))
        return np.ptp(found)

    assert offsets(told) < 0.25
    assert offsets(told) < 0.5 * offsets(plain)
