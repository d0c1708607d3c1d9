"""Whole runs: temperatures, densities, restart, stops, mistakes."""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest

from twofold.beads import Beads
from twofold.errors import UserError
from twofold.simulation import Record, Region, SimulationSettings, record_ensemble, simulate
from twofold.simulation.record import FRAME_UNITS
from twofold.systems.double_well import DoubleWell
from twofold.systems.harmonic import Harmonic

from .springs import BEADS, CHAIN, REPLICAS, run, settings, starts


def contents(path):
    with Record.open(path) as record:
        return {name: record.read(name) for name in FRAME_UNITS} | {f"state {k}": v for k, v in record.state.items()}


def assert_same(left, right):
    for name, value in left.items():
        np.testing.assert_array_equal(value, right[name], err_msg=name)


@pytest.mark.parametrize("integrator", ["langevin-middle", "baoab"])
def test_temperatures_of_a_harmonic_molecule(tmp_path, integrator):
    chain = Harmonic.chain([30000.0, 10000.0])
    start = chain.sample(64, 300.0, np.random.default_rng(1))
    options = SimulationSettings(
        300.0, 60.0, frame_ps=0.2, timestep_fs=4.0, friction=5.0, integrator=integrator, seed=3, probe_every=1
    )
    summary = simulate(chain, start, options, tmp_path / "md.h5", beads=BEADS)
    found = summary.temperatures
    # BAOAB keeps its velocities half a kick from LangevinMiddle's: every mode is colder by (w dt)^2 / 4.
    modes = chain.frequencies(BEADS.masses) * 0.004
    kinetic = 300.0 * (1.0 if integrator == "langevin-middle" else 1 - np.mean(modes**2) / 4)
    assert found.kinetic == pytest.approx(kinetic, abs=3 * found.kinetic_error)
    assert found.configurational == pytest.approx(300.0, abs=3 * found.configurational_error)
    assert found.kinetic_error < 2.0
    assert found.configurational_error < 4.0
    assert summary.stable == 64
    spread = record_ensemble(tmp_path / "md.h5").positions.astype(np.float64).var(axis=0).mean(axis=1)
    np.testing.assert_allclose(spread, np.diag(chain.covariance(300.0)), rtol=0.05)


def test_density_of_a_double_well(tmp_path):
    well = DoubleWell(barrier=5.0, minimum=0.1, tilt=1.0, stiffness=1000.0)
    beads = Beads.anonymous(8)
    start = np.random.default_rng(0).normal(0, 0.03, (64, 8, 3)) + np.array([0.1, 0.0, 0.0])
    options = SimulationSettings(300.0, 60.0, frame_ps=0.4, timestep_fs=10.0, friction=5.0, seed=5, recentre=False)
    simulate(well, start, options, tmp_path / "md.h5", beads=beads)
    frames = record_ensemble(tmp_path / "md.h5", skip_ps=10.0)
    edges = np.linspace(-0.17, 0.17, 18)
    x = frames.positions[..., 0].reshape(64, -1)
    per_replica = np.stack([np.histogram(row, edges)[0] for row in x]).astype(np.float64)
    found = per_replica.sum(axis=0) / per_replica.sum()
    exact = well.probabilities(edges, 300.0)
    # Replicas are independent, so that their scatter is the error of each bin, whatever the correlation in time.
    error = (per_replica / per_replica.sum(axis=1, keepdims=True)).std(axis=0, ddof=1) / np.sqrt(64)
    deviations = (found - exact) / error
    assert np.mean(deviations**2) < 2.0
    assert np.abs(deviations).max() < 3.5
    middle = 0.5 * (found + exact)
    divergence = 0.5 * np.sum(found * np.log(found / middle) + exact * np.log(exact / middle))
    assert divergence < 5e-4


def test_resume_is_bit_identical(tmp_path, record_path):
    run(tmp_path / "md.h5", frames=5)
    summary = run(tmp_path / "md.h5", resume=True)
    assert summary.finished
    assert summary.frames == 12
    assert_same(contents(tmp_path / "md.h5"), contents(record_path))


def test_interruption_saves_and_can_be_resumed(tmp_path, record_path):
    asked = []
    summary = run(tmp_path / "md.h5", stopped=lambda: bool(asked), progress=asked.append)
    assert not summary.finished
    assert 0 < summary.frames < 12
    assert asked[0].frames == summary.frames
    assert run(tmp_path / "md.h5", resume=True).finished
    assert_same(contents(tmp_path / "md.h5"), contents(record_path))


def test_seed_decides(tmp_path, record_path):
    simulate(CHAIN, starts(), settings(seed=8), tmp_path / "md.h5", beads=BEADS)
    assert not np.array_equal(contents(tmp_path / "md.h5")["positions"], contents(record_path)["positions"])


def test_centre_of_mass_stays_and_energy_belongs_to_the_frame(record_path):
    found = contents(record_path)
    np.testing.assert_allclose(found["positions"].mean(axis=2), 0.0, atol=1e-6)
    energies = [[float(CHAIN.energy(jnp.asarray(frame))) for frame in frames] for frames in found["positions"]]
    np.testing.assert_allclose(found["potential"], energies, rtol=1e-4)


def test_probes_are_right(record_path):
    found = contents(record_path)
    probed = np.isfinite(found["laplacian"])
    np.testing.assert_array_equal(probed[0], np.arange(12) % 2 == 0)
    trace = 3 * np.trace(np.asarray(CHAIN.stiffness))
    assert found["laplacian"][probed].mean() == pytest.approx(trace, rel=0.5)
    forces = -np.einsum("ij,rfjx->rfix", np.asarray(CHAIN.stiffness), found["positions"])
    np.testing.assert_allclose(found["gradient_squared"][probed], (forces**2).sum(axis=(2, 3))[probed], rtol=1e-2)


