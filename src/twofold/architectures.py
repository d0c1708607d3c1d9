"""The architectures by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from twofold.bond_graph import bonds_apart
from twofold.chart import cartesian
from twofold.chart import flat as flat_charts
from twofold.chart import internal as internal_charts
from twofold.chart.base import Chart
from twofold.chart.cartesian import CartesianChart, cartesian_chart
from twofold.chart.flat import flat_chart
from twofold.chart.internal import loosening
from twofold.chart.rings import chart_and_limit
from twofold.chart.tree import NotATree, tree_of
from twofold.choice import choose
from twofold.energy import (
    beadnet,
    contacts,
    coulomb,
    experts,
    features,
    flat,
    fractional,
    internal,
    network,
    pair_energy,
    particles,
    priors,
    repulsion,
    springs,
    sums,
    tables,
    transformer,
    type_walls,
)
from twofold.energy.base import Energy
from twofold.energy.beadnet import build_beadnet
from twofold.energy.contacts import excluded_volume
from twofold.energy.experts import OVERLAP, Experts, PlainScore
from twofold.energy.flat import FlatEnergy
from twofold.energy.internal import FAR, InternalEnergy, chain_features, far_pairs
from twofold.energy.pairs import contacts_by_type
from twofold.energy.particles import ParticleEnergy
from twofold.energy.sums import Sum
from twofold.energy.transformer import TransformerSettings, build_transformer
from twofold.ensemble import Ensemble
from twofold.errors import UserError
from twofold.noise import VIEWS, NoiseSchedule, TimeSchedule
from twofold.recipes import (
    CARTESIAN,
    CHAIN,
    CHAIN_OF_FEW,
    LANDSCAPE,
    MANY,
    PARTICLES,
    PUBLISHED,
    SMALL_CHAIN,
    Recipe,
    of_frames,
)

SMALL = 8
"""Molecules of up to so many beads get the small network."""
FEW = 3000
"""Independent frames below which a chain of any length gets the small network: a large one learns them by heart."""


@dataclass(frozen=True)
class Built:
    """A chart and an untrained energy on it, with the noise and the recipe that suit them, and why they were chosen.

    dynamics_to: the largest noise at which molecules are whole enough to be simulated. loosening: what turns normal
    numbers (coordinates,) into the noise that training frames get beforehand, where the data are rigid.
    """

    name: str
    reason: str
    chart: Chart
    energy: Energy
    schedule: NoiseSchedule
    recipe: Recipe
    dynamics_to: float = math.inf
    loosening: np.ndarray | None = None


def _internal(training: Ensemble, key: PRNGKeyArray, width: int | None, depth: int | None, reason: str) -> Built:
    try:
        tree = tree_of(training.beads, training.positions)
        chart, closed = chart_and_limit(tree, training.positions, training.weights)
    except NotATree as error:
        raise UserError(f"{error}, which internal coordinates cannot describe", "a chain", "use cartesian") from error
    # the network sees what the tree leaves far apart, walls stand between what is: a ring may hold both ends of a pair
    far = far_pairs(bonds_apart(len(tree), tree.bonds))
    pairs = np.unique(np.concatenate([far, np.sort(tree.closing, axis=1)]), axis=0)
    held = bonds_apart(len(tree), np.concatenate([tree.bonds, tree.closing]))[tuple(pairs.T)] < FAR
    distances = _distances(training.positions, pairs)
    inputs = chain_features(chart, pairs, distances[:: max(1, len(distances) // 10000)])
    volume = excluded_volume(training.beads, pairs, distances[training.weights > 0], ~held)
    small = len(tree) <= SMALL
    modest = small or training.effective_size < FEW
    width, depth = width or (64 if modest else 192), depth or (2 if modest else 3)
    energy = InternalEnergy.build(inputs, volume, key, width=width, depth=depth)
    # the largest noise makes torsions uniform; the smallest blurs them by 3.6 or 1.4 degrees. Below it few coordinates
    # are learned frame by frame: the held-out loss of a small chain rises there within minutes
    schedule = NoiseSchedule(min(0.25 if small else 0.1, closed / 2), 14.0)
    loose = loosening(chart, training.positions, training.weights)
    recipe = SMALL_CHAIN if small else CHAIN_OF_FEW if modest else CHAIN
    return Built("internal", reason, chart, energy, schedule, recipe, closed, loose)


def _distances(positions: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Distances (frames, pairs) in nm."""
    columns = [np.linalg.norm(positions[:, i].astype(np.float64) - positions[:, j], axis=-1) for i, j in pairs]
    return np.stack(columns, axis=1) if columns else np.zeros((len(positions), 0))


def _cartesian(training: Ensemble, key: PRNGKeyArray, width: int | None, depth: int | None, reason: str) -> Built:
    chart = cartesian_chart(training.positions, training.weights)
    settings = beadnet.BeadNetSettings(**_given(width=width, blocks=depth))
    energy = build_beadnet(training.beads, training.positions, chart, key, settings, training.weights)
    return Built("cartesian", reason, chart, energy, NoiseSchedule(0.004, 6.0), CARTESIAN)


def _transformer(training: Ensemble, key: PRNGKeyArray, width: int | None, depth: int | None, reason: str) -> Built:
    chart = cartesian_chart(training.positions, training.weights)
    settings = TransformerSettings(**_given(width=width, layers=depth))
    energy = build_transformer(training.beads, key, settings)
    return Built("transformer", reason, chart, energy, NoiseSchedule(0.004, 6.0), PUBLISHED)


