"""What was observed: weighted frames of one molecule at one temperature, and how they are split."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.beads import Beads
from twofold.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

BLOCKS = 40
"""Blocks of time that an ensemble is cut into unless told otherwise: enough for a jackknife, long ones still."""
MAX_TEMPERATURE = 5000.0


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Frames of one list of beads.

    positions: (frames, beads, 3) float32, nm.
    temperature: K, in (0, 5000].
    weights: (frames,) float64, non-negative; normalised to mean 1 on construction.
    trajectory: (frames,) int32, the trajectory of each frame.
    block: (frames,) int32, the contiguous block of time of each frame, unique over trajectories.
    forces: (frames, beads, 3) float32, kJ/mol/nm, or None.
    box: (frames, 3, 3) float32, nm, rows are the lattice vectors, or None.
    energies: (frames,) float64, kJ/mol, or None.
    frame_ps: time between frames in ps, or None.
    source: JSON-able provenance.

    Raises UserError when an array has another shape, holds NaN, or is out of range.
    """

    beads: Beads
    positions: np.ndarray
    temperature: float
    weights: np.ndarray
    trajectory: np.ndarray
    block: np.ndarray
    forces: np.ndarray | None = None
    box: np.ndarray | None = None
    energies: np.ndarray | None = None
    frame_ps: float | None = None
    source: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "temperature", check_temperature(self.temperature))
        positions = np.asarray(self.positions, dtype=np.float32)
        if positions.ndim != 3 or positions.shape[1:] != (len(self.beads), 3):
            raise UserError(f"positions of shape {positions.shape}", f"(frames, {len(self.beads)}, 3)")
        if len(positions) == 0:
            raise UserError("no frames", "at least one frame", "check the trajectory and the stride")
        check_finite(positions, "positions", self.beads)
        object.__setattr__(self, "positions", positions)
        kinds = {"forces": (positions.shape, np.float32), "box": ((len(positions), 3, 3), np.float32)}
        for name, (shape, kind) in (kinds | {"energies": ((len(positions),), np.float64)}).items():
            if (array := getattr(self, name)) is not None:
                array = np.asarray(array, dtype=kind)
                if array.shape != shape:
                    raise UserError(f"{name} of shape {array.shape}", f"{shape}")
                check_finite(array, name, self.beads if name == "forces" else None)
                object.__setattr__(self, name, array)
        for name in ("trajectory", "block"):
            array = np.asarray(getattr(self, name), dtype=np.int32)
            if array.shape != (len(positions),):
                raise UserError(f"{name} of shape {array.shape}", f"one entry for each of {len(positions)} frames")
            object.__setattr__(self, name, array)
        object.__setattr__(self, "weights", normalised(self.weights, len(positions)))
        if self.frame_ps is not None and not (np.isfinite(self.frame_ps) and self.frame_ps > 0):
            raise UserError(f"{self.frame_ps} ps between frames", "a positive time")

    @classmethod
    def build(
        cls,
        beads: Beads,
        positions: Any,
        temperature: float,
        *,
        weights: Any = None,
        trajectory: Any = None,
        block: Any = None,
        blocks: int = BLOCKS,
        forces: Any = None,
        box: Any = None,
        energies: Any = None,
        frame_ps: float | None = None,
        source: dict[str, Any] | None = None,
    ) -> Ensemble:
        """An ensemble with what is missing filled in: equal weights, one trajectory, about `blocks` blocks of time.

        A box of shape (3, 3) holds for all frames. See `time_blocks` for how blocks are cut.
        """
        frames = len(positions)
        trajectory = np.zeros(frames, dtype=np.int32) if trajectory is None else np.asarray(trajectory, dtype=np.int32)
        if box is not None and np.ndim(box) == 2:
            box = np.broadcast_to(np.asarray(box, dtype=np.float32), (frames, 3, 3))
        return cls(
            beads=beads,
            positions=positions,
            temperature=temperature,
            weights=np.ones(frames) if weights is None else weights,
            trajectory=trajectory,
            block=time_blocks(trajectory, blocks) if block is None else block,
            forces=forces,
            box=box,
            energies=energies,
            frame_ps=frame_ps,
            source=dict(source or {}),
        )

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def effective_size(self) -> float:
        """Number of equally weighted frames with the same variance: (sum w)^2 / sum w^2 (Kish 1965)."""
        return float(self.weights.sum() ** 2 / np.square(self.weights).sum())

    def select(self, index: Any) -> Ensemble:
        """The frames `index` (integers, mask or slice). Weights are normalised anew over them."""
        return replace(
            self,
            positions=self.positions[index],
            weights=self.weights[index],
            trajectory=self.trajectory[index],
            block=self.block[index],
            forces=None if self.forces is None else self.forces[index],
            box=None if self.box is None else self.box[index],
            energies=None if self.energies is None else self.energies[index],
        )


