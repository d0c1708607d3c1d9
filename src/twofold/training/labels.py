"""What a fit learns from beside the noise: forces, how strong they are and at which noise they matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from twofold.beads import Beads
from twofold.chart.base import Chart
from twofold.ensemble import MAX_TEMPERATURE, Ensemble
from twofold.errors import UserError
from twofold.files.parts import LEFT_OUT, no_energies, said_of
from twofold.training.settings import ForceUse
from twofold.units import thermal_energy

FEWEST_FOR_EACH = 5
"""Equations for each unknown below which a linear fit does not tell signal from noise."""
FARTHEST = 10.0
"""Factor between the temperature of frames and that of their labels beyond which the latter is no temperature in K."""


def label_temperature(stated: float, asked: float | None) -> float:
    """K whose kT divides all labels: that which was `asked` for, or else the one `stated` for the frames.

    Raises UserError for what cannot be the temperature in K of frames of `stated` K, like a factor.
    """
    if asked is None:
        return stated
    if not stated / FARTHEST <= asked <= min(FARTHEST * stated, MAX_TEMPERATURE):
        factor = 1.0 / FARTHEST <= asked <= FARTHEST
        raise UserError(
            f"force_temperature {asked:g} K for frames of {stated:g} K",
            f"a temperature within {FARTHEST:g} times theirs, and at most {MAX_TEMPERATURE:g} K",
            "give the temperature that frames have under the forces in kelvin"
            + (f", {asked * stated:g} for {asked:g} times {stated:g} K" if factor else ", or leave it out"),
        )
    return float(asked)


def force_labels(ensemble: Ensemble, wanted: str, temperature: float | None = None) -> np.ndarray | None:
    """Forces (frames, beads, 3) in kT/nm, or None where there are none or none are `wanted`.

    temperature: K, as of `label_temperature`; by default that of the ensemble.
    """
    if wanted == "none" or ensemble.forces is None:
        return None
    return (ensemble.forces / thermal_energy(temperature or ensemble.temperature)).astype(np.float32)


def forces_left_out(ensemble: Ensemble) -> bool:
    """Whether the files held forces that could not be read, since nobody said in which unit of energy they are."""
    return any(str(part.get("forces", "")).startswith(LEFT_OUT) for part in said_of(ensemble.source))


def energy_labels(ensemble: Ensemble, weight: float, temperature: float | None = None) -> np.ndarray | None:
    """Energies (frames,) in kT from their mean, or None if they do not count.

    temperature: K, as of `label_temperature`; by default that of the ensemble.

    Raises UserError where they should count and there are none.
    """
    if not weight:
        return None
    if ensemble.energies is None:
        raise no_energies(ensemble.source, "energy_weight")
    share = ensemble.weights / ensemble.weights.sum()
    from_mean = ensemble.energies - share @ ensemble.energies
    return (from_mean / thermal_energy(temperature or ensemble.temperature)).astype(np.float32)


def mean_squares(chart: Chart, beads: Beads, scores: jax.Array, weights: np.ndarray) -> jax.Array:
    """J, the mean square of a coordinate of `scores` (frames, ...), in a shape that multiplies coordinates.

    One number for each type of beads where coordinates are those of beads, (beads, 1), else one for each coordinate.
    The mean over beads, which noise does not move, is made up for.
    """
    share = np.asarray(weights, np.float64) / np.sum(weights)
    squares = np.einsum("f,f...->...", share, np.asarray(scores, np.float64) ** 2)
    if squares.ndim < 2:
        return jnp.asarray(squares, jnp.float32)
    moving = squares.size * squares.sum(axis=1) / (chart.dimension * squares.shape[1])
    types = np.array(beads.types)
    by_type = np.array([moving[types == one].mean() for one in types])
    return jnp.asarray(by_type[:, None], jnp.float32)


def principal_squares(
    scores: jax.Array, weights: np.ndarray, alike: Sequence[str] | None = None
) -> tuple[jax.Array, jax.Array]:
    """J as a matrix: its eigenvalues, in a shape that multiplies coordinates, and its eigenvectors in columns.

    Of coordinates, or of beads alike for every direction of space, since orientation is free. alike: types (beads,) of
    an energy in which beads of one type may change places; J is then the mean over all such exchanges, without which
    the labels of like beads would differ. Where all are alike, every direction but that of the common mean, which has
    neither force nor noise, has the number of `mean_squares`.

    Eigenvalues are drawn to their mean by as much as p of them are uncertain from n frames, p / (n + p), with a p of
    one for each type where beads are alike: in directions that few frames have not seen, forces would be taken for
    certain.
    """
    share = np.asarray(weights, np.float64) / np.sum(weights)
    values = np.asarray(scores, np.float64)
    axes = values[None] if values.ndim == 2 else _moving(values)
    moments = np.mean([axis.T @ (share[:, None] * axis) for axis in axes], axis=0)
    squares, directions = np.linalg.eigh(moments if alike is None else _exchanged(moments, alike))
    unknown = len(squares if alike is None else set(alike))
    doubt = unknown / (unknown + len(axes) / np.sum(share**2))
    squares = (1.0 - doubt) * np.maximum(squares, 0.0) + doubt * np.mean(squares)
    shaped = squares if values.ndim == 2 else squares[:, None]
    return jnp.asarray(shaped, jnp.float32), jnp.asarray(directions, jnp.float32)


def _exchanged(moments: np.ndarray, types: Sequence[str]) -> np.ndarray:
    """The mean of `moments` (beads, beads) over all exchanges of beads of one type.

    One number for each type on the diagonal, and one for each two types, or two beads of one, beside it.
    """
    member = (np.array(types)[:, None] == np.unique(types)).astype(np.float64)
    count, own = member.sum(axis=0), np.diag(moments)
    pairs = np.maximum(np.outer(count, count) - np.diag(count), 1.0)  # of a type with one bead there are none
    between = member @ (member.T @ (moments - np.diag(own)) @ member / pairs) @ member.T
    np.fill_diagonal(between, member @ (own @ member / count))
    return between


def labels_of(variance: jax.Array | None, use: ForceUse = "auto") -> str:
    """What is learned from, in words."""
    if variance is None:
        return "noise"
    return "forces" if use == "only" else "noise and forces"


def described(
    beads: Beads, variance: jax.Array | None, directions: jax.Array | None = None, *, use: ForceUse = "auto"
) -> dict[str, Any]:
    """For the report: labels, J of each type in the unit of the chart, the noise at which both labels weigh alike.

    directions: those of `principal_squares`, where J is a matrix.
    """
    if variance is None:
        return {"labels": labels_of(variance)}
    matrix = directions is not None
    flat = np.asarray(variance, np.float64).ravel()
    word = "direction" if matrix else "coordinate"
    names = beads.types if variance.ndim > 1 and not matrix else [f"{word} {place}" for place in range(len(flat))]
    squares = {name: float(value) for name, value in zip(names, flat, strict=True)}
    return {
        "labels": labels_of(variance, use),
        "mean_square_force": squares,
        "crossover_sigma": {name: value**-0.5 for name, value in squares.items() if value > 0},
    }


@dataclass(frozen=True)
class NoiseBudget:
    """Least part of the mean square of labels that is signal, as far as a linear function of the coordinates tells.

    sigma: the level of noise that `noise` is for, in units of the chart. forces: None where there are none. exact:
    whether forces are known to be a function of the coordinates, so that all of them is signal. alone: whether they are
    the only labels.
    """

    sigma: float
    noise: float
    forces: float | None = None
    exact: bool = False
    alone: bool = False

    def __str__(self) -> str:
        said = [] if self.alone else [f"labels of noise at sigma {self.sigma:.3g}: {self._least(self.noise)}"]
        if self.forces is not None:
            said.append(f"forces: {'all is signal' if self.exact else self._least(self.forces)}")
        return "; ".join(said)

    @staticmethod
    def _least(share: float) -> str:
        return f"at least {_percent(share)} % is signal"


def _percent(share: float) -> str:
    """Two digits, and 100 for all of it."""
    return f"{float(f'{100 * share:.2g}'):g}"


def noise_budget(coordinates: np.ndarray, forces: np.ndarray | None, weights: np.ndarray, sigma: float) -> NoiseBudget:
    """The budget of frames (frames, ...) in coordinates of the chart, with their scores, if any, at level `sigma`.

    Of the label `eps/sigma` the best linear function of `x + sigma eps` explains `sigma^2 / (v + sigma^2)` along a
    direction of variance v; of forces f it explains `tr(<f x> <x x>^-1 <x f>)`, less what it would explain by chance
    (`R^2` adjusted for its p directions, with Kish's number of frames; too few frames tell of nothing). The signal is
    what a function of any kind explains, and so no less. Beads share one matrix for all three directions of space.
    """
    share = np.asarray(weights, np.float64) / np.sum(weights)
    x = _rows(np.asarray(coordinates, np.float64), share)
    values, vectors = np.linalg.eigh(np.einsum("f,afi,afj->ij", share, x, x) / len(x))
    moving = values > 1e-6 * values[-1]
    values, vectors = values[moving], vectors[:, moving]
    noise = float(np.mean(sigma**2 / (values + sigma**2)))
    if forces is None:
        return NoiseBudget(sigma, noise)
    f = _rows(np.asarray(forces, np.float64), share)[: len(x)]
    along = np.einsum("f,afi,afj->ij", share, f, x @ vectors) / len(x)
    total = np.einsum("f,afi,afi->", share, f, f) / len(x)
    equations = len(x) / np.sum(share**2)
    if not total or equations < FEWEST_FOR_EACH * len(values):
        return NoiseBudget(sigma, noise, 0.0)
    unexplained = (1.0 - np.sum(along**2 / values) / total) * equations / (equations - len(values))
    return NoiseBudget(sigma, noise, max(0.0, float(1.0 - unexplained)))


def _rows(values: np.ndarray, share: np.ndarray) -> np.ndarray:
    """(directions of space that move, frames, coordinates); without such directions one, and means taken out."""
    if values.ndim == 2:
        return (values - share @ values)[None]
    return _moving(values)


def _moving(values: np.ndarray) -> np.ndarray:
    axes = np.moveaxis(values, 2, 0)
    return axes[np.abs(axes).max(axis=(1, 2)) > 0]
