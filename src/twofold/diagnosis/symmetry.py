"""Does the energy have the symmetries that it should have, and does the force follow them?

Every function takes the energy or the force itself, so that any can be checked. Positions are (frames, beads, 3) in nm;
energies are in kT unless stated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from twofold.analysis import graph, observables
from twofold.analysis.uncertainty import block_groups, jackknife
from twofold.beads import Beads
from twofold.diagnosis import thresholds
from twofold.diagnosis.checks import Check, Findings, Threshold
from twofold.diagnosis.curl import Force, curl_check
from twofold.diagnosis.verdict import ERRORS, judged, skipped
from twofold.energy.rotations import random_rotations

Energy = Callable[[Float[Array, "beads 3"]], Float[Array, ""]]
Move = Callable[[np.ndarray], np.ndarray]
"""Vectors on beads (frames, beads, 3) to those after a symmetry."""
BINS = 12
"""Bins of a torsion, on both sides of zero alike."""
SUBJECTS = {
    "rotation": "A rotation of the molecule",
    "translation": "A translation of the molecule",
    "permutation": "An exchange of two beads of one type",
}
LEAST_HANDEDNESS = 0.05
"""Divergence in nats of a torsion from its mirror image below which data count as having no handedness."""
ACHIRAL = ("GLY", "NGLY", "CGLY", "AIB")
"""Amino acids that are their own mirror images."""


class Frames(NamedTuple):
    """Frames that training did not see: positions (frames, beads, 3) nm, weights and blocks of time (frames,)."""

    positions: np.ndarray
    weights: np.ndarray
    block: np.ndarray


def symmetry(
    energy: Energy,
    force: Force,
    beads: Beads,
    frames: Frames,
    *,
    free: bool = True,
    axes: int = 3,
    learned: bool = False,
    like_beads: bool = False,
    seed: int = 0,
) -> Findings:
    """All checks of symmetry. free: the molecule floats in space, or with `axes` 2 in a plane.

    learned: rotation is no exact symmetry of the model. like_beads: in the model, beads of one type may change places.
    energy: kT; force: in any unit.
    """
    x = frames.positions
    checks = [curl_check(force, x, seed)]
    if not free:
        reason = "Does not apply to a particle in an external potential."
        name = "rotation, translation, mirror image, exchange"
        return Findings((*checks, skipped("symmetry.space", name, reason)))
    turned = thresholds.LEARNED if learned else thresholds.EXACT
    shifts = np.random.default_rng(seed).uniform(-1, 1, (len(x), 1, 3))
    checks += _moved(energy, force, x, _turn(len(x), axes, seed), "rotation", turned)
    checks += _moved(energy, force, x, _kept, "translation", thresholds.EXACT, shifts)
    checks += _balance(force, x, turned)
    checks.append(mirror_check(energy, beads, frames))
    checks += _exchanged(energy, force, beads, x, like_beads, seed)
    return Findings(tuple(checks))


def _kept(vectors: np.ndarray) -> np.ndarray:
    return vectors


def _turn(count: int, axes: int, seed: int) -> Move:
    """A rotation of its own for each of `count` frames, of the first `axes` axes."""
    rotations = np.tile(np.eye(3), (count, 1, 1))
    rotations[:, :axes, :axes] = np.asarray(random_rotations(jax.random.key(seed), count, axes), np.float64)
    return lambda vectors: np.einsum("fij,fbj->fbi", rotations, vectors)


def like_pairs(beads: Beads) -> np.ndarray:
    """Pairs of beads (pairs, 2) of one type."""
    types = np.unique(np.array(beads.types), return_inverse=True)[1]
    first, second = np.triu_indices(len(types), 1)
    return np.stack([first, second], axis=1)[types[first] == types[second]]


def _exchanged(
    energy: Energy, force: Force, beads: Beads, positions: np.ndarray, like_beads: bool, seed: int
) -> list[Check]:
    """Two like beads, drawn for each frame, in each other's place."""
    key, name = "symmetry.permutation", "exchange of like beads"
    if not like_beads:
        return [skipped(key, name, "Does not apply: this architecture tells each bead from all others by its place.")]
    pairs = like_pairs(beads)
    if not len(pairs):
        return [skipped(key, name, "Does not apply: no two beads are of one type.")]
    drawn = pairs[np.random.default_rng(seed).integers(len(pairs), size=len(positions))]
    order = np.tile(np.arange(len(beads)), (len(positions), 1))
    np.put_along_axis(order, drawn, drawn[:, ::-1], axis=1)

    def swap(vectors: np.ndarray) -> np.ndarray:
        return np.take_along_axis(vectors, order[..., None], axis=1)

    return _moved(energy, force, positions, swap, "permutation", thresholds.EXACT)


@eqx.filter_jit
def _map(function: Callable[[Array], Array], positions: Array) -> Array:
    with jax.default_matmul_precision("float32"):
        return jax.lax.map(function, positions, batch_size=64)


def evaluated(function: Callable[[Array], Array], positions: np.ndarray) -> np.ndarray:
    """`function` of each frame, float64."""
    return np.asarray(_map(function, jnp.asarray(positions, jnp.float32)), np.float64)


