"""The generator of the alanine dipeptide reference: bias, weights, copies, restart, mistakes."""

import json
import sys

import numpy as np
import pytest

from twofold import packaged
from twofold.errors import UserError
from twofold.systems import ala2, ala2_openmm

KT = 0.00831446261815324 * 300


def smooth_map(points: int = 13) -> np.ndarray:
    """A periodic map of (psi, phi) without symmetry, so that swapped or shifted axes show."""
    angle = np.linspace(-np.pi, np.pi, points)
    psi, phi = np.meshgrid(angle, angle, indexing="ij")
    values = 12 * (1 - np.cos(phi - 0.7)) + 7 * (1 - np.cos(psi + 0.3)) + 2 * np.sin(psi) * np.cos(2 * phi)
    return values - values.min()


def torsion(x: np.ndarray, atoms: tuple[int, ...]) -> float:
    a, b, c, d = x[list(atoms)]
    axis = (c - b) / np.linalg.norm(c - b)
    u, v = (a - b) - ((a - b) @ axis) * axis, (d - c) - ((d - c) @ axis) * axis
    return float(np.arctan2(np.cross(axis, u) @ v, u @ v))


def turned(x: np.ndarray, atoms: tuple[int, ...], moving: range, target: float) -> np.ndarray:
    """x with the atoms `moving` turned about the middle bond of `atoms` so that the torsion is `target`."""
    angle = target - torsion(x, atoms)
    origin = x[atoms[1]]
    axis = x[atoms[2]] - origin
    axis /= np.linalg.norm(axis)
    out, arm = x.copy(), x[list(moving)] - origin
    along = (arm @ axis)[:, None] * axis
    out[list(moving)] = origin + along + np.cos(angle) * (arm - along) + np.sin(angle) * np.cross(axis, arm)
    return out


@pytest.fixture(scope="module")
def start() -> np.ndarray:
    pytest.importorskip("openmm")
    return ala2_openmm.molecules(packaged.topology(), 1)[2][0]


def test_bias_is_positive_flat_above_the_cap_and_undoes_most_of_the_free_energy():
    free_energy = np.array([[0.0, 10.0], [30.0, 55.0]])
    np.testing.assert_allclose(ala2.static_bias(free_energy), [[24.0, 16.0], [0.0, 0.0]])


def test_weights_are_boltzmann_factors_of_the_bias_with_mean_one():
    bias = np.array([0.0, KT * np.log(2.0), KT * np.log(5.0)])
    weights = ala2.weights(ala2.log_weights(bias))
    np.testing.assert_allclose(weights, 3 * np.array([1, 2, 5]) / 8, rtol=1e-12)
    np.testing.assert_allclose(ala2.weights(ala2.log_weights(bias) + 1e4), weights, rtol=1e-9)


def test_bias_energy_is_the_map_at_its_grid_points(start):
    free_energy = smooth_map()
    bias = ala2.static_bias(free_energy)
    angle = np.linspace(-np.pi, np.pi, len(bias))
    simulation = ala2_openmm.Simulation(packaged.topology(), bias, 1, 1)
    for i, j in np.random.default_rng(0).integers(0, len(bias), (12, 2)):
        x = turned(start, ala2_openmm.PHI, range(9, 22), angle[j])
        x = turned(x, ala2_openmm.PSI, range(15, 22), angle[i])
        assert simulation.evaluate(x)[2] == pytest.approx(bias[i, j], abs=1e-3)


def test_forces_are_those_of_the_energy_without_the_bias(start):
    simulation = ala2_openmm.Simulation(packaged.topology(), 30.0 * smooth_map(), 1, 1)
    forces, _, _ = simulation.evaluate(start)
    direction = np.random.default_rng(1).normal(size=start.shape)
    step = 1e-4
    high, low = (simulation.evaluate(start + sign * step * direction)[1] for sign in (1, -1))
    assert (low - high) / (2 * step) == pytest.approx((forces * direction).sum(), rel=2e-3)


def test_copies_feel_neither_each_other_nor_the_cut_off(start):
    simulation = ala2_openmm.Simulation(packaged.topology(), ala2.static_bias(smooth_map()), 3, 1)
    simulation.start()
    simulation.advance(0.4)
    x = simulation.positions()
    np.testing.assert_allclose(x.mean(axis=1), 0.0, atol=1e-9)
    forces = simulation._context.getState(getForces=True).getForces(asNumpy=True)._value.reshape(x.shape)
    single = ala2_openmm.Simulation(packaged.topology(), ala2.static_bias(smooth_map()), 1, 1)
    for one, together in zip(x, forces, strict=True):
        single._context.setPositions(one)
        alone = single._context.getState(getForces=True).getForces(asNumpy=True)._value
        np.testing.assert_allclose(together, alone, atol=0.3)
    assert np.abs(x[0] - x[1]).max() > 1e-3


@pytest.fixture
def map_file(tmp_path):
    np.save(tmp_path / "map.npy", smooth_map())
    return tmp_path / "map.npy"


SHORT = {"copies": 2, "frame_ps": 0.02, "equilibration_ps": 0.2}
"""2 copies x 50 frames x 0.02 ps = 2 ps for each chunk."""


