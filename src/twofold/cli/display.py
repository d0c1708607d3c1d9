"""Progress bars and tables for the terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

MARKS = {"agree": "[green]agree[/]", "close": "[yellow]nearly agree[/]", "differ": "[red]differ[/]"}

STATES = {
    "pass": "[green]pass[/]",
    "warn": "[yellow]doubtful[/]",
    "fail": "[red]fail[/]",
    "skipped": "[dim]not judged[/]",
}


@cache
def console() -> Console:
    """Where everything is printed; one for all, so that lines go above a bar that is moving."""
    return Console(highlight=False)


@contextmanager
def bar(title: str) -> Iterator[Callable[[float, float, str], None]]:
    """A progress bar; gives a function (done, total, remark)."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=14),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[remark]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console(), refresh_per_second=4) as progress:
        task = progress.add_task(title, total=None, remark="")

        def update(done: float, total: float, remark: str) -> None:
            progress.update(task, completed=done, total=total, remark=remark)

        yield update


def fit_progress(update: Callable[[float, float, str], None]) -> Callable[[Any], None]:
    """Shows `FitProgress` on a bar."""

    def show(progress: Any) -> None:
        if progress.note:
            console().print(progress.note)
        remark = progress.stage
        if progress.rate:
            remark = f"{progress.rate:.0f} updates/s, loss {progress.loss:.3f}"
        update(progress.step, progress.steps or 1, remark)

    return show


def sample_progress(update: Callable[[float, float, str], None]) -> Callable[[int, int], None]:
    """Shows how many conformations are drawn on a bar."""
    began = time.perf_counter()

    def show(done: int, total: int) -> None:
        update(done, total, f"{done} of {total}, {done / (time.perf_counter() - began):,.0f}/s")

    return show


def samples_line(drawn: Any, path: Any) -> str:
    """How many conformations were drawn, how many of them are at fault, and where they are."""
    said = (
        f"{len(drawn)} conformations in {path}; {drawn.not_finite} not finite, {drawn.outside} outside of the region "
        "of the data (they are kept)"
    )
    if drawn.settled is False:
        said += (
            f". Their energies were still changing after {drawn.settings['corrector']} Langevin steps, the most that "
            "are taken: compare them with those of the data, or take later frames of a simulation"
        )
    return said


def weights_line(found: Any) -> str:
    """What weights are worth, whether they can be trusted, and where they are."""
    weights = found.weights
    return (
        f"{len(weights)} samples are worth {weights.effective_size:.0f} (Kish); Pareto shape {weights.pareto_k:.2f}, "
        f"at most {weights.threshold:.2f}; KL(target, samples) about {weights.divergence:.2f} nats: {found.verdict}. "
        f"Weights in {found.path}, all numbers in {found.summary}"
    )


def simulation_progress(update: Callable[[float, float, str], None]) -> Callable[[Any], None]:
    """Shows the progress of a simulation on a bar."""

    def show(progress: Any) -> None:
        remark = f"{progress.rate / 1000:,.0f}k steps/s, {progress.stable}/{progress.replicas} stable"
        update(progress.frames, progress.all_frames, remark)

    return show


def simulation_lines(summary: Any) -> list[str]:
    """What a simulation came to, in a few lines."""
    heat, clock, step = summary.temperatures, summary.speed, summary.timestep
    lines = [
        f"{summary.stable} of {summary.replicas} replicas are stable over {summary.length_ps:g} ps each; "
        f"{clock.rate:,.0f} replica-steps/s, {clock.ns_per_day:,.0f} ns/day in all",
        f"temperature {heat.kinetic:.1f} +- {heat.kinetic_error:.1f} K (kinetic), {heat.configurational:.1f} +- "
        f"{heat.configurational_error:.1f} K (configurational), target {summary.temperature:g} K",
        f"time step {step.timestep_fs:g} fs; the stiffest mode explodes at {step.longest_fs:.3g} fs",
    ]
    if summary.acceptance:
        shares = ", ".join(f"{100 * share:.0f}" for share in summary.acceptance)
        lines.append(f"trades taken between neighbouring levels, from sigma up: {shares} %")
    for place, count in enumerate(summary.copies_stopped):
        if count:
            where = f"at level {place + 1} above sigma"
            lines.append(f"{count} of {summary.replicas} copies {where} stopped; lower --exchange-largest")
    if step.note:
        lines.append(step.note)
    for stop in summary.stops[:10]:
        beads = " and ".join(stop.names)
        lines.append(f"replica {stop.replica} stopped at {stop.time_ps:g} ps: {stop.reason} ({beads})")
    return lines


def evaluation_table(evaluation: Any) -> Table:
    """The numbers that matter most, beside their floors."""
    table = Table(title="Do samples, simulation and reference agree?", title_justify="left")
    for name, side in (("", "left"), ("quantity", "left"), ("value", "right"), ("floor", "right"), ("", "left")):
        table.add_column(name, justify=side)  # pyright: ignore[reportArgumentType]
    for name, result in evaluation.sets.items():
        table.add_section()
        table.add_row(f"[bold]{name}[/]", "all quantities", "", "", MARKS.get(result.verdict.state, ""))
        for row in result.rows:
            if row.key:
                numbers = (_number(row.value, row.error), _number(row.floor, None))
                table.add_row("", row.name, *numbers, MARKS.get(row.state, ""))
    table.caption = "floor: what two parts of the reference differ by, at the same effective number of frames"
    return table


def diagnosis_table(diagnosis: Any) -> Table:
    """All checks of a diagnosis with their limits."""
    table = Table(title="Is the model sound?", title_justify="left")
    for name, side in (("", "left"), ("check", "left"), ("value", "right"), ("limit", "right"), ("", "left")):
        table.add_column(name, justify=side)  # pyright: ignore[reportArgumentType]
    group = None
    for check in diagnosis.checks:
        if check.group != group:
            table.add_section()
        limit = "" if check.threshold is None else f"{check.threshold.passes:.3g}"
        unit = f" {check.unit}" if check.unit and check.value is not None else ""
        first = f"[bold]{check.group}[/]" if check.group != group else ""
        table.add_row(first, check.name, _number(check.value, check.error) + unit, limit, STATES[check.state])
        group = check.group
    return table


def _number(value: float | None, error: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if error is None or error != error else f"{value:.4g} ± {error:.1g}"
