"""Biased data: what labels and weights repair of populations and of local structure.

    python benchmarks/biased.py DATA runs/bench-biased --write benchmarks/biased.md

DATA is a folder with `ala2.pdb` and `train.npz`: alanine dipeptide under a static bias on (phi, psi), with the forces
of the unbiased force field and the logarithms of the weights. Both of its runs train, but for their ends, and the
packaged runs that are not them judge: with weights these frames have 1.11 +- 0.09 times the phi > 0 of those that
judge, those of the first run alone 1.16. Two more systems have an exact energy: DW4, four particles whose open basin is
thinned out ten-fold, and thirteen Lennard-Jones particles, of which only the frames below the median energy are kept:
there no weight brings back what is missing. Fits to as many frames without bias tell what is the fault of the fit.
Those of alanine dipeptide are drawn from the biased ones by their weights, as training with weights does.

Of DW4 one more fit has the energies of frames as labels beside forces.

On one busy core a fit of alanine dipeptide with its samples and simulation takes 3 to 4 minutes (18 fits), one of DW4
6 to 8 (21), one of the Lennard-Jones particles 9 (15).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from biased_scores import WITHIN, Judge, Value, halves, mean, within
from biased_systems import Kind, System, systems
from common import (
    Folder,
    command_line,
    fit_frames,
    header,
    publish,
    read_summary,
    sample_once,
    simulate_once,
    table,
)  # fmt: skip

from twofold.files.trajectories import read_positions
from twofold.model import Model
from twofold.molecular_dynamics import deblurred, simulated_with
from twofold.simulation.export import record_ensemble
from twofold.systems.convergence import MOST_ERRORS, cluster_convergence

SETS = ("samples", "simulation")
ENERGIES = "mixture and energies"
LABELS: dict[str, dict[str, Any]] = {
    "noise": {"forces": "none"},
    "forces": {"forces": "only"},
    "mixture": {"forces": "auto"},
    ENERGIES: {"forces": "auto", "energy_weight": 1.0},
}
ARMS: tuple[tuple[str, Kind], ...] = (
    ("noise", "biased"),
    ("forces", "biased"),
    ("mixture", "biased"),
    (ENERGIES, "biased"),
    ("mixture", "weighted"),
    ("noise", "unbiased"),
    ("mixture", "unbiased"),
)
COLUMNS = (
    "system", "labels", "frames", "set", "population, %", "over the training frames", "over the truth",
    "later half less earlier, %", "structure", "over the floor", "stable",
)  # fmt: skip


def main(
    data: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(help="folder of the biased alanine dipeptide")],
    folder: Folder,
    /,
    only: tuple[str, ...] = ("dw4", "ala2", "lj13"),
    seeds: int = 3,
    unbiased: Annotated[
        bool, tyro.conf.arg(help="also fit frames without bias, to tell what is the fault of the fit")
    ] = True,
    labels: Annotated[tuple[str, ...], tyro.conf.arg(help="kinds of them")] = tuple(LABELS),
    scale: Annotated[float, tyro.conf.arg(help="of updates and lengths; below 1 to try it out")] = 1.0,
    write: Path | None = None,
) -> None:
    """Run the benchmark and print its table."""
    if unknown := set(labels) - LABELS.keys():
        raise SystemExit(f"labels {', '.join(sorted(unknown))}: choose among {', '.join(LABELS)}")
    lines = header("Biased data", command_line())
    rows: list[tuple[Any, ...]] = []
    notes: list[str] = []
    known = systems(data)
    arms_of = {name: chosen(known[name], labels, unbiased) for name in only}
    for name, arms in arms_of.items():
        system = known[name]
        if "cluster" in system.judges.source:
            notes.append(f"{name}: {cluster_convergence(system.judges).sentence}")
        for arm in arms:
            for seed in range(seeds):
                arm.add(system, folder / name, seed, scale)
        judge = Judge(system, [bins for arm in arms for found in arm.local.values() for bins in found])
        notes += verdicts(judge, arms)
        rows += [*known_rows(judge), *(row for arm in arms for row in arm_rows(judge, arm))]
        print("\n".join([*notes, *table(COLUMNS, rows)]), flush=True)
    counted = "; ".join(f"{name}: {known[name].said}" for name in only)
    simulated = "; ".join(f"{name}: {known[name].simulated(scale)}" for name in only)
    lines += [
        "Forces tell the slope of the energy at small noise, and do so rightly whatever frames are missing, as long as "
        "some are near: a simulation at small noise can find structures and populations from forces alone, if it "
        "crosses between basins. At large noise the average of forces over biased frames is biased, and samples come "
        "from there. In the mixture noise is a label too, and tells of the frames as they are. Only weights repair all "
        "of that; far from all frames nothing helps. The lines below say what became of it here.",
        "",
        f"Samples, and second halves of simulations at sigma* ({simulated}), freed of its noise. Counted are: "
        f"{counted}. Unbiased frames are as many as biased ones; of alanine dipeptide, these drawn by their weights. "
        f"Mean ± standard error over {seeds} seeds of the fit, and of the data where they are made by a known energy; "
        "of the truth and of training frames (those of the first seed) block jackknife. Ratios to the training frames "
        "are to those with the right weights, seed by seed: one is what weights can repair at best. Errors of ratios "
        "of populations combine those over seeds, of the truth and, where all seeds have the same frames, of these; "
        "the last cancels in the ratio of what was learned from frames to the frames themselves. Those of structures "
        "have neither the noise of shared frames nor that of the first half of the truth. Halves of simulations "
        f"differ where the mean over replicas and seeds is more than {MOST_ERRORS:g} errors from zero. Structure is "
        "the distance from one half of the truth, and its floor that of the other half; all sets of a system have "
        "equally many "
        "frames, drawn by their weights without repetition.",
        "",
        *(f"- {note}" for note in notes),
        "",
        *table(COLUMNS, rows),
    ]
    publish(lines, write)


@dataclass
class Arm:
    """What labels and frames of a kind led to, by seed; sets without frames are left out."""

    labels: str
    kind: Kind
    shares: dict[str, dict[int, float]] = field(default_factory=lambda: {name: {} for name in SETS})
    """Population in per cent by set and seed."""
    local: dict[str, list[np.ndarray]] = field(default_factory=lambda: {name: [] for name in SETS})
    """Bins of the frames whose structure is compared."""
    halves: list[Value] = field(default_factory=list)
    stable: list[str] = field(default_factory=list)

    def add(self, system: System, folder: Path, seed: int, scale: float) -> None:
        """Fit, samples and simulation of a seed; those that are there are kept."""
        out = folder / f"{self.labels.replace(' ', '-')}-{self.kind}-{seed}"
        training, held_out = system.frames(self.kind, seed)
        settings = system.settings | LABELS[self.labels]
        settings["steps"] = max(100, round(scale * system.settings["steps"]))
        model = fit_frames(out / "run", training, held_out, seed=seed, **settings)
        if model.report["training_frames"] != len(training):
            raise SystemExit(f"{out} was fitted to other frames: give another folder")
        drawn, simulated = out / "samples.dcd", out / "simulation.dcd"
        sample_once(model, drawn, system.samples, seed=seed)
        length = scale * system.simulation["length_ps"]
        simulate_once(model, simulated, seed=seed, **system.simulation | {"length_ps": length})
        sets = {"samples": read_positions(drawn, model.beads)}
        if simulated.is_file():
            positions, replica, late = freed_frames(model, simulated)
            sets["simulation"] = positions[late]
            self.halves.append(halves(system.inside(positions), replica, late))
        for name, positions in sets.items():
            if len(positions):
                self.shares[name][seed] = 100 * float(system.inside(positions).mean())
                self.local[name].append(system.bins(positions[system.local(positions)]))
        summary = read_summary(simulated)
        self.stable.append(f"{summary['stable']}/{summary['replicas']}")
        seconds = summary["speed"]["seconds"] + summary["speed"]["seconds_compile"]
        said = f"fit {model.report['seconds']:.0f} s, simulation {seconds:.0f} s, {self.stable[-1]} stable"
        print(f"{system.name} {self.labels} {self.kind} {seed}: {said}", flush=True)

    @property
    def drift(self) -> str:
        """How much later halves of simulations differ from earlier ones, and whether by more than chance."""
        known = [one for one in self.halves if np.isfinite(one.error)]
        if not known:
            return "-"
        error = float(np.linalg.norm([one.error for one in known])) / len(known)
        found = Value(mean([one.value for one in known]).value, error)
        return f"{found}, {'differ' if abs(found.value) > MOST_ERRORS * error else 'agree'}"


def chosen(system: System, labels: Sequence[str], unbiased: bool) -> list[Arm]:
    """The arms of a system with these labels; ends the benchmark where there are none, before anything is fitted."""
    kinds = [kind for kind in system.kinds if unbiased or kind != "unbiased"]
    known = [one for one in labels if system.energies or one != ENERGIES]
    arms = [Arm(one, kind) for one, kind in ARMS if one in known and kind in kinds]
    if not arms:
        raise SystemExit(f"{system.name} has no fit with {', '.join(labels)}")
    return arms


def freed_frames(model: Model, path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames of a simulation without its noise, their replicas, and which lie in the second half of its time."""
    files, head = simulated_with(model, path)
    frames = record_ensemble(files.record)
    # replicas that were stopped are shorter than others: the time of a frame is its place within its own
    starts = np.flatnonzero(np.diff(frames.trajectory, prepend=-1))
    place = np.arange(len(frames)) - np.repeat(starts, np.diff(starts, append=len(frames)))
    late = (place + 1) * head.settings.interval_ps > head.settings.length_ps / 2 * (1 + 1e-9)
    return deblurred(model, frames.positions, head.notes), frames.trajectory, late


