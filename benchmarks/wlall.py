"""Pentapeptide Trp-Leu-Ala-Leu-Leu, twenty beads: quality of samples and simulation over training time.

    python benchmarks/wlall.py DATA runs/bench-wlall --minutes 5 20 60 --seeds 3 --write benchmarks/wlall.md

DATA is a folder with the 500-ns trajectories 00 to 19 of the pentapeptide and their PDB (mdshare, CC-BY 4.0; Scherer et
al., JCTC 11, 5525, 2015). Trajectories 00-15 train, 16-19 score. With --rotate every seed holds out four others, so
that five seeds score every trajectory once: rows that share four share the ways in which those differ from the rest.
"""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import tyro
from common import Folder, command_line, fit_once, header, publish, quantity, scored, spread, table

from twofold.model import Model

RESIDUES = ("LEU2", "ALA3", "LEU4")
TRAJECTORIES, HELD_OUT = 20, 4
TRADES = 250
"""Rounds of trades, and frames, of a simulation with exchange."""
KINDS = {"samples": "samples", "simulation": "simulation", "exchange": "simulation with exchange"}


def main(
    data: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(help="folder of the trajectories")],
    folder: Folder,
    /,
    minutes: tuple[float, ...] = (5.0, 20.0, 60.0),
    seeds: Annotated[tuple[int, ...], tyro.conf.arg(help="for all of minutes, or one for each")] = (3,),
    updates: Annotated[
        tuple[int, ...], tyro.conf.arg(help="one for each of minutes: as many as they held when the machine was idle")
    ] = (),
    architectures: tuple[str, ...] = ("auto",),
    rotate: bool = False,
    samples: int = 20_000,
    replicas: int = 200,
    length_ps: float = 100.0,
    exchange: Annotated[
        int, tyro.conf.arg(help="levels of larger noise, for a second simulation of half that length; 0: none")
    ] = 0,
    write: Path | None = None,
) -> None:
    """Run the benchmark and print its table."""
    lines = header("Pentapeptide WLALL, twenty beads", command_line())
    rows, floors = [], None
    simulation = {"replicas": replicas, "length_ps": length_ps, "frame_ps": 1.0}
    for architecture in architectures:
        for place, time in enumerate(minutes):
            budget = {"steps": updates[place]} if updates else {"minutes": time}
            amounts = {"samples": samples, "simulation": simulation, "exchange": exchange}
            found = []
            for seed in range(seeds[place % len(seeds)]):
                first = (TRAJECTORIES - HELD_OUT * (1 + seed * rotate)) % TRAJECTORIES
                run = folder / f"{architecture}-{time:g}min-{seed}{f'-from-{first}' if rotate else ''}"
                found.append(one_run(data, run, architecture, seed, first, budget, amounts))
            rows += report(architecture, time, found)
            floors = floors or floor_row(found)
            print("\n".join(table(COLUMNS, [floors, *rows])), flush=True)
    rotated = "Each seed trains on all trajectories but four, which score and differ between seeds"
    split = rotated if rotate else "Trained on trajectories 00-15, scored on 16-19"
    trading = f" With exchange: half as long, {TRADES} trades with copies at {exchange} larger levels of noise."
    lines += [
        f"{split} (20,004 frames; 60 x 60 bins). JS in nats against all held-out frames; the "
        "floor is the same score of training frames at equal effective size. Mean ± standard error over seeds. "
        f"{samples} samples, 100 steps of the reverse SDE. Simulation: {replicas} x {length_ps:g} ps from "
        "samples, frames freed of the noise of sigma* by one step of the probability flow."
        f"{trading if exchange else ''} Targets, with at most 30 minutes of training: "
        "phi/psi <= 1.2 x floor, end-to-end and far pairs <= 1.5 x floor, wrong hands, cis bonds < 0.1 %, clashes <= "
        "reference + 0.1 %, all replicas stable. In brackets: ratio to the floor.",
        "",
        *table(COLUMNS, [floors or (), *rows]),
    ]
    publish(lines, write)


COLUMNS = (
    "architecture", "minutes", "updates", "set", *(f"phi/psi {r}" for r in RESIDUES), "end-to-end", "far pairs",
    "wrong hands, %", "cis, %", "clashes, %", "stable", "replica-steps/s",
)  # fmt: skip


