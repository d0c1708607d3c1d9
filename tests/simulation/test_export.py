"""Records as trajectories, tables and ensembles."""

import numpy as np
import pytest

from twofold.errors import UserError
from twofold.files.trajectories import read_positions
from twofold.simulation import Record, export_table, export_trajectory, record_ensemble

from .springs import BEADS, REPLICAS


@pytest.mark.parametrize("suffix", [".xtc", ".dcd"])
def test_trajectory_and_table_have_the_same_rows(record_path, tmp_path, suffix):
    topology = export_trajectory(record_path, tmp_path / f"md{suffix}", stride=5)
    export_table(record_path, tmp_path / "md.csv", stride=5)
    table = np.genfromtxt(tmp_path / "md.csv", delimiter=",", names=True)
    with Record.open(record_path) as record:
        positions = record.read("positions")[:, ::5].reshape(-1, 3, 3)
        energies, kelvin = (record.read(name)[:, ::5].ravel() for name in ("potential", "kinetic_temperature"))
    np.testing.assert_allclose(read_positions(tmp_path / f"md{suffix}", BEADS), positions, atol=1e-3)
    np.testing.assert_array_equal(table["replica"], np.repeat(np.arange(REPLICAS), 3))
    np.testing.assert_allclose(table["time_ps"].reshape(-1, 3), [[0.02, 0.12, 0.22]] * REPLICAS)
    np.testing.assert_allclose(table["potential_kj_mol"], energies, rtol=1e-5)
    np.testing.assert_allclose(table["temperature_k"], kelvin, rtol=1e-4)
    assert topology == tmp_path / "md.pdb"
    assert topology.read_text().count("ATOM") == 3


def test_ensemble(record_path):
    frames = record_ensemble(record_path, stride=2, skip_ps=0.04)
    assert len(frames) == 5 * REPLICAS
    assert frames.frame_ps == pytest.approx(0.04)
    np.testing.assert_array_equal(frames.trajectory, np.repeat(np.arange(REPLICAS), 5))
    with Record.open(record_path) as record:
        np.testing.assert_array_equal(frames.positions[:5], record.read("positions", replica=0)[2::2])
    with pytest.raises(UserError, match="no valid frames"):
        record_ensemble(record_path, skip_ps=5.0)
