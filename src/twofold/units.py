"""Units: nm, ps, amu, kJ/mol, K and elementary charges inside; readers convert what comes from outside.

Constants are those of the 2019 SI (CODATA 2018); amu nm^2 / ps^2 equals kJ/mol exactly.
"""

from pathlib import Path

from twofold.errors import UserError

BOLTZMANN = 8.31446261815324e-3
"""Gas constant in kJ/mol/K."""

COULOMB = 138.935458
"""Coulomb constant in kJ/mol nm / e^2."""

LENGTH_IN_NM = {"nm": 1.0, "angstrom": 0.1, "pm": 1e-3, "bohr": 0.0529177210903}
ENERGY_IN_KJ_MOL = {"kJ/mol": 1.0, "kcal/mol": 4.184, "eV": 96.48533212331, "hartree": 2625.4996394799}
MD_UNITS = {"length": "nm", "time": "ps", "mass": "amu", "energy": "kJ/mol", "temperature": "K", "charge": "e"}
"""Written into every file."""


def thermal_energy(temperature: float) -> float:
    """kT in kJ/mol at `temperature` in K."""
    return BOLTZMANN * temperature


def _factor(table: dict[str, float], unit: str, quantity: str) -> float:
    names = {name.lower(): factor for name, factor in table.items()}
    aliases = {"å": "angstrom", "a": "angstrom", "kj/mol": "kj/mol", "kcal": "kcal/mol", "kj": "kj/mol"}
    key = aliases.get(unit.lower(), unit.lower())
    if key not in names:
        raise UserError(f"unknown {quantity} unit {unit!r}", f"one of {', '.join(table)}", "state the unit of the file")
    return names[key]


def length_factor(unit: str) -> float:
    """Factor from `unit` to nm. Raises UserError for a unit that is not known."""
    return _factor(LENGTH_IN_NM, unit, "length")


def energy_factor(unit: str) -> float:
    """Factor from `unit` to kJ/mol. Raises UserError for a unit that is not known."""
    return _factor(ENERGY_IN_KJ_MOL, unit, "energy")


def agreed_unit(path: Path, of: str, stated: str | None, given: str | None) -> str | None:
    """The unit `of` "length" or "energy" that the file at `path` states, else the one that is given, else None.

    Raises UserError where both are there and differ: the option may have been meant for another file.
    """
    factor = length_factor if of == "length" else energy_factor
    if stated and given and factor(stated) != factor(given):
        raise UserError(
            f"{path} states its unit of {of}, {stated}, and --{of}-unit says {given}", "the same", "drop one of them"
        )
    return stated or given
