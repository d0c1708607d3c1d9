"""What the engine asks of a potential, and what is derived from it once for all potentials."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Protocol, cast, runtime_checkable

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float

Potential = Callable[[Float[Array, "beads 3"]], Float[Array, ""]]


@runtime_checkable
class ForceField(Protocol):
    """A pytree (an `equinox.Module`) whose arrays are its parameters.

    It may also have `energies_and_forces(positions (replicas, beads, 3)) -> (replicas,) kJ/mol, (replicas, beads, 3)
    kJ/mol/nm` where it knows a faster way than the gradient of one molecule, vectorised. That has to be differentiable
    in forward mode.
    """

    def energy(self, positions: Float[Array, "beads 3"]) -> Float[Array, ""]:
        """Potential energy of one molecule in kJ/mol, positions in nm."""
        ...


class FunctionForceField(eqx.Module):
    """A plain function of the positions of one molecule (nm) that returns kJ/mol."""

    function: Potential

    def energy(self, positions: Float[Array, "beads 3"]) -> Float[Array, ""]:
        """Potential energy of one molecule in kJ/mol."""
        return self.function(positions)


def as_force_field(potential: ForceField | Potential) -> ForceField:
    """`potential` itself where it has an `energy`, else the function wrapped."""
    return potential if isinstance(potential, ForceField) else FunctionForceField(potential)


def energies_and_forces(
    force_field: ForceField, positions: Float[Array, "replicas beads 3"]
) -> tuple[Float[Array, " replicas"], Float[Array, "replicas beads 3"]]:
    """Energies in kJ/mol and forces in kJ/mol/nm."""
    if (batched := getattr(force_field, "energies_and_forces", None)) is not None:
        return cast("Any", batched)(positions)
    energies, gradients = jax.vmap(jax.value_and_grad(force_field.energy))(positions)
    return energies, -gradients


def curvature_along(
    force_field: ForceField, positions: Float[Array, "replicas beads 3"], directions: Float[Array, "replicas beads 3"]
) -> Float[Array, "replicas beads 3"]:
    """Product of the Hessian of each replica's energy with a vector, kJ/mol/nm^2 times its unit (Pearlmutter 1994)."""
    _, tangent = jax.jvp(lambda x: energies_and_forces(force_field, x)[1], (positions,), (directions,))
    return -tangent


def fingerprint(force_field: ForceField) -> str:
    """A hash of the type and all arrays of a force field: tells whether a record was made with this one."""
    digest = hashlib.sha256(type(force_field).__qualname__.encode())
    for leaf in jax.tree.leaves(eqx.filter(force_field, eqx.is_array_like)):
        array = np.asarray(leaf)
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]


def net_force_ratio(forces: Float[Array, "replicas beads 3"]) -> float:
    """Largest |sum of forces| over the mean of sum |forces|: zero, up to rounding, for a molecule in free space."""
    values = np.asarray(forces, dtype=np.float64)
    total = np.linalg.norm(values, axis=-1).sum(axis=-1)
    net = np.linalg.norm(values.sum(axis=1), axis=-1)[np.isfinite(total)]
    mean = np.mean(total[np.isfinite(total)]) if len(net) else 0.0
    return float(np.max(net) / mean) if mean > 0 else 0.0
