"""Replica exchange: copies of a replica at several levels of a force field, which trade their conformations.

A level where barriers are low hands what it has found down to the level that is asked for. Walker `rung * replicas +
replica` stays at its rung; conformations move. After every frame half of the neighbouring rungs try to trade, the
other half after the next one. A trade between x at level a and y at level b is taken with the probability
`min(1, exp(-(U_a(y) + U_b(x) - U_a(x) - U_b(y)) / kT))`, which leaves the densities of all rungs as they are (Sugita,
Kitao and Okamoto 2000, J. Chem. Phys. 113, 6042). A constant that belongs to a level, as every noise level of a
diffusion model has one, drops out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from twofold.simulation.force_field import ForceField
from twofold.simulation.integrators import State, choose, init


class Ladder(eqx.Module):
    """Who trades with whom. partners: after even and after odd frames; a walker without a partner has itself."""

    partners: Int[Array, "2 walkers"]
    rungs: int = eqx.field(static=True)
    thermal: Float[Array, ""]  # kJ/mol
    key: Array

    @classmethod
    def build(cls, replicas: int, rungs: int, thermal: float, key: Array) -> Ladder:
        """A ladder of `rungs` for each of `replicas`; thermal: kT of the bath in kJ/mol."""
        rung = np.arange(rungs)
        partners = []
        for first in (0, 1):
            other = np.where((rung - first) % 2 == 0, rung + 1, rung - 1)
            other = np.where((other < 0) | (other >= rungs), rung, other)
            partners.append((other[:, None] * replicas + np.arange(replicas)).ravel())
        return cls(jnp.asarray(np.stack(partners), jnp.int32), rungs, jnp.float32(thermal), key)


class Trade(NamedTuple):
    """The walkers after the trades, and how many replicas traded across each step of the ladder (rungs - 1,)."""

    state: State
    taken: Int[Array, " steps"]


def trade(
    ladder: Ladder,
    force_field: ForceField,
    state: State,
    running: Bool[Array, " walkers"],
    allowed: Callable[[State], Bool[Array, " walkers"]],
    frame: Int[Array, ""],
) -> Trade:
    """One round of trades after frame number `frame`.

    Stopped walkers keep what they have, and nobody gets what would stop him; `allowed` says what does not.
    """
    partner = ladder.partners[frame % 2]
    walker = jnp.arange(len(partner))
    # one evaluation serves both: what a walker would have after the trade, at its own level
    crossed = init(force_field, state.positions[partner], state.velocities[partner])
    change = crossed.potential - state.potential
    cost = (change + change[partner]) / ladder.thermal
    # both of a pair look at the number of the lower one
    chance = jax.random.uniform(jax.random.fold_in(ladder.key, frame), cost.shape)[jnp.minimum(walker, partner)]
    able = running & allowed(crossed)
    taken = (partner != walker) & able & able[partner] & (jnp.log(chance) < -cost)

    upwards = (taken & (partner > walker)).reshape(ladder.rungs, -1)
    return Trade(choose(taken, crossed, state), jnp.sum(upwards, axis=1, dtype=jnp.int32)[:-1])


def acceptance(taken: np.ndarray, lived: np.ndarray) -> tuple[float, ...]:
    """Part of the trades (rungs - 1,) that were taken, by step of the ladder; NaN without a try.

    lived: (rungs, replicas), frames that each walker came through. Two try while both are running.
    """
    both = np.minimum(lived[:-1], lived[1:])
    tries = [int(np.sum((frames + 1 - step % 2) // 2)) for step, frames in enumerate(both)]
    return tuple(float(n / t) if t else float("nan") for n, t in zip(taken, tries, strict=True))
