"""Are what is given as forces the forces of this ensemble?

For every field B of displacements, `<F.B> = -kT <div B>` in equilibrium (Jepps, Ayton, Evans, Phys. Rev. E 62, 4757,
2000), also for noisy forces whose mean is right. Two fields are put to the test:

- B = x, the virial: `-<F.x> = D kT`, D = 3 (N - 1), where x has no mean over the beads and F no net force. It sees
  every mistake, and is noisy: large forces along stiff pairs have to cancel.
- B = r - b along the stiffest pairs, r their distance, b any length near it: `-<F_r (r - b)> = kT <1 + 2 (r - b)/r>`
  with F_r half the difference of the two forces along the pair. It is precise to a few per cent from a thousand
  frames on and hardly sees a shift of the minimum: it tells sign, unit and temperature, whatever else is wrong.

What forces are worth as labels is told by J, their mean square in units of kT. It is signal and noise together: how
much is signal cannot be known from frames that are all different without a model of the mean force.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.analysis.uncertainty import block_groups, jackknife_error
from twofold.ensemble import check_finite, check_temperature
from twofold.errors import UserError
from twofold.force_mapping import FRAMES_LOOKED_AT, chunks, rigid_pairs
from twofold.force_verdict import Measured, Verdict, judged
from twofold.space import check_box
from twofold.units import thermal_energy

if TYPE_CHECKING:
    from twofold.ensemble import Ensemble

LEAST_FRAMES = 20
"""With fewer frames an error says nothing."""
WITHIN_BOX = 0.9
"""Part of the box beyond which beads cannot be one whole molecule by itself."""


@dataclass(frozen=True)
class TypeForces:
    """Forces on the beads of one type.

    ratio, error: their share of the virial over what it should be, 1.
    mean_square: J = <|F|^2> / (kT)^2 for each component, 1/nm^2, F without net force; signal and noise together.
    """

    name: str
    beads: int
    ratio: float
    error: float
    mean_square: float

    @property
    def crossover_nm(self) -> float:
        """The level of noise sigma = 1/sqrt(J), nm, where a force and the noise are equally uncertain as labels."""
        return 1.0 / sqrt(self.mean_square) if self.mean_square > 0 else inf


OVERRIDE = "; --force-check off takes them as they are"
"""What those may do who know better."""


@dataclass(frozen=True)
class ForceCheck:
    """What came out, at the temperature (K) that forces were compared with.

    ratio, error: the virial over D kT, which should be 1, with its jackknife error.
    stretch, stretch_error: the same of stretches of the stiffest pairs.
    dimension: D = 3 (N - 1).
    meaning: the verdict in plain words, with the likely cause where the forces are refused.
    types: the forces by type of bead, in order of first appearance.
    """

    ratio: float
    error: float
    stretch: float
    stretch_error: float
    dimension: int
    temperature: float
    verdict: Verdict
    meaning: str
    types: tuple[TypeForces, ...]

    @property
    def numbers(self) -> str:
        """What was measured, in words."""
        return (
            f"forces whose virial is {self.ratio:.3g} +- {self.error:.2g} times what it should be"
            f" ({self.stretch:.3g} +- {self.stretch_error:.2g} for stretches of the stiffest pairs)"
        )

    @property
    def sentence(self) -> str:
        """What was measured, and what that means."""
        return f"{self.numbers}: {self.meaning}"

    @property
    def mean_square(self) -> float:
        """J over all components, 1/nm^2."""
        return sum(one.beads * one.mean_square for one in self.types) / sum(one.beads for one in self.types)


def check_forces(ensemble: Ensemble, forces: Any = None, temperature: float | None = None) -> ForceCheck:
    """As `measure_forces`, and raises UserError when the forces are refused, with the likely cause."""
    result = measure_forces(ensemble, forces, temperature)
    if result.verdict == "refused":
        raise UserError(
            result.sentence,
            f"forces with -<F.x> = {result.dimension} kT at {result.temperature:g} K",
            f"give the forces that drove the simulation, in the right units, or leave the forces out{OVERRIDE}",
        )
    return result


def measure_forces(ensemble: Ensemble, forces: Any = None, temperature: float | None = None) -> ForceCheck:
    """Compares virial and stretches of `forces` (frames, beads, 3), kJ/mol/nm, or those of the ensemble, with kT.

    temperature: K, of the kT, where frames are known to have another one under their forces than was stated.

    For molecules in free space, or whole in a box. Errors are block jackknife errors over weighted frames. Forces are
    refused when the virial differs from D kT by more than three errors (and by more than a twentieth, where errors are
    less than a sixtieth), when stretches are off by a factor of two and three errors, or by less, but more than sound
    data have been seen to be, and so is the virial, as at another temperature, or when a bond is rigid. They are
    undecided when the virial is too uncertain to tell, when it is that of frames without angular momentum, or when
    stretches alone are off by less than a factor of two.

    Raises UserError when there are no forces, or they are zero, not finite or of another shape, for one bead, fewer
    than twenty frames, beads spread over a periodic box or a box without volume, and for no temperature in (0, 5000].
    """
    kelvin = check_temperature(ensemble.temperature if temperature is None else temperature)
    forces = _usable(ensemble, forces)
    kinds = tuple(dict.fromkeys(ensemble.beads.types))
    virials, squares, work, heat = _by_frame(ensemble, forces, kinds)
    count = [ensemble.beads.types.count(kind) for kind in kinds]
    share = 3.0 * np.array(count) * (1.0 - 1.0 / len(ensemble.beads))
    kt, dimension = thermal_energy(kelvin), 3 * (len(ensemble.beads) - 1)
    columns = np.column_stack([virials.sum(axis=1) / dimension, virials / share]) / kt
    virial, *by_type = _ratios(ensemble, columns, np.ones(len(ensemble)))
    (stretch,) = _ratios(ensemble, work[:, None], kt * heat)
    means = (np.average(squares, axis=0, weights=ensemble.weights) / (share * kt**2)).tolist()
    types = tuple(TypeForces(kind, count[i], *by_type[i], means[i]) for i, kind in enumerate(kinds))
    shares = {one.name: (one.ratio, one.error) for one in types}
    verdict, meaning = judged(
        virial, stretch, shares, kelvin, dimension, _rigid(ensemble), chosen=temperature is not None
    )
    return ForceCheck(*virial, *stretch, dimension, kelvin, verdict, meaning, types)


def _usable(ensemble: Ensemble, forces: Any) -> np.ndarray:
    """`forces` or those of the ensemble. Raises UserError where the check does not apply."""
    values = ensemble.forces if forces is None else np.asarray(forces)
    if values is None:
        raise UserError("no forces", "forces beside the positions", "read a file that holds them, and state its units")
    if values.shape != ensemble.positions.shape:
        raise UserError(
            f"forces of shape {values.shape}",
            f"{ensemble.positions.shape} as the positions",
            "map the forces on atoms to the beads, with the same frames",
        )
    check_finite(values, "forces", ensemble.beads)
    if not values.any():
        raise UserError("forces that are all zero", "forces in kJ/mol/nm", "leave the forces out")
    if len(ensemble.beads) < 2 or len(ensemble) < LEAST_FRAMES:
        raise UserError(
            f"{len(ensemble)} frames of {len(ensemble.beads)} beads",
            f"at least {LEAST_FRAMES} frames of two beads, to check forces",
        )
    if ensemble.box is not None:
        inside = np.einsum("fbi,fij->fbj", ensemble.positions, np.linalg.inv(check_box(ensemble.box)))
        if np.ptp(inside, axis=1).max() > WITHIN_BOX:
            raise UserError(
                "beads that are spread over the whole of a periodic box",
                "one molecule in free space, or whole in its box",
                f"the virial of periodic positions says nothing about forces{OVERRIDE}",
            )
    return values


def _stiffest(ensemble: Ensemble) -> tuple[np.ndarray, np.ndarray]:
    """The N - 1 pairs of beads (pairs, 2) whose distances vary least, but do, and their mean distances (pairs,), nm."""
    beads = len(ensemble.beads)
    index = np.unique(np.linspace(0, len(ensemble) - 1, FRAMES_LOOKED_AT).astype(np.int64))
    x = ensemble.positions[index].astype(np.float64)
    widths, means = np.full((2, beads, beads), inf)
    for i in range(beads - 1):
        lengths = np.linalg.norm(x[:, i + 1 :] - x[:, i, None], axis=-1)
        width, means[i, i + 1 :] = lengths.std(axis=0), lengths.mean(axis=0)
        widths[i, i + 1 :] = np.where(width > 1e-4 * means[i, i + 1 :], width, inf)
    order = np.argsort(widths, axis=None, kind="stable")[: beads - 1]
    order = order[np.isfinite(widths.ravel()[order])]
    return np.stack(np.unravel_index(order, widths.shape), axis=1), means.ravel()[order]


def _by_frame(
    ensemble: Ensemble, forces: np.ndarray, kinds: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Virial -F.x and |F|^2 by type (frames, types), and of stretches -F.B and div B (frames,), summed over pairs."""
    of_kind = np.array([[one == kind for kind in kinds] for one in ensemble.beads.types], dtype=np.float64)
    pairs, rest = _stiffest(ensemble)
    virials, squares = np.empty((2, len(ensemble), len(kinds)))
    work, heat = np.empty((2, len(ensemble)))
    for part in chunks(len(ensemble)):
        x, f = (array[part].astype(np.float64) for array in (ensemble.positions, forces))
        x, f = x - x.mean(axis=1, keepdims=True), f - f.mean(axis=1, keepdims=True)
        virials[part] = -np.sum(f * x, axis=2) @ of_kind
        squares[part] = np.sum(f * f, axis=2) @ of_kind
        apart, pulling = (array[:, pairs[:, 0]] - array[:, pairs[:, 1]] for array in (x, f))
        lengths = np.linalg.norm(apart, axis=-1)
        stretch = (lengths - rest) / lengths
        work[part] = -0.5 * np.sum(np.sum(pulling * apart, axis=-1) * stretch, axis=1)
        heat[part] = np.sum(1.0 + 2.0 * stretch, axis=1)
    return virials, squares, work, heat


