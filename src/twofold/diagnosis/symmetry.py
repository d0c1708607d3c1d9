"""Does the energy have the symmetries that it should have, and is the force its gradient?

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
from twofold.diagnosis.verdict import ERRORS, judged, skipped
from twofold.energy.rotations import random_rotations

Energy = Callable[[Float[Array, "beads 3"]], Float[Array, ""]]
Force = Callable[[Float[Array, "beads 3"]], Float[Array, "beads 3"]]
PAIRS = 4
"""Pairs of directions for each frame."""
BINS = 12
"""Bins of a torsion, on both sides of zero alike."""
LEAST_HANDEDNESS = 0.05
"""Divergence in nats of a torsion from its mirror image below which data count as having no handedness."""


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
    learned: bool = False,
    seed: int = 0,
) -> Findings:
    """All checks of symmetry. free: the molecule floats in space. learned: rotation is no exact symmetry of the model.

    energy: kT; force: in any unit.
    """
    checks = [curl_check(force, frames.positions, seed)]
    if not free:
        reason = "Does not apply to a particle in an external potential."
        return Findings((*checks, skipped("symmetry.space", "rotation, translation, mirror image", reason)))
    turned = thresholds.LEARNED if learned else thresholds.EXACT
    rng = np.random.default_rng(seed)
    count = len(frames.positions)
    rotations = np.asarray(random_rotations(jax.random.key(seed), count), np.float64)
    shifts = rng.uniform(-1, 1, (count, 1, 3))
    none, still = np.broadcast_to(np.eye(3), (count, 3, 3)), np.zeros((count, 1, 3))
    checks += _moved(energy, force, frames.positions, rotations, still, "rotation", turned)
    checks += _moved(energy, force, frames.positions, none, shifts, "translation", thresholds.EXACT)
    checks += _balance(force, frames.positions, turned)
    checks.append(mirror_check(energy, beads, frames))
    reason = "Does not apply: the beads of one molecule in a chart of its own are all different."
    checks.append(skipped("symmetry.permutation", "exchange of like beads", reason))
    return Findings(tuple(checks))


@eqx.filter_jit
def _map(function: Callable[[Array], Array], positions: Array) -> Array:
    with jax.default_matmul_precision("float32"):
        return jax.lax.map(function, positions, batch_size=64)


def evaluated(function: Callable[[Array], Array], positions: np.ndarray) -> np.ndarray:
    """`function` of each frame, float64."""
    return np.asarray(_map(function, jnp.asarray(positions, jnp.float32)), np.float64)


def relative_curl(force: Force, positions: np.ndarray, directions: np.ndarray) -> float:
    """Root mean square of `u.Jv - v.Ju` over that of `|u.Jv| + |v.Ju|`, with J the Jacobian of the force.

    A force that is the gradient of anything has a symmetric Jacobian, and 0; one whose Jacobian is antisymmetric has 1.
    directions: (frames, pairs, 2, beads, 3).
    """
    return relative(*_products(force, jnp.asarray(positions, jnp.float32), jnp.asarray(directions, jnp.float32)))


def relative(forth: Array, back: Array) -> float:
    """Root mean square of a difference over that of the sum of sizes."""
    a, b = np.asarray(forth, np.float64), np.asarray(back, np.float64)
    above, below = np.mean(np.square(a - b)), np.mean(np.square(np.abs(a) + np.abs(b)))
    return float(np.sqrt(above / below)) if below > 0 else 0.0


@eqx.filter_jit
def _products(force: Force, positions: Array, directions: Array) -> tuple[Array, Array]:
    """`u.Jv` and `v.Ju`, (frames, pairs)."""

    def one(pair: tuple[Array, Array]) -> tuple[Array, Array]:
        _, push = jax.linearize(force, pair[0])

        def both(uv: Array) -> tuple[Array, Array]:
            return jnp.sum(uv[0] * push(uv[1])), jnp.sum(uv[1] * push(uv[0]))

        return jax.vmap(both)(pair[1])

    with jax.default_matmul_precision("float32"):
        return jax.lax.map(one, (positions, directions), batch_size=32)


def curl_check(force: Force, positions: np.ndarray, seed: int = 0) -> Check:
    """Whether the force is conservative."""
    count, beads, _ = positions.shape
    directions = np.random.default_rng(seed).standard_normal((count, PAIRS, 2, beads, 3))
    value = relative_curl(force, positions, directions)
    sentences = {
        "pass": "The force is the gradient of an energy: the work done along a closed path is zero.",
        "fail": "The force is not the gradient of an energy: a simulation with it gains or loses energy on closed "
        "paths, and does not sample any density that the model knows.",
    }
    return judged("symmetry.curl", "conservative force", value, thresholds.CURL, sentences)


def _moved(
    energy: Energy,
    force: Force,
    positions: np.ndarray,
    rotations: np.ndarray,
    shifts: np.ndarray,
    what: str,
    threshold: Threshold,
) -> list[Check]:
    """Energy and force of frames that were turned and shifted, against those of the frames turned in the same way."""
    moved = np.einsum("fij,fbj->fbi", rotations, positions) + shifts
    gap = np.sqrt(np.mean(np.square(evaluated(energy, moved) - evaluated(energy, positions))))
    expected = np.einsum("fij,fbj->fbi", rotations, evaluated(force, positions))
    scale = np.sqrt(np.mean(np.square(expected)))
    error = np.sqrt(np.mean(np.square(evaluated(force, moved) - expected))) / max(scale, 1e-30)
    words = {
        "pass": f"A {what} of the molecule changes nothing.",
        "fail": f"A {what} of the molecule changes its energy or turns its forces wrongly: space is not even for it.",
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


def mirror_check(energy: Energy, beads: Beads, frames: Frames) -> Check:
    """Whether mirror images of the data have more energy than the data, as they must if the data have a handedness.

    The mean of `U(mirrored x) - U(x)` over `p = exp(-U)/Z` is KL(p || mirrored p): never negative, and for a molecule
    with handedness at least that of any marginal distribution.
    """
    least = handedness(beads, frames)
    name = "mirror images"
    if least < LEAST_HANDEDNESS:
        return skipped("symmetry.mirror", name, "Does not apply: the data have no handedness.")
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
