"""What a chart is: the coordinates in which noise is added."""

from abc import abstractmethod
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from twofold.errors import UserError


class Chart(eqx.Module):
    """A map between positions of one molecule in nm and the coordinates in which the noise is Gaussian.

    Coordinates are of order one. The metric is flat: noise, score and probability flow are those of Euclidean space,
    or of a product of lines and circles. Degrees of freedom that the noise leaves alone (the position of a molecule,
    and in internal coordinates its orientation) are not counted in `dimension`. `free` says whether the molecule floats
    in free space, so that where it is means nothing.
    """

    free: ClassVar[bool] = True

    @property
    @abstractmethod
    def dimension(self) -> int:
        """Number of degrees of freedom that the noise acts on."""

    @property
    def narrowest(self) -> Float[Array, ""] | None:
        """A variance that no direction of the data is narrower than, or None where the chart knows none.

        Cartesian charts do not: a bond is stiff along itself and free to turn, which the variances of modes average.
        """
        return None

    def spare(self, positions: Float[Array, "beads 3"]) -> Float[Array, " rest"]:
        """Components of positions that are no coordinates, and drift unless they are held; none here."""
        return jnp.zeros(0, positions.dtype)

    @abstractmethod
    def encode(self, positions: Float[Array, "beads 3"]) -> Float[Array, "..."]:
        """Coordinates of one conformation, positions in nm."""

    @abstractmethod
    def decode(self, coordinates: Float[Array, "..."]) -> Float[Array, "beads 3"]:
        """Positions in nm, in a standard place and orientation."""

    @abstractmethod
    def log_jacobian(self, coordinates: Float[Array, "..."]) -> Float[Array, ""]:
        """`ln |dx/dq|` up to a constant: what must be added to an energy in kT to act on positions."""

    def scores_of(
        self, positions: Float[Array, "beads 3"], forces: Float[Array, "beads 3"]
    ) -> Float[Array, "..."] | None:
        """Forces in kT/nm as a score in the coordinates; None where the chart cannot tell."""
        del positions, forces
        return None

    @abstractmethod
    def project(self, noise: Float[Array, "..."]) -> Float[Array, "..."]:
        """Noise without the components that move nothing (the mean over beads of a free molecule)."""

    @abstractmethod
    def wrap(self, coordinates: Float[Array, "..."]) -> Float[Array, "..."]:
        """Coordinates brought back to their fundamental domain (angles to one turn)."""

    @abstractmethod
    def prior(self, key: PRNGKeyArray, sigma_max: float | Float[Array, ""]) -> Float[Array, "..."]:
        """One draw from the density that the data have at the largest noise level."""

    def log_prior(self, coordinates: Float[Array, "..."], sigma_max: float | Float[Array, ""]) -> Float[Array, ""]:
        """Logarithm of the density of `prior`, in nats and per unit of the coordinates that the noise acts on.

        Raises UserError where the chart does not know it.
        """
        del coordinates, sigma_max
        raise UserError(f"{type(self).__name__} does not know the density of its largest noise", "a chart that does")
