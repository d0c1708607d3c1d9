"""Frames sampled at one temperature as an ensemble at another.

At T0 a frame has the density `exp(-U/kT0)`; with the weight `exp(-(1/kT - 1/kT0) U)` it counts as it would at T
(Ferrenberg and Swendsen, Phys. Rev. Lett. 61, 2635, 1988). U has to be the energy of everything that moves: of beads
that are a part of the atoms only a free energy is left, which is another one at every temperature.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from twofold.analysis.reweighting import Reweighting, reweight
from twofold.ensemble import Ensemble, check_temperature
from twofold.errors import UserError
from twofold.files.parts import no_energies, said_of
from twofold.training.fit import LEAST_FRAMES
from twofold.units import thermal_energy


def sampling_temperature(temperature: float | None, sampled_at: float | None) -> float | None:
    """K, at which frames are to be read: that of their simulation.

    Raises UserError for a temperature that is out of range, and for frames of `sampled_at` wanted at none.
    """
    if sampled_at is None:
        return temperature
    if temperature is None:
        raise UserError(
            f"frames sampled at {sampled_at:g} K, and no other temperature",
            "that of the model too",
            "state it, e.g. --temperature 300",
        )
    check_temperature(temperature)
    return check_temperature(sampled_at)


def at_temperature(ensemble: Ensemble, temperature: float) -> Ensemble:
    """The frames as those of `temperature` in K, with their weights times `exp(-(1/kT - 1/kT0)(U - <U>))`.

    T0 is the temperature of `ensemble`, and U (frames,) its energies. What the weights are worth is kept in its source.
    Raises UserError where the energy of all particles is not known, and where fewer frames are left than a fit takes.
    """
    before = ensemble.temperature
    if check_temperature(temperature) == before:
        return ensemble
    if ensemble.energies is None:
        raise no_energies(ensemble.source, "another temperature")
    _check_own_energies(ensemble)
    colder = 1.0 / thermal_energy(temperature) - 1.0 / thermal_energy(before)
    mean = np.average(ensemble.energies, weights=ensemble.weights)
    factors = -colder * (ensemble.energies - mean)
    factors -= factors[ensemble.weights > 0].max()  # none may overflow; frames without weight stay without
    weights = np.where(ensemble.weights > 0, ensemble.weights * np.exp(np.minimum(factors, 0.0)), 0.0)
    result = replace(ensemble, weights=weights, temperature=temperature)
    if result.effective_size < LEAST_FRAMES:
        raise UserError(
            f"{len(result)} frames of {before:g} K are worth {result.effective_size:.1f} at {temperature:g} K",
            f"at least {LEAST_FRAMES}",
            "give more frames, or frames of a temperature that is closer",
        )
    sampled = ensemble.source.get("sampled_at", {"temperature": before})["temperature"]  # not where they came by
    worth: dict[str, Any] = {"temperature": sampled, "effective_size": result.effective_size}
    if (tail := _tail(result)) is not None:
        worth["pareto_k"] = tail.pareto_k
    return replace(result, source=ensemble.source | {"sampled_at": worth})


def worth_note(training: Ensemble, held_out: Ensemble) -> str:
    """What weights of another temperature are worth, in words; "" for frames that have none of them."""
    if "sampled_at" not in training.source:
        return ""
    before = training.source["sampled_at"]["temperature"]
    parts, heavy = [], False
    for name, part in (("training", training), ("held-out", held_out)):
        tail = _tail(part)
        shape = "" if tail is None else f" (Pareto shape {tail.pareto_k:.2f})"
        heavy |= tail is not None and tail.pareto_k > tail.threshold
        parts.append(f"{len(part)} {name} frames are worth {part.effective_size:.0f}{shape}")
    said = f"Frames of {before:g} K weighted to {training.temperature:g} K: {', '.join(parts)}."
    warning = " A few frames decide every average: take frames of a temperature that is closer."
    return said + (warning if heavy else "")


def _tail(ensemble: Ensemble) -> Reweighting | None:
    """The tail of the weights; None for too few frames to have one."""
    with np.errstate(divide="ignore"):
        logs = np.log(ensemble.weights)
    try:
        return reweight(logs, force=True)
    except UserError:
        return None


def _check_own_energies(ensemble: Ensemble) -> None:
    """Raises UserError for energies that are not those of the simulation that the frames are from."""
    for part in said_of(ensemble.source):
        if part.get("equilibrium") == "no":
            found = "frames that were chosen, and stand for no temperature"
            raise UserError(found, "those of a simulation", "leave --sampled-at out")
        if "recomputed" in str(part.get("forces", "")):
            found = "energies of another level of theory than that of the simulation"
            raise UserError(found, "those of the simulation", "take the energies of the dynamics")
