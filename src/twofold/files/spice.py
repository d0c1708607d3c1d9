"""HDF5 files like those of SPICE: a group for each molecule, with conformations, energies and gradients.

Eastman et al., Sci. Data 10, 11 (2023).
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twofold.errors import UserError
from twofold.files.checks import check_file
from twofold.files.elements import symbols
from twofold.files.labelled import LabelledFrames, labelled
from twofold.units import energy_factor, length_factor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ARRAYS = ("atomic_numbers", "conformations", "dft_total_energy", "dft_total_gradient")
LISTED = 40
"""Names of molecules in a message."""
UNITS = {
    "conformations": {"length": "bohr"},
    "dft_total_energy": {"energy": "hartree"},
    "dft_total_gradient": {"energy": "hartree", "length": "bohr"},
}
"""Unless the attribute `units` of a data set, or the user, states others; of a gradient the first over the second."""
FACTORS = {"length": length_factor, "energy": energy_factor}


def spice_names(path: str | Path) -> list[str]:
    """Names of all molecules in a file. Raises UserError for a file that is missing or damaged."""
    with _opened(Path(path)) as file:
        return list(file)


def is_spice(path: Path) -> bool:
    """Whether the first group of a file, if it is HDF5 and has one, holds conformations."""
    import h5py

    if not path.is_file() or not h5py.is_hdf5(path):
        return False
    with _opened(path) as file:
        first: Any = next(iter(file.values()), None)
        return hasattr(first, "keys") and "conformations" in first


def only_molecule(path: Path, name: str | None) -> str:
    """`name`, or that of the one molecule in a file. Raises UserError with the names where there are several."""
    if name is not None:
        return name
    names = spice_names(path)
    if len(names) != 1:
        more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
        listed = ", ".join(names[:LISTED]) + more
        raise UserError(f"{len(names)} molecules in {path}: {listed}", "one of them", "name it, with --molecule")
    return names[0]


def read_spice(
    path: str | Path, names: str | Sequence[str], length_unit: str | None = None, energy_unit: str | None = None
) -> list[LabelledFrames]:
    """The conformations of the molecules `names`, one entry for each; the others are not read.

    Forces are the negative gradients. The conformations were chosen to be different from each other: they are neither a
    trajectory nor an ensemble in equilibrium, and what is fitted to them alone is not that of any temperature.

    length_unit, energy_unit: of arrays without an attribute `units`; bohr and hartree unless given.

    Raises UserError for a file that is missing, damaged or of another kind, for a molecule that it does not have, for
    arrays that are missing or do not fit together, and for attributes that are no units or differ from those given.
    """
    path, wanted = Path(path), [names] if isinstance(names, str) else list(names)
    with _opened(path) as file:
        present = list(file)
        for name in wanted:
            if name not in present:
                near = ", ".join(get_close_matches(name, present, 3) or present[:3])
                raise UserError(f"no molecule {name!r} in {path}", f"one of its {len(present)}, e.g. {near}")
        given = {"length": length_unit, "energy": energy_unit}
        return [_molecule(path, name, file[name], given) for name in wanted]


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The open file; what the library stumbles over while it is read becomes a UserError."""
    import h5py

    try:
        with h5py.File(check_file(path), "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path} cannot be read ({error})", "a whole HDF5 file", "copy it again") from error


def _molecule(path: Path, name: str, group: Any, given: dict[str, str | None]) -> LabelledFrames:
    if missing := [array for array in ARRAYS if not hasattr(group, "keys") or array not in group]:
        raise UserError(f"molecule {name!r} in {path} without {', '.join(missing)}", f"{', '.join(ARRAYS)}")
    numbers, positions, energies, gradient = (np.asarray(group[array]) for array in ARRAYS)
    where = Path(f"{path}/{name}")
    units = {array: _unit(where / array, group[array], given) for array in UNITS}
    energy_unit, _, length_unit = units["dft_total_gradient"].rpartition("/")
    frames = labelled(
        where,
        positions,
        length=length_factor(units["conformations"]),
        force=-energy_factor(energy_unit) / length_factor(length_unit),
        energy=energy_factor(units["dft_total_energy"]),
        elements=symbols(numbers.reshape(-1).tolist(), where),
        forces=gradient,
        energies=energies,
        about={
            "format": "SPICE",
            "molecule": name,
            "units": units,
            "order": "none: conformations that were chosen, not a trajectory",
            "equilibrium": "no",
        },
    )
    return replace(frames, paths=(path,))


def _unit(where: Path, dataset: Any, given: dict[str, str | None]) -> str:
    """The unit that the array `where` states, else the one that is given, else that of the format.

    Raises UserError for one that is not known, and where it is stated and given and the two differ: the option may
    have been meant for another file.
    """
    usual = UNITS[where.name]
    if "units" not in dataset.attrs:
        return "/".join(given[kind] or unit for kind, unit in usual.items())
    stated = dataset.attrs["units"]
    stated = stated.decode(errors="replace") if isinstance(stated, bytes) else str(stated)
    units = stated.rpartition("/")[::2] if len(usual) > 1 else (stated,)
    for kind, unit in zip(usual, units, strict=True):
        try:
            factor = FACTORS[kind](unit)
        except UserError as error:
            expected = f"a unit like {'/'.join(usual.values())}"
            raise UserError(f"{where} in {stated!r}", expected, "correct the attribute units") from error
        if (other := given[kind]) and FACTORS[kind](other) != factor:
            found = f"{where} states its unit, {stated}, and --{kind}-unit says {other}"
            raise UserError(found, "the same", "drop the option or correct the attribute units")
    return stated
