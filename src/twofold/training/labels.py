"""What a fit learns from beside the noise: forces, how strong they are and at which noise they matter."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from twofold.beads import Beads
from twofold.chart.base import Chart
from twofold.ensemble import Ensemble
from twofold.units import thermal_energy


def force_labels(ensemble: Ensemble, wanted: str) -> np.ndarray | None:
    """Forces (frames, beads, 3) in kT/nm, or None where there are none or none are `wanted`."""
    if wanted == "none" or ensemble.forces is None:
        return None
    return (ensemble.forces / thermal_energy(ensemble.temperature)).astype(np.float32)


def mean_squares(chart: Chart, beads: Beads, scores: jax.Array, weights: np.ndarray) -> jax.Array:
    """J, the mean square of a coordinate of `scores` (frames, ...), in a shape that multiplies coordinates.

    One number for each type of beads where coordinates are those of beads, (beads, 1), else one for each coordinate.
    The mean over beads, which noise does not move, is made up for.
    """
    share = np.asarray(weights, np.float64) / np.sum(weights)
    squares = np.einsum("f,f...->...", share, np.asarray(scores, np.float64) ** 2)
    if squares.ndim < 2:
        return jnp.asarray(squares, jnp.float32)
    moving = squares.size * squares.sum(axis=1) / (chart.dimension * squares.shape[1])
    types = np.array(beads.types)
    by_type = np.array([moving[types == one].mean() for one in types])
    return jnp.asarray(by_type[:, None], jnp.float32)


def described(beads: Beads, variance: jax.Array | None) -> dict[str, Any]:
    """For the report: labels, J of each type in the unit of the chart, the noise at which both labels weigh alike."""
    if variance is None:
        return {"labels": "noise"}
    flat = np.asarray(variance, np.float64).ravel()
    names = beads.types if variance.ndim > 1 else [f"coordinate {place}" for place in range(len(flat))]
    squares = {name: float(value) for name, value in zip(names, flat, strict=True)}
    return {
        "labels": "noise and forces",
        "mean_square_force": squares,
        "crossover_sigma": {name: value**-0.5 for name, value in squares.items() if value > 0},
    }
