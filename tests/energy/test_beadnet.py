import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from energy import molecules
from twofold.chart.cartesian import cartesian_chart
from twofold.energy.base import energies, scores, trainable
from twofold.energy.beadnet import BeadNetSettings, build_beadnet
from twofold.energy.tables import noised

SMALL = BeadNetSettings(width=16, blocks=2, table_frames=500)
RING = np.array([[0, 1], [1, 2], [2, 3], [3, 4], [0, 4]])


def build(frames, bonds, settings=SMALL):
    chart = cartesian_chart(frames)
    model = build_beadnet(molecules.beads(frames.shape[1], bonds), frames, chart, jax.random.key(0), settings)
    return chart, _awake(model)


def _awake(model):
    """The model with a readout that is not zero, as after training."""
    last = 0.3 * np.random.default_rng(0).standard_normal(model.last.shape)
    return eqx.tree_at(lambda m: m.last, model, jnp.asarray(last, model.last.dtype))


@pytest.fixture(scope="module")
def chain():
    return build(molecules.chain_frames(1000), molecules.CHAIN_BONDS)


@pytest.fixture(scope="module")
def chain_in_double(chain):
    """The energy in float64, compiled once, and a frame of the chain."""
    chart, model = chain
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda a: a.astype(jnp.float64) if eqx.is_inexact_array(a) else a, model)
    frame = np.asarray(chart.encode(jnp.asarray(molecules.chain_frames(1)[0])), np.float64)
    return jax.jit(lambda y, sigma: wide.energy(None, y, sigma)), frame


def test_network_starts_at_the_prior(chain):
    chart, model = chain
    asleep = eqx.tree_at(lambda m: m.last, model, jnp.zeros_like(model.last))
    x = chart.encode(jnp.asarray(molecules.chain_frames(1)[0]))
    full, prior = jax.jit(lambda y: (asleep.energy(None, y, 0.1), asleep.prior.energy(y, 0.1)))(x)
    assert float(full) == pytest.approx(float(prior), rel=1e-6)


@pytest.mark.parametrize("sigma", [0.01, 0.3, 4.0])
def test_gradients_agree_with_finite_differences(chain_in_double, sigma):
    energy, frame = chain_in_double
    with jax.enable_x64(True):
        y = jnp.asarray(noised(frame[None], sigma, seed=1)[0], jnp.float64)
        arguments = (y, jnp.float64(sigma))
        check_grads(energy, arguments, order=1, modes=["rev"], rtol=1e-4, eps=1e-6)


def test_tables_are_not_trained(chain):
    _, model = chain
    mask = trainable(model)
    assert not any(jax.tree.leaves(mask.features))
    assert not any(jax.tree.leaves(mask.prior))
    assert mask.first
    assert mask.last
    assert all(jax.tree.leaves(mask.blocks))


def test_network_learns():
    """A few steps of the antithetic loss lower the error of the score where the prior is wrong."""
    optax = pytest.importorskip("optax")
    from twofold.objectives.denoising import antithetic

    frames = molecules.chain_frames(2000)
    chart = cartesian_chart(frames)
    model = build_beadnet(molecules.beads(6, molecules.CHAIN_BONDS), frames, chart, jax.random.key(0), SMALL)
    x = jax.vmap(chart.encode)(jnp.asarray(frames))
    parameters, fixed = eqx.partition(model, trainable(model))
    optimiser = optax.adam(5e-3)

    def loss(parameters, key, count):
        index = jax.random.randint(key, (count,), 0, len(x))
        noise = jax.vmap(chart.project)(jax.random.normal(key, (count, 6, 3)))
        sigma = jnp.geomspace(0.05, 1.0, count)
        return jnp.mean(antithetic(eqx.combine(parameters, fixed), None, x[index], noise, sigma) * sigma**2)

    @jax.jit
    def train(parameters):
        def step(state, key):
            parameters, memory = state
            updates, memory = optimiser.update(jax.grad(loss)(parameters, key, 64), memory)
            return (optax.apply_updates(parameters, updates), memory), None

        keys = jax.random.split(jax.random.key(1), 200)
        return jax.lax.scan(step, (parameters, optimiser.init(parameters)), keys)[0][0]

    check = jax.jit(lambda parameters: loss(parameters, jax.random.key(7), 2000))
    before, after = float(check(parameters)), float(check(train(parameters)))
    assert after < before - 0.2


@pytest.mark.parametrize(
    ("name", "count", "bonds"),
    [("pair", 2, [[0, 1]]), ("three", 3, []), ("ring", 5, RING), ("apart", 6, [[0, 1], [3, 4]]), ("soft", 8, [])],
)
def test_any_molecule(name, count, bonds):
    frames = 0.1 * molecules.gaussian_frames(400, count)[0]
    if name in ("pair", "ring"):
        shape = np.random.default_rng(2).standard_normal((count, 3))
        frames = 0.1 * shape + 0.002 * np.random.default_rng(3).standard_normal((400, count, 3))
    chart, model = build(frames.astype(np.float32), np.array(bonds, int))
    x = jax.vmap(chart.encode)(jnp.asarray(frames[:4], jnp.float32))
    both = jax.jit(lambda y, level: jnp.append(scores(model, None, y, level), energies(model, None, y, level)))
    for sigma in (0.004, 1.0, 8.0):
        assert np.isfinite(np.asarray(both(x, jnp.full(4, sigma)))).all(), name


def test_cost_is_capped_for_long_chains():
    rng = np.random.default_rng(0)
    steps = rng.standard_normal((300, 60, 3))
    steps *= 0.38 / np.linalg.norm(steps, axis=-1, keepdims=True)
    frames = np.cumsum(steps, axis=1).astype(np.float32)
    bonds = np.stack([np.arange(59), np.arange(1, 60)], axis=1)
    chart, model = build(frames, bonds, BeadNetSettings(width=16, partners=12, torsions=4, table_frames=200))
    assert model.features.width == 2 * (12 + 10 + 2 * 4)
    x = chart.encode(jnp.asarray(frames[0]))
    gradient = jax.jit(jax.grad(lambda y: model.energy(None, y, jnp.float32(0.02))))(x)
    assert np.isfinite(np.asarray(gradient)).all()
