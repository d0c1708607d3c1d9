"""One number that compares two sets, its error, and its floor: the same number between two parts of the reference.

How a distance between a set S and the held-out reference H is judged. Let T be the part of the reference that the model
was trained on, apart in time from H. With one effective size n for both,

    score = mean over draws of m frames of S of d(draw, H),    floor = mean over draws of n frames of T of d(draw, H).

For independent frames m = n. A simulation of F correlated frames is worth N of them for this d (`design`): it is drawn
whole, m = F, if n = N; if T or H limit n, a draw of m frames has the variance 1/N - 1/F + 1/m, which is to be 1/n.
Draws behave as n independent, equally weighted frames (`draws`), H enters whole and weighted in both: the sampling
bias of d, about (bins - 1)/8 (1/n + 1/n_H) for a Jensen-Shannon divergence, is the same in both. A perfect sampler of
independent frames has score = floor where T and H are independent frames. Frames of a trajectory are correlated: then T
carries its own error of finite length, and the floor is what two stretches of reference differ by, which a perfect
sampler can undercut. A short simulation without bias scores the floor of its n: how short it is shows in n and in the
error.

Errors: leave out each block of S (or T), leave out each block of H. The excess, score - floor, shares H, and its error
leaves out each block of H in both at once.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from twofold.analysis.draws import equal_draws
from twofold.analysis.uncertainty import jackknife_error
from twofold.files.atomic import plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from twofold.analysis.tallies import Part

State = Literal["agree", "close", "differ", "unknown"]
FLOOR_DRAWS = 64
"""Draws of the reference that a floor averages at most."""
JACKKNIFED = 8
"""Draws that the error is computed from; the value uses all draws."""


@dataclass(frozen=True)
class Comparison:
    """A number of a set beside the reference.

    kind "distance": `value` is 0 for equal distributions of infinite size; `floor` is what the reference scores against
    itself at the same size `n`; `ratio` = value / floor; `excess` = value - floor. `n` is the number of independent
    frames that the set is worth for this number, as far as the reference allows to use them.
    kind "level": `value` is an average over the set and `reference` that of the held-out reference; `excess` is their
    difference and `floor` the difference between the two parts of the reference; `n` is the number of frames.
    Errors are standard errors by block jackknife. `parts` holds numbers for each column (bond, angle) by label.
    """

    name: str
    group: str
    kind: Literal["distance", "level"]
    value: float
    error: float
    floor: float | None
    floor_error: float | None
    n: int
    unit: str = ""
    reference: float | None = None
    reference_error: float | None = None
    ratio: float | None = None
    excess: float | None = None
    excess_error: float | None = None
    state: State = "unknown"
    limit: float | None = None
    key: bool = False
    help: str = ""
    parts: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; numbers that are not finite become None."""
        return plain(asdict(self))


@dataclass(frozen=True)
class Estimate:
    """A distance and its leave-one-out values over the blocks of either set."""

    value: float
    without_first: np.ndarray
    without_second: np.ndarray
    first_sizes: np.ndarray
    second_sizes: np.ndarray

    @property
    def error(self) -> float:
        return float(np.hypot(self.first_error, jackknife_error(self.without_second, self.second_sizes)))

    @property
    def first_error(self) -> float:
        return float(jackknife_error(self.without_first, self.first_sizes))


def estimate(
    statistic: Callable[[np.ndarray, np.ndarray], np.ndarray],
    first: Part,
    second: Part,
    size: int,
    rng: np.random.Generator,
    second_size: int | None = None,
    most: int | None = None,
) -> Estimate:
    """`statistic(totals of first, totals of second)`, the mean over all draws of `size` frames of `first`.

    `second` is whole and weighted unless `second_size` is given, the size that it is drawn to. `most` limits the draws.
    """
    draws = equal_draws(first.weights, size, rng)[:most]
    others = equal_draws(second.weights, second_size, rng)[:most] if second_size is not None else []
    whole = second.totals() if second_size is None else None
    values, without_first, without_second = [], [], []
    for place in range(max(len(draws), len(others))):
        theirs = second.totals(others[place % len(others)]) if whole is None else whole
        mine = draws[place % len(draws)]
        jackknifed = place < JACKKNIFED
        blocks = first.totals(mine, by_block=jackknifed)
        total, their_total = blocks.sum(axis=0), theirs.sum(axis=0)
        values.append(float(statistic(total, their_total)))
        if jackknifed:
            without_first.append(_without_each(statistic, total, blocks, (None, their_total)))
            without_second.append(_without_each(statistic, their_total, theirs, (total, None)))
    sizes = [np.bincount(part.groups, minlength=part.blocks) for part in (first, second)]
    return Estimate(
        float(np.mean(values)), np.mean(without_first, axis=0), np.mean(without_second, axis=0), sizes[0], sizes[1]
    )


