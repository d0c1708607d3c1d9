"""The full comparison of samples and simulations with the reference and with each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twofold.analysis import observables
from twofold.analysis.draws import drawable
from twofold.analysis.frames import FrameSet, Reference, reference_parts
from twofold.analysis.judge import Judge
from twofold.analysis.results import Evaluation
from twofold.errors import UserError

if TYPE_CHECKING:
    from twofold.ensemble import Ensemble


def compare(
    sets: dict[str, FrameSet],
    training: Ensemble | None,
    held_out: Ensemble,
    *,
    bins: int = 60,
    temperature: float | None = None,
    tica: bool | None = None,
    seed: int = 0,
) -> Evaluation:
    """Compares every set with `held_out`, and the sets with each other; the floor is `training` against `held_out`.

    bins: of a torsion, in Ramachandran planes (JS and PMF error). temperature: K, that of the sets; must be the
    reference's. tica: compare slow coordinates too; None does where deeptime is installed.

    Raises UserError when `held_out` holds training frames, beads or temperature differ, or positions are not finite.
    """
    if temperature is not None and abs(temperature - held_out.temperature) > 0.5:
        raise UserError(f"sets at {temperature:g} K, reference at {held_out.temperature:g} K", "one temperature")
    for name, one in sets.items():
        observables.check_positions(one.positions, held_out.beads, name)
    reference = reference_parts(held_out, training)
    judge = Judge(reference, bins, seed, tica)
    results = {name: judge.set(name, one) for name, one in sets.items()}
    # a run from one basin asks whether it finds the reference's populations: that is no question between two sets
    names = [name for name, one in sets.items() if one.kind != "basin"]
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    between = {(a, b): judge.pair(a, sets[a], b, sets[b]) for a, b in pairs}
    return Evaluation(results, between, _about(reference, bins, seed, judge.notes))


def _about(reference: Reference, bins: int, seed: int, notes: list[str]) -> dict[str, Any]:
    def of(part: Ensemble) -> dict[str, Any]:
        return {"frames": len(part), "effective_size": part.effective_size, "drawable": drawable(part.weights)}

    return {
        "bins": bins,
        "seed": seed,
        "temperature": reference.held_out.temperature,
        "held_out": of(reference.held_out),
        "floor_from": reference.source,
        "other": of(reference.other),
        "notes": notes,
    }