def _moved(
    energy: Energy,
    force: Force,
    positions: np.ndarray,
    move: Move,
    what: str,
    threshold: Threshold,
    shifts: np.ndarray | float = 0.0,
) -> list[Check]:
    """Energy and force of frames that were moved (and shifted), against those of the frames moved in the same way."""
    moved = move(positions) + shifts
    gap = np.sqrt(np.mean(np.square(evaluated(energy, moved) - evaluated(energy, positions))))
    expected = move(evaluated(force, positions))
    scale = np.sqrt(np.mean(np.square(expected)))
    error = np.sqrt(np.mean(np.square(evaluated(force, moved) - expected))) / max(scale, 1e-30)
    words = {
        "pass": f"{SUBJECTS[what]} changes nothing.",
        "fail": f"{SUBJECTS[what]} changes the energy or turns the forces wrongly: what should be alike is not.",
    }
    return [
        judged(f"symmetry.{what}-energy", f"energy under {what}", gap, thresholds.ENERGY_KT, words, unit="kT"),
        judged(f"symmetry.{what}-force", f"force under {what}", error, threshold, words),
    ]


def _balance(force: Force, positions: np.ndarray, turned: Threshold) -> list[Check]:
    """Net force and net torque, relative to the sums of sizes."""
    forces, x = evaluated(force, positions), np.asarray(positions, np.float64)
    arms = x - x.mean(axis=1, keepdims=True)
    found = []
    for key, name, parts, limit in (
        ("force", "net force", forces, thresholds.EXACT),
        ("torque", "net torque", np.cross(arms, forces), turned),
    ):
        sizes = np.linalg.norm(parts, axis=-1).sum(axis=1)
        net = np.linalg.norm(parts.sum(axis=1), axis=-1)
        value = float(np.sqrt(np.mean(net**2) / max(np.mean(sizes**2), 1e-30)))
        words = {
            "pass": f"The {name} on the molecule is zero.",
            "fail": f"The {name} on the molecule is not zero: it drives itself through empty space.",
        }
        found.append(judged(f"symmetry.net-{key}", name, value, limit, words))
    return found


def mirrored(positions: np.ndarray) -> np.ndarray:
    """Mirror images."""
    return positions * np.array([-1.0, 1.0, 1.0], positions.dtype)


def handedness(beads: Beads, frames: Frames) -> float:
    """Divergence in nats of the most one-sided torsion of the data from its mirror image; 0 without torsions.

    From a histogram with one count more in each bin: that mixes both distributions with the same even one, which
    can only bring them together (joint convexity), so that few frames cannot feign handedness.
    """
    rows = [graph.torsion_quadruples(beads)]
    # an improper of a centre with three neighbours is a torsion like any other
    rows.append(graph.three_neighbour_centres(beads)[:, [1, 0, 2, 3]])
    quadruples = np.concatenate(rows)
    if not len(quadruples):
        return 0.0
    values = observables.torsions(frames.positions, quadruples)
    share = frames.weights * len(values) / frames.weights.sum()
    effective = frames.weights.sum() ** 2 / np.square(frames.weights).sum() / len(values)
    edges = np.linspace(-np.pi, np.pi, BINS + 1)
    found = 0.0
    for column in values.T:
        counts = np.histogram(column, edges, weights=share)[0] * effective + 1.0
        p = counts / counts.sum()
        found = max(found, float(np.sum(p * np.log(p / p[::-1]))))
    return found


def _without_handedness(beads: Beads, least: float, name: str) -> Check:
    """Data that look like their mirror images: as they should, or because half of them are mirror images."""
    names = {beads.residue_names[row[1]] for row in beads.torsions_named("phi").values()}
    handed = sorted(names.difference(ACHIRAL))
    if not handed:
        return skipped("symmetry.mirror", name, "Does not apply: the data have no handedness.")
    sentence = (
        f"The data have no handedness, though {', '.join(handed)} has one: half of the frames seem to be mirror "
        "images, and a model of them makes as many."
    )
    limits = Threshold(LEAST_HANDEDNESS, LEAST_HANDEDNESS, thresholds.HANDEDNESS_SOURCE)
    return Check("symmetry.mirror", name, "fail", sentence, least, unit="nats", threshold=limits)


def mirror_check(energy: Energy, beads: Beads, frames: Frames) -> Check:
    """Whether mirror images of the data have more energy than the data, as they must if the data have a handedness.

    The mean of `U(mirrored x) - U(x)` over `p = exp(-U)/Z` is KL(p || mirrored p): never negative, and for a molecule
    with handedness at least that of any marginal distribution.
    """
    least = handedness(beads, frames)
    name = "mirror images"
    if least < LEAST_HANDEDNESS:
        return _without_handedness(beads, least, name)
    gaps = evaluated(energy, mirrored(frames.positions)) - evaluated(energy, frames.positions)

    def mean(index: np.ndarray) -> float:
        return float(np.average(gaps[index], weights=frames.weights[index] + 1e-12))

    value, error = jackknife(mean, block_groups(frames.block, len(gaps)))
    lower = float(np.average(gaps < 0, weights=frames.weights))
    limits = Threshold(least, 0.5 * least, thresholds.MIRROR_SOURCE)
    facts = f"they have {value:.3g} kT more on average ({100 * lower:.1f} % of them less), and at least {least:.3g} kT "
    given = {"value": value, "error": error, "unit": "kT", "threshold": limits}
    # both numbers are from the same frames, so that noise in the gap is all that may excuse it
    reach = value + ERRORS * (error if np.isfinite(error) else 0.0)
    if value > 0 and reach >= least:
        return Check("symmetry.mirror", name, "pass", f"Mirror images are told apart: {facts}are due.", **given)
    words = "have less energy than the data" if value < 0 else "are not told apart as well as the data allow"
    state = "warn" if reach >= limits.fails else "fail"
    return Check("symmetry.mirror", name, state, f"Mirror images {words}: {facts}would be due.", **given)
