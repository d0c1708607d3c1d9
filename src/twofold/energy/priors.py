"""What is known of the noised density without learning: a Gaussian chain, stiff pairs, and handedness."""

from __future__ import annotations

from itertools import combinations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.optimize import nnls

from twofold.bond_graph import bonds_apart, neighbours
from twofold.chart.cartesian import CartesianChart
from twofold.energy.features import WienerFilter, cross, differences
from twofold.energy.tables import NoiseTable, noise_levels, noised, tabulate
from twofold.fixed import Fixed

_EXACT = jax.lax.Precision.HIGHEST
STIFF = 0.08
"""A pair is stiff if the standard deviation of its distance is below this share of the mean."""
STIFF_BONDS = 3
"""Largest number of bonds between the beads of a stiff pair."""
WEIGHT_FRAMES = 1024
"""Frames from which the weights of the terms are fitted."""
SHARPEST_HANDEDNESS = 0.1
"""Least width of a signed volume, as a share of its mean: bounds the force on a bead pushed through its plane."""


class GaussianPrior(Fixed):
    """The rotation-invariant Gaussian with the data's covariance: exact for such data at every noise level.

    With modes `q_k` and variances `l_k` of `C = <x x^T>/3` its energy is `1/2 sum_k |q_k^T y|^2 / (l_k + sigma^2)`.
    """

    variances: Array

    def terms(self, components: Float[Array, "3 modes"], sigma: Float[Array, ""]) -> Float[Array, " modes"]:
        """Energy of each mode in kT."""
        return 0.5 * jnp.sum(components**2, axis=0) / (self.variances + sigma**2)


class PairPrior(Fixed):
    """Harmonic energies of stiff pairs, with the mean and width that their distances have at each noise level."""

    steps: Array
    table: NoiseTable
    number: int = eqx.field(static=True)

    def __init__(self, chart: CartesianChart, pairs: np.ndarray, frames: np.ndarray, seed: int = 0) -> None:
        self.number = len(pairs)
        modes = np.asarray(chart.modes, np.float64)
        matrix = differences(chart.beads, pairs[:, 0], pairs[:, 1])
        self.steps = jnp.asarray(modes.T @ matrix, jnp.float32)
        wiener = WienerFilter(chart)
        means, widths = tabulate(lambda x, _: self.distances(wiener.project(x)), frames, seed)
        # a pair that is rigid in the data (a constraint) still has the width of the noise
        floor = np.sqrt(2.0) * noise_levels()[:, None]
        self.table = NoiseTable(np.stack([means, 1.0 / np.maximum(widths, floor)], axis=1))

    def distances(self, components: Float[Array, "3 modes"]) -> Float[Array, " pairs"]:
        """Distances in units of the chart."""
        steps = jnp.matmul(components, self.steps, precision=_EXACT)
        return jnp.sqrt(jnp.sum(steps**2, axis=0) + 1e-10)

    def terms(self, components: Float[Array, "3 modes"], sigma: Float[Array, ""]) -> Float[Array, " pairs"]:
        """Energy of each pair in kT."""
        mean, inverse = self.table(sigma)
        return 0.5 * ((self.distances(components) - mean) * inverse) ** 2


class HandednessPrior(Fixed):
    """`sum softplus(-2 v m / var)` over signed volumes `v` of a bead and three stiff neighbours, Wiener filtered.

    This is minus the logarithm of the probability of a conformation, of it and its mirror image, if its volume is
    Gaussian with mean `m` and variance `var`, which are tabulated over the noise level. Flat surroundings contribute a
    constant.
    """

    filter: WienerFilter
    steps: Array
    table: NoiseTable
    number: int = eqx.field(static=True)

    def __init__(self, chart: CartesianChart, centres: np.ndarray, frames: np.ndarray, seed: int = 0) -> None:
        self.number = len(centres)
        self.filter = WienerFilter(chart)
        matrices = [differences(chart.beads, centres[:, 0], centres[:, k]) for k in (1, 2, 3)]
        self.steps = jnp.asarray(np.asarray(chart.modes, np.float64).T @ np.concatenate(matrices, 1), jnp.float32)
        means, widths = tabulate(lambda x, sigma: self.volumes(self.filter.project(x), sigma), frames, seed)
        # volumes shrink with the filter by orders of magnitude: tabulated in units of their own root mean square
        scale = np.maximum(np.sqrt(means**2 + widths**2), 1e-30)
        mean = means / scale
        width = np.maximum(widths, np.maximum(SHARPEST_HANDEDNESS * np.abs(means), 1e-30)) / scale
        self.table = NoiseTable(np.stack([2.0 * mean / width**2, -np.log(scale)], axis=1))

    def volumes(self, components: Float[Array, "3 modes"], sigma: Float[Array, ""]) -> Float[Array, " centres"]:
        """Signed volumes of the filtered coordinates, cubic units of the chart."""
        steps = jnp.matmul(self.filter.shrink(components, sigma), self.steps, precision=_EXACT)
        a, b, c = jnp.split(steps, 3, axis=-1)
        return jnp.sum(a * cross(b, c), axis=0)

    def terms(self, components: Float[Array, "3 modes"], sigma: Float[Array, ""]) -> Float[Array, " centres"]:
        """Energy of each centre in kT."""
        odds, scale = self.table(sigma)
        return jax.nn.softplus(-odds * self.volumes(components, sigma) * jnp.exp(scale))