def check_temperature(temperature: float) -> float:
    """`temperature` in K as a float. Raises UserError outside (0, 5000]."""
    try:
        value = float(temperature)
    except (TypeError, ValueError):
        value = float("nan")
    if not 0.0 < value <= MAX_TEMPERATURE:
        raise UserError(
            f"temperature {temperature} K",
            f"above 0 and at most {MAX_TEMPERATURE:g} K",
            "give the temperature of the simulation in kelvin",
        )
    return value


def check_finite(array: np.ndarray, name: str, beads: Beads | None = None) -> None:
    """Raises UserError that names the first frame (and bead) of `array` with a value that is not finite."""
    if np.isfinite(array).all():
        return
    frame, *rows = (int(i) for i in np.argwhere(~np.isfinite(array))[0])
    where = f"frame {frame}" + (f", bead {rows[0]} ({beads.label(rows[0])})" if beads else "")
    raise UserError(
        f"{name} that are not finite in {where}", "finite numbers", "repair the file or leave these frames out"
    )


def normalised(weights: Any, frames: int) -> np.ndarray:
    """Weights of `frames` frames, float64, scaled to mean 1; those that have it already are returned to the bit."""
    values = np.array(weights, dtype=np.float64)
    if values.shape != (frames,):
        raise UserError(f"weights of shape {values.shape}", f"one weight for each of {frames} frames")
    if not np.isfinite(values).all() or values.min() < 0 or values.sum() <= 0:
        raise UserError("weights that are negative, not finite or all zero", "weights >= 0 with a positive sum")
    mean = values.mean()
    return values if abs(mean - 1) < 1e-12 else values / mean


def time_blocks(trajectory: np.ndarray, blocks: int = BLOCKS) -> np.ndarray:
    """Cuts every trajectory into contiguous blocks of time: (frames,) int32, numbered from 0 over all trajectories.

    About `blocks` blocks in all, of about equal length; every trajectory has at least one, and no block reaches over
    the end of a trajectory. `trajectory` holds the trajectory of each frame, frames in order of time.
    """
    if blocks < 1:
        raise UserError(f"{blocks} blocks", "at least 1")
    result = np.zeros(len(trajectory), dtype=np.int32)
    length = max(len(trajectory) / blocks, 1.0)
    start = 0
    for name in dict.fromkeys(np.asarray(trajectory).tolist()):
        frames = np.flatnonzero(np.asarray(trajectory) == name)
        number = max(1, round(len(frames) / length))
        result[frames] = start + np.arange(len(frames)) * number // len(frames)
        start += number
    return result