def _without_each(
    statistic: Callable[..., np.ndarray],
    total: np.ndarray,
    blocks: np.ndarray,
    arguments: tuple[np.ndarray | None, ...],
) -> np.ndarray:
    """(blocks, ...): `statistic` of what is left of `total` without each block, in the place of None among `arguments`.

    NaN where nothing is left, so that the error is NaN as well.
    """
    found = []
    for block in blocks:
        rest = total - block
        some = np.any(np.abs(rest) > 1e-9 * np.abs(total).max())
        chosen = [(rest if some else total) if argument is None else argument for argument in arguments]
        found.append(np.asarray(statistic(*chosen), dtype=np.float64) * (1.0 if some else np.nan))
    return np.array(found)


def draw_size(n: int, worth: float, frames: int) -> int:
    """Frames to draw of `frames` that are worth `worth` independent ones, so that the draw is worth `n` of them.

    A random choice of m of F frames adds the noise of independent frames, 1/m - 1/F, to the variance of the whole.
    """
    if n >= worth - 1:  # As many as there are, but for rounding down.
        return frames
    return max(1, min(frames, round(1.0 / (1.0 / n - 1.0 / worth + 1.0 / frames))))


def distance(value: Estimate, floor: Estimate | None, shared: bool = True, **labels: Any) -> Comparison:
    """A `Comparison` from the estimate of the set and that of its floor (None: not to be had).

    `shared`: both were scored against the same second set, whose error then cancels in part.
    """
    if floor is None:
        return Comparison(kind="distance", value=value.value, error=value.error, floor=None, floor_error=None, **labels)
    if shared:
        second = jackknife_error(value.without_second - floor.without_second, value.second_sizes)
        excess_error = float(np.sqrt(value.first_error**2 + floor.first_error**2 + np.square(second)))
    else:
        excess_error = float(np.hypot(value.error, floor.error))
    return Comparison(
        kind="distance",
        value=value.value,
        error=value.error,
        floor=floor.value,
        floor_error=floor.error,
        ratio=value.value / floor.value if floor.value > 0 else None,
        excess=value.value - floor.value,
        excess_error=excess_error,
        **labels,
    )


def counted_fault(name: str, count: int, of: int) -> Comparison:
    """A fault that was counted before the frames came here: `count` of `of`, where the reference has none."""
    share = count / max(of, 1)
    error = float(np.sqrt(share * (1.0 - share) / max(of, 1)))
    return Comparison(
        name=name,
        group="faults",
        kind="level",
        value=share,
        error=error,
        floor=None,
        floor_error=None,
        n=of,
        reference=0.0,
        reference_error=0.0,
        excess=share,
        excess_error=error,
        key=True,
        help="Counted when the set was made; such frames cannot be compared.",
    )


def level(
    statistic: Callable[[np.ndarray], np.ndarray], part: Part, held_out: Part, training: Part | None, **labels: Any
) -> Comparison:
    """A `Comparison` of an average: `statistic(totals)` of a set, of the held-out reference and of the other part."""
    value, error = _level(statistic, part)
    reference, reference_error = _level(statistic, held_out)
    other, other_error = _level(statistic, training) if training is not None else (None, None)
    return Comparison(
        kind="level",
        value=value,
        error=error,
        reference=reference,
        reference_error=reference_error,
        floor=None if other is None else abs(other - reference),
        floor_error=None if other_error is None else float(np.hypot(other_error, reference_error)),
        ratio=value / reference if reference > 0 else None,
        excess=value - reference,
        excess_error=float(np.hypot(error, reference_error)),
        **labels,
    )


def _level(statistic: Callable[[np.ndarray], np.ndarray], part: Part) -> tuple[float, float]:
    value, error = jackknifed(statistic, part)
    return float(value), float(error)


def jackknifed(statistic: Callable[[np.ndarray], np.ndarray], part: Part) -> tuple[np.ndarray, np.ndarray]:
    """`statistic(totals)` of all frames, a number or one for each column, and its error from blocks."""
    blocks = part.totals()
    total = blocks.sum(axis=0)
    left_out = _without_each(statistic, total, blocks, (None,))
    return statistic(total), np.asarray(jackknife_error(left_out, np.bincount(part.groups, minlength=len(blocks))))