class Prior(Fixed):
    """Sum of the three priors; modes and pairs are weighted at each noise level as fits the data best.

    The Gaussian is exact for large noise and wrong for stiff directions at small noise, where the pairs are nearly
    exact. Their weights are the non-negative ones that minimise the implicit score-matching loss of the noised data,
    a linear least-squares problem in closed form.
    """

    filter: WienerFilter
    gaussian: GaussianPrior
    pairs: PairPrior
    handedness: HandednessPrior
    weights: NoiseTable

    def energy(self, x: Float[Array, "beads 3"], sigma: Float[Array, ""]) -> Float[Array, ""]:
        """Energy in kT."""
        return self.energy_of(self.filter.project(x), sigma)

    def energy_of(self, components: Float[Array, "3 modes"], sigma: Float[Array, ""]) -> Float[Array, ""]:
        """Energy in kT of coordinates given along the modes."""
        harmonic = [self.gaussian.terms(components, sigma), self.pairs.terms(components, sigma)]
        handed = self.handedness.terms(components, sigma)
        return jnp.dot(self.weights(sigma), jnp.concatenate(harmonic), precision=_EXACT) + jnp.sum(handed)


def build_prior(chart: CartesianChart, bonds: np.ndarray, frames: np.ndarray, seed: int = 0) -> Prior:
    """Prior of a molecule from its bonds (bonds, 2) and a few thousand frames in chart coordinates."""
    gaussian = GaussianPrior(chart.variances)
    pairs = PairPrior(chart, stiff_pairs(bonds, frames), frames, seed)
    handedness = HandednessPrior(chart, stiff_centres(bonds, frames), frames, seed)
    weights = fit_weights(chart, pairs, frames[:WEIGHT_FRAMES], seed)
    return Prior(WienerFilter(chart), gaussian, pairs, handedness, NoiseTable(weights))


def _relative_width(frames: np.ndarray) -> np.ndarray:
    """Standard deviation over mean (beads, beads) of all distances; the diagonal is infinite."""
    frames = np.asarray(frames[:2048], np.float64)
    distances = np.linalg.norm(frames[:, :, None] - frames[:, None], axis=-1)
    mean = distances.mean(0)
    return distances.std(0) / np.where(mean > 0, mean, 1.0) + np.where(np.eye(len(mean)) > 0, np.inf, 0.0)


def stiff_pairs(bonds: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Pairs (pairs, 2), i < j, few bonds apart, whose distance hardly changes."""
    count = frames.shape[1]
    near = bonds_apart(count, bonds) <= STIFF_BONDS
    rows, columns = np.nonzero(np.triu(near & (_relative_width(frames) < STIFF), 1))
    return np.stack([rows, columns], axis=1)


def stiff_centres(bonds: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Beads with three neighbours at stiff distances: (centres, 4), the bead first, every triple of its neighbours."""
    stiff = _relative_width(frames) < STIFF
    found = []
    for bead, bonded in enumerate(neighbours(frames.shape[1], bonds)):
        legs = [other for other in bonded if stiff[bead, other]]
        found += [(bead, *triple) for triple in combinations(legs, 3)]
    return np.array(found, int).reshape(-1, 4)


def fit_weights(chart: CartesianChart, pairs: PairPrior, frames: np.ndarray, seed: int = 0) -> np.ndarray:
    """Weights (levels, modes + pairs) of the harmonic terms at each noise level.

    For `U = sum_a w_a phi_a` the implicit score-matching loss `<1/2 |grad U|^2 - lap U>` is `1/2 w A w - b w` with
    `A_ab = <grad phi_a . grad phi_b>` and `b_a = <lap phi_a>`.
    """
    modes = np.asarray(chart.modes, np.float64)
    variances = np.asarray(chart.variances, np.float64)
    steps = np.asarray(pairs.steps, np.float64)
    weights = []
    for sigma in noise_levels():
        components = np.swapaxes(noised(frames, sigma, seed).astype(np.float64), 1, 2) @ modes
        weights.append(_best_weights(components, steps, variances + sigma**2, pairs, sigma))
    return np.array(weights)


def _best_weights(
    components: np.ndarray, steps: np.ndarray, variances: np.ndarray, pairs: PairPrior, sigma: float
) -> np.ndarray:
    """Weights for one noise level; `components` (frames, 3, modes), `steps` (modes, pairs)."""
    samples, modes = len(components), len(variances)
    mean, inverse = np.asarray(pairs.table(jnp.float32(sigma)), np.float64)
    vectors = components @ steps
    distances = np.sqrt((vectors**2).sum(1))
    deviation = (distances - mean) * inverse
    slopes = (vectors * (deviation * inverse / distances)[:, None]).reshape(3 * samples, -1)
    along = (components / variances).reshape(3 * samples, -1)
    gram = np.empty((modes + steps.shape[1],) * 2)
    gram[:modes, :modes] = along.T @ along / samples * np.eye(modes)
    gram[:modes, modes:] = along.T @ slopes / samples * steps
    gram[modes:, :modes] = gram[:modes, modes:].T
    gram[modes:, modes:] = slopes.T @ slopes / samples * (steps.T @ steps)
    curvature = 2.0 * inverse**2 + (deviation * inverse * 4.0 / distances).mean(0)
    laplacians = np.concatenate([3.0 / variances, curvature])
    return _non_negative_minimum(gram, laplacians)


def _non_negative_minimum(gram: np.ndarray, slope: np.ndarray, ridge: float = 1e-4) -> np.ndarray:
    """The non-negative `w` that minimises `1/2 w gram w - slope w`, slightly regularised."""
    scale = 1.0 / np.sqrt(np.diag(gram))
    factor = np.linalg.cholesky(gram * scale * scale[:, None] + ridge * np.eye(len(gram)))
    return scale * nnls(factor.T, np.linalg.solve(factor, slope * scale))[0]
