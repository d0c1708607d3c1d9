"""Judging samples and simulations of a run by what it did not see: metrics.json and report.html."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from twofold.analysis import Evaluation, FrameSet, compare
from twofold.diagnosing import examine
from twofold.diagnosis import Diagnosis
from twofold.ensemble import Ensemble, check_finite
from twofold.errors import UserError
from twofold.files.atomic import write_json
from twofold.files.frames import iterate
from twofold.files.readers import read_trajectory
from twofold.files.samples import read_drawn
from twofold.files.store import is_store
from twofold.files.trajectories import read_positions
from twofold.fitting import load
from twofold.groups import Groups
from twofold.known_density import noised_energies, residual_over_noise
from twofold.model import Model
from twofold.molecular_dynamics import Outputs, deblurred, simulated_with
from twofold.report import ReportContent, SigmaScan, StructureSet, judged, simulated, write_report
from twofold.report.content import SET_NAMES
from twofold.report.summary import write_summary_figure
from twofold.run_folder import RunFolder
from twofold.simulation.export import record_ensemble
from twofold.simulation.record import Record
from twofold.units import MD_UNITS

BINS = 60
TRADED = "Replicas of the {} traded conformations with copies at larger noise: some of its crossings are such trades."
FOREIGN = (
    "{} has no record of twofold beside it: its frames are taken as those of a simulation of this force field at the "
    "temperature of the data, in order of time, and are freed of the noise of sigma*."
)
DRAWN = 20_000
"""Frames of a set that figures are drawn from."""


@dataclass(frozen=True)
class Judged:
    """Result of `evaluate`: the numbers and where they were written."""

    evaluation: Evaluation
    metrics: Path
    report: Path


@dataclass(frozen=True)
class _Simulation:
    key: str
    frames: FrameSet
    summary: dict[str, Any]
    note: str = ""


def evaluate(
    run: str | Path,
    *,
    out: str | Path,
    samples: str | Path | None = None,
    simulation: str | Path | Sequence[str | Path] = (),
    reference: Sequence[str | Path] = (),
    reference_weights: str | Path | None = None,
    reference_stride: int = 1,
    length_unit: str | None = None,
    bins: int = BINS,
    diagnose: bool = False,
    overwrite: bool = False,
) -> Judged:
    """Compare samples and simulations of a run with a reference and write `metrics.json` and `report.html` into `out`.

    reference: topology and trajectories of atoms, mapped as the run's data were, read with `reference_stride` and, for
    arrays, `length_unit`; by default the frames that the run held out. Training frames are refused. Frames of a
    simulation are first freed of the blur of its noise level by one step of the probability flow, so that everything is
    compared with the reference as it is; those of another program, without a record, are taken as made at sigma*.
    diagnose: add what `twofold diagnose` finds to the page; takes a minute.
    """
    folder, model = RunFolder(Path(run)), load(run)
    config = folder.read_config()
    training, held_out = folder.read_data()
    judge_by = held_out
    if reference:
        reading = {"weights": reference_weights, "stride": reference_stride, "length_unit": length_unit}
        judge_by = _read_reference(reference, config, model, **reading)
    target = Path(out)
    paths = (target / "metrics.json", target / "report.html", target / "summary.png")
    if target.exists() and not target.is_dir():
        raise UserError(f"{target} is a file", "a folder to write into", "choose another --out")
    for path in paths:
        if path.exists() and not overwrite:
            raise UserError(f"{path} exists already", "a new folder", "choose another --out or remove it")
    simulations = [_read_simulation(model, path) for path in _listed(simulation)]
    if len({one.key for one in simulations}) < len(simulations):
        raise UserError(
            "two simulations that started in the same way", "one from samples and one from a basin", "leave one out"
        )
    sets = {one.key: one.frames for one in simulations}
    notes = [one.note for one in simulations]
    if samples is not None:
        sets = {"samples": _read_samples(samples, model), **sets}
        notes.insert(0, _how_settled(samples))
    if not sets:
        raise UserError("nothing to evaluate", "samples or a simulation", "give --samples or --simulation")
    found = examine(run, simulation=_listed(simulation)) if diagnose else None
    evaluation = compare(sets, training, judge_by, bins=bins, temperature=model.temperature)
    evaluation.about["notes"].extend(note for note in notes if note)
    target.mkdir(parents=True, exist_ok=True)
    record = {"format": "twofold metrics", "version": 1, "units": MD_UNITS} | evaluation.to_dict()
    record["simulations"] = {one.key: one.summary for one in simulations}
    write_json(paths[0], record, overwrite=overwrite)
    content = _content(folder, model, config, judge_by, sets, simulations, evaluation, found)
    write_report(content, paths[1], overwrite=overwrite)
    with contextlib.suppress(UserError):  # a molecule without two neighbouring torsions has no such figure
        write_summary_figure(content, paths[2], overwrite=overwrite)
    return Judged(evaluation, paths[0], paths[1])


def _listed(paths: str | Path | Sequence[str | Path]) -> list[str | Path]:
    return [paths] if isinstance(paths, str | Path) else list(paths)


def _read_reference(files: Sequence[str | Path], config: dict[str, Any], model: Model, **reading: Any) -> Ensemble:
    # a data set has its mapping already
    selection = None if is_store(files[0]) else _selection(config["source"])
    # structures alone are compared
    reading |= {"temperature": model.temperature, "use_forces": False}
    ensemble = read_trajectory(files[0], list(files[1:]), beads=selection, **reading)
    if ensemble.beads.names != model.beads.names:
        expected = f"the {len(model.beads)} beads of the run"
        raise UserError(f"a reference with {len(ensemble.beads)} other beads", expected)
    return ensemble


def _selection(source: dict[str, Any]) -> str | Groups:
    """The beads that the run's data were mapped to, as they were asked for; groups as their file listed them then."""
    mapping = source.get("parts", [source])[0].get("mapping", {})
    return Groups.from_dict(mapping["listed"]) if "listed" in mapping else mapping.get("beads", "all")