def concatenate(ensembles: Sequence[Ensemble]) -> Ensemble:
    """Several ensembles of the same beads and temperature as one; trajectories and blocks are numbered anew.

    Each ensemble's weights keep their mean of 1, so an ensemble counts by its number of frames. Forces, energies and
    boxes that one of them lacks are left out.
    """
    if not ensembles:
        raise UserError("no ensembles", "at least one")
    first = ensembles[0]
    for other in ensembles[1:]:
        if other.beads != first.beads:
            raise UserError("ensembles of different beads", "the same beads in all")
        if other.temperature != first.temperature:
            raise UserError(f"ensembles at {first.temperature:g} K and {other.temperature:g} K", "one temperature")

    def renumbered(name: str) -> np.ndarray:
        parts, start = [], 0
        for ensemble in ensembles:
            _, places = np.unique(getattr(ensemble, name), return_inverse=True)
            parts.append(places + start)
            start += int(places.max()) + 1
        return np.concatenate(parts)

    def joined(name: str) -> np.ndarray | None:
        parts = [getattr(ensemble, name) for ensemble in ensembles]
        return None if any(part is None for part in parts) else np.concatenate(parts)

    times = {ensemble.frame_ps for ensemble in ensembles}
    return Ensemble(
        beads=first.beads,
        positions=np.concatenate([ensemble.positions for ensemble in ensembles]),
        temperature=first.temperature,
        weights=np.concatenate([ensemble.weights for ensemble in ensembles]),
        trajectory=renumbered("trajectory"),
        block=renumbered("block"),
        forces=joined("forces"),
        box=joined("box"),
        energies=joined("energies"),
        frame_ps=times.pop() if len(times) == 1 else None,
        source={"parts": [ensemble.source for ensemble in ensembles]},
    )


def split(
    ensemble: Ensemble, held_out: float = 0.2, by: str = "auto", *, held_out_trajectories: Sequence[int] | None = None
) -> tuple[Ensemble, Ensemble]:
    """Training and held-out part, never by single frames.

    by "trajectory": the last trajectories, about the fraction `held_out` of them. by "block": the last blocks of time
    of every trajectory. by "auto": trajectories where there are at least four and the longest has at most twice
    the frames of the shortest, else blocks. `held_out_trajectories` names them instead. Neither part is empty.

    Raises UserError for a fraction outside (0, 1), unknown trajectories, or when there is only one block.
    """
    if held_out_trajectories is not None:
        mask = _trajectory_mask(ensemble, held_out_trajectories)
    else:
        if not 0.0 < held_out < 1.0:
            raise UserError(f"held-out fraction {held_out}", "between 0 and 1")
        if by not in ("auto", "trajectory", "block"):
            raise UserError(f"split by {by!r}", "auto, trajectory or block")
        names, sizes = np.unique(ensemble.trajectory, return_counts=True)
        if by == "trajectory" or (by == "auto" and len(names) >= 4 and sizes.max() <= 2 * sizes.min()):
            mask = _trajectory_mask(ensemble, names[len(names) - max(1, round(held_out * len(names))) :])
        else:
            mask = np.isin(ensemble.block, _last_blocks(ensemble, held_out))
    if mask.all() or not mask.any():
        raise UserError(
            "one trajectory or block of time", "at least two, to hold one out", "give more frames or trajectories"
        )
    return ensemble.select(~mask), ensemble.select(mask)


def _trajectory_mask(ensemble: Ensemble, names: Any) -> np.ndarray:
    if missing := set(np.asarray(names).tolist()) - set(ensemble.trajectory.tolist()):
        raise UserError(f"held-out trajectories {sorted(missing)}", f"some of 0 to {ensemble.trajectory.max()}")
    return np.isin(ensemble.trajectory, names)


def _last_blocks(ensemble: Ensemble, fraction: float) -> list[int]:
    """The last blocks of each trajectory; at least one of the longest."""
    chosen: list[int] = []
    longest: list[int] = []
    for name in np.unique(ensemble.trajectory):
        blocks = list(dict.fromkeys(ensemble.block[ensemble.trajectory == name].tolist()))
        longest = blocks if len(blocks) > len(longest) else longest
        number = min(round(fraction * len(blocks)), len(blocks) - 1)
        chosen += blocks[len(blocks) - number :]
    return chosen or longest[-1:] if len(longest) > 1 else chosen
