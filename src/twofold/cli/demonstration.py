"""The demo: the whole path on the packaged alanine dipeptide."""

from __future__ import annotations

from pathlib import Path

from twofold.cli.display import bar, console, evaluation_table, fit_progress, simulation_lines, simulation_progress
from twofold.errors import UserError

SAMPLES = 20_000
REPLICAS = 200
TIMESTEP_FS = 4.0
"""Twice the default, for more crossings in the time of a demo; `twofold diagnose` finds 8 fs safe for this model."""
RUNS = (("simulation.xtc", None, 200.0), ("simulation-one-basin.xtc", "phi<0", 2500.0))
"""File, basin and length in ps: one run from samples, one that has to find the rare basin by itself."""


def run_demo(out: Path, minutes: float, seed: int) -> None:
    """Fit for `minutes`, sample, simulate from samples and from one basin, evaluate; all into the new folder `out`."""
    from twofold import evaluation, fitting, packaged
    from twofold.files.trajectories import write_trajectory

    if out.exists() and any(out.iterdir()):
        raise UserError(f"{out} exists already", "a new folder", "choose another --out or remove it")
    data = packaged.ala2()
    say = console().print
    say("[bold]1. Fit[/]  a coarse-grained model of alanine dipeptide: 22 atoms become 5 backbone beads")
    with bar("   fit") as update:
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
        )
    say("[bold]2. Sample[/]  independent conformations, straight from noise")
    with bar("   sample") as update:
        drawn = model.sample(SAMPLES, seed=seed, progress=lambda done, total: update(done, total, f"{done}"))
    write_trajectory(out / "samples.xtc", drawn.positions, model.beads)
    say("[bold]3. Simulate[/]  the same model as a force field, once from samples and once from one basin")
    for name, basin, length_ps in RUNS:
        with bar("   simulate") as update:
            summary = model.simulate(
                out / name,
                replicas=REPLICAS,
                length_ps=length_ps,
                timestep_fs=TIMESTEP_FS,
                start_basin=basin,
                seed=seed,
                progress=simulation_progress(update),
            )
        for line in simulation_lines(summary):
            say(f"   {line}")
    say("[bold]4. Evaluate[/]  against the run of the reference that training never saw")
    judged = evaluation.evaluate(
        out / "run", out=out, samples=out / "samples.xtc", simulation=[out / run[0] for run in RUNS]
    )
    say(evaluation_table(judged.evaluation))
    say(f"Open {judged.report} in a browser.")
