"""As many systems together as a cache holds: the same numbers, in less memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twofold.chart.cartesian import cartesian_chart
from twofold.energy import together as module
from twofold.energy.base import energies, scores
from twofold.energy.experts import Experts
from twofold.energy.particles import ParticleEnergy, ParticleTypes
from twofold.energy.sums import Sum
from twofold.energy.together import over, together
from twofold.objectives import implicit
from twofold.sampling.memory import peak_bytes

COUNT = 6
FRAMES = jax.random.normal(jax.random.key(0), (11, COUNT, 3))
SIGMA = jnp.geomspace(0.1, 2.0, len(FRAMES))


@pytest.fixture
def of_entries(monkeypatch):
    """Sets how many entries a core works on, and the cores."""

    def put(entries: int, cores: int = 1) -> None:
        monkeypatch.setitem(module.AT_ONCE, "cpu", entries)
        monkeypatch.setattr(module, "_cores", lambda: cores)

    return put


def particles(seed: int = 0) -> ParticleEnergy:
    fresh = ParticleEnergy.build(np.arange(COUNT) % 2, np.full((2, 2), 0.5), jax.random.key(seed), width=4, depth=1)
    readout = jax.random.normal(jax.random.key(seed + 1), fresh.readout.shape)
    return fresh.__class__(**{**vars(fresh), "readout": readout})


def test_more_cores_work_on_more(of_entries):
    of_entries(100)
    assert [together(entries) for entries in (1, 30, 100, 1000)] == [100, 3, 1, 1]
    of_entries(100, cores=4)
    assert [together(entries) for entries in (1, 30, 100, 1000)] == [400, 13, 4, 1]
    assert together(0) >= 10**9


@pytest.mark.parametrize("entries", [0, 5, 50, 500])
def test_the_same_as_all_at_once(entries, of_entries):
    """One by one, two by two with one left over, all."""
    of_entries(100)

    def quantity(x, level):
        return {"sum": jnp.sum(x) * level, "square": x**2}

    found, expected = over(quantity, (FRAMES, SIGMA), entries), jax.vmap(quantity)(FRAMES, SIGMA)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6)


@pytest.mark.parametrize("frames_at_once", [1, 2, 100])
def test_energies_scores_and_losses_do_not_depend_on_it(frames_at_once, of_entries):
    model, chart = particles(), cartesian_chart(np.asarray(FRAMES))
    alone = [jax.value_and_grad(model.energy, argnums=1)(None, x, s) for x, s in zip(FRAMES, SIGMA, strict=True)]
    of_entries(frames_at_once * COUNT**2)
    values, slopes = (np.stack(part) for part in zip(*alone, strict=True))
    np.testing.assert_allclose(energies(model, None, FRAMES, SIGMA), values, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(scores(model, None, FRAMES, SIGMA), -slopes, rtol=1e-3, atol=1e-3)
    loss = implicit(model, None, chart, FRAMES, jnp.asarray(0.3), jax.random.key(2))
    of_entries(10**9)
    whole = implicit(model, None, chart, FRAMES, jnp.asarray(0.3), jax.random.key(2))
    np.testing.assert_allclose(loss, whole, rtol=1e-3, atol=1e-3)


def test_tables_of_many_frames_are_never_there_at_once(of_entries):
    model = particles()

    def peak(count: int) -> int:
        x = jnp.ones((count, COUNT, 3))
        return peak_bytes(jax.make_jaxpr(lambda x: scores(model, None, x, jnp.ones(count)))(x).jaxpr)

    of_entries(10**9)
    assert peak(64) > 40 * peak(1)
    of_entries(COUNT**2)
    assert peak(64) < 4 * peak(1)


def test_who_has_tables_of_partners(of_entries):
    one, other = particles(), particles(5)
    lists = ParticleTypes(jnp.zeros(COUNT, int)).particles._replace(neighbours=jnp.zeros((COUNT, 3), int))
    assert one.entries(None, FRAMES[0]) == COUNT**2
    assert one.entries(lists, FRAMES[0]) == 3 * COUNT
    assert Sum((one, other)).entries(None, FRAMES[0]) == COUNT**2
    assert Experts.of([one, other], [0.5]).entries(None, FRAMES[0]) == COUNT**2