def test_generate_writes_agreeing_files_and_continues(tmp_path, map_file):
    mdtraj = pytest.importorskip("mdtraj")
    pytest.importorskip("openmm")
    stages: list[tuple[str, float, float]] = []
    keep = {"bias": map_file, **SHORT}
    first = ala2.generate(tmp_path / "run", 0.002, 5, **keep, progress=lambda *report: stages.append(report))
    before = np.load(first.frames)["energy"].reshape(2, 50)
    with pytest.raises(UserError, match="holds a run already"):
        ala2.generate(tmp_path / "run", 0.004, 5, **keep)
    with pytest.raises(UserError, match="frame_ps"):
        ala2.generate(tmp_path / "run", 0.004, 5, **{**keep, "frame_ps": 0.04}, resume=True)
    result = ala2.generate(tmp_path / "run", 0.004, 5, **keep, resume=True)
    frames, weights = np.load(result.frames), np.load(result.weights)
    assert stages == [("simulation", pytest.approx(0.002), pytest.approx(0.002))]
    assert frames["run"].tolist() == [0] * 100 + [1] * 100
    np.testing.assert_array_equal(frames["energy"].reshape(2, 100)[:, :50], before)
    np.testing.assert_allclose(weights, ala2.weights(frames["bias"] / KT), rtol=1e-5)
    assert weights.mean() == pytest.approx(1.0, abs=1e-6)
    trajectories = [mdtraj.load(str(path), top=str(result.topology)) for path in result.trajectories]
    simulation = ala2_openmm.Simulation(result.topology, ala2.static_bias(ala2.read_map(result.free_energy)), 1, 0)
    for copy, trajectory in enumerate(trajectories):
        np.testing.assert_allclose(trajectory.time, 0.02 * np.arange(1, 101), rtol=1e-5)
        np.testing.assert_allclose(trajectory.xyz.mean(axis=1), 0.0, atol=2e-4)
        # 0.02 ps after the interruption the molecule is near where it was, and it moves on
        jumps = np.abs(np.diff(trajectory.xyz, axis=0)).max(axis=(1, 2))
        assert 0.2 * jumps.mean() < jumps[49] < 3 * jumps.mean()
        bias = simulation.evaluate(trajectory.xyz[70])[2]  # from positions rounded to 0.001 nm
        assert bias == pytest.approx(frames["bias"][100 * copy + 70], abs=0.5)


def test_interrupted_chunk_is_made_again(tmp_path, map_file):
    pytest.importorskip("openmm")
    keep = {"bias": map_file, **SHORT, "copies": 1}
    result = ala2.generate(tmp_path / "run", 0.001, 5, **keep)
    (tmp_path / "run" / "chunks" / "frames-000001.npz").write_bytes(b"cut off")
    result = ala2.generate(tmp_path / "run", 0.002, 5, **keep, resume=True)
    assert len(np.load(result.weights)) == 100


def test_metadynamics_gives_a_map_of_the_right_form():
    pytest.importorskip("openmm")
    done: list[float] = []
    values = ala2_openmm.metadynamics(packaged.topology(), 0.002, 3, done.append)
    assert values.shape == (61, 61)
    assert values.min() == 0
    assert values.max() > 0.5
    np.testing.assert_allclose(values[0], values[-1], atol=1e-6)
    assert done[-1] == pytest.approx(0.002)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((6, 6)), "shape"),
        (np.zeros((7, 9)), "shape"),
        (np.full((7, 7), np.nan), "not finite"),
        (np.arange(49.0).reshape(7, 7), "not periodic"),
    ],
)
def test_foreign_maps_are_refused(tmp_path, array, message):
    np.save(tmp_path / "map.npy", array)
    with pytest.raises(UserError, match=message):
        ala2.read_map(tmp_path / "map.npy")


def test_missing_and_unreadable_maps_are_refused(tmp_path):
    (tmp_path / "text.npy").write_text("no array")
    for name in ("text.npy", "absent.npy"):
        with pytest.raises(UserError, match="cannot be read"):
            ala2.read_map(tmp_path / name)


def test_without_openmm_the_extra_is_named_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openmm", None)
    with pytest.raises(UserError, match=r"twofold\[openmm\]"):
        ala2.generate(tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"copies": 0}, "copies"),
        ({"frame_ps": 0.005}, "multiple"),
        ({"metadynamics_ns": 0.0}, "metadynamics of some length"),
    ],
)
def test_impossible_settings_are_refused(tmp_path, change, message):
    pytest.importorskip("openmm")
    with pytest.raises(UserError, match=message):
        ala2.generate(tmp_path / "run", **change)
    assert not (tmp_path / "run").exists()


def test_foreign_folders_are_left_alone(tmp_path, map_file):
    pytest.importorskip("openmm")
    with pytest.raises(UserError, match="something else"):
        ala2.generate(tmp_path, bias=map_file)
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(UserError, match="damaged"):
        ala2.generate(tmp_path, bias=map_file, resume=True)
    (tmp_path / "settings.json").write_text(json.dumps({"seed": 1}))
    with pytest.raises(UserError, match="was made with"):
        ala2.generate(tmp_path, bias=map_file, resume=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.npy", "settings.json"]
