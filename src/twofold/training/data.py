"""Frames as training takes them: coordinates, weights and labels on the device, and how batches are drawn of them."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Int, PRNGKeyArray

from twofold.chart.base import Chart


class TrainingData(NamedTuple):
    """Frames in chart coordinates (frames, ...) and the cumulative sum of their weights (frames,), ending at one.

    scores: forces in kT as scores of the clean density (frames, ...), where there are forces. energies: those of the
    density in these coordinates (frames,) in kT, up to a constant, where energies are learned from.
    """

    coordinates: Array
    cumulative: Array
    scores: Array | None = None
    energies: Array | None = None


def training_data(
    chart: Chart,
    positions: ArrayLike,
    weights: ArrayLike,
    forces: ArrayLike | None = None,
    energies: ArrayLike | None = None,
    loosening: ArrayLike | None = None,
) -> TrainingData:
    """Encode frames (frames, beads, 3) in nm with weights (frames,), and forces in kT/nm if the chart knows how.

    energies: (frames,) in kT, of positions. loosening: (coordinates, k), what k normal numbers add to coordinates.
    """
    coordinates = jax.jit(lambda x: jax.lax.map(chart.encode, x, batch_size=4096))(jnp.asarray(positions))
    if loosening is not None:
        loosening = jnp.asarray(loosening)
        # the same at every resume, since frames of a run are the same
        normal = jax.random.normal(jax.random.key(len(coordinates)), (len(coordinates), loosening.shape[1]))
        coordinates = coordinates + normal @ loosening.T
    # in double precision: sums of single ones would forget light frames beyond some ten million
    cumulative = np.cumsum(np.asarray(weights, np.float64))
    known = None if forces is None else _scores(chart, jnp.asarray(positions), jnp.asarray(forces))
    heights = None if energies is None else _heights(chart, coordinates, jnp.asarray(energies))
    cumulative = jnp.asarray(cumulative / cumulative[-1], jnp.float32)
    return TrainingData(coordinates, cumulative, known, heights)


@eqx.filter_jit
def _heights(chart: Chart, coordinates: Array, energies: Array) -> Array:
    return energies - jax.lax.map(chart.log_jacobian, coordinates, batch_size=4096)


@eqx.filter_jit
def _scores(chart: Chart, positions: Array, forces: Array) -> Array | None:
    return jax.lax.map(lambda pair: chart.scores_of(*pair), (positions, forces), batch_size=4096)


def draw_index(data: TrainingData, key: PRNGKeyArray, count: int) -> Int[Array, " count"]:
    """`count` frames in proportion to their weights, by systematic resampling, which spreads them evenly over time."""
    place = (jnp.arange(count) + jax.random.uniform(key)) / count
    index = jnp.searchsorted(data.cumulative, place, side="right")
    # a last place that rounds to one is of the last frame with a weight, which need not be the last one
    return jnp.minimum(index, jnp.searchsorted(data.cumulative, data.cumulative[-1]))


def draw_frames(data: TrainingData, key: PRNGKeyArray, count: int) -> Array:
    """Coordinates of the frames of `draw_index`."""
    return data.coordinates[draw_index(data, key, count)]
