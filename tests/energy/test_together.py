"""As many systems together as a cache holds: the same numbers, in less memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twofold.chart.cartesian import cartesian_chart
from twofold.energy import together as module
from twofold.energy.base import energies, scores
from twofold.energy.experts import Experts
from twofold.energy.fractional import FractionalEnergy
from twofold.energy.particles import ParticleEnergy, ParticleTypes
from twofold.energy.sums import Sum
from twofold.energy.together import over, part_size, together
from twofold.objectives import implicit
from twofold.sampling import memory
from twofold.sampling.memory import batch_that_fits, peak_bytes

COUNT = 6
FRAMES = jax.random.normal(jax.random.key(0), (11, COUNT, 3))
SIGMA = jnp.geomspace(0.1, 2.0, len(FRAMES))


@pytest.fixture
def of_entries(monkeypatch):
    """Sets how many entries a core works on, and the cores."""

    def put(entries: int, cores: int = 1) -> None:
        monkeypatch.setattr(module, "ENTRIES", entries)
        monkeypatch.setattr(module.os, "cpu_count", lambda: cores)

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
    of_entries(100, cores=64)
    assert together(1) == 100 * module.CORES
    assert together(0) >= 10**9


def test_an_accelerator_takes_all_unless_it_is_told(monkeypatch):
    monkeypatch.setattr(module.jax, "default_backend", lambda: "gpu")
    assert together(3025) >= 10**9
    assert together(3025, elsewhere=1 << 22) == 1386


@pytest.mark.parametrize(
    ("members", "at_once", "size"), [(64, 100, 64), (64, 24, 16), (1000, 48, 40), (61, 24, 24), (64, 1, 1), (0, 5, 0)]
)
def test_parts_leave_no_rest_where_that_is_cheap(members, at_once, size):
    assert part_size(members, at_once) == size


@pytest.mark.parametrize("entries", [0, 5, 50, 500])
def test_the_same_as_all_at_once(entries, of_entries):
    """One by one, two by two with one left over, all."""
    of_entries(100)

    def quantity(x, level):
        return {"sum": jnp.sum(x) * level, "square": x**2}

    found, expected = over(quantity, (FRAMES, SIGMA), entries), jax.vmap(quantity)(FRAMES, SIGMA)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6)


@pytest.mark.parametrize("frames_at_once", [1, 2])
def test_energies_scores_and_losses_do_not_depend_on_it(frames_at_once, of_entries):
    model, chart = particles(), cartesian_chart(np.asarray(FRAMES))

    def all_three(x, level):
        """Compiled anew, as the number at a time is that of when it was."""
        loss = implicit(model, None, chart, x, jnp.asarray(0.3), jax.random.key(2))
        return energies(model, None, x, level), scores(model, None, x, level), loss

    of_entries(10**9)
    whole = jax.jit(all_three)(FRAMES, SIGMA)
    of_entries(frames_at_once * COUNT**2)
    few = jax.jit(lambda *given: all_three(*given))(FRAMES, SIGMA)
    for found, expected in zip(few, whole, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


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
    assert one.entries(None, COUNT) == COUNT**2
    assert one.entries(lists, COUNT) == 3 * COUNT
    assert Sum((one, other)).entries(None, COUNT) == COUNT**2
    assert Experts.of([one, other], [0.5]).entries(None, COUNT) == COUNT**2
    assert FractionalEnergy(one, 1.5, jnp.zeros(3), jnp.ones(3)).entries(None, COUNT) == COUNT**2


@pytest.mark.parametrize("entries", [1, COUNT**2])
def test_no_frames_have_no_scores(entries, of_entries):
    of_entries(entries)
    both = jax.eval_shape(
        lambda x, level: [of(particles(), None, x, level) for of in (scores, energies)], FRAMES[:0], SIGMA[:0]
    )
    assert [found.shape for found in both] == [(0, COUNT, 3), (0,)]


def test_memory_is_that_of_the_tables_that_are_there_at_once(of_entries, monkeypatch):
    """Many frames, of which a few have their tables at a time, fit where all tables at once would not."""
    model = particles()

    def batch() -> int:
        return batch_that_fits(lambda y: scores(model, None, y, jnp.ones(len(y))), FRAMES[0], most=1024, least=16)

    of_entries(COUNT**2)
    needed = peak_bytes(jax.make_jaxpr(lambda y: scores(model, None, y, jnp.ones(16)))(jnp.ones((16, COUNT, 3))).jaxpr)
    monkeypatch.setattr(memory, "free_bytes", lambda: 40 * needed)
    assert batch() == 1024
    of_entries(10**9)
    assert batch() < 1024
