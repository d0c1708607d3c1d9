"""How many conformations memory holds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twofold.sampling import memory
from twofold.sampling.memory import batch_that_fits, peak_bytes


def grown(x):
    wide = jnp.outer(x, x)  # 400 x 400 numbers
    return jnp.sum(wide, axis=0)


def twice(x):
    return grown(grown(x))


def looped(x):
    return jax.lax.scan(lambda x, _: (grown(x) / 400.0, None), x, None, length=50)[0]


@pytest.mark.parametrize("function", [grown, twice, looped, jax.jit(grown)])
def test_peak_is_the_largest_array_and_what_lives_beside_it(function):
    peak = peak_bytes(jax.make_jaxpr(function)(jnp.ones(400)).jaxpr)
    assert 4 * 400**2 <= peak <= 4 * 400**2 + 10 * 4 * 400


def test_what_is_needed_later_counts():
    def kept(x):
        wide = jnp.outer(x, x)
        return jnp.sin(wide) @ wide

    assert peak_bytes(jax.make_jaxpr(kept)(jnp.ones(400)).jaxpr) >= 2 * 4 * 400**2


@pytest.mark.parametrize(("free", "batch"), [(None, 1024), (1e12, 1024), (2.6e8, 128), (1e3, 16)])
def test_batches_are_halved_until_they_fit(monkeypatch, free, batch):
    monkeypatch.setattr(memory, "free_bytes", lambda: free)
    assert batch_that_fits(jax.vmap(grown), jnp.ones(400), most=1024, least=16) == batch


def test_free_memory_is_known_here_or_not_at_all():
    free, main = memory.free_bytes(), memory.main_memory()
    assert free is None or free > 0
    if main is not None:
        assert np.all(np.diff([0, *main]) > 0)
