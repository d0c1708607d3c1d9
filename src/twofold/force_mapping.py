"""From forces on atoms to forces on beads, F_I = sum_a G_Ia f_a, whose mean given the beads is the mean force.

Which G may be used follows from moving the beads: let every atom be displaced by sum_I G_Ia u_I. When that moves bead J
by u_J alone, `G C^T = 1` with C the map of the positions, and keeps every constraint, then integration by parts gives
the mean force, without a term in kT since G does not depend on the frame (Ciccotti, Kapral, Vanden-Eijnden,
ChemPhysChem 6, 1809, 2005; for atoms without constraints Noid et al., J. Chem. Phys. 128, 244114, 2008). Atoms that
constraints tie to each other are given one coefficient: they move as one body, and what the constraints do within it
cancels in its sum of forces, so that it does not matter whether the engine wrote constraint forces.

Many G meet both conditions. All have the same mean; the one of least variance is the solution of a quadratic problem
with linear constraints (Kraemer, Durumeric et al., J. Phys. Chem. Lett. 14, 3970, 2023).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from twofold.ensemble import normalised
from twofold.errors import UserError
from twofold.space import displacement, molecules

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twofold.mapping import Mapping

RIGID = 0.005
"""Relative width below which a distance counts as constrained: rounding to 0.001 nm widens 0.1 nm by 0.004, heat at
300 K the stiffest bonds by 0.013."""
LEAST_FRAMES = 10
"""With fewer frames a width says nothing."""
FRAMES_LOOKED_AT = 1000
"""Frames that distances are looked at in, spread over all."""
RIDGE = 1e-6
"""Added to second moments of forces, relative to their mean, for atoms without forces or whose forces always agree."""
NUMBERS_PER_COEFFICIENT = 20
"""Components of forces for each coefficient that is fitted: with fewer the map fits the noise of its frames."""
CHUNK = 2048
"""Frames that are worked on at a time."""
EXACT = 1e-6
"""Largest deviation from `G C^T = 1`."""
LEAVE_OUT = "leave the forces out (--forces none)"
"""What those may do whose forces cannot be mapped."""


@dataclass(frozen=True, eq=False)
class ForceMapping:
    """A linear map of forces on atoms to forces on beads.

    matrix: (beads, atoms) float64, the coefficients G.
    method: how they were chosen.
    """

    matrix: np.ndarray
    method: Literal["basic", "optimal"]

    def forces(self, forces: np.ndarray) -> np.ndarray:
        """Forces on the beads (frames, beads, 3) float32 of those on the atoms (frames, atoms, 3), in their unit.

        Raises UserError for another number of atoms and for forces that are not finite.
        """
        check_atoms(forces, self.matrix.shape[1])
        result = np.empty((len(forces), len(self.matrix), 3), dtype=np.float32)
        for part in chunks(len(forces)):
            result[part] = self.matrix @ checked(forces, part)
        return result


def frames_wanted(mapping: Mapping) -> int:
    """Frames that are enough for `fitted_map` to see constraints and, if there are none, to fit the optimal map."""
    if is_every_atom(mapping):
        return 0
    return max(LEAST_FRAMES, -(-NUMBERS_PER_COEFFICIENT * len(mapping.needed_atoms()) // 3))


def fitted_map(
    mapping: Mapping,
    positions: np.ndarray,
    forces: np.ndarray,
    box: np.ndarray | None = None,
    source: str | Path = "the data",
) -> tuple[ForceMapping, int]:
    """The optimal map of these frames, or the basic one where they are too few, and how many constraints were found.

    positions, forces: (frames, atoms, 3), positions in nm; box: (frames, 3, 3) or None; source: where they are from,
    for messages. Constraints are looked for among the bonds. Atoms that are all beads keep their forces. Weights would
    change which map is the best, but none of them makes it wrong.

    Raises UserError where there is no consistent map, and for frames too few to see constraints.
    """
    if is_every_atom(mapping):
        return ForceMapping(configuration(mapping), "basic"), 0
    constraints = rigid_pairs(positions, mapping.bonds, box, source=source)
    groups = len(np.unique(constraint_groups(constraints, mapping.atom_count)[mapping.needed_atoms()]))
    few = 3 * len(forces) < NUMBERS_PER_COEFFICIENT * groups
    return basic_map(mapping, constraints) if few else optimal_map(mapping, forces, constraints), len(constraints)


def basic_map(mapping: Mapping, constraints: np.ndarray) -> ForceMapping:
    """Every bead takes the forces of all atoms that it stands for, and of atoms that constraints tie to these.

    constraints: (pairs, 2) atoms, as of `rigid_pairs`; (0, 2) where there are none. Raises UserError where that is no
    consistent map: beads that share atoms, or that constraints tie to each other.
    """
    group = constraint_groups(constraints, mapping.atom_count)
    owned = np.flatnonzero(mapping.owner >= 0)
    spread = membership(group, owned)
    touched = np.zeros((len(mapping.beads), spread.shape[1]))
    np.maximum.at(touched, mapping.owner[owned], spread[owned])
    matrix = touched @ spread.T
    deviation = np.abs(matrix @ configuration(mapping).T - np.eye(len(matrix)))
    if deviation.max() > EXACT:
        one, other = (mapping.beads.label(int(i)) for i in np.unravel_index(deviation.argmax(), deviation.shape))
        raise UserError(
            f"beads {one} and {other} that share atoms or that constraints tie to each other",
            "beads that constraints leave apart, to sum forces",
            f"give more frames, for a map that knows of them, or {LEAVE_OUT}",
        )
    return ForceMapping(matrix, "basic")


def optimal_map(
    mapping: Mapping,
    forces: np.ndarray,
    constraints: np.ndarray,
    weights: np.ndarray | None = None,
    *,
    ridge: float = RIDGE,
) -> ForceMapping:
    """The map of the least mean square of bead forces over weighted frames, among all that are consistent.

    forces: (frames, atoms, 3); constraints: (pairs, 2) atoms; weights: (frames,), equal when None. With one coefficient
    g for each group of tied atoms (of the molecules that have a bead; others get none), f their sums of forces and
    A = C S, S from atoms to groups, bead I minimises `g <f f^T> g` under `A g = e_I`:

        | <f f^T> + ridge  A^T | | g |   |  0  |
        |        A          0  | | m | = | e_I |

    The frames that a map is fitted to have slightly too small forces under it, by a part of about the number of groups
    over that of independent components of force. For harmonic atoms the map is exact: no noise is left.

    Raises UserError for forces that do not fit or are not finite, for too few frames, and where constraints tie beads
    to each other, which leaves no consistent map.
    """
    check_atoms(forces, mapping.atom_count)
    spread = membership(constraint_groups(constraints, mapping.atom_count), mapping.needed_atoms())
    centres = configuration(mapping) @ spread
    _check_apart(mapping, centres)
    weights = normalised(np.ones(len(forces)) if weights is None else weights, len(forces))
    moments = _second_moments(forces, spread, weights)
    return ForceMapping(_least(moments, spread.sum(axis=0), centres, ridge) @ spread.T, "optimal")


def configuration(mapping: Mapping) -> np.ndarray:
    """The map C of positions, (beads, atoms) float64: rows sum to 1."""
    matrix = np.zeros((len(mapping.beads), mapping.atom_count))
    np.add.at(matrix, (mapping.bead, mapping.atoms), mapping.weight)
    return matrix


def is_every_atom(mapping: Mapping) -> bool:
    """Whether the beads are all atoms, in their order."""
    return np.array_equal(configuration(mapping), np.eye(mapping.atom_count))


def constraint_groups(constraints: np.ndarray, atoms: int) -> np.ndarray:
    """(atoms,) int64: the lowest atom of those that `constraints` (pairs, 2) tie each atom to, itself where none do.

    Raises UserError for pairs of other atoms than 0 to `atoms` - 1.
    """
    pairs = np.asarray(constraints, dtype=np.int64).reshape(-1, 2)
    if pairs.size and (pairs.min() < 0 or pairs.max() >= atoms):
        raise UserError(
            f"a constraint of atom {pairs.max() if pairs.max() >= atoms else pairs.min()}", f"atoms 0 to {atoms - 1}"
        )
    return molecules(pairs, atoms)


def rigid_pairs(
    positions: np.ndarray,
    pairs: np.ndarray,
    box: np.ndarray | None = None,
    tolerance: float = RIGID,
    source: str | Path = "the data",
) -> np.ndarray:
    """Those of `pairs` (pairs, 2), as a rule the bonds, whose distance is the same in all frames: (rigid, 2) int64.

    positions: (frames, atoms, 3), nm; box: (frames, 3, 3) or None; source: where they are from, for messages. Same
    means a standard deviation below `tolerance` of the mean. Bonds are enough: where force fields constrain an angle
    they also constrain its two bonds. Raises UserError for fewer than ten frames.
    """
    if len(positions) < LEAST_FRAMES:
        raise UserError(
            f"{len(positions)} frames in {source}",
            f"at least {LEAST_FRAMES}, to see which distances are constrained",
            f"give more frames, or {LEAVE_OUT}",
        )
    pairs = np.asarray(pairs, dtype=np.int64).reshape(-1, 2)
    chosen = np.unique(np.linspace(0, len(positions) - 1, FRAMES_LOOKED_AT).astype(np.int64))
    ends = np.asarray(positions[chosen], dtype=np.float64)
    apart = displacement(ends[:, pairs[:, 0]], ends[:, pairs[:, 1]], None if box is None else box[chosen])
    lengths = np.linalg.norm(apart, axis=-1)
    return pairs[lengths.std(axis=0) < tolerance * lengths.mean(axis=0)]


def membership(group: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """(all atoms, groups) float64: 1 where an atom is in a group, for the groups that the atoms `chosen` belong to.

    group: (all atoms,), the label of the group of each atom.
    """
    return (group[:, None] == np.unique(group[chosen])).astype(np.float64)


def chunks(frames: int) -> Iterator[slice]:
    """Frames, some at a time."""
    return (slice(start, start + CHUNK) for start in range(0, frames, CHUNK))


def check_atoms(forces: np.ndarray, atoms: int) -> None:
    """Raises UserError unless `forces` are (frames, atoms, 3)."""
    if np.ndim(forces) != 3 or np.shape(forces)[1:] != (atoms, 3):
        raise UserError(f"forces of shape {np.shape(forces)}", f"(frames, {atoms}, 3), as the positions of the atoms")


def checked(forces: np.ndarray, part: slice) -> np.ndarray:
    """The frames `part` of `forces` as float64. Raises UserError that names the first that is not finite."""
    values = np.asarray(forces[part], dtype=np.float64)
    if not np.isfinite(values).all():
        frame, atom = (int(i) for i in np.argwhere(~np.isfinite(values))[0][:2])
        raise UserError(
            f"forces that are not finite in frame {part.start + frame}, atom {atom}",
            "finite numbers",
            "repair the file or leave these frames out",
        )
    return values


def _second_moments(forces: np.ndarray, spread: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """<f f^T> (groups, groups) over weighted frames and the three components, f the sums of forces over groups."""
    groups = spread.shape[1]
    frames = weights.sum() ** 2 / np.square(weights).sum()  # that weigh as much (Kish 1965)
    if 3 * frames < NUMBERS_PER_COEFFICIENT * groups:
        raise UserError(
            f"{len(weights)} frames worth {frames:.0f} of equal weight",
            f"at least {-(-NUMBERS_PER_COEFFICIENT * groups // 3)}, to fit {groups} coefficients",
            "give more frames, or sum the forces with the basic map",
        )
    moments = np.zeros((groups, groups))
    for part in chunks(len(forces)):
        sums = spread.T @ checked(forces, part)
        moments += np.tensordot(weights[part][:, None, None] * sums, sums, axes=((0, 2), (0, 2)))
    return moments / (3.0 * weights.sum())


def _least(moments: np.ndarray, sizes: np.ndarray, centres: np.ndarray, ridge: float) -> np.ndarray:
    """Coefficients (beads, groups) from the equations in `optimal_map`; the ridge counts every atom of a group."""
    beads, groups = centres.shape
    scale = max(float(np.diag(moments).mean()), np.finfo(np.float64).tiny)
    equations = np.zeros((groups + beads, groups + beads))
    equations[:groups, :groups] = moments / scale + np.diag(ridge * sizes)
    equations[:groups, groups:] = centres.T
    equations[groups:, :groups] = centres
    right = np.zeros((groups + beads, beads))
    right[groups:] = np.eye(beads)
    return np.linalg.solve(equations, right)[:groups].T


def _check_apart(mapping: Mapping, centres: np.ndarray) -> None:
    """Raises UserError unless every bead can move while the others rest and all constraints hold."""
    if np.linalg.matrix_rank(centres) == len(centres):
        return
    last = next(bead for bead in range(len(centres)) if np.linalg.matrix_rank(centres[: bead + 1]) <= bead)
    parts = np.linalg.lstsq(centres[:last].T, centres[last], rcond=None)[0]
    tied = [*np.flatnonzero(np.abs(parts) > EXACT), last]
    raise UserError(
        f"beads {', '.join(mapping.beads.label(int(bead)) for bead in tied)} that constraints tie to each other",
        "beads that can move one by one",
        f"make one bead of them, or {LEAVE_OUT}",
    )
