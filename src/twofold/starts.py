"""Where replicas begin: at samples of the model, or at frames that are given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from twofold.conditions import in_basin
from twofold.errors import UserError
from twofold.files.trajectories import read_positions
from twofold.model import Model

START_BATCH = 4
"""Samples drawn for each replica where only one basin will do."""
START_SEED = 0x5EED57A7
"""Flips bits of the seed from which starting conformations are drawn."""


def starts_of_levels(
    model: Model, number: int, noise: Sequence[float | None], start: Any, basin: str | None, seed: int
) -> np.ndarray:
    """Positions (levels x number, beads, 3) in nm, the lowest level first; each has samples of its own."""
    # of seeds that follow each other, one run's copies would start where another's replicas do
    seeds = [seed, *(int(np.random.SeedSequence([seed, k]).generate_state(1)[0]) for k in range(1, len(noise)))]
    drawn = [starting_positions(model, number, one, start, basin, own) for one, own in zip(noise, seeds, strict=True)]
    return np.concatenate(drawn)


def starting_positions(
    model: Model, replicas: int, noise: float | None, start: Any, start_basin: str | None, seed: int
) -> np.ndarray:
    """Positions (replicas, beads, 3) in nm. noise: level at which samples are left, None for clean ones."""
    if start is not None:
        given = start if isinstance(start, np.ndarray) else read_positions(start, model.beads)
        if start_basin:
            given = given[in_basin(model.beads, given, start_basin)]
            if not len(given):
                raise UserError(f"no starting frame with {start_basin}", "some", "choose another basin or start")
        return _dealt(given, replicas)
    # draws of their own: `sample` with the same seed must stay independent of the simulation
    seed ^= START_SEED
    if start_basin:
        drawn = model.sample(START_BATCH * replicas, seed=seed, noise=noise).positions
        drawn = drawn[in_basin(model.beads, drawn, start_basin)]
        if not len(drawn):
            raise UserError(
                f"none of {START_BATCH * replicas} samples has {start_basin}", "some", "choose another basin"
            )
        return np.resize(drawn, (replicas, *drawn.shape[1:]))
    return model.sample(replicas, seed=seed, noise=noise).positions


def _dealt(frames: np.ndarray, replicas: int) -> np.ndarray:
    """One of `frames` for each replica: evenly spaced ones, or the same ones again where there are too few."""
    places = np.arange(replicas)
    return frames[places * len(frames) // replicas if len(frames) > replicas else places % max(len(frames), 1)]


def described(start: Any) -> str:
    """For a record: what `start` of `starting_positions` was."""
    if start is None:
        return "samples"
    return "positions" if isinstance(start, np.ndarray) else str(Path(start).name)
