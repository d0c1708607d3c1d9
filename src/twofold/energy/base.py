"""What every architecture offers, and what is derived from it once for all of them.

An energy is `U(system, x, sigma)` in kT, where `x` are the chart coordinates of one molecule and `sigma` is the noise
level in the same unit. Up to a constant of `sigma`, `-U` is the logarithm of the noised density, so that `-grad U` is
the score. `system` is what does not move (types, box, neighbours); a model of one molecule needs none and gets `None`.
"""

import math
from abc import abstractmethod
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from twofold.chart.base import Chart
from twofold.energy.together import over
from twofold.fixed import Fixed

System = Any


class Energy(eqx.Module):
    """A time-dependent energy in kT.

    `augment_rotation` tells the training loop that rotation is not an exact symmetry of the architecture, so that the
    frames must be turned at random. `like_beads` says that beads of one type may change places.
    """

    augment_rotation: ClassVar[bool] = False
    like_beads: ClassVar[bool] = False

    @abstractmethod
    def energy(self, system: System, x: Float[Array, "..."], sigma: Float[Array, ""]) -> Float[Array, ""]:
        """Energy of one molecule in kT."""

    def score(self, system: System, x: Float[Array, "..."], sigma: Float[Array, ""]) -> Float[Array, "..."]:
        """Score of one molecule, per unit of the coordinates: `-grad U`, unless it is known in another way."""
        return -jax.grad(self.energy, argnums=1)(system, x, sigma)

    @property
    def conservative_to(self) -> float:
        """Level of noise up to which the score is the gradient of an energy."""
        return math.inf

    def entries(self, system: System, count: int) -> int:
        """Entries in the tables of partners of one molecule of `count` beads, of which few fill a cache (see
        `twofold.energy.together`); 0 where there are none.
        """
        del system, count
        return 0

    def at_level(self, sigma: float) -> "Energy":
        """What is needed of this energy at one level of noise: all of it, unless parts of it are idle there.

        Raises UserError where there is no energy.
        """
        del sigma
        return self

    def of_positions(
        self, system: System, chart: Chart, positions: Float[Array, "beads 3"], sigma: Float[Array, ""]
    ) -> Float[Array, ""]:
        """Energy in kT of positions in nm: that of their coordinates plus the logarithm of the Jacobian.

        What is no coordinate has no energy; springs of unit width hold it.
        """
        coordinates, spare = chart.encode(positions), chart.spare(positions)
        return self.energy(system, coordinates, sigma) + chart.log_jacobian(coordinates) + 0.5 * jnp.sum(spare**2)


def energies(
    model: Energy, system: System, x: Float[Array, "batch ..."], sigma: Float[Array, " batch"]
) -> Float[Array, " batch"]:
    """Energies of a batch in kT, each member at its own noise level; in full float32, as `scores`."""
    with jax.default_matmul_precision("float32"):
        return over(lambda one, level: model.energy(system, one, level), (x, sigma), model.entries(system, x.shape[1]))


def scores(
    model: Energy, system: System, x: Float[Array, "batch ..."], sigma: Float[Array, " batch"]
) -> Float[Array, "batch ..."]:
    """Scores of a batch, per unit of the chart coordinates.

    In full float32: the objectives subtract nearly equal scores, which products rounded to TF32 would spoil.
    """
    with jax.default_matmul_precision("float32"):
        return over(lambda one, level: model.score(system, one, level), (x, sigma), model.entries(system, x.shape[1]))


def trainable(model: Energy) -> Any:
    """A tree of booleans in the shape of `model`: true for the arrays that an optimiser may change."""

    def mark(node: Any) -> Any:
        if isinstance(node, Fixed):
            return jax.tree.map(lambda _: False, node)
        return eqx.is_inexact_array(node)

    return jax.tree.map(mark, model, is_leaf=lambda node: isinstance(node, Fixed))
