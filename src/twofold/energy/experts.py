"""Experts: one energy made of several, each for a range of noise levels (Plainer et al., NeurIPS 2025).

    U(x, sigma) = sum_i w_i(sigma) (U_i(x, sigma) + c_i),     sum_i w_i = 1

The weights are a partition of unity in ln sigma. Over most of the range one of them is one and the others are zero;
around each boundary two of them cross over a window of stated width, with two continuous derivatives, so that energy,
score and dU/dsigma have no jumps.

The weights do not depend on x, so that the score is `sum_i w_i s_i`, without a term from the blend. The slope along
sigma does have one: in a window, `dU/dsigma = w_1 U_1' + w_2 U_2' + w_1' (U_1 - U_2)`. Score matching determines each
energy up to a function of sigma. Where both experts are right, U_1 - U_2 is thus the same number for all x, and adds to
dU/dsigma what adds to the unknown normalisation c'(sigma): the Fokker-Planck residual, of which only the variance among
frames of one level is penalised, does not see it. What it does see in a window is a disagreement of the experts about
x, which it teaches them to settle. The number itself is what the trainable offsets c_i are for: they are learned by the
term that compares energies of different levels (classification), and stay at zero without it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from twofold.chart.base import Chart
from twofold.chart.internal import TORSION_UNIT, InternalChart
from twofold.energy.base import Energy, System
from twofold.energy.network import LEVEL_FEATURES, ResidualNetwork
from twofold.errors import UserError

HAIR = 0.999
"""Levels this close below a window are left out, so that rounding never gives a plain score some weight."""
OVERLAP = 0.7
"""Width in ln sigma of the window in which two experts cross: a factor of two in sigma."""
HARMONICS = 2


def smooth_step(place: Array) -> Array:
    """From 0 at 0 to 1 at 1, flat to the second order at both ends."""
    t = jnp.clip(place, 0.0, 1.0)
    return t**3 * (10.0 - 15.0 * t + 6.0 * t**2)


class PlainScore(Energy):
    """A network whose output is the score itself, which is no gradient: for large noise, where no force is needed.

    The Gaussian of unit variance plus noise on coordinates that live on lines, and a network on the coordinates with
    their scale taken out and on damped harmonics of those that live on circles. Its energy is not a number.
    """

    chart: Chart
    network: ResidualNetwork

    @staticmethod
    def build(chart: Chart, example: Float[Array, ...], key: PRNGKeyArray, *, width: int, depth: int) -> PlainScore:
        """A fresh network of `depth` layers of `width` for coordinates like `example`."""
        inputs = _inputs(chart, example, jnp.ones(())).size
        network = ResidualNetwork(inputs, width, depth, key)
        readout = jnp.zeros((width, example.size, LEVEL_FEATURES))
        return PlainScore(chart, eqx.tree_at(lambda n: n.readout, network, readout))

    @property
    def augment_rotation(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.chart.free and not isinstance(self.chart, InternalChart)

    @property
    def conservative_to(self) -> float:
        return 0.0

    def energy(self, system: System, x: Float[Array, ...], sigma: Float[Array, ""]) -> Float[Array, ""]:
        return jnp.full((), jnp.nan)

    def score(self, system: System, x: Float[Array, ...], sigma: Float[Array, ""]) -> Float[Array, ...]:
        total = 1.0 + sigma**2
        learned = self.network(_inputs(self.chart, x, sigma), sigma).reshape(x.shape) / jnp.sqrt(total)
        prior = -x / total
        if isinstance(self.chart, InternalChart):
            prior = prior.at[self.chart.stiff_count :].set(0.0)
        return self.chart.project(prior + learned)

    def at_level(self, sigma: float) -> Energy:
        raise UserError(
            f"a plain score network at sigma {sigma:g}", "an energy, which has forces", "simulate at less noise"
        )


def _inputs(chart: Chart, x: Float[Array, ...], sigma: Float[Array, ""]) -> Float[Array, " inputs"]:
    scale = jnp.sqrt(1.0 + sigma**2)
    if not isinstance(chart, InternalChart):
        return chart.project(x).ravel() / scale
    orders = jnp.arange(1, HARMONICS + 1)[:, None]
    phases = orders * chart.soft_torsions(x)
    damping = jnp.exp(-0.5 * (orders * TORSION_UNIT * sigma) ** 2)
    waves = [(damping * wave(phases)).ravel() for wave in (jnp.sin, jnp.cos)]
    return jnp.concatenate([x[: chart.stiff_count] / scale, *waves])


class Experts(Energy):
    """Energies for consecutive ranges of sigma, in ascending order, blended at the `boundaries` between them.

    overlap: width of the windows in ln sigma, no larger than the distance of two boundaries. offsets: (experts,) kT.
    The last ones may be of `PlainScore`; where they have weight there is a score and no energy (not a number).
    """

    experts: tuple[Energy, ...]
    boundaries: tuple[float, ...]
    overlap: float
    offsets: Array

    @staticmethod
    def of(experts: Sequence[Energy], boundaries: Sequence[float], overlap: float = OVERLAP) -> Experts:
        """Experts without offsets. Raises UserError unless windows lie in ascending order, apart from each other."""
        edges = [math.log(b) if b > 0 else math.nan for b in boundaries]
        if len(experts) != len(boundaries) + 1 or not overlap > 0 or any(math.isnan(edge) for edge in edges):
            raise UserError(
                f"{len(experts)} experts, {len(boundaries)} boundaries, overlap {overlap:g}",
                "one more expert than boundaries, which are above 0, and a width above 0",
            )
        if any(not after - before >= overlap for before, after in pairwise(edges)):
            raise UserError(
                f"boundaries of experts at sigma {', '.join(f'{b:g}' for b in boundaries)}",
                f"ascending ones at least {overlap:g} apart in ln sigma, the width over which experts cross",
                "move them apart or set experts_overlap lower",
            )
        return Experts(tuple(experts), tuple(float(b) for b in boundaries), overlap, jnp.zeros(len(experts)))

    @property
    def augment_rotation(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return any(expert.augment_rotation for expert in self.experts)

    @property
    def like_beads(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return all(expert.like_beads for expert in self.experts)

    @property
    def conservative_to(self) -> float:
        """Lower end of the window in which a plain score network takes over, if one does."""
        known = len(self._energies())
        if known == len(self.experts):
            return super().conservative_to
        return HAIR * self.boundaries[known - 1] * math.exp(-0.5 * self.overlap) if known else 0.0

    def weights(self, sigma: Float[Array, ""]) -> Float[Array, " experts"]:
        """Share of each expert, of sum one; at most two are above zero."""
        steps = [smooth_step(jnp.log(sigma / b) / self.overlap + 0.5) for b in self.boundaries]
        rising = jnp.stack([jnp.ones(()), *steps, jnp.zeros(())])
        return rising[:-1] - rising[1:]

    def part(self, first: int, last: int) -> Experts:
        """The experts from `first` to `last`, both included."""
        stop = last + 1
        return Experts(self.experts[first:stop], self.boundaries[first:last], self.overlap, self.offsets[first:stop])

    def pieces(self, edges: np.ndarray) -> list[tuple[slice, Experts]]:
        """For levels of which one lies in each stratum between `edges` (ascending): runs of them, and who is needed.

        A batch whose levels are in order costs little more than with one expert, and not as much as with all of them.
        """
        half, margin = 0.5 * self.overlap, 1e-3
        boundaries = np.log(np.asarray(self.boundaries))
        # an expert begins half a window before its lower boundary, and ends half a window after its upper one
        first = np.searchsorted(boundaries, np.log(edges[:-1]) - half - margin)
        last = np.searchsorted(boundaries, np.log(edges[1:]) + half + margin)
        starts = np.flatnonzero(np.append(True, (np.diff(first) != 0) | (np.diff(last) != 0)))
        runs = pairwise([*starts.tolist(), len(first)])
        return [(slice(begin, end), self.part(int(first[begin]), int(last[begin]))) for begin, end in runs]

    def entries(self, system: System, count: int) -> int:
        return max(expert.entries(system, count) for expert in self.experts)

    def energy(self, system: System, x: Float[Array, ...], sigma: Float[Array, ""]) -> Float[Array, ""]:
        return self._blend([expert.energy(system, x, sigma) for expert in self._energies()], sigma)

    def of_positions(
        self, system: System, chart: Chart, positions: Float[Array, "beads 3"], sigma: Float[Array, ""]
    ) -> Float[Array, ""]:
        parts = [expert.of_positions(system, chart, positions, sigma) for expert in self._energies()]
        return self._blend(parts, sigma)

    def score(self, system: System, x: Float[Array, ...], sigma: Float[Array, ""]) -> Float[Array, ...]:
        parts = jnp.stack([expert.score(system, x, sigma) for expert in self.experts])
        return jnp.tensordot(self.weights(sigma), parts, 1, precision=jax.lax.Precision.HIGHEST)

    def at_level(self, sigma: float) -> Energy:
        """The expert in force at this level, or the two of a window, with their offsets."""
        shares = self.weights(jnp.float32(sigma))
        live = [place for place, share in enumerate(shares.tolist()) if share > 0]
        chosen = self.part(live[0], live[-1])
        return eqx.tree_at(lambda e: e.experts, chosen, tuple(expert.at_level(sigma) for expert in chosen.experts))

    def _energies(self) -> tuple[Energy, ...]:
        return tuple(expert for expert in self.experts if not isinstance(expert, PlainScore))

    def _blend(self, parts: list[Array], sigma: Array) -> Float[Array, ""]:
        shares = self.weights(sigma)
        known = len(parts)
        total = jnp.sum(shares[:known] * (jnp.stack(parts) + self.offsets[:known]))
        return total if known == len(self.experts) else jnp.where(jnp.any(shares[known:] > 0), jnp.nan, total)
