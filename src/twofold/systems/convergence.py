"""Have reference chains forgotten where they began, and do they agree with each other?

Two numbers tell for an observable. Split R-hat (Gelman and Rubin, Stat. Sci. 7, 457, 1992; split as in Gelman et al.,
Bayesian Data Analysis, 3rd ed., 2013, section 11.4) sets the variance between half chains against that within: with W
the mean variance within halves of n frames, and B/n the variance of their means,

    R = sqrt(((n - 1)/n W + B/n) / W)

is one for halves that each saw everything, and sqrt((n - 1)/n / (1 - g/n)) where a half is worth n/g independent
frames. The drift is the mean of second halves less that of first halves. Chains are independent, so that its error is
known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twofold.ensemble import Ensemble
from twofold.errors import UserError

MOST_R_HAT = 1.1
"""Gelman et al. 2013: above, a chain has not seen what the others have."""
MOST_ERRORS = 3.0
"""Standard errors of a drift that chance may make."""
LEAST_FRAMES = 8
"""Of a chain. The variance within halves of fewer than four frames is small by chance or by their correlation alone."""
LEAST_CHAINS = 4


@dataclass(frozen=True)
class Mixing:
    """Of one observable: split R-hat, and how many independent frames all chains are worth by it; drift and its error.

    drift, drift_error: in units of the standard deviation over all frames.
    """

    name: str
    r_hat: float
    independent: float
    drift: float
    drift_error: float

    @property
    def drifts(self) -> bool:
        """Whether second halves differ from first ones by more than chance."""
        return abs(self.drift) > MOST_ERRORS * self.drift_error

    @property
    def converged(self) -> bool:
        """Whether the chains agree, and their halves."""
        return self.r_hat <= MOST_R_HAT and not self.drifts

    def __str__(self) -> str:
        return (
            f"{self.name}: R-hat {self.r_hat:.3f}, worth {self.independent:.0f} independent frames, drift "
            f"{self.drift:+.2f} +- {self.drift_error:.2f} of its width"
        )


@dataclass(frozen=True)
class Convergence:
    """Of `chains` chains of `frames` frames; no observables where they are too few or too short to tell."""

    chains: int
    frames: int
    observables: tuple[Mixing, ...]

    @property
    def converged(self) -> bool:
        """Whether all observables are; False where none can tell."""
        return bool(self.observables) and all(one.converged for one in self.observables)

    @property
    def sentence(self) -> str:
        """Numbers and verdict in plain words."""
        head = f"{self.chains} reference chains of {self.frames} frames"
        if not self.observables:
            return f"{head} are too few or too short to tell whether they have converged."
        apart = [one.name for one in self.observables if one.r_hat > MOST_R_HAT]
        moving = [one.name for one in self.observables if one.drifts]
        said = [f"They are too short to agree in {' and '.join(apart)}: make more frames."] if apart else []
        if moving:
            said += [f"They have not forgotten where they began in {' and '.join(moving)}: let them forget for longer."]
        verdict = " ".join(said) if said else "They have converged."
        return f"{head}; {'; '.join(map(str, self.observables))}. {verdict}"


def chain_convergence(observables: dict[str, np.ndarray], chain: np.ndarray) -> Convergence:
    """Convergence of `observables`, each (frames,), of chains: `chain` (frames,) says which, frames in order of time.

    Chains shorter than half of the longest are left out, others cut to the shortest. Raises UserError for observables
    of another shape or with numbers that are not finite.
    """
    for name, values in observables.items():
        if np.shape(values) != np.shape(chain) or not np.isfinite(values).all():
            raise UserError(f"{name} of shape {np.shape(values)}", f"finite numbers for each of {len(chain)} frames")
    _, sizes = np.unique(chain, return_counts=True)
    kept = np.flatnonzero(2 * sizes >= sizes.max())
    half = int(sizes[kept].min()) // 2
    if len(kept) < LEAST_CHAINS or 2 * half < LEAST_FRAMES:
        return Convergence(len(kept), int(sizes[kept].min()), ())
    places = np.unique(chain, return_inverse=True)[1]
    rows = np.stack([np.flatnonzero(places == one)[: 2 * half] for one in kept])
    mixing = tuple(_mixing(name, np.asarray(values, np.float64)[rows]) for name, values in observables.items())
    return Convergence(len(kept), 2 * half, mixing)


def _mixing(name: str, values: np.ndarray) -> Mixing:
    """Of values (chains, frames), an even number of frames."""
    chains, frames = values.shape
    halves = values.reshape(chains, 2, frames // 2)
    means, half = halves.mean(axis=2), frames // 2
    within, between = halves.var(axis=2, ddof=1).mean(), means.var(ddof=1)
    width = values.std()
    if width <= 1e-12 * max(abs(values.mean()), 1e-12):  # a constant
        return Mixing(name, 1.0, float(values.size), 0.0, 0.0)
    r_hat = float(np.sqrt((half - 1) / half + between / within)) if within > 0 else np.inf
    each = 1.0 / max(1.0 - (half - 1) / half / r_hat**2, 1.0 / half)  # n/g, from R-hat as above
    drifts = (means[:, 1] - means[:, 0]) / width
    error = float(drifts.std(ddof=1) / np.sqrt(chains))
    return Mixing(name, r_hat, 2 * chains * each, float(drifts.mean()), error)


def cluster_convergence(ensemble: Ensemble) -> Convergence:
    """Convergence of the energy and of the size (mean square distance from the centre) of a cluster's frames.

    The energy alone says little: it is forgotten soon where isomers are alike in it. Raises UserError where there are
    no energies.
    """
    if ensemble.energies is None:
        raise UserError("frames without energies", "those of a cluster, like lj13")
    x = ensemble.positions.astype(np.float64)
    size = np.mean(np.sum((x - x.mean(axis=1, keepdims=True)) ** 2, axis=2), axis=1)
    return chain_convergence({"energy": ensemble.energies, "size": size}, ensemble.trajectory)
