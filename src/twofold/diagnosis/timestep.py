"""How long a time step the force field bears, by short runs, and whether it keeps its energy without a bath."""

from __future__ import annotations

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from twofold.analysis.observables import distances
from twofold.analysis.uncertainty import jackknife_error
from twofold.beads import Beads
from twofold.diagnosis import thresholds
from twofold.diagnosis.checks import Check, Curve, Findings, Line, State, Threshold
from twofold.diagnosis.verdict import ERRORS, judged, skipped
from twofold.errors import UserError
from twofold.simulation import engine, stability
from twofold.simulation.force_field import ForceField
from twofold.simulation.integrators import init, maxwell_velocities
from twofold.simulation.record import Header
from twofold.simulation.region import Region
from twofold.simulation.run import build_dynamics
from twofold.simulation.settings import SimulationSettings
from twofold.simulation.stability import TimestepCheck, choose_timestep
from twofold.simulation.summary import jackknife_ratio
from twofold.units import BOLTZMANN, thermal_energy

STEPS_FS = (0.1, 0.2, 0.5, 1, 2, 3, 4, 6, 8, 10, 15, 20, 30, 40, 60, 80, 100, 150, 200, 300)
"""Steps that are tried: those from a twelfth of the limit of stability to just beyond it."""
FRAMES = 100
"""Frames of a run; of the first quarter nothing is counted."""
RADIANS = 500.0
"""Length of a run: what the stiffest mode needs for as many radians, a few ps for a molecule."""
DAMPING = 0.05
"""Friction of a run over the stiffest frequency: enough to forget within some periods, and the error of a time step in
the positions does not depend on it."""
NVE_FRAMES = 200

_init = eqx.filter_jit(init)


@dataclass(frozen=True)
class Setting:
    """What is simulated: a force field (kJ/mol, nm), its beads, its temperature in K, and where replicas may go."""

    force_field: ForceField
    beads: Beads
    temperature: float
    region: Region | None = None
    free: bool = True


@dataclass(frozen=True)
class Run:
    """A short run: means over replicas that were not stopped, with jackknife errors over replicas.

    heat: configurational over target temperature. widths: standard deviation of each bond, nm, (bonds,).
    """

    timestep_fs: float
    stopped: int
    heat: float
    heat_error: float
    widths: np.ndarray
    width_errors: np.ndarray


def timestep(
    setting: Setting,
    start: np.ndarray,
    *,
    used_fs: float | None = None,
    length_ps: float | None = None,
    seed: int = 0,
) -> Findings:
    """Time-step curve and drift. start: (replicas, beads, 3) nm, from equilibrium; used_fs: by default what is chosen.

    length_ps: of a run; by default a few ps for a molecule, by its stiffest mode.
    """
    try:
        chosen = choose_timestep(setting.force_field, start, setting.beads.masses)
    except UserError as error:
        limit = Threshold(0.0, 0.0, thresholds.NO_STEP_SOURCE)
        sentence, shortest = f"No time step is safe: {error}.", stability.STEPS_FS[0]
        return Findings((Check("timestep.safe", "time step", "fail", sentence, shortest, None, "fs", limit),))
    used = used_fs or chosen.timestep_fs
    length = length_ps or RADIANS / max(chosen.stiffest, 1e-6)
    bath = DAMPING * chosen.stiffest
    runs = [run_at(setting, start, step, length, bath, seed) for step in tried_steps(chosen.longest_fs, used)]
    here = next(run for run in runs if run.timestep_fs == used)
    safe = largest_safe(runs)
    drift = nve_drift(setting, start, used, length, seed)
    checks = (_safe_check(used, safe, here, setting.temperature), _heat_check(here), _drift_check(*drift, setting))
    note = (
        f"The stiffest mode has a period of {2000 * np.pi / chosen.stiffest:.3g} fs, explodes at "
        f"{chosen.longest_fs:.3g} fs and allows {chosen.recommended_fs:g} fs. Runs of {len(start)} replicas over "
        f"{length:.3g} ps."
    )
    return Findings(checks, _figures(runs, used, chosen), (note,))


def tried_steps(longest_fs: float, used_fs: float) -> list[float]:
    """Time steps in fs, ascending, with the one in use."""
    if not np.isfinite(longest_fs):
        return [used_fs]
    found = [step for step in STEPS_FS if longest_fs / 12 <= step <= 1.05 * longest_fs]
    found += [round(1.05 * longest_fs, 3)] if not found or found[-1] < longest_fs else []
    return sorted({*found, used_fs})


