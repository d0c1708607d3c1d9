"""Time steps of springs, whose limits are known."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from twofold.beads import Beads
from twofold.diagnosis import thresholds
from twofold.diagnosis.timestep import Run, Setting, _heat_check, largest_safe, nve_drift, run_at, timestep, tried_steps
from twofold.simulation.force_field import as_force_field
from twofold.units import thermal_energy

STIFFNESS = 20_000.0
REST = 0.15
KELVIN = 300.0
BEADS = dataclasses.replace(Beads.anonymous(2, bonds=[(0, 1)]), masses=np.array([12.0, 12.0]))
FREQUENCY = np.sqrt(STIFFNESS / 6.0)
"""1/ps, of two masses of 12 amu: 58 /ps, which explodes at 34.6 fs."""


def spring(x):
    # smooth everywhere: the bond must not have an absolute value where it may pass zero
    return 0.5 * STIFFNESS * (jnp.sqrt(jnp.sum((x[1] - x[0]) ** 2) + 1e-12) - REST) ** 2


def leaky(x):
    return spring(x) + 0.05 * jnp.sin(3000.0 * jnp.sum(x[0] - x[1]))


FIELD = as_force_field(spring)
SETTING = Setting(FIELD, BEADS, KELVIN)


def equilibrium(replicas):
    rng = np.random.default_rng(0)
    way = rng.standard_normal((replicas, 3))
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    length = rng.normal(REST, np.sqrt(thermal_energy(KELVIN) / STIFFNESS), (replicas, 1))
    return np.stack([-way * length / 2, way * length / 2], axis=1).astype(np.float32)


@pytest.fixture(scope="module")
def start():
    return equilibrium(48)


def test_steps_reach_over_the_limit():
    steps = tried_steps(34.6, 2.0)
    assert steps == sorted(steps)
    assert 2.0 in steps
    assert 34.6 < steps[-1] < 37
    assert tried_steps(np.inf, 2.0) == [2.0]


def test_width_of_a_spring_is_exact(start):
    run = run_at(SETTING, start, 2.0, 5.0, 5.0)
    assert run.stopped == 0
    assert run.heat == pytest.approx(1, abs=4 * run.heat_error)
    assert run.heat_error < 0.1
    exact = np.sqrt(thermal_energy(KELVIN) / STIFFNESS)
    assert run.widths[0] == pytest.approx(exact, abs=4 * run.width_errors[0])
    assert run.width_errors[0] < 0.1 * exact


def test_curve_of_a_spring(start):
    found = timestep(SETTING, start, used_fs=2.0, length_ps=4.0)
    states = {check.key.split(".")[1]: check.state for check in found.checks}
    assert states["safe"] == "pass"
    # two errors of 48 replicas, 11 %, are more than what fails, so that nothing can be said of the 3 % that are found
    assert states["temperature"] == "warn"
    assert states["drift"] == "pass"
    limit = found.curves[0].rules["limit"]
    assert limit == pytest.approx(2000 / FREQUENCY, rel=0.02)
    heat = found.curves[0].lines[0]
    assert not abs(heat.y[heat.x > limit] - 1).max() < 0.5  # exploded, or hot


def test_temperature_of_many_springs_passes():
    here = run_at(SETTING, equilibrium(480), 2.0, 4.0, 3.0)
    assert here.heat_error < 0.5 * thresholds.TEMPERATURE.fails  # little enough to tell
    assert _heat_check(here).state == "pass"


@pytest.mark.parametrize(
    ("heat", "state"),
    [(1.015, "pass"), (0.985, "pass"), (1.03, "warn"), (0.97, "warn"), (0.9, "fail"), (np.nan, "fail")],
)
def test_verdict_on_a_temperature(heat, state):
    assert _heat_check(run(2.0, heat, 1.0)).state == state


def test_too_long_a_step_fails(start):
    found = timestep(SETTING, start, used_fs=36.0, length_ps=4.0)
    check = found.checks[0]
    assert check.state == "fail"
    assert check.threshold.passes < 35


def run(step, heat, width, stopped=0, error=0.001):
    return Run(step, stopped, heat, error, np.array([width]), np.array([width * error]))


def test_safe_is_what_holds_up_to_there():
    good = [run(1, 1.0, 1.0), run(2, 1.0, 1.0)]
    assert largest_safe([*good, run(3, 1.03, 1.0), run(4, 1.0, 1.0)]) == 2
    assert largest_safe([*good, run(3, 1.0, 1.05)]) == 2
    assert largest_safe([*good, run(3, 1.0, 1.0, stopped=1)]) == 2
    assert largest_safe([*good, run(3, np.nan, np.nan)]) == 2
    assert largest_safe([*good, run(3, 1.03, 1.0, error=0.02)]) == 3  # within noise
    assert largest_safe([run(1, 1.2, 1.0)]) == 0


def test_energy_is_kept_and_lost(start):
    drift, error = nve_drift(SETTING, start, 1.0, 2.0)
    assert abs(drift) < 3 * error + 0.005
    rough = Setting(as_force_field(leaky), BEADS, KELVIN)
    lost, _ = nve_drift(rough, start, 8.0, 2.0)
    assert lost > 0.05  # a force that a step of this length cannot follow heats the molecule


def test_a_force_field_that_no_step_can_follow(start):
    stiff = Setting(as_force_field(lambda x: 1e9 * spring(x)), BEADS, KELVIN)
    found = timestep(stiff, start, length_ps=1.0)
    (check,) = found.checks
    assert check.state == "fail"
    assert check.value > check.threshold.fails
    assert check.threshold.source.startswith("stability")
