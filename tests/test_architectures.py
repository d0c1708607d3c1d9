"""Which architecture suits a molecule, and what is built."""

import dataclasses

import equinox as eqx
import jax
import numpy as np
import pytest

from twofold.architectures import BUILDERS, CLASSES, FEW, build
from twofold.beads import Beads
from twofold.choice import LONGEST_CHAIN, choose
from twofold.energy.base import Energy
from twofold.ensemble import Ensemble
from twofold.errors import UserError
from twofold.systems.toys import LANDSCAPES

PIECES = [(0, 1), (1, 2), (3, 4), (4, 5)]


def walk(count, bonds=None, seed=0):
    """Frames of a chain of stiff bonds that is not compact."""
    steps = np.random.default_rng(seed).standard_normal((80, count - 1, 3)) + np.array([0.8, 0, 0])
    positions = np.cumsum(0.15 * steps / np.linalg.norm(steps, axis=-1, keepdims=True), axis=1)
    positions = np.concatenate([np.zeros((80, 1, 3)), positions], axis=1)
    bonds = [(k, k + 1) for k in range(count - 1)] if bonds is None else bonds
    return Ensemble.build(Beads.anonymous(count, bonds=bonds), positions, 300.0)


def test_a_chain_gets_internal_coordinates(chain_ensemble, branched_ensemble):
    for ensemble in (chain_ensemble, branched_ensemble):
        name, reason = choose(ensemble)
        assert name == "internal"
        assert str(len(ensemble.beads)) in reason


@pytest.mark.parametrize(
    ("ensemble", "text"),
    [
        (walk(6, PIECES), "not connected"),
        (walk(2), "2 beads"),
        (walk(LONGEST_CHAIN + 1), "more than"),
    ],
    ids=["pieces", "pair", "long"],
)
def test_what_is_sent_to_cartesian_coordinates(ensemble, text):
    name, reason = choose(ensemble)
    assert name == "cartesian"
    assert text in reason


def test_a_compact_chain_is_sent_to_cartesian_coordinates():
    """A chain folded to and fro: bonded neighbours, but a quarter of the extent of a free chain."""
    line = walk(24)
    folded = line.positions[:, :1] + 0.06 * np.random.default_rng(1).standard_normal((80, 24, 3)).astype(np.float32)
    name, reason = choose(dataclasses.replace(line, positions=folded))
    assert name == "cartesian"
    assert "compact" in reason
    mixed = dataclasses.replace(line, positions=np.where(np.arange(80)[:, None, None] % 2, folded, line.positions))
    for counted, expected in ((0, "internal"), (1, "cartesian")):  # only frames that have weight
        weighted = dataclasses.replace(mixed, weights=np.where(np.arange(80) % 2 == counted, 2.0, 0.0))
        assert choose(weighted)[0] == expected


def test_auto_builds_the_chosen_one_and_says_why(chain_ensemble):
    built = build("auto", chain_ensemble, jax.random.key(0), width=16, depth=2)
    assert built.name == "internal"
    assert "chain" in built.reason
    assert isinstance(built.energy, Energy)
    assert 0 < built.schedule.smallest < built.schedule.largest
    assert built.chart.dimension == 9


