"""The demo: the whole path on the packaged alanine dipeptide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twofold.cli.display import (
    bar,
    console,
    evaluation_table,
    fit_progress,
    sample_progress,
    samples_line,
    simulation_lines,
    simulation_progress,
)
from twofold.cli.drawing import written
from twofold.errors import UserError

SAMPLES = 20_000
RUNS: dict[str, dict[str, Any]] = {
    "simulation.xtc": {"replicas": 200, "length_ps": 200.0},
    "simulation-one-basin.xtc": {
        "replicas": 40, "length_ps": 1000.0, "frame_ps": 0.5, "start_basin": "phi<0", "exchange": 4,
    },
}  # fmt: skip
"""One run from samples, one that has to find the rare basin by itself, helped by copies at larger noise."""
TIMESTEP_FS = 4.0
"""Twice the default, for twice the length in the time of a demo; `twofold diagnose` finds 8 fs safe for this model."""


def run_demo(out: Path, minutes: float, seed: int) -> None:
    """Fit for `minutes`, sample, simulate from samples and from one basin, evaluate; all into the new folder `out`."""
    from twofold import evaluation, fitting, packaged
    from twofold.interrupt import stop_requested
    from twofold.training.progress import Interrupted

    if out.exists() and any(out.iterdir()):
        raise UserError(f"{out} exists already", "a new folder", "choose another --out or remove it")
    data = packaged.ala2()
    say = console().print
    say("[bold]1. Fit[/]  a coarse-grained model of alanine dipeptide: 22 atoms become 5 backbone beads")
    try:
        with stop_requested() as stopped, bar("   fit") as update:
            model = fitting.fit(
                data.topology,
                data.training,
                held_out=data.held_out,
                weights=data.weights(),
                temperature=data.temperature,
                out=out / "run",
                minutes=minutes,
                seed=seed,
                progress=fit_progress(update),
                stopped=stopped,
            )
    except Interrupted as stop:
        say(f"{stop}; what was learned is in {out / 'run'}: twofold fit {data.topology} --out {out / 'run'} --resume")
        raise KeyboardInterrupt from stop
    say("[bold]2. Sample[/]  independent conformations, straight from noise")
    with bar("   sample") as update:
        drawn = model.sample(SAMPLES, seed=seed, progress=sample_progress(update))
    samples = written(out / "samples.xtc", drawn, model)
    say(f"   {samples_line(drawn, samples)}")
    say("[bold]3. Simulate[/]  the same model as a force field, once from samples and once from one basin")
    for name, settings in RUNS.items():
        with bar("   simulate") as update:
            summary = model.simulate(
                out / name,
                timestep_fs=TIMESTEP_FS,
                seed=seed,
                progress=simulation_progress(update),
                **settings,
            )
        for line in simulation_lines(summary):
            say(f"   {line}")
    say("[bold]4. Evaluate[/]  against the runs of the reference that training never saw")
    judged = evaluation.evaluate(out / "run", out=out, samples=samples, simulation=[out / name for name in RUNS])
    say(evaluation_table(judged.evaluation))
    say(f"Open {judged.report} in a browser.")
