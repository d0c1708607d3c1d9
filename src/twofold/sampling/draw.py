"""Drawing a given number of conformations, in batches that fit into memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from twofold.chart.base import Chart
from twofold.energy.base import Energy
from twofold.energy.fractional import FractionalEnergy
from twofold.errors import UserError
from twofold.noise import NoiseSchedule
from twofold.sampling.correctors import LEAST, MOST, Settling, relax, settle
from twofold.sampling.levy import levy_deblur, levy_prior, levy_sde
from twofold.sampling.memory import batch_that_fits
from twofold.sampling.solvers import SOLVERS, deblur, score

BATCH = 1024
SMALLEST_BATCH = 16
CORRECTOR = 100
"""Steps of a hundredth of the variance of a coordinate each: as long as one of unit width needs to relax. As many where
energies cannot be seen to settle, since scores are those of none."""


@dataclass(frozen=True)
class Samples:
    """Conformations (number, beads, 3) float32 in nm, all that were drawn, and how many of them are at fault.

    Nothing is left out: `not_finite` and `outside` count rows that are still there. `outside` are those with a pair of
    beads closer or farther than anything in the region of the data. `settling`: how the energies of the first batch
    fared at the end of the corrector; None where none were looked at.
    """

    positions: np.ndarray
    not_finite: int
    outside: int
    settings: dict[str, Any]
    settling: Settling | None = None

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def settled(self) -> bool | None:
        """Whether energies had settled by then; None where none were looked at, or where so few cannot tell."""
        return None if self.settling is None else self.settling.settled

    def about(self) -> dict[str, Any]:
        """All but the positions, JSON-able."""
        return {
            "number": len(self),
            "not_finite": self.not_finite,
            "outside": self.outside,
            "settled": self.settled,
            "settling": None if self.settling is None else self.settling._asdict(),
            "settings": self.settings,
        }


def draw_samples(
    network: Energy,
    chart: Chart,
    schedule: NoiseSchedule,
    number: int,
    *,
    seed: int = 0,
    steps: int = 100,
    solver: str = "sde",
    corrector: int | None = None,
    noise: float | None = None,
    batch: int = BATCH,
    region: Any = None,
    trusted: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Samples:
    """`number` independent conformations.

    solver: "sde" (reverse diffusion, which forgets errors of the score on the way) or "ode" (probability flow), in
    `steps` from the largest noise to the smallest, after which one step of the flow takes out the rest of the blur.
    corrector: steps of Langevin dynamics on the way, with "sde" alone: at the smallest noise, by default a hundred, or,
    where coordinates are positions, at the level that is `trusted` as a force field, by default as many as the energies
    of the first batch need to settle, from which the reverse diffusion then goes on (see
    `twofold.sampling.correctors`). `settings` tell how many they were.
    noise: leave the samples at this noise level instead. batch: conformations at a time, at most; halved as long as
    memory does not hold it. The result depends on `seed` and on the batch that was used, which is written into
    `settings`. Raises UserError for numbers out of range.
    """
    if number < 1 or steps < 1 or (corrector or 0) < 0:
        found = f"{number} samples in {steps} steps" + (f" and {corrector} of the corrector" if corrector else "")
        raise UserError(found, "at least one of both, and none or more of the corrector")
    if not 0 <= seed < 2**32:
        raise UserError(f"seed {seed}", "a whole number from 0 to 4294967295")
    if noise is not None and not schedule.smallest <= noise <= schedule.largest:
        raise UserError(
            f"noise {noise:g}", f"from {schedule.smallest:g} to {schedule.largest:g}, the range that was trained"
        )
    if solver not in SOLVERS:
        raise UserError(f"solver {solver!r}", f"one of {', '.join(SOLVERS)}")
    levels = schedule.descent(steps) if noise is None else NoiseSchedule(noise, schedule.largest).descent(steps)
    if solver != "sde" or isinstance(network, FractionalEnergy):
        corrector = 0
    turn = _nearest(levels, trusted) if corrector != 0 and chart.narrowest is None else None
    if corrector is None and (turn is None or network.conservative_to < levels[turn]):
        corrector = CORRECTOR
    batch = _first_batch(network, chart, levels[0], min(batch, max(number, SMALLEST_BATCH)))
    pieces: list[np.ndarray] = []
    settling: Settling | None = None
    done, span = 0, (LEAST, MOST) if corrector is None else (corrector, corrector)
    while done < number:
        key = jax.random.fold_in(jax.random.key(seed), done)
        try:
            limits = None if turn is None else (turn, jnp.asarray(span[0]), jnp.asarray(span[1]))
            drawn, found = _batch(network, chart, levels, key, batch, solver, corrector or 0, limits, noise is None)
            piece = np.asarray(drawn)
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error) or batch <= SMALLEST_BATCH:
                raise
            batch //= 2
            continue
        pieces.append(piece[: number - done])
        done += len(pieces[-1])
        if found is not None and corrector is None and settling is None:
            settling = Settling(int(found.steps), float(found.rising), float(found.error))
            # further batches are what the first one is
            span = (settling.steps, settling.steps)
        if progress:
            progress(done, number)
    positions = np.concatenate(pieces)
    finite = np.isfinite(positions).all((1, 2))
    settings = {"seed": seed, "steps": steps, "solver": solver, "corrector": span[0], "noise": noise, "batch": batch}
    if turn is not None:
        settings["corrected_at"] = float(levels[turn])
    return Samples(positions, int((~finite).sum()), _count_outside(positions[finite], region), settings, settling)


def _nearest(levels: Array, wanted: float | None) -> int:
    """Which of the levels is nearest to the one that is wanted; the last where none is."""
    values = np.asarray(levels)
    return int(np.argmin(np.abs(np.log(values / (wanted or values[-1])))))


def _first_batch(network: Energy, chart: Chart, sigma: Array, most: int) -> int:
    """Conformations at a time that memory should hold."""

    one = chart.prior(jax.random.key(0), sigma)
    return batch_that_fits(lambda y: score(network, None, y, sigma), one, most=most, least=min(most, SMALLEST_BATCH))


@eqx.filter_jit
def _batch(
    network: Energy,
    chart: Chart,
    levels: Array,
    key: Array,
    batch: int,
    solver: str,
    corrector: int,
    limits: tuple[int, Array, Array] | None,
    clean: bool,
) -> tuple[Float[Array, "batch beads 3"], Settling | None]:
    """Conformations, and how their energies fared in `settle`, where it is called.

    limits: the level at which `settle` is called, in the place of `relax` at the end, and its least and most steps.
    """
    start, path, relaxing = jax.random.split(key, 3)
    found: Settling | None = None
    if isinstance(network, FractionalEnergy):
        y = _heavy_tailed(network, chart, levels, start, path, batch, solver, clean)
        return jax.vmap(chart.decode)(y), found
    y = jax.vmap(lambda one: chart.prior(one, levels[0]))(jax.random.split(start, batch))
    if limits:
        turn, least, most = limits
        y = SOLVERS[solver](network, None, chart, y, levels[: turn + 1], path)
        y, found = settle(network, None, chart, y, levels[turn], relaxing, least, most)
        y = SOLVERS[solver](network, None, chart, y, levels[turn:], jax.random.fold_in(path, 1))
    else:
        y = SOLVERS[solver](network, None, chart, y, levels, path)
        if corrector:
            y = relax(network, None, chart, y, levels[-1], relaxing, corrector)
    if clean:
        y = deblur(network, None, chart, y, levels[-1])
    return jax.vmap(chart.decode)(y), found


def _heavy_tailed(
    network: FractionalEnergy,
    chart: Chart,
    levels: Array,
    start: Array,
    path: Array,
    batch: int,
    solver: str,
    clean: bool,
) -> Float[Array, "batch ..."]:
    """Samples (coordinates) of a model of the fractional score. Its flow is solved like that of Gaussian noise."""
    alpha = network.stability
    y = levy_prior(start, chart, batch, levels[0], alpha)
    if solver == "sde":
        y = levy_sde(network, None, chart, y, levels, path, alpha)
    else:
        y = SOLVERS[solver](network, None, chart, y, levels, path)
    return levy_deblur(network, None, chart, y, levels[-1], alpha) if clean else y


def _count_outside(positions: np.ndarray, region: Any) -> int:
    """Conformations with a pair distance outside of `region`'s bounds."""
    if region is None or not len(positions):
        return 0
    lower, upper = np.asarray(region.lower), np.asarray(region.upper)
    count, step = 0, max(1, 4_000_000 // positions.shape[1] ** 2)
    for begin in range(0, len(positions), step):
        part = positions[begin : begin + step]
        distances = np.linalg.norm(part[:, :, None] - part[:, None], axis=-1)
        count += int(((distances < lower) | (distances > upper)).any((1, 2)).sum())
    return count