def _ratios(ensemble: Ensemble, above: np.ndarray, below: np.ndarray) -> list[Measured]:
    """Weighted mean of each column of `above` (frames, k) over that of `below` (frames,), with jackknife errors."""
    groups = block_groups(ensemble.block, len(ensemble))
    sizes = np.bincount(groups, ensemble.weights)
    tops = np.stack([np.bincount(groups, ensemble.weights * column) for column in above.T], axis=1)
    bottoms = np.bincount(groups, ensemble.weights * below)[:, None]
    # One block may hold all of the weight, and there may be no pairs: what cannot be told is not a number.
    with np.errstate(divide="ignore", invalid="ignore"):
        left_out = (tops.sum(axis=0) - tops) / (bottoms.sum() - bottoms)
        values, errors = tops.sum(axis=0) / bottoms.sum(), jackknife_error(left_out, sizes)
    return list(zip(values.tolist(), np.asarray(errors).tolist(), strict=True))


def _rigid(ensemble: Ensemble) -> str:
    """That forces of constraints are missing, where a bond does not vary; else ""."""
    rigid = rigid_pairs(ensemble.positions, ensemble.beads.bonds)
    if len(rigid) == 0:
        return ""
    one, other = (ensemble.beads.label(int(bead)) for bead in rigid[0])
    return f"the bond of {one} and {other} is rigid, and what holds it is missing: map forces on atoms to beads first"
