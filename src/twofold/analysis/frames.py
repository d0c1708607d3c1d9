"""Sets of frames to be judged, and the reference that judges them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from twofold.analysis.draws import drawable
from twofold.analysis.uncertainty import block_groups, effective_size
from twofold.errors import UserError

if TYPE_CHECKING:
    from twofold.ensemble import Ensemble

Kind = Literal["samples", "simulation", "basin"]
SEEN_PART = 1e-3
"""Part of a reference that may be training frames: the last frame of one file is often the first of the next."""


@dataclass(frozen=True)
class FrameSet:
    """Frames that a model made, all of them.

    positions: (frames, beads, 3) nm; of a simulation, frames of a replica in order of time.
    weights: (frames,) or None for equal ones. replica: (frames,) or None.
    kind: "samples", "simulation" or "basin" (a simulation whose replicas started in one basin).
    frame_ps: time between frames of a replica. faults: what cannot be seen in the frames any more, as (how many, of how
    many): samples that are not finite and so not among them, replicas that were stopped.
    """

    positions: np.ndarray
    kind: Kind = "samples"
    weights: np.ndarray | None = None
    replica: np.ndarray | None = None
    frame_ps: float | None = None
    faults: dict[str, tuple[int, int]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def moves(self) -> bool:
        """Whether the frames follow each other in time."""
        return self.kind != "samples"

    def all_weights(self) -> np.ndarray:
        return np.ones(len(self)) if self.weights is None else np.asarray(self.weights, dtype=np.float64)

    def groups(self) -> np.ndarray:
        """Jackknife blocks: groups of replicas, or stretches of frames."""
        return block_groups(self.replica, len(self))


@dataclass(frozen=True)
class Reference:
    """Two parts of the reference, apart in time: `held_out` judges, `other` sets the floor.

    source says where `other` comes from: "training", or "halves" of the held-out part when there is no training part.
    """

    held_out: Ensemble
    other: Ensemble
    source: Literal["training", "halves"]

    def size(self, frames: int) -> int:
        """The common size of draws for a set of which `frames` can be drawn."""
        return max(1, min(frames, drawable(self.other.weights), int(effective_size(self.held_out.weights))))


def reference_parts(held_out: Ensemble, training: Ensemble | None) -> Reference:
    """The reference of a comparison. Without training frames every second block of the held-out part sets the floor.

    Raises UserError when frames of `held_out` were in `training`, or when it cannot be cut in two.
    """
    if training is not None:
        assert_unseen(held_out.positions, training.positions)
        return Reference(held_out, training, "training")
    groups = block_groups(held_out.block, len(held_out))
    if len(held_out) < 2:
        raise UserError("a reference of one frame", "at least two", "give a trajectory as the reference")
    second = groups % 2 == 1
    return Reference(held_out.select(~second), held_out.select(second), "halves")


def frame_keys(positions: np.ndarray, decimals: int = 5) -> np.ndarray:
    """(frames,) 16-byte hashes of the float32 coordinates in nm, rounded to `decimals`."""
    rounded = np.ascontiguousarray(np.round(np.asarray(positions, dtype=np.float32), decimals) + np.float32(0.0))
    rows = rounded.reshape(len(rounded), -1)
    return np.array([hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in rows], dtype="S16")


def assert_unseen(reference: np.ndarray, training: np.ndarray) -> int:
    """Number of `reference` frames that are also in `training` (positions in nm, read and mapped in the same way).

    Raises UserError when they are more than a thousandth of the reference: a model is not judged by what it was shown.
    Copies that were rotated, or rounded anew by a file format, are not recognised.
    """
    if np.shape(reference)[1:] != np.shape(training)[1:]:
        return 0
    seen = int(np.isin(frame_keys(reference), frame_keys(training)).sum())
    if seen > SEEN_PART * len(reference):
        raise UserError(
            f"{seen} of {len(reference)} frames of the reference were used in training",
            "a reference that training did not see",
            "leave out --reference to use the part that the run held out, or give other trajectories",
        )
    return seen
