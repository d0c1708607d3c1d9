"""The subcommands: thin wrappers that parse, call the library and print."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from twofold.cli.drawing import reweight, sample
from twofold.cli.generate import ala2, reference
from twofold.cli.soundness import diagnose, evaluate
from twofold.errors import UserError

Files = Positional[tuple[Path, ...]]
BeadChoice = Annotated[
    str | None,
    arg(help="ca, backbone, backbone+cb, heavy, all, a selection or a YAML file (backbone; all without a topology)"),
]
SampledAt = Annotated[
    float | None, arg(help="K, of the simulation, if not --temperature (energies of all atoms give weights)")
]
LengthUnit = Annotated[
    str | None,
    arg(help="nm, angstrom, bohr: of arrays, LAMMPS dumps, extended XYZ, and files like SPICE's that do not state it"),
]
EnergyUnit = Annotated[
    str | None,
    arg(help="kj/mol, kcal/mol, ev, hartree: of forces and energies in the same files"),
]
Molecule = Annotated[str | None, arg(help="which one of an HDF5 file of many, like those of SPICE")]


def fit(
    topology: Annotated[
        Positional[Path],
        arg(
            help="PDB, mmCIF, GRO, PSF, PRMTOP, data.h5, or a data set with forces (npz, extxyz, h5); or, in place of "
            "files, the name of a system, like mueller-brown or dw4 (docs/getting-started.md)"
        ),
    ],
    trajectory: Annotated[Files, arg(help="XTC, TRR, DCD, NetCDF, HDF5, npy, npz, ...; none for data.h5")] = (),
    /,
    *,
    out: Annotated[Path, arg(help="new folder of the run")],
    beads: BeadChoice = None,
    temperature: Annotated[float | None, arg(help="K, of the simulation, or with --sampled-at the one wanted")] = None,
    sampled_at: SampledAt = None,
    weights: Annotated[Path | None, arg(help="weight of each frame (npy, npz, txt)")] = None,
    held_out: Annotated[tuple[Path, ...], arg(help="trajectories that training never sees (weights come last)")] = (),
    frames: Annotated[int | None, arg(help="to make of a system, like mueller-brown or lj13 (100,000)")] = None,
    held_out_fraction: Annotated[float, arg(help="part of the time that is held out without --held-out")] = 0.2,
    stride: Annotated[int, arg(help="keep every n-th frame")] = 1,
    length_unit: LengthUnit = None,
    energy_unit: EnergyUnit = None,
    molecule: Molecule = None,
    forces: Annotated[
        str | None, arg(help="forces of the data as labels: auto (beside the noise), none, only; or a file (npy, npz)")
    ] = None,
    force_check: Annotated[
        Literal["on", "off"], arg(help="refuse forces that cannot be those of this ensemble")
    ] = "on",
    minutes: Annotated[float | None, arg(help="time to train (5 unless steps are given)")] = None,
    steps: Annotated[int | None, arg(help="updates, in place of minutes")] = None,
    seed: Annotated[int | None, arg(help="seed of everything random")] = None,
    architecture: Annotated[str | None, arg(help="auto, internal, cartesian, particles, flat, transformer")] = None,
    config: Annotated[Path | None, arg(help="YAML file of training settings")] = None,
    resume: Annotated[bool, arg(help="continue the run in --out")] = False,
) -> None:
    """Fit a model to trajectories.

    Example: twofold fit protein.pdb run1.xtc run2.xtc --beads backbone --temperature 300 --out run --minutes 20
    """
    from twofold import fitting
    from twofold.cli.display import bar, console, fit_progress
    from twofold.interrupt import stop_requested
    from twofold.training.progress import Interrupted

    if steps is not None and minutes is not None:
        raise UserError("both --steps and --minutes", "one of them")
    try:
        with stop_requested() as stopped, bar("fit") as update:
            model = fitting.fit(
                topology,
                trajectory,
                out=out,
                beads=beads,
                temperature=temperature,
                sampled_at=sampled_at,
                weights=weights,
                held_out=held_out,
                held_out_fraction=held_out_fraction,
                frames=frames,
                stride=stride,
                length_unit=length_unit,
                energy_unit=energy_unit,
                molecule=molecule,
                forces=forces,
                force_check=force_check == "on",
                config=config,
                resume=resume,
                progress=fit_progress(update),
                stopped=stopped,
                minutes=minutes,
                steps=steps,
                seed=seed,
                architecture=architecture,
            )
    except Interrupted as stop:
        console().print(f"{stop}; everything is saved. Continue with --resume")
        raise KeyboardInterrupt from stop
    report = model.report
    console().print(
        f"{report['architecture']}: {report['reason']}. {model.updates} updates in "
        f"{report['seconds'] / 60:.1f} min; learned from {report['labels']}; sigma* = {model.sigma_star:.3g}. "
        f"Model in {out}"
    )


def simulate(
    run: Annotated[Positional[Path], arg(help="folder of a run")],
    /,
    *,
    out: Annotated[Path, arg(help="XTC or DCD; record (.h5), table (.csv) and PDB get the same name")],
    replicas: Annotated[int | None, arg(help="independent copies (200)")] = None,
    length_ps: Annotated[float | None, arg(help="length of each, ps (200)")] = None,
    frame_ps: Annotated[
        float | None, arg(help="time between frames, ps (a two-hundredth of the length, at least 0.1)")
    ] = None,
    timestep_fs: Annotated[float | None, arg(help="time step, fs (chosen by the stiffest mode)")] = None,
    friction: Annotated[float | None, arg(help="1/ps (1)")] = None,
    temperature: Annotated[float | None, arg(help="K (that of the data)")] = None,
    sigma: Annotated[str, arg(help="noise level of the force field, or auto")] = "auto",
    deblur: Annotated[
        Literal["frames", "forces"] | None,
        arg(help="undo the noise in frames, by evaluate (unless given), or in forces, at up to twice the cost"),
    ] = None,
    exchange: Annotated[
        int | None, arg(help="levels of larger noise at which copies of a replica trade conformations (none)")
    ] = None,
    exchange_largest: Annotated[float | None, arg(help="the largest of them (eight times sigma)")] = None,
    start: Annotated[Path | None, arg(help="trajectory of beads to start from (samples)")] = None,
    start_basin: Annotated[str | None, arg(help='start only from here, like "phi<0" or "distance(0,9)<0.8"')] = None,
    integrator: Annotated[str | None, arg(help="langevin-middle (unless given) or baoab")] = None,
    seed: Annotated[int | None, arg(help="seed (0)")] = None,
    resume: Annotated[bool, arg(help="continue the record beside --out, as it began; --length-ps may grow")] = False,
) -> None:
    """Simulate the force field with Langevin dynamics.

    Example: twofold simulate run --replicas 200 --length-ps 200 --out md.xtc
    """
    from twofold import fitting
    from twofold.cli.display import bar, console, simulation_lines, simulation_progress
    from twofold.interrupt import stop_requested

    level = _level(sigma)
    with stop_requested() as stopped, bar("simulate") as update:
        summary = fitting.load(run).simulate(
            out,
            replicas=replicas,
            length_ps=length_ps,
            frame_ps=frame_ps,
            timestep_fs=timestep_fs,
            friction=friction,
            temperature=temperature,
            sigma=level,
            deblur=deblur,
            exchange=exchange,
            exchange_largest=exchange_largest,
            start=start,
            start_basin=start_basin,
            integrator=integrator,
            seed=seed,
            resume=resume,
            progress=simulation_progress(update),
            stopped=stopped,
        )
    for line in simulation_lines(summary):
        console().print(line)
    if not summary.finished:
        console().print("Stopped early; everything is saved. Continue with --resume")
        raise KeyboardInterrupt


def _level(text: str) -> float | None:
    try:
        return None if text == "auto" else float(text)
    except ValueError as error:
        raise UserError(f"sigma {text!r}", "a number in units of the chart, or auto") from error


def prepare(
    topology: Annotated[Positional[Path], arg(help="PDB, mmCIF, GRO, PSF, PRMTOP, HDF5")],
    trajectory: Annotated[Files, arg(help="XTC, TRR, DCD, NetCDF, HDF5, npy, npz, ... (docs/formats.md)")] = (),
    /,
    *,
    out: Annotated[Path, arg(help="data.h5, which twofold fit accepts in place of files")],
    temperature: Annotated[float, arg(help="K, of the simulation, or with --sampled-at the one wanted")],
    sampled_at: SampledAt = None,
    beads: BeadChoice = None,
    weights: Annotated[Path | None, arg(help="weight of each frame (npy, npz, txt)")] = None,
    stride: Annotated[int, arg(help="keep every n-th frame")] = 1,
    length_unit: LengthUnit = None,
    energy_unit: EnergyUnit = None,
    molecule: Molecule = None,
    forces: Annotated[
        str | None, arg(help="forces of all frames (npy, npz); or none: without those of the data")
    ] = None,
) -> None:
    """Map trajectories to beads and store them in one file.

    Example: twofold prepare protein.pdb run.xtc --beads ca --temperature 300 --out data.h5
    """
    from twofold.cli.display import console
    from twofold.files.atomic import check_target
    from twofold.files.readers import read_trajectory
    from twofold.files.store import write_ensembles
    from twofold.tempering import at_temperature, sampling_temperature

    check_target(out)
    ensemble = read_trajectory(
        topology,
        trajectory,
        beads=beads,
        temperature=sampling_temperature(temperature, sampled_at),
        weights=weights,
        stride=stride,
        length_unit=length_unit,
        energy_unit=energy_unit,
        molecule=molecule,
        forces=None if forces == "none" else forces,
        use_forces=forces != "none",
    )
    ensemble = ensemble if sampled_at is None else at_temperature(ensemble, temperature)
    if len(ensemble) < 2:
        raise UserError("one frame", "at least two; a fit takes 50 and more", "give the whole trajectory")
    write_ensembles(out, ensemble)
    worth = "" if sampled_at is None else f", worth {ensemble.effective_size:.0f} at {temperature:g} K,"
    console().print(f"{len(ensemble)} frames of {len(ensemble.beads)} beads{worth} in {out}")


def demo(
    *,
    out: Annotated[Path, arg(help="new folder for everything the demo makes")] = Path("demo-run"),
    minutes: Annotated[float, arg(help="time to train")] = 3.0,
    seed: Annotated[int, arg(help="seed")] = 0,
) -> None:
    """Fit, sample, simulate and evaluate the alanine dipeptide that comes with the package.

    Example: twofold demo --out demo-run
    """
    from twofold.cli.demonstration import run_demo

    run_demo(out, minutes, seed)


def doctor() -> None:
    """Print versions, devices, precision and memory.

    Example: twofold doctor
    """
    from twofold.cli.checkup import print_checkup

    print_checkup()


COMMANDS: dict[str, Callable[..., Any]] = {
    "fit": fit,
    "sample": sample,
    "simulate": simulate,
    "evaluate": evaluate,
    "reweight": reweight,
    "diagnose": diagnose,
    "prepare": prepare,
    "demo": demo,
    "doctor": doctor,
    "reference": reference,
}
GROUPS: dict[str, dict[str, Callable[..., Any]]] = {"reference": {"ala2": ala2}}
"""Commands that have commands of their own."""
