"""What the virial and the stretches of forces say of them: a verdict, and what is likely wrong."""

from __future__ import annotations

from collections.abc import Mapping
from math import hypot, isfinite, log
from typing import Literal

import numpy as np

from twofold.ensemble import MAX_TEMPERATURE
from twofold.units import ENERGY_IN_KJ_MOL, LENGTH_IN_NM, thermal_energy

Verdict = Literal["accepted", "refused", "undecided"]
ACCEPTED = "they can be those of this ensemble"
UNDECIDED = "too few independent frames to tell whether they are those of this ensemble"
UNEXPLAINED = (
    "they do not cancel in the mean: they are of another level of theory or force field than the simulation, or lack a"
    " part (constraints, a bias, atoms)"
)
UNLIKE = "stretches of the stiffest pairs are not what these forces would make them: frames and forces differ"
LEARNED = "; they are learned from all the same, and --forces none leaves them out"
"""What undecided means."""
Measured = tuple[float, float]
"""A number and its standard error."""

ERRORS = 3.0
"""Standard errors by which a ratio may differ from what it should be."""
SLACK = 0.05
"""By which it may always differ: a time step of 4 fs alone shifts stretches by 2 to 4 % (alanine dipeptide, 45,000
frames, errors of 0.4 %). It counts only where three errors are less: sets of sound forces with errors of 0.02 to 0.16
(nine molecules of MD17, alanine dipeptide, a tetrapeptide, Lennard-Jones particles) are off by at most 2.2 errors."""
SHIFTED = 0.1
"""By which stretches have to differ before another temperature is named."""
TELLS = 0.33
"""Largest error of the virial that tells forces from none: three of it reach from one to zero."""
STRETCH_RANGE = (0.5, 2.0)
"""The ratio of stretches outside which forces are refused. Trajectories of ab initio dynamics have up to 1.35."""
DOUBTFUL = (0.75, 1.4)
"""The ratio of stretches outside which forces are not accepted, though a factor of two is not reached."""
NEAR = 1.4
"""Factor within which numbers count as alike, one put down to a unit or two to a temperature."""
KCAL, EV, HARTREE = (ENERGY_IN_KJ_MOL[name] for name in ("kcal/mol", "eV", "hartree"))
UNIT_FACTORS = {
    "kJ/mol and kcal/mol": KCAL,
    "nm and Angstrom": 1.0 / LENGTH_IN_NM["angstrom"],
    "kJ/mol/nm and kcal/mol/Angstrom": KCAL / LENGTH_IN_NM["angstrom"],
    "kcal/mol and eV": EV / KCAL,
    "kJ/mol and eV": EV,
    "kJ/mol/nm and eV/Angstrom": EV / LENGTH_IN_NM["angstrom"],
    "kJ/mol and hartree": HARTREE,
    "kJ/mol/nm and hartree/bohr": HARTREE / LENGTH_IN_NM["bohr"],
}
"""Factors between units that are taken for each other."""


def judged(
    virial: Measured,
    stretch: Measured,
    shares: Mapping[str, Measured],
    temperature: float,
    dimension: int,
    rigid: str = "",
    *,
    chosen: bool = False,
) -> tuple[Verdict, str]:
    """The verdict and its reason in words.

    virial, stretch: over what they should be. shares: of types of beads in the virial, likewise. temperature: K, that
    was stated; chosen: for the forces alone. dimension: D of the virial. rigid: what is wrong with a rigid bond, if
    there is one.
    """
    named = _another_temperature(virial, stretch, temperature, chosen)
    still = "" if named else _without_rotation(virial, stretch, dimension)
    if rigid or (is_off(virial) and not still) or _beyond(STRETCH_RANGE, stretch):
        return "refused", rigid or "; ".join(_causes(virial, stretch, shares, temperature, chosen))
    if _beyond(DOUBTFUL, stretch):
        return ("refused", named) if named else ("undecided", UNLIKE + LEARNED)
    if still:
        return "undecided", still + LEARNED
    if not virial[1] <= TELLS:  # also where the error is not known
        return "undecided", UNDECIDED + LEARNED
    return "accepted", ACCEPTED + _consequence(stretch, temperature, chosen)


def _consequence(stretch: Measured, temperature: float, chosen: bool) -> str:
    """What learning from forces does to stiff pairs whose stretches are a little off: `k var(r) / kT` is not one."""
    if not abs(stretch[0] - 1.0) > max(SLACK, ERRORS * stretch[1]):
        return ""
    width = 100.0 * (stretch[0] ** -0.5 - 1.0)
    change = f"{abs(width):.0f} % {'wider' if width > 0 else 'narrower'}"
    said = f"; they make stiff pairs {change} than those of the frames, which --forces none follows"
    if chosen:
        return said
    return f"{said}, or {_setting(stretch, temperature)}, the temperature that these pairs have in the frames"