def test_a_replica_that_leaves_is_stopped_and_the_others_do_not_notice(tmp_path, record_path):
    region = Region.around(starts(2000))._replace(lower=jnp.full((3, 3), -1.0))
    start = starts()
    start[2, 0] += 1.0
    summary = run(tmp_path / "md.h5", start=start, region=region)
    assert summary.stable == REPLICAS - 1
    (stop,) = summary.stops
    assert (stop.replica, stop.step, stop.reason) == (2, 0, "too far apart")
    assert 0 in stop.beads
    found, whole = contents(tmp_path / "md.h5"), contents(record_path)
    others = np.arange(REPLICAS) != 2
    assert np.isnan(found["positions"][2]).all()
    np.testing.assert_allclose(found["positions"][others], whole["positions"][others], atol=1e-5)
    assert len(record_ensemble(tmp_path / "md.h5")) == 12 * (REPLICAS - 1)
    assert summary.temperatures.kinetic > 0
    json.dumps(summary.to_dict())


class Cliff(Harmonic):
    """Springs, and a fall without end where the first bond is longer than 0.2 nm: unstable from 0.25 nm on."""

    def energy(self, positions):
        beyond = jnp.maximum(jnp.linalg.norm(positions[1] - positions[0]) - 0.2, 0.0)
        return super().energy(positions) - 1e6 * beyond**3


def test_an_explosion_keeps_the_good_frames(tmp_path):
    start = starts()
    start[4] = [[-0.12, 0, 0], [0.13, 0, 0], [0.13, 0, 0]]
    options = settings(frames=60, frame_ps=0.004)
    summary = simulate(Cliff(CHAIN.stiffness), start, options, tmp_path / "md.h5", beads=BEADS)
    (stop,) = summary.stops
    assert (stop.replica, stop.reason) == (4, "too fast")
    assert set(stop.beads) <= {0, 1}
    assert stop.time_ps == pytest.approx(stop.step * 0.002)
    with Record.open(tmp_path / "md.h5") as record:
        valid = record.valid_frames
        assert valid[4] == (stop.step - 1) // 2 > 0
        assert np.isfinite(record.read("positions")[4, : valid[4]]).all()
        assert np.isnan(record.read("positions")[4, valid[4] :]).all()
        assert (np.delete(valid, 4) == record.header.settings.frames).all()
        assert all(np.isfinite(record.state[name]).all() for name in ("positions", "velocities", "forces"))


def test_a_run_ends_when_no_replica_is_left(tmp_path):
    nowhere = Region.around(starts(2000) + np.arange(3)[:, None])
    summary = run(tmp_path / "md.h5", region=nowhere)
    assert summary.stable == 0
    assert summary.finished
    assert summary.frames == 0
    assert {stop.reason for stop in summary.stops} == {"too close"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 8}, "seed 7"),
        ({"friction": 2.0}, "friction 1.0"),
        ({"integrator": "baoab"}, "integrator langevin-middle"),
        ({"temperature": 310.0}, "temperature 300.0"),
        ({"timestep_fs": 1.0}, "timestep_fs 2.0"),
    ],
)
def test_resume_refuses_other_settings(record_path, changes, words):
    with pytest.raises(UserError, match=words):
        simulate(CHAIN, None, settings(**changes), record_path, beads=BEADS, resume=True)


def test_resume_knows_a_plain_function_by_its_energies(tmp_path):
    def field(strength):
        return lambda x: strength * jnp.sum(jnp.square(jnp.diff(x, axis=0)))

    path, start = tmp_path / "md.h5", np.random.default_rng(0).normal(0, 0.05, (2, 3, 3))
    options = SimulationSettings(300.0, 0.2, timestep_fs=1.0)
    simulate(field(100.0), start, options, path, beads=BEADS)
    longer = dataclasses.replace(options, length_ps=0.4)
    with pytest.raises(UserError, match="another force field"):
        simulate(field(300.0), None, longer, path, beads=BEADS, resume=True)
    assert simulate(field(100.0), None, longer, path, beads=BEADS, resume=True).frames == 2


def test_resume_refuses_another_force_field_and_other_beads(record_path):
    with pytest.raises(UserError, match="another force field"):
        run(record_path, force_field=Harmonic(CHAIN.stiffness * 1.01), resume=True)
    with pytest.raises(UserError, match="other beads"):
        run(record_path, beads=Beads.anonymous(3), resume=True)


def test_mistakes_are_said_before_anything_is_written(tmp_path, record_path):
    before = record_path.read_bytes()
    with pytest.raises(UserError, match="exists already"):
        run(record_path)
    assert record_path.read_bytes() == before
    with pytest.raises(UserError, match=r"\(replicas, 3, 3\)"):
        run(tmp_path / "md.h5", start=np.zeros((2, 4, 3)))
    with pytest.raises(UserError, match="without finite curvature"):
        run(tmp_path / "md.h5", start=np.full((REPLICAS, 3, 3), np.nan))
    with pytest.raises(UserError, match="recentre"):
        run(tmp_path / "md.h5", force_field=Harmonic.wells([1000.0] * 3))
    with pytest.raises(UserError, match="time step of 50 fs"):
        simulate(CHAIN, starts(), settings(timestep_fs=50.0, frame_ps=0.5), tmp_path / "md.h5", beads=BEADS)
    with pytest.raises(UserError, match="No file"):
        run(tmp_path / "none.h5", resume=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "changes",
    [{"temperature": -1.0}, {"length_ps": float("nan")}, {"friction": -1.0}, {"integrator": "euler"}, {"seed": -1}],
)
def test_settings_are_checked(changes):
    with pytest.raises(UserError):
        dataclasses.replace(settings(), **changes)
