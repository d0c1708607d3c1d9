"""Frames with the noise of a chart."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from twofold.chart.base import Chart


def noised_positions(chart: Chart, positions: np.ndarray, sigma: float, seed: int) -> np.ndarray:
    """Frames (frames, beads, 3) in nm with noise of level `sigma` in the chart: the blur of the model's density."""
    return np.asarray(_noised(chart, jnp.asarray(positions, jnp.float32), jnp.float32(sigma), jax.random.key(seed)))


@jax.jit
def _noised(chart: Any, positions: Any, sigma: Any, key: Any) -> Any:
    def one(pair: tuple[Any, Any]) -> Any:
        x = chart.encode(pair[0])
        return chart.decode(x + sigma * chart.project(jax.random.normal(pair[1], x.shape)))

    return jax.lax.map(one, (positions, jax.random.split(key, positions.shape[0])), batch_size=4096)