def _setting(stretch: Measured, temperature: float) -> str:
    """How to say which temperature stiff pairs have."""
    return f"force_temperature {stretch[0] * temperature:.0f} (in --config)"


def _without_rotation(virial: Measured, stretch: Measured, dimension: int) -> str:
    """That the virial lacks what rotation has, where it does and stretches are sound; else "".

    Dynamics in free space whose total angular momentum is held at zero samples `exp(-U/kT) det(I)^(-1/2)`, I the tensor
    of inertia. Lengths times l make that l^-3 times as large, so that `-<F.x> = (D - 3) kT`; of two beads, which turn
    about two axes, `(D - 2) kT`.
    """
    axes = 2 if dimension == 3 else 3
    held = abs(virial[0] - (1.0 - axes / dimension)) <= max(SLACK, ERRORS * virial[1])
    if not (held and is_off(virial) and DOUBTFUL[0] <= stretch[0] <= DOUBTFUL[1]):
        return ""
    return f"as if the total angular momentum had been held at zero, which leaves frames {axes} kT short"


def is_off(virial: Measured) -> bool:
    """Whether a virial is not one."""
    return abs(virial[0] - 1.0) > np.maximum(SLACK, ERRORS * virial[1])  # False where the error is not known


def _beyond(bounds: tuple[float, float], stretch: Measured) -> bool:
    """Whether stretches are out of the range by more than their error."""
    low, high = bounds
    return stretch[0] + ERRORS * stretch[1] < low or stretch[0] - ERRORS * stretch[1] > high


def _causes(
    virial: Measured, stretch: Measured, shares: Mapping[str, Measured], temperature: float, chosen: bool
) -> list[str]:
    """What is likely wrong: sign and unit as stretches tell, and what these leave unexplained."""
    factor, uncertain = stretch if isfinite(stretch[0]) else virial
    if not abs(factor) > ERRORS * uncertain:
        return ["they do not follow the positions: they are of other frames or another order, or not turned with them"]
    causes = ["their sign is opposite, as of gradients of an energy"] if factor < 0 else []
    name, unit = _unit(abs(factor), temperature)
    if name:
        size = f"{max(unit, 1 / unit):.4g} times too {'large' if unit > 1 else 'small'}"
        causes.append(f"they are {size}, the factor between {name}")
    whole, part, *of_types = (
        (value * np.sign(factor) / unit, error / unit) for value, error in (virial, stretch, *shares.values())
    )
    if is_off(whole) or _beyond(STRETCH_RANGE, part):
        worst = max(range(len(of_types)), key=lambda i: abs(of_types[i][0] - 1.0) / max(of_types[i][1], 1e-12))
        most = f"the virial of {[*shares][worst]} is {of_types[worst][0]:.2g} +- {of_types[worst][1]:.1g}"
        causes.append(_another_temperature(whole, part, temperature, chosen) or f"{UNEXPLAINED}; {most}")
    return causes


def _unit(factor: float, temperature: float) -> tuple[str, float]:
    """Units that are confused where forces are `factor` times what they should be, and by how much; "", 1 for none."""
    known = [(name, value**power) for name, value in UNIT_FACTORS.items() for power in (1, -1)]
    for table in (known, [("kJ/mol and kT", 1.0 / thermal_energy(temperature))]):
        name, nearest = min(table, key=lambda entry: abs(log(factor / entry[1])))
        if abs(log(factor / nearest)) < log(NEAR) < abs(log(nearest)):
            return name, nearest
    return "", 1.0


def _another_temperature(virial: Measured, stretch: Measured, temperature: float, chosen: bool) -> str:
    """Which temperature would fit, where both numbers are off by about one factor that is none of a unit; else ""."""
    alike = abs(virial[0] - stretch[0]) <= max(ERRORS * hypot(virial[1], stretch[1]), (NEAR - 1.0) * abs(stretch[0]))
    same_side = (virial[0] - 1.0) * (stretch[0] - 1.0) > 0 and abs(stretch[0] - 1.0) > SHIFTED
    low, high = sorted(temperature * value for value in (virial[0], stretch[0]))
    if not (alike and same_side and low > 0 and high < MAX_TEMPERATURE):
        return ""
    said = f"they fit a temperature of {low:.0f} to {high:.0f} K, not {temperature:g} K"
    if chosen:
        return said
    return f"{said}; if it is known that frames and forces differ so, say {_setting(stretch, temperature)}"