def _read_samples(path: str | Path, model: Model) -> FrameSet:
    """Samples of a file; those that are not finite are counted as faults, since nothing can be measured in them."""
    positions = read_positions(path, model.beads)
    finite = np.isfinite(positions).all((1, 2))
    if not finite.any():
        raise UserError(f"{path} has no finite conformation", "some", "fit longer, or sample with more steps")
    return FrameSet(positions[finite], "samples", faults={"samples not finite": (int((~finite).sum()), len(positions))})


def _how_settled(samples: str | Path) -> str:
    """What is to be told of energies that had not settled when samples were taken, as the JSON beside them says."""
    drawn: dict[str, Any] | None = None
    with contextlib.suppress(UserError):  # a JSON of other samples, or of another version, tells nothing
        drawn = read_drawn(samples)
    if drawn is None or drawn.get("settled") is not False:
        return ""
    return f"Energies of the samples were still changing after {drawn['settings']['corrector']} Langevin steps."


def _read_simulation(model: Model, path: str | Path) -> _Simulation:
    """A simulation with its blur removed, read from the record that lies beside the trajectory, if there is one.

    Of one that started in a single basin the first half is left out, as the time it takes to forget the start.
    """
    if not Outputs.at(path).record.is_file():
        return _foreign(model, Path(path))
    files, header = simulated_with(model, path)
    key = header.notes["kind"]
    with Record.open(files.record) as record:
        length = float(record.times[-1]) if len(record.times) else 0.0
        stopped = int(np.count_nonzero(record.stop_step >= 0))
    ensemble = record_ensemble(files.record, skip_ps=length / 2 if key == "basin" else 0.0)
    positions = deblurred(model, ensemble.positions, header.notes)
    frames = FrameSet(
        positions,
        key,
        replica=ensemble.trajectory,
        frame_ps=ensemble.frame_ps,
        faults={"replicas stopped": (stopped, header.replicas)},
    )
    summary = json.loads(files.summary.read_text(encoding="utf-8")) if files.summary.is_file() else {}
    return _Simulation(key, frames, summary, TRADED.format(SET_NAMES[key]) if header.settings.exchange else "")


def _foreign(model: Model, path: Path) -> _Simulation:
    """Frames that another program made with the force field; where the time starts anew, another replica begins."""
    parts = list(iterate(path, model.beads.topology(), None, 1))
    positions = np.concatenate([part.positions for part in parts])
    check_finite(positions, f"positions of {path.name}", model.beads)
    replica, frame_ps = np.zeros(len(positions), dtype=np.int64), None
    times = [part.time for part in parts if part.time is not None]
    if times and len(positions) > 1:
        steps = np.diff(np.concatenate(times))
        replica[1:] = np.cumsum(steps <= 0)
        frame_ps = float(np.median(steps[steps > 0])) if (steps > 0).any() else None
    freed = deblurred(model, positions, {"sigma": model.sigma_star})
    frames = FrameSet(freed, "simulation", replica=replica, frame_ps=frame_ps)
    return _Simulation("simulation", frames, {}, FOREIGN.format(path.name))


def _content(
    folder: RunFolder,
    model: Model,
    config: dict[str, Any],
    reference: Ensemble,
    sets: dict[str, FrameSet],
    simulations: list[_Simulation],
    evaluation: Evaluation,
    diagnosis: Diagnosis | None,
) -> ReportContent:
    drawn = [_thinned("reference", reference.positions, reference.weights, reference.trajectory)]
    drawn += [_thinned(key, one.positions, one.weights, one.replica) for key, one in sets.items()]
    main = next((one.summary for one in simulations if one.key == "simulation" and one.summary), {})
    scan = model.report["noise_level"]
    tiles = {"training, minutes": round(model.report["seconds"] / 60, 1), "updates": model.updates}
    stability, speed = simulated(_with_nan(main)) if main else (None, {})
    return ReportContent(
        beads=model.beads,
        title=f"twofold: {folder.title(config['source'])}",
        subtitle=model.report["reason"],
        temperature=model.temperature,
        sets=drawn,
        training=folder.read_log(),
        kept=model.report.get("updates_kept"),
        sigma_scan=SigmaScan(
            np.array(scan["sigma"]),
            np.array(scan["loss"]),
            main.get("sigma", model.sigma_star),
            error=np.array(scan["difference_error"]),
            unit="units of the chart",
            overridden=main.get("sigma", model.sigma_star) != scan["chosen"],
        ),
        stability=stability,
        speed=tiles | speed,
        settings=model.report["settings"] | {"architecture used": model.report["architecture"]},
        versions=config["versions"],
        seeds={"fit": model.report["settings"]["seed"]},
        levels=noised_energies(model, reference),
        residual=None if diagnosis else residual_over_noise(model, reference),
        diagnosis=diagnosis,
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        **vars(judged(evaluation)),
    )


def _with_nan(summary: dict[str, Any]) -> dict[str, Any]:
    """A summary as it was before it became JSON, which has null for numbers that are not finite."""
    parts = ("temperatures", "speed")
    return summary | {
        part: {name: float("nan") if value is None else value for name, value in summary[part].items()}
        for part in parts
    }


def _thinned(key: Any, positions: np.ndarray, weights: Any, trajectory: Any) -> StructureSet:
    stride = slice(None, None, max(1, -(-len(positions) // DRAWN)))
    return StructureSet(
        key,
        positions[stride],
        None if weights is None else weights[stride],
        None if trajectory is None else trajectory[stride],
        len(positions),
    )