def _flat(training: Ensemble, key: PRNGKeyArray, width: int | None, depth: int | None, reason: str) -> Built:
    if "coordinates" not in training.source:
        raise UserError("a molecule in free space", "a particle in an external potential", "use internal or cartesian")
    chart = flat_chart(training.positions, training.weights, training.source["coordinates"])
    energy = FlatEnergy.build(chart, key, width=width or 96, depth=depth or 3)
    recipe = of_frames(LANDSCAPE, MANY["flat"], training.effective_size)
    return Built("flat", reason, chart, energy, NoiseSchedule(0.02, 10.0), recipe)


def _particles(training: Ensemble, key: PRNGKeyArray, width: int | None, depth: int | None, reason: str) -> Built:
    chart = cartesian_chart(training.positions, training.weights, training.source.get("axes", 3))
    names = sorted(set(training.beads.types))
    types = np.array([names.index(name) for name in training.beads.types])
    contact = contacts_by_type(training.positions[training.weights > 0], types) / float(chart.length)
    energy = ParticleEnergy.build(types, contact, key, width=width or 32, depth=depth or 2)
    recipe = of_frames(PARTICLES, MANY["particles"], training.effective_size)
    return Built("particles", reason, chart, energy, NoiseSchedule(0.004, 6.0), recipe)


def _given(**sizes: int | None) -> dict[str, int]:
    return {name: size for name, size in sizes.items() if size is not None}


BUILDERS: dict[str, Callable[[Ensemble, PRNGKeyArray, int | None, int | None, str], Built]] = {
    "flat": _flat,
    "internal": _internal,
    "cartesian": _cartesian,
    "transformer": _transformer,
    "particles": _particles,
}


def build(
    name: str,
    training: Ensemble,
    key: PRNGKeyArray,
    *,
    width: int | None = None,
    depth: int | None = None,
    schedule: str = "log-uniform",
    smallest: float | None = None,
) -> Built:
    """Chart and untrained energy for `training`; `name` may be "auto", `schedule` one of `noise.VIEWS`.

    smallest: the least noise, in units of the chart, where it is not to be what suits the architecture. Raises
    UserError for an unknown name, and for a least noise that is too large or asked of a published schedule.
    """
    reason = "as asked for"
    if name == "auto":
        name, reason = choose(training)
    if name not in BUILDERS:
        raise UserError(f"architecture {name!r}", f"auto or one of {', '.join(BUILDERS)}")
    built = BUILDERS[name](training, key, width, depth, reason)
    if schedule != "log-uniform":
        if smallest is not None:
            raise UserError(f"smallest_noise {smallest:g} with schedule {schedule}, which has a range", "one of them")
        return replace(built, schedule=TimeSchedule.of(VIEWS[schedule]))
    largest = built.schedule.largest
    if smallest is not None and not smallest < largest:
        raise UserError(f"smallest_noise {smallest:g}", f"less than {largest:g}, the largest noise")
    return built if smallest is None else replace(built, schedule=NoiseSchedule(smallest, largest))


def with_experts(
    built: Built,
    training: Ensemble,
    key: PRNGKeyArray,
    boundaries: Sequence[float],
    *,
    overlap: float = OVERLAP,
    plain: int = 0,
    width: int | None = None,
    depth: int | None = None,
) -> Built:
    """`built` with an energy of its own for each range of noise between `boundaries`, in units of the chart.

    All come from the same builder, with the same features and a network of their own. plain: how many, from the last on
    down, are networks of the score without an energy. Raises UserError for boundaries out of the range of the schedule
    or too close.
    """
    smallest, largest = built.schedule.smallest, built.schedule.largest
    if not all(smallest < boundary < largest for boundary in boundaries):
        raise UserError(
            f"boundaries of experts at sigma {', '.join(f'{b:g}' for b in boundaries)}",
            f"between {smallest:g} and {largest:g}, the range of the noise",
        )
    parts = [built.energy]
    for place in range(1, len(boundaries) + 1):
        own = jax.random.fold_in(key, place)
        if place > len(boundaries) - plain:
            example = built.chart.encode(jnp.asarray(training.positions[0]))
            parts.append(PlainScore.build(built.chart, example, own, width=width or 128, depth=depth or 3))
        else:
            parts.append(BUILDERS[built.name](training, own, width, depth, built.reason).energy)
    energy = Experts.of(parts, boundaries, overlap)
    if not energy.conservative_to > smallest:
        raise UserError(
            f"a plain expert from sigma {energy.conservative_to:g}", f"an energy at the smallest noise, {smallest:g}"
        )
    return replace(built, energy=energy)


def beside(built: Built, *terms: Energy) -> Built:
    """`built` with terms of known form, such as `coulomb`, in its energy. Raises UserError unless it is Cartesian."""
    if not isinstance(built.chart, CartesianChart):
        raise UserError(f"known terms beside {built.name!r}", "Cartesian coordinates", "use particles or cartesian")
    if isinstance(built.energy, Experts):
        # one at a time is asked, so that each needs the terms; a plain score has no energy to add to
        parts = [one if isinstance(one, PlainScore) else Sum((one, *terms)) for one in built.energy.experts]
        return replace(built, energy=replace(built.energy, experts=tuple(parts)))
    return replace(built, energy=Sum((built.energy, *terms)))


def _classes() -> dict[str, type]:
    import equinox as eqx

    charts = (internal_charts, cartesian, flat_charts)
    energies = (beadnet, contacts, coulomb, experts, features, flat, fractional, internal, network)
    others = (pair_energy, particles, priors, repulsion, springs, sums, tables, transformer, type_walls)
    modules = (*charts, *energies, *others)
    found = {name: kind for module in modules for name, kind in vars(module).items() if isinstance(kind, type)}
    return {name: kind for name, kind in found.items() if issubclass(kind, eqx.Module)}


CLASSES = _classes()
"""The modules that a stored model may hold."""

__all__ = ["BUILDERS", "CLASSES", "Built", "beside", "build", "with_experts"]
