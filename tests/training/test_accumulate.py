"""Gradients of sums over frames, a few frames at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twofold.sampling.memory import peak_bytes
from twofold.training.accumulate import value_and_gradient

PARAMETERS = {"matrix": jnp.arange(6.0).reshape(2, 3) / 6, "shift": jnp.array([0.3, -0.2])}
FRAMES = jax.random.normal(jax.random.key(0), (12, 3)), jnp.linspace(0.5, 2.0, 12), None
PRIME = jax.tree.map(lambda array: array[1:], FRAMES)


def weighted(parameters, frames):
    x, weight, _ = frames
    return jnp.sum(weight * jnp.sum(jnp.tanh(x @ parameters["matrix"].T + parameters["shift"]) ** 2, axis=1))


@pytest.mark.parametrize("frames", [FRAMES, PRIME], ids=["even", "a rest"])
@pytest.mark.parametrize("at_once", [1, 3, 5, 7, 12, 10**9])
def test_parts_have_the_sum_and_the_gradient_of_the_whole(at_once, frames):
    value, gradient = jax.jit(value_and_gradient, static_argnums=(0, 3))(weighted, PARAMETERS, frames, at_once)
    expected, slope = jax.value_and_grad(weighted)(PARAMETERS, frames)
    assert float(value) == pytest.approx(float(expected), rel=1e-5)
    for name, array in slope.items():
        np.testing.assert_allclose(gradient[name], array, rtol=1e-5)


@pytest.mark.parametrize(
    ("frames", "at_once", "parts"), [(FRAMES, 1, 12), (FRAMES, 5, 3), (FRAMES, 7, 2), (PRIME, 4, 2)]
)
def test_parts_are_alike_but_for_a_rest(frames, at_once, parts):
    jaxpr = jax.make_jaxpr(lambda p: value_and_gradient(weighted, p, frames, at_once))(PARAMETERS)
    (scan,) = (equation for equation in jaxpr.eqns if equation.primitive.name == "scan")
    assert scan.params["length"] == parts


def test_what_a_part_leaves_is_forgotten():
    frames = jnp.ones((64, 100))

    def of_tables(scale, x):
        return jnp.sum(jnp.sin(scale * x[:, :, None] * x[:, None, :]))

    def peak(at_once: int) -> int:
        return peak_bytes(jax.make_jaxpr(lambda p: value_and_gradient(of_tables, p, frames, at_once))(1.0).jaxpr)

    assert peak(64) > 10 * peak(4)
