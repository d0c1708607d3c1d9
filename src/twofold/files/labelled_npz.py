"""Published NumPy archives of molecules with forces: MD17, rMD17, MD22 and Timewarp."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from twofold.errors import UserError
from twofold.files.checks import check_file
from twofold.files.elements import symbols
from twofold.files.labelled import LabelledFrames, check_numbers, labelled
from twofold.files.parts import spacing
from twofold.units import agreed_unit, energy_factor, length_factor

if TYPE_CHECKING:
    from pathlib import Path

LEVELS = ("dynamics", "recomputed")
ALIASES = {"ang": "angstrom"}
"""Names of units in files that `twofold.units` does not know."""


@dataclass(frozen=True)
class Layout:
    """Names of arrays, units, and what tells the format: the names of `marks` are all there."""

    name: str
    marks: tuple[str, ...]
    positions: str
    forces: str
    energies: str
    numbers: str | None = None
    length: str = "angstrom"
    energy: str = "kcal/mol"

    def wanted(self) -> tuple[str | None, ...]:
        """Names of the arrays that are read."""
        return (self.positions, self.forces, self.energies, self.numbers, "old_indices", "time", "r_unit", "e_unit")


LAYOUTS = (
    Layout("rMD17", ("nuclear_charges", "coords"), "coords", "old_forces", "old_energies", "nuclear_charges"),
    Layout("MD17", ("z", "R"), "R", "F", "E", "z"),
    Layout(
        "Timewarp",
        ("step", "time", "energies", "positions", "velocities", "forces"),
        "positions",
        "forces",
        "energies",
        length="nm",
        energy="kJ/mol",
    ),
)
"""rMD17: Christensen and von Lilienfeld, Mach. Learn.: Sci. Technol. 1, 045018 (2020). MD17: Chmiela et al., Sci. Adv.
3, e1603015 (2017); MD22: Chmiela et al., Sci. Adv. 9, eadf0873 (2023). Timewarp: Klein et al., NeurIPS 2023."""


def is_labelled_npz(path: Path) -> bool:
    """Whether `path` is an archive in one of the layouts; False as well for what cannot be read."""
    try:
        return _layout(set(_load(check_file(path), ())[0])) is not None
    except UserError:
        return False


def read_labelled_npz(
    path: Path, level: str = "dynamics", length_unit: str | None = None, energy_unit: str | None = None
) -> LabelledFrames:
    """The frames of an archive of MD17, rMD17, MD22 or Timewarp, in the order of the file.

    level: the forces and energies of rMD17. "dynamics" are those of the simulation that the frames are from
        (old_forces, old_energies) and belong to the ensemble; "recomputed" (forces, energies) are of another level of
        theory, for which the frames are not in equilibrium. The other formats have one kind.
    length_unit, energy_unit: those of the format unless given here or in the file (r_unit, e_unit).

    Raises UserError for archives that are missing, damaged, of another layout, or whose arrays do not fit together, and
    for units that are not those that the file states.
    """
    names, _ = _load(check_file(path), ())
    layout = _layout(set(names))
    if layout is None:
        known = "; ".join(f"{one.name}: {', '.join(one.marks)}, {one.forces}" for one in LAYOUTS)
        raise UserError(f"{path} with arrays {', '.join(names) or 'none'}", f"those of a known format ({known})")
    layout = _at_level(layout, level)
    if "lattice" in names:
        raise UserError(f"{path} with a lattice", "a molecule in free space", "give positions and box with their unit")
    _, content = _load(path, layout.wanted())
    if layout.forces not in content:
        do = "choose the level 'recomputed' to have those of another level of theory" * (layout.name == "rMD17")
        raise UserError(f"{path} with arrays {', '.join(names)}", f"forces named {layout.forces}", do)
    length_unit = agreed_unit(path, "length", _unit(content, "r_unit"), length_unit) or layout.length
    energy_unit = agreed_unit(path, "energy", _unit(content, "e_unit"), energy_unit) or layout.energy
    length, energy = length_factor(length_unit), energy_factor(energy_unit)
    order, run, frame_ps = _order(path, content, layout)
    return labelled(
        path,
        content[layout.positions],
        length=length,
        force=energy / length,
        energy=energy,
        elements=_elements(path, content[layout.numbers]) if layout.numbers else None,
        forces=content[layout.forces],
        energies=_energies(content.get(layout.energies), layout),
        place=content.get("old_indices") if layout.name == "rMD17" else None,
        run=run,
        frame_ps=frame_ps,
        about={
            "format": layout.name,
            "units": {"length": length_unit, "energy": energy_unit},
            "forces": f"{layout.forces}, {level}" if layout.name == "rMD17" else layout.forces,
            "order": order,
        },
    )


def _layout(names: set[str]) -> Layout | None:
    return next((one for one in LAYOUTS if names.issuperset(one.marks) and "length_unit" not in names), None)


def _at_level(layout: Layout, level: str) -> Layout:
    if level not in LEVELS:
        raise UserError(f"level {level!r}", f"one of {', '.join(LEVELS)}")
    if level == "dynamics":
        return layout
    if layout.name != "rMD17":
        raise UserError(f"level {level!r} for a file of {layout.name}", "dynamics, its only one", "leave it out")
    return replace(layout, forces="forces", energies="energies")


def _load(path: Path, wanted: tuple[str | None, ...]) -> tuple[list[str], dict[str, np.ndarray]]:
    """Names of all arrays of an archive, and those arrays that are wanted; others may hold what is not a number."""
    try:
        with path.open("rb") as opened:
            file = np.load(opened, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise ValueError("a single array")
            with file:
                return list(file.files), {name: file[name] for name in file.files if name in wanted}
    except Exception as error:  # besides errors of files those of the parsers of headers, whichever they are
        raise UserError(
            f"{path} cannot be read ({error})", "a whole NumPy archive of numbers", "copy it again"
        ) from error


def _unit(content: dict[str, np.ndarray], name: str) -> str | None:
    if name not in content:
        return None
    value = content[name].item() if content[name].size == 1 else content[name]
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return ALIASES.get(text.lower(), text)


def _elements(path: Path, numbers: np.ndarray) -> tuple[str, ...]:
    """Elements of atomic numbers (atoms,), or (frames, atoms) that are the same in every frame."""
    if numbers.ndim == 2 and len(numbers):
        if other := np.flatnonzero((numbers != numbers[0]).any(axis=1)).tolist():
            raise UserError(f"frame {other[0]} of {path} with other atoms than the first", "frames of one molecule")
        numbers = numbers[0]
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
        raise UserError(f"{path} with atomic numbers of shape {numbers.shape}", "one whole number for each atom")
    return symbols(numbers.tolist(), path)


def _energies(energies: np.ndarray | None, layout: Layout) -> np.ndarray | None:
    """(frames,): of Timewarp the first column, the potential; MD17 has (frames, 1)."""
    columns = 2 if layout.name == "Timewarp" else 1
    if energies is not None and energies.ndim == 2 and energies.shape[1] == columns:
        return energies[:, 0]
    return energies


def _order(path: Path, content: dict[str, np.ndarray], layout: Layout) -> tuple[str, np.ndarray | None, float | None]:
    """What is known of the order; where there are times, the trajectory of each frame and the spacing in ps."""
    if layout.name == "rMD17" and "old_indices" in content:
        return "place in the trajectory of the simulation (old_indices)", None, None
    if layout.name != "Timewarp":
        return "that of the file, which may not be that of time", None, None
    time = content["time"]
    check_numbers(path, "times", time, content[layout.positions].shape[:1])
    run = np.cumsum(np.diff(time, prepend=time[:1]) < 0)
    return "time; where it goes back a new trajectory begins", run, spacing(time)