def _evolve(
    setting: Setting,
    start: np.ndarray,
    timestep_fs: float,
    length_ps: float,
    frames: int,
    seed: int,
    friction: float,
    integrator: str,
) -> tuple[engine.Progression, engine.Frames, float]:
    """A run without a record: end, frames and the time between them in ps."""
    settings = SimulationSettings(
        temperature=setting.temperature,
        length_ps=length_ps,
        frame_ps=length_ps / frames,
        timestep_fs=timestep_fs,
        friction=friction,
        integrator=integrator,
        seed=seed,
        recentre=setting.free,
        probe_every=1,
    )
    number = min(frames, settings.frames)
    header = Header(settings, setting.beads, len(start), "", TimestepCheck(timestep_fs, timestep_fs, 0.0, 0.0), {})
    dynamics = build_dynamics(setting.force_field, header, setting.region)
    key = jax.random.key(seed)
    velocities = maxwell_velocities(key, setting.beads.masses, setting.temperature, len(start))
    state = _init(setting.force_field, jnp.asarray(start, jnp.float32), velocities)
    room = engine.Frames.empty(len(start), frames, len(setting.beads))
    end, found = engine.advance((dynamics, jnp.int32(number)), engine.begin(dynamics, state), room)
    cut = jax.tree.map(lambda values: np.asarray(values)[:, :number], found)
    return end, cut, settings.interval_ps