def one_run(
    data: Path, folder: Path, architecture: str, seed: int, first: int, budget: dict[str, Any], amounts: dict[str, Any]
) -> dict[str, Any]:
    """Fit, sample, simulate and score, trajectories from `first` on held out; a finished run is read back."""
    files = [data / f"pentapeptide-{number:02d}-500ns-impl-solv.xtc" for number in range(TRAJECTORIES)]
    model = fit_once(
        folder / "run",
        data / "pentapeptide-impl-solv.pdb",
        files[:first] + files[first + HELD_OUT :],
        held_out=files[first : first + HELD_OUT],
        beads="backbone+cb",
        temperature=300.0,
        seed=seed,
        architecture=architecture,
        **budget,
    )
    metrics = scored(folder, model, seed=seed, samples=amounts["samples"], simulation=amounts["simulation"])
    if amounts["exchange"]:
        trading = trades(folder, model, seed, amounts)
        metrics["sets"]["exchange"] = trading["sets"]["simulation"]
        metrics["simulations"]["exchange"] = trading["simulations"]["simulation"]
    return {"metrics": metrics, "report": model.report}


def trades(folder: Path, model: Model, seed: int, amounts: dict[str, Any]) -> dict[str, Any]:
    """As `scored`, of replicas that trade conformations with copies at larger noise, half as long; in `exchange`."""
    half = amounts["simulation"]["length_ps"] / 2
    simulation = amounts["simulation"] | {"exchange": amounts["exchange"], "length_ps": half, "frame_ps": half / TRADES}
    return scored(folder / "exchange", model, seed=seed, samples=0, simulation=simulation, run=folder / "run")


def _scores(result: dict[str, Any], field: str) -> list[float]:
    names = [f"phi/psi {residue} JS" for residue in RESIDUES] + ["end-to-end distance JS", "far-pair distances JS"]
    return [quantity(result, name)[field] for name in names]


def _faults(result: dict[str, Any], field: str) -> list[float]:
    return [100 * quantity(result, name)[field] for name in ("wrong handedness", "cis peptide bonds", "clashes")]


def floor_row(found: list[dict[str, Any]]) -> tuple[Any, ...]:
    """The floor, and the faults of the reference itself, on average over seeds."""
    results = [one["metrics"]["sets"]["samples"] for one in found]
    columns = zip(*(_scores(result, "floor") for result in results), strict=True)
    faults = zip(*(_faults(result, "reference") for result in results), strict=True)
    scores = [*(f"{fmean(column):.4f}" for column in columns), *(f"{fmean(column):.3f}" for column in faults)]
    return ("floor", "", "", "reference", *scores, "", "")


def _cells(results: list[dict[str, Any]]) -> list[str]:
    """Scores with their ratios and faults; dashes where no seed has frames."""
    if not results:
        return ["-"] * (len(RESIDUES) + 5)
    values = zip(*(_scores(result, "value") for result in results), strict=True)
    ratios = zip(*(_scores(result, "ratio") for result in results), strict=True)
    cells = [f"{spread(value, 3)} ({spread(ratio, 3)})" for value, ratio in zip(values, ratios, strict=True)]
    return cells + [spread(column, 3) for column in zip(*(_faults(result, "value") for result in results), strict=True)]


def report(architecture: str, minutes: float, found: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Rows of one training time."""
    rows = []
    name = found[0]["report"]["architecture"]
    updates = spread([one["report"]["settings"]["steps"] for one in found], 3)
    for kind, title in KINDS.items():
        if not any(kind in one["metrics"]["sets"] | one["metrics"]["simulations"] for one in found):
            continue
        results = [one["metrics"]["sets"][kind] for one in found if kind in one["metrics"]["sets"]]
        cells = _cells(results)
        moving = [one["metrics"]["simulations"][kind] for one in found if kind in one["metrics"]["simulations"]]
        stable = ", ".join(f"{one['stable']}/{one['replicas']}" for one in moving)
        rate = spread([one["speed"]["rate"] for one in moving], 3)
        label = name if architecture == "auto" else architecture
        rows.append((label, f"{minutes:g}", updates, title, *cells, stable, rate))
    return rows


if __name__ == "__main__":
    tyro.cli(main)