def known_rows(judge: Judge) -> list[tuple[Any, ...]]:
    """The truth, and the training frames of the first seed of each kind."""
    name, blank = judge.system.name, ("", "")
    rows: list[tuple[Any, ...]] = [(name, "the truth", *blank, judge.truth, *blank, "", judge.floor, "", "")]
    for kind in judge.system.kinds:
        frames = judge.training(kind)
        share, shape = judge.population(frames), judge.structure(frames)
        ratios = share.over(judge.truth), shape.over(judge.floor)
        rows.append((name, "training frames", kind, "", share, "", ratios[0], "", shape, ratios[1], ""))
    return rows


def arm_rows(judge: Judge, arm: Arm) -> list[tuple[Any, ...]]:
    """Samples and simulation of an arm."""
    rows: list[tuple[Any, ...]] = []
    for name in SETS:
        shares, shape = arm.shares[name], judge.structures(arm.local[name])
        ratios = judge.over_training(shares, arm.kind), judge.over_truth(shares, arm.kind)
        drift, stable = (arm.drift, ", ".join(arm.stable)) if name == "simulation" else ("", "")
        first = judge.system.name, arm.labels, arm.kind, name, mean(list(shares.values()))
        rows.append((*first, *ratios, drift, shape, shape.over(judge.floor), stable))
    return rows