def test_few_frames_of_a_chain_are_held_back_more():
    """A chain above eight beads has the small network and twice the weight decay until there are frames enough."""
    few = walk(12)
    copies = -(-2 * FEW // len(few))
    many = Ensemble.build(few.beads, np.tile(few.positions, (copies, 1, 1)), 300.0)
    recipes = [build("internal", one, jax.random.key(0), depth=2).recipe for one in (few, many)]
    assert recipes[0].weight_decay == 2 * recipes[1].weight_decay


def test_seeds_decide_the_network(chain_ensemble):
    first, again, other = (build("internal", chain_ensemble, jax.random.key(k), width=16) for k in (0, 0, 1))
    np.testing.assert_array_equal(first.energy.network.first, again.energy.network.first)
    assert np.abs(np.asarray(first.energy.network.first - other.energy.network.first)).max() > 0


def test_width_and_depth_are_those_of_every_architecture(chain_ensemble):
    bead_networks = build("cartesian", chain_ensemble, jax.random.key(0), width=16, depth=1).energy
    assert (bead_networks.first.shape[-1], len(bead_networks.blocks)) == (16, 1)
    assert len(build("cartesian", chain_ensemble, jax.random.key(0), width=16).energy.blocks) == 3
    assert len(build("transformer", chain_ensemble, jax.random.key(0), width=16, depth=3).energy.blocks) == 3
    assert len(build("internal", chain_ensemble, jax.random.key(0), width=16, depth=3).energy.network.hidden) == 2


def subject(name, chain_ensemble):
    """Something that the architecture suits."""
    return LANDSCAPES["double-well-2d"].ensemble(500, 0) if name == "flat" else chain_ensemble


def test_few_frames_get_the_small_network():
    line = walk(12)
    sizes = []
    for repeats in (1, 50):
        many = dataclasses.replace(
            line,
            positions=np.tile(line.positions, (repeats, 1, 1)),
            weights=np.ones(80 * repeats),
            trajectory=np.zeros(80 * repeats, int),
            block=np.repeat(np.arange(20), 4 * repeats),
        )
        sizes.append(build("internal", many, jax.random.key(0)).energy.network.hidden[0].shape[0])
    assert sizes == [64, 192]


def test_slow_updates_come_in_short_scans(chain_ensemble):
    chunks = {
        name: build(name, subject(name, chain_ensemble), jax.random.key(0), width=16).recipe.chunk for name in BUILDERS
    }
    assert chunks["transformer"] < chunks["internal"] == 100


def test_landscapes_keep_their_coordinates(chain_ensemble):
    assert choose(LANDSCAPES["double-well-2d"].ensemble(500, 0))[0] == "flat"
    with pytest.raises(UserError, match="external potential"):
        build("flat", chain_ensemble, jax.random.key(0))


@pytest.mark.parametrize(("frames", "expected"), [(200_000, 0.05), (20_000, 0.25), (2000, 0.5)])
def test_few_frames_of_a_landscape_are_held_back_more(frames, expected):
    training = LANDSCAPES["double-well-2d"].ensemble(frames, 0)
    assert build("auto", training, jax.random.key(0)).recipe.weight_decay == pytest.approx(expected)


@pytest.mark.parametrize(("frames", "expected"), [(100, 0.5), (5000, 0.1), (20_000, 0.05)])
def test_few_frames_of_particles_are_held_back_more(frames, expected):
    some = walk(4)
    training = Ensemble.build(some.beads, np.resize(some.positions, (frames, 4, 3)), 300.0)
    assert build("particles", training, jax.random.key(0)).recipe.weight_decay == pytest.approx(expected)


def test_the_smallest_noise_can_be_asked_for():
    schedule = build("auto", walk(5), jax.random.key(0), smallest=0.1).schedule
    assert (schedule.smallest, schedule.largest) == (0.1, build("auto", walk(5), jax.random.key(0)).schedule.largest)


def test_mistakes():
    with pytest.raises(UserError, match=r"smallest_noise 20\..*less than 14"):
        build("auto", walk(5), jax.random.key(0), smallest=20.0)
    with pytest.raises(UserError, match="schedule vp-linear"):
        build("auto", walk(5), jax.random.key(0), smallest=0.1, schedule="vp-linear")
    with pytest.raises(UserError, match=r"(?i)resnet"):
        build("resnet", walk(5), jax.random.key(0))
    with pytest.raises(UserError, match="not connected"):
        build("internal", walk(6, PIECES), jax.random.key(0))


@pytest.mark.parametrize("name", BUILDERS)
def test_every_part_of_a_model_can_be_read_back(name, chain_ensemble):
    from twofold.files.trees import pack, unpack

    built = build(name, subject(name, chain_ensemble), jax.random.key(0), width=16)
    arrays = {}
    for part in (built.energy, built.chart):
        found = unpack(pack(part, arrays, "part"), arrays, CLASSES)
        assert eqx.tree_equal(found, part)


def test_few_beads():
    assert (build("auto", walk(3), jax.random.key(0)).name, build("auto", walk(2), jax.random.key(0)).name) == (
        "internal",
        "cartesian",
    )
    with pytest.raises(UserError, match="two beads or more"):
        build("auto", walk(1), jax.random.key(0))