def run_at(
    setting: Setting, start: np.ndarray, timestep_fs: float, length_ps: float, friction: float, seed: int = 0
) -> Run:
    """A run with the bath at one time step; friction in 1/ps."""
    end, frames, _ = _evolve(setting, start, timestep_fs, length_ps, FRAMES, seed, friction, "langevin-middle")
    good = np.asarray(end.stops.running)
    counted = slice(frames.potential.shape[1] // 4, None)
    squared, laplacian = (
        np.asarray(values, np.float64)[good, counted].sum(axis=1)
        for values in (frames.gradient_squared, frames.laplacian)
    )
    bonds = setting.beads.bonds
    if not good.any():
        empty = np.full(len(bonds), np.nan)
        return Run(timestep_fs, int((~good).sum()), float("nan"), float("nan"), empty, empty)
    kelvin, error = jackknife_ratio(squared / BOLTZMANN, laplacian)
    widths, width_errors = _widths(np.asarray(frames.positions)[good, counted], bonds)
    heat = setting.temperature
    return Run(timestep_fs, int((~good).sum()), kelvin / heat, error / heat, widths, width_errors)


def _widths(positions: np.ndarray, bonds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Standard deviations of the bonds of (replicas, frames, beads, 3), and their errors: (bonds,) each, nm."""
    replicas, frames = positions.shape[:2]
    lengths = distances(positions.reshape(-1, *positions.shape[2:]), bonds).reshape(replicas, frames, len(bonds))
    first, second = lengths.sum(axis=1), np.square(lengths - lengths.mean((0, 1))).sum(axis=1)
    first = first - frames * lengths.mean((0, 1))

    def width(ones: np.ndarray, squares: np.ndarray, number: int) -> np.ndarray:
        return np.sqrt(np.maximum(squares / number - np.square(ones / number), 0.0))

    whole = width(first.sum(0), second.sum(0), replicas * frames)
    if replicas < 2:
        return whole, np.full(len(bonds), np.nan)
    rest = (replicas - 1) * frames
    left = [width(first.sum(0) - a, second.sum(0) - b, rest) for a, b in zip(first, second, strict=True)]
    return whole, np.asarray(jackknife_error(np.array(left)))


def _off(run: Run, base: Run) -> tuple[float, float, float]:
    """Error of the temperature, of the worst bond width against `base`, each less its noise; share that was stopped."""
    heat = abs(run.heat - 1) - ERRORS * np.nan_to_num(run.heat_error)
    if not len(run.widths):
        return heat, 0.0, float(run.stopped)
    change = np.abs(run.widths / np.maximum(base.widths, 1e-9) - 1)
    noise = np.hypot(run.width_errors, base.width_errors) / np.maximum(base.widths, 1e-9)
    return heat, float(np.max(change - ERRORS * np.nan_to_num(noise))), float(run.stopped)


def largest_safe(runs: list[Run]) -> float:
    """The largest step up to which temperature and bond widths stay within what passes and no replica is stopped; 0."""
    safe = 0.0
    for run in runs:
        heat, width, stopped = _off(run, runs[0])
        fine = heat <= thresholds.TEMPERATURE.passes and width <= thresholds.BOND_WIDTH.passes and stopped == 0
        if not fine:  # also where a number is not one
            break
        safe = run.timestep_fs
    return safe


def _safe_check(used: float, safe: float, here: Run, temperature: float) -> Check:
    source = "measured here: configurational temperature and bond widths within 2 % and no replica stopped"
    limit = Threshold(safe, 1.5 * safe, source)
    state: State = "pass" if used <= safe else "fail" if here.stopped or used > 1.5 * safe else "warn"
    sentence = {
        "pass": f"The time step of {used:g} fs is safe; up to {safe:g} fs is, of those tried.",
        "warn": f"The time step of {used:g} fs is longer than what is safe here ({safe:g} fs).",
        "fail": f"The time step of {used:g} fs distorts what is simulated ({here.heat * temperature:.0f} K instead of "
        f"{temperature:g} K, {here.stopped} replicas stopped); "
        + (f"{safe:g} fs is safe." if safe else "no step that was tried is safe."),
    }[state]
    return Check("timestep.safe", "time step", state, sentence, used, unit="fs", threshold=limit)


def _heat_check(here: Run) -> Check:
    sentences = {
        "pass": f"At {here.timestep_fs:g} fs the configurational temperature is that of the bath.",
        "fail": f"At {here.timestep_fs:g} fs the configurational temperature is {100 * (here.heat - 1):+.1f} % off: "
        "the step is too long, or the force is not that of the energy.",
    }
    return judged(
        "timestep.temperature", "configurational temperature", abs(here.heat - 1), thresholds.TEMPERATURE, sentences,
        here.heat_error,
    )  # fmt: skip


def nve_drift(
    setting: Setting, start: np.ndarray, timestep_fs: float, length_ps: float, seed: int = 0
) -> tuple[float, float]:
    """Drift of the total energy without friction, kJ/mol/ps for each bead, and its error over replicas.

    Without friction "baoab" is velocity Verlet, whose positions and velocities belong to the same moment. Slopes are of
    straight lines through each replica.
    """
    end, frames, interval = _evolve(setting, start, timestep_fs, length_ps, NVE_FRAMES, seed, 0.0, "baoab")
    beads = len(setting.beads)
    kinetic = 1.5 * beads * BOLTZMANN * np.asarray(frames.kinetic_temperature, np.float64)
    total = (kinetic + np.asarray(frames.potential, np.float64))[np.asarray(end.stops.running)]
    if len(total) == 0 or total.shape[1] < 3:
        return float("nan"), float("nan")
    time = interval * (np.arange(total.shape[1]) - (total.shape[1] - 1) / 2)
    slopes = (total - total.mean(axis=1, keepdims=True)) @ time / (time @ time) / beads
    error = float(slopes.std(ddof=1) / np.sqrt(len(slopes))) if len(slopes) > 1 else float("nan")
    return float(slopes.mean()), error


def _drift_check(drift: float, error: float, setting: Setting) -> Check:
    if not np.isfinite(drift):
        return skipped("timestep.drift", "energy without a bath", "Cannot be measured: every replica was stopped.")
    scale = 1000 / thermal_energy(setting.temperature)  # kT per bead and ns
    least = thresholds.DRIFT_KJ_PS * scale
    source = "GROMACS tolerates 0.005 kJ/mol/ps for each particle (verlet-buffer-tolerance); ten times that fails"
    sentences = {
        "pass": "Without a bath the energy stays what it is.",
        "fail": f"Without a bath the energy drifts by {drift * scale:.3g} kT for each bead in a ns: the step is too "
        "long or the force is not that of the energy.",
    }
    return judged(
        "timestep.drift", "energy without a bath", abs(drift) * scale, Threshold(least, 10 * least, source), sentences,
        error * scale, "kT/bead/ns",
    )  # fmt: skip


def _figures(runs: list[Run], used: float, chosen: TimestepCheck) -> tuple[Curve, ...]:
    steps = np.array([run.timestep_fs for run in runs])
    heat, error = (np.array([getattr(run, name) for run in runs]) for name in ("heat", "heat_error"))
    rules = {"in use": used} | ({"limit": chosen.longest_fs} if np.isfinite(chosen.longest_fs) else {})
    curve = Curve(
        "timestep.temperature",
        "Configurational temperature over the time step",
        "time step, fs",
        "T / bath",
        (Line("temperature", steps, heat, error),),
        "1 where the step is short enough. Points are missing where every replica was stopped.",
        True,
        rules=rules,
    )
    if not len(runs[0].widths):
        return (curve,)
    base = np.maximum(runs[0].widths, 1e-9)
    widths = np.array([run.widths / base for run in runs])
    errors = np.array([run.width_errors / base for run in runs])
    worst = np.nan_to_num(np.abs(widths - 1)).max(axis=0).argmax()
    lines = (
        Line("all bonds", steps, widths.mean(axis=1), errors.mean(axis=1)),
        Line("the bond that changes most", steps, widths[:, worst], errors[:, worst]),
    )
    caption = "Standard deviation of bond lengths over that at the shortest step."
    bonds = Curve(
        "timestep.bonds", "Bond widths over the time step", "time step, fs", "width", lines, caption, True, rules=rules
    )
    return curve, bonds