def verdicts(judge: Judge, arms: list[Arm]) -> list[str]:
    """What weights and forces repaired, in words."""
    name, said = judge.system.name, [f"{judge.system.name}: structure is that of {judge.number} frames."]
    for arm in arms:
        for kind in SETS if arm.kind == "weighted" else ():
            best = judge.population(judge.training("weighted")).over(judge.truth)
            ratios = judge.over_training(arm.shares[kind], arm.kind), judge.over_truth(arm.shares[kind], arm.kind)
            said.append(
                f"{name}, {kind}, {arm.labels} with weights: population within {100 * WITHIN:g} % of the training "
                f"frames: {within(ratios[0])}; of the truth: {within(ratios[1])}, where the training frames themselves "
                f"have {best} times that of the truth."
            )
    for kind in SETS:
        plain = {arm.labels: arm for arm in arms if arm.kind == "biased"}
        shapes = [f"{judge.structures(arm.local[kind]).over(judge.floor)} ({labels})" for labels, arm in plain.items()]
        shares = [f"{judge.over_truth(arm.shares[kind], 'biased')} ({labels})" for labels, arm in plain.items()]
        said.append(
            f"{name}, {kind}, biased frames without weights: structure {', '.join(shapes)} times the floor; population "
            f"{', '.join(shares)} times the truth."
        )
    return said


if __name__ == "__main__":
    tyro.cli(main)
