"""Fitting from files, and loading what was fitted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np

from twofold.ensemble import Ensemble, split
from twofold.errors import UserError
from twofold.files.published import published_files, published_split
from twofold.files.readers import read_trajectory
from twofold.force_check import check_forces
from twofold.model import Model
from twofold.run_folder import RunFolder
from twofold.systems.catalogue import SYSTEMS
from twofold.systems.convergence import cluster_convergence
from twofold.tempering import at_temperature, sampling_temperature, worth_note
from twofold.training.fit import fit_ensembles, resume_fit
from twofold.training.labels import label_temperature
from twofold.training.progress import FitProgress
from twofold.training.settings import ForceUse, TrainingSettings, load_settings

HELD_OUT = 0.2
FRAMES = 100_000
"""Frames of a known system."""


def fit(
    topology: str | Path,
    trajectories: str | Path | Sequence[str | Path] = (),
    *,
    out: str | Path,
    beads: str | Path | None = None,
    temperature: float | None = None,
    sampled_at: float | None = None,
    weights: str | Path | np.ndarray | None = None,
    forces: str | Path | None = None,
    held_out: Sequence[str | Path] = (),
    held_out_fraction: float = HELD_OUT,
    frames: int | None = None,
    stride: int = 1,
    length_unit: str | None = None,
    energy_unit: str | None = None,
    molecule: str | None = None,
    force_check: bool = True,
    config: str | Path | None = None,
    resume: bool = False,
    progress: Callable[[FitProgress], None] = lambda _: None,
    stopped: Callable[[], bool] = lambda: False,
    **settings: Any,
) -> Model:
    """Fit a model to trajectories and keep everything in the new run folder `out`.

    topology, trajectories, beads, temperature (K), weights, stride, length_unit, energy_unit, molecule: as for
    `twofold.files.readers.read_trajectory`; or, without any of these but `topology`, the name of a system of
    `twofold.systems`, of which `frames` are made, 100,000 unless said.
    sampled_at: K, of the simulation, where it is not `temperature`: frames then get the weights that they have at the
    latter (see `twofold.tempering`), which takes the energies of all atoms.
    forces: a file with them (those of held-out trajectories last), or how those of the data are used: "auto" (beside
    the noise), "none" (they are not even mapped to beads) or "only".
    held_out: trajectories that training never sees (`weights` then holds theirs after those of the others); without
    them the last fifth of the time, or of the trajectories, is held out. config: YAML of training settings, overruled
    by `settings` (see `TrainingSettings`), like `minutes=5`, `seed=1`. resume: continue the run in `out`, with its own
    data and settings. force_check: refuse forces that cannot be those of the ensemble, before they are learned from;
    those of training and of held-out frames by themselves, at the `force_temperature` of the settings if there is one.

    Raises UserError for anything wrong with the files or the settings, and when settings differ from those of a run
    that is to be continued.
    """
    file = None if forces is None or str(forces) in get_args(ForceUse) else forces
    chosen = load_settings(config, **settings, **({} if forces is None or file else {"forces": str(forces)}))
    if resume:
        _check_same(RunFolder(Path(out)), chosen)
        return resume_fit(out, progress=progress, stopped=stopped)
    RunFolder(Path(out)).check_new()
    progress(FitProgress("reading trajectories"))
    if is_system(topology):
        others = {
            "trajectories": trajectories or None,
            "held-out trajectories": held_out or None,
            "beads": beads,
            "a temperature": temperature if sampled_at is None else sampled_at,
            "weights": weights,
            "a file of forces": file,
            "a stride": None if stride == 1 else stride,
            "a length unit": length_unit,
            "an energy unit": energy_unit,
            "a molecule": molecule,
        }
        _check_alone(topology, others)
        training, unseen = system_split(
            str(topology), FRAMES if frames is None else frames, held_out_fraction, chosen.seed
        )
        if "cluster" in training.source:
            progress(FitProgress("reading trajectories", note=cluster_convergence(training).sentence))
    else:
        _check_files(topology, frames)
        training, unseen = read_split(
            topology,
            trajectories,
            held_out,
            held_out_fraction,
            beads=beads,
            temperature=temperature,
            sampled_at=sampled_at,
            weights=weights,
            forces=file,
            use_forces=chosen.forces != "none",
            stride=stride,
            length_unit=length_unit,
            energy_unit=energy_unit,
            molecule=molecule,
        )
        if note := worth_note(training, unseen):
            progress(FitProgress("weighting frames", note=note))
        if force_check and training.forces is not None:
            hot = chosen.force_temperature
            label_temperature(training.temperature, hot)
            progress(FitProgress("checking forces", note=check_forces(training, temperature=hot).sentence))
            if unseen.forces is not None:
                progress(FitProgress("checking forces", note=f"Held out: {_check_held_out(unseen, hot)}."))
    return fit_ensembles(training, unseen, out, chosen, progress=progress, stopped=stopped)


def _check_held_out(unseen: Ensemble, hot: float | None) -> str:
    """What the check says of the forces that training is judged by. Raises UserError for those it refuses.

    hot: K that forces are compared with, if it is not the temperature of the ensemble.
    """
    try:
        found = check_forces(unseen, temperature=hot)
    except UserError as error:
        raise UserError(f"held out: {error.found}", error.expected, error.do) from error
    return f"{found.numbers}: {found.verdict}"


def _check_same(folder: RunFolder, chosen: TrainingSettings) -> None:
    """Raises UserError when a setting that was given is not that of the run in `folder`."""
    before = folder.read_config()["settings"]
    for name, value in chosen.model_dump(exclude_unset=True).items():
        if value != before.get(name):
            raise UserError(
                f"{name} {value} for a run that was made with {before.get(name)}",
                "the same settings",
                "leave it out to continue the run, or fit into a new folder",
            )


def read_split(
    topology: str | Path,
    trajectories: str | Path | Sequence[str | Path],
    held_out: Sequence[str | Path],
    fraction: float = HELD_OUT,
    *,
    temperature: float | None = None,
    sampled_at: float | None = None,
    **reading: Any,
) -> tuple[Ensemble, Ensemble]:
    """Training and held-out frames of files; `held_out` files are the last trajectories of the whole.

    temperature: K, of both parts. sampled_at: that of the simulation, if it is another.
    """
    reading["temperature"] = sampling_temperature(temperature, sampled_at)
    seen, unseen = _read_parts(topology, trajectories, held_out, fraction, **reading)
    if sampled_at is None or temperature is None:
        return seen, unseen
    return at_temperature(seen, temperature), at_temperature(unseen, temperature)


def _read_parts(
    topology: str | Path,
    trajectories: str | Path | Sequence[str | Path],
    held_out: Sequence[str | Path],
    fraction: float,
    **reading: Any,
) -> tuple[Ensemble, Ensemble]:
    files = [trajectories] if isinstance(trajectories, str | Path) else list(trajectories)
    published = published_files(topology, [Path(file) for file in files])
    if held_out and published is not None:
        if (forces := reading.pop("forces", None)) is not None:
            raise UserError(
                f"{forces} beside {published[1][0]}", "a data set, which has its own forces", "leave it out"
            )
        return published_split(*published, [Path(file) for file in held_out], **reading)
    if not held_out:
        return split(read_trajectory(topology, files, **reading), fraction)
    if not files:
        raise UserError("held-out trajectories without others", "trajectories to train on", "give them before")
    whole = read_trajectory(topology, [*files, *held_out], **reading)
    seen = sum(file["runs"] for file in whole.source["trajectories"][: len(files)])
    return split(whole, held_out_trajectories=tuple(range(seen, int(whole.trajectory.max()) + 1)))


def _check_alone(system: str | Path, others: dict[str, Any]) -> None:
    """Raises UserError where any of `others`, by name, is given beside a known system, to which it does nothing."""
    if given := [name for name, value in others.items() if value is not None]:
        raise UserError(
            f"{system} with {' and '.join(given)}",
            "the name of a known system alone, which makes its own frames",
            f"leave them out, or write ./{system} for a file of that name",
        )


def is_system(name: str | Path) -> bool:
    """Whether `name` is one of the systems with a known energy and no file."""
    return str(name) in SYSTEMS and not Path(name).exists()


def _check_files(topology: str | Path, frames: int | None) -> None:
    """Raises UserError for what looks like the name of a system and is neither one nor a file, and for `frames`."""
    path = Path(topology)
    if not (path.exists() or path.suffix or str(topology) != path.name):
        raise UserError(
            f"no file {topology}, and no system of that name",
            f"a file that exists, or one of {', '.join(SYSTEMS)}",
            "check the name",
        )
    if frames is not None:
        raise UserError(
            f"{frames} frames of {topology}",
            "a number of frames of a known system, which makes them",
            "leave it out, or take every k-th frame of files with --stride k",
        )


def system_split(name: str, frames: int, fraction: float, seed: int) -> tuple[Ensemble, Ensemble]:
    """Training frames of a known system, and held-out frames from other chains, `fraction` of all."""
    system, unseen = SYSTEMS[name], max(1, round(frames * fraction))
    if not 0 < fraction < 1 or unseen >= frames:
        raise UserError(
            f"{frames} frames, {fraction:g} of them held out", "a part between 0 and 1, and frames on either side of it"
        )
    return system.ensemble(frames - unseen, 2 * seed), system.ensemble(unseen, 2 * seed + 1)


def load(run: str | Path) -> Model:
    """The model in a run folder or a model folder. Raises UserError where there is none."""
    path = Path(run)
    return Model.load(path / "model" if (path / "model").is_dir() or not (path / "model.json").is_file() else path)
