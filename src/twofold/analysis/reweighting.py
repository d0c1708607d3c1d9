"""Importance reweighting of samples to an energy that is known, and a test of whether their weights can be trusted.

Samples of density q stand for a target exp(-U/kT) with weights `w = exp(-U/kT) / q`. A mean under such weights is right
on average only if q reaches wherever the target does, and its error is known only if w has a variance. Neither can be
seen in the weights' average: what decides is their tail. By Pareto-smoothed importance sampling (Vehtari, Simpson,
Gelman, Yao, Gabry, J. Mach. Learn. Res. 25(72), 2024) a generalised Pareto distribution is fitted to the largest
weights. Its shape k is the inverse of the number of moments that w has: a variance for k < 1/2, a mean for k < 1. The
largest weights are replaced by quantiles of the fit, which takes most of the noise out of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from twofold.analysis.uncertainty import effective_size
from twofold.errors import UserError
from twofold.units import thermal_energy

LEAST_FRAMES = 25
"""A fifth of them, five, is the least tail that a shape is fitted to."""
LEAST_SIZE = 100.0
"""Effective frames: a mean then has an error of a tenth of the spread of what is averaged."""
MOST_SHAPE = 0.7
"""Shape beyond which no practical number of frames makes the error small (Vehtari et al. 2024, section 3.2.4)."""
GRID, PRIOR_SCALE = 30, 3.0
"""Points of the grid of Zhang and Stephens, beside the root of the number of values, and the scale of their prior."""
TINY = 1e-300
"""Weights, the largest being 1, that are nothing beside it."""
PRIOR_SHAPE, PRIOR_COUNT = 0.5, 10
"""Shape that a fit is drawn to, and the number of values that this counts for (Vehtari et al. 2024, appendix G)."""


@dataclass(frozen=True)
class Reweighting:
    """Weights (frames,) float64 of sum one, with what tells whether they can be trusted.

    pareto_k: shape of the weights' tail; infinite where a few frames carry all weight. threshold: largest shape that is
    good enough for this number of frames. effective_size: of Kish, the number of equal weights that give a mean the
    same variance. perplexity: exponential of the entropy, the frames that share the weight. log_mean: logarithm of the
    mean weight, which is ln of the integral of exp(-U/kT) where the density of the samples is normalised.
    """

    weights: np.ndarray
    pareto_k: float
    threshold: float
    effective_size: float
    perplexity: float
    log_mean: float

    def __len__(self) -> int:
        return len(self.weights)

    @property
    def divergence(self) -> float:
        """Estimate of KL(target, samples) in nats, `ln(frames / perplexity)`."""
        return float(np.log(len(self) / self.perplexity))


def importance_weights(energies: ArrayLike, temperature: float, log_likelihood: ArrayLike) -> np.ndarray:
    """Log weights (frames,) `-U/kT - ln q` from the target's energies in kJ/mol and the samples' log-likelihood.

    temperature: K, of the target. Both belong to positions: a likelihood in other coordinates lacks their Jacobian.
    Constants drop out. Raises UserError for shapes that differ.
    """
    energies, log_q = np.asarray(energies, np.float64), np.asarray(log_likelihood, np.float64)
    if energies.shape != log_q.shape or energies.ndim != 1:
        raise UserError(f"energies {energies.shape} and log-likelihoods {log_q.shape}", "one of each for each frame")
    if not temperature > 0:
        raise UserError(f"temperature {temperature:g} K", "one above 0")
    return -energies / thermal_energy(temperature) - log_q


def reweight(
    log_weights: ArrayLike, *, independent: float | None = None, least: float = LEAST_SIZE, force: bool = False
) -> Reweighting:
    """Pareto-smoothed weights from log weights (frames,), which may be minus infinity but for a few.

    independent: how many of the frames are; by default all. least: effective frames that are asked for. force: give
    the weights whatever they are worth. Raises UserError where the tail is too heavy or too few frames are effective,
    and always for numbers that are none or fewer than 25 frames.
    """
    logs = np.asarray(log_weights, np.float64)
    _check(logs, independent)
    largest = logs.max()
    number = float(len(logs) if independent is None else independent)
    weights, shape = smooth(np.exp(logs - largest), tail_length(len(logs), number))
    share = weights / weights.sum()
    used = share[share > 0]
    result = Reweighting(
        weights=share,
        pareto_k=shape,
        threshold=min(1.0 - 1.0 / np.log10(number), MOST_SHAPE),
        effective_size=effective_size(share) * number / len(logs),
        perplexity=float(np.exp(-np.sum(used * np.log(used)))),
        log_mean=float(largest + np.log(weights.mean())),
    )
    if not force and (wrong := objection(result, least)) is not None:
        raise wrong
    return result


def _check(logs: np.ndarray, independent: float | None) -> None:
    if logs.ndim != 1 or len(logs) < LEAST_FRAMES:
        raise UserError(f"log weights of shape {logs.shape}", f"one for each of at least {LEAST_FRAMES} frames")
    wrong = np.isnan(logs) | (logs == np.inf)
    if wrong.any():
        found = f"{wrong.sum()} of {len(logs)} log weights are no finite number"
        raise UserError(found, "one for each frame", "look at the energies and likelihoods of these frames")
    if np.isneginf(logs).all():
        raise UserError("no frame has any weight", "energies that are finite", "look at the energies")
    if independent is not None and not LEAST_FRAMES <= independent <= len(logs):
        raise UserError(f"{independent:g} independent frames", f"{LEAST_FRAMES} to {len(logs)}, the number of frames")


def objection(result: Reweighting, least: float = LEAST_SIZE) -> UserError | None:
    """Why weights are worth too little, as an error that may be raised; None where they can be trusted."""
    do = "draw more samples, fit the model longer, or reweight to an energy closer to that of the data"
    if result.pareto_k > result.threshold:
        return UserError(
            f"the largest weights are too large: their Pareto shape is {result.pareto_k:.2f}, so that a few frames "
            "decide every average and frames that matter more are likely to be missing",
            f"at most {result.threshold:.2f} for {len(result)} frames",
            do,
        )
    if result.effective_size < least:
        return UserError(
            f"after reweighting {len(result)} frames are worth {result.effective_size:.0f}",
            f"at least {least:g}",
            do,
        )
    return None


def tail_length(frames: int, independent: float) -> int:
    """Number of largest weights that the tail is fitted to, `min(n/5, 3 sqrt(n/r))` with r the part of `independent`.

    Vehtari et al. 2024, appendix H.
    """
    return int(np.ceil(min(0.2 * frames, 3.0 * frames / np.sqrt(independent))))


def smooth(weights: np.ndarray, length: int) -> tuple[np.ndarray, float]:
    """Weights (frames,) with the largest `length` replaced by quantiles of the Pareto fit, and its shape k.

    None becomes larger than the largest was. A tail of equal weights is left alone, with k = 0. One that begins at
    nothing, because hardly any frame has weight, is left alone as well, with k infinite.
    """
    order = np.argsort(weights, kind="stable")
    tail, cutoff = order[-length:], weights[order[-length - 1]]
    excess = weights[tail] - cutoff
    if excess[-1] == 0:
        return weights, 0.0
    if excess[_quartile(length)] < TINY or cutoff == 0:
        return weights, float("inf")
    shape, scale = pareto_fit(excess)
    place = (np.arange(length) + 0.5) / length
    smoothed = weights.copy()
    smoothed[tail] = np.minimum(cutoff + pareto_quantiles(place, shape, scale), weights.max())
    return smoothed, shape


def pareto_fit(excess: np.ndarray) -> tuple[float, float]:
    """Shape k and scale of the generalised Pareto distribution of ascending values (values,) above zero.

    Zhang and Stephens, Technometrics 51, 316 (2009), whose k has the other sign: the mean of `theta = -k/scale` over
    its profile likelihood on a grid of their prior's quantiles. The shape is drawn to 1/2 as if by ten more values.
    """
    number = len(excess)
    points = GRID + int(np.sqrt(number))
    quantiles = (np.arange(points) + 0.5) / points
    theta = 1.0 / excess[-1] + (1.0 - 1.0 / np.sqrt(quantiles)) / (PRIOR_SCALE * excess[_quartile(number)])
    shapes = np.log1p(-theta[:, None] * excess).mean(1)
    profile = number * (np.log(-theta / shapes) - shapes - 1.0)
    posterior = np.exp(profile - profile.max())
    best = np.sum(theta * posterior) / posterior.sum()
    shape = float(np.log1p(-best * excess).mean())
    drawn = (number * shape + PRIOR_COUNT * PRIOR_SHAPE) / (number + PRIOR_COUNT)
    return drawn, -shape / best


def _quartile(number: int) -> int:
    """Place of the first quartile among ascending values."""
    return int(number / 4 + 0.5) - 1


def pareto_quantiles(place: np.ndarray, shape: float, scale: float) -> np.ndarray:
    """Quantiles at `place` (0 to 1) of the generalised Pareto distribution, `scale ((1 - p)^-k - 1) / k`."""
    exponent = -np.log1p(-place)
    return scale * (exponent if abs(shape) < 1e-12 else np.expm1(shape * exponent) / shape)
