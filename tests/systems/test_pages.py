"""Systems with a known energy go the way of a molecule: fit, sample, simulate, evaluate."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml

import twofold
from twofold.cli import main
from twofold.evaluation import evaluate
from twofold.files.trajectories import read_positions, write_trajectory
from twofold.systems.catalogue import SYSTEMS
from twofold.systems.toys import LANDSCAPES

FIT = {"frames": 400, "steps": 10, "chunk": 5, "warmup": 2, "batch": 32, "width": 8, "depth": 1, "smallest_noise": 0.05}
BARE = {"fokker_planck": 0.0, "classification": 0.0}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["checkerboard", "prinz", "dw4"])
def test_from_a_name_to_a_page(name, tmp_path):
    model = twofold.fit(name, out=tmp_path / "run", **FIT, **BARE)
    samples = model.sample(200, steps=5)
    assert np.isfinite(samples.positions).all()
    write_trajectory(tmp_path / "iid.dcd", samples.positions, model.beads)
    system = SYSTEMS[name]
    model.simulate(tmp_path / "md.dcd", replicas=10, length_ps=2.0, frame_ps=0.1, timestep_fs=system.timestep_fs)
    evaluate(tmp_path / "run", samples=tmp_path / "iid.dcd", simulation=tmp_path / "md.dcd", out=tmp_path / "page")
    page = (tmp_path / "page" / "report.html").read_text()
    assert f"twofold: {name}" in page
    assert "Fokker-Planck residual" in page
    assert ("Energy at several levels of noise" in page) == ("Densities" in page) == (name in LANDSCAPES)


@pytest.mark.slow
def test_the_commands(tmp_path, monkeypatch, capsys):
    """What a user types for a landscape; the name is all there is of a file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TWOFOLD_CACHE", str(tmp_path / "cache"))
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump({k: v for k, v in (FIT | BARE).items() if k != "frames"}))
    main(["fit", "mueller-brown", "--frames", "400", "--config", "tiny.yaml", "--out", "run"])
    main(["sample", "run", "--number", "200", "--steps", "5", "--out", "iid.dcd"])
    of_runs = ["--replicas", "10", "--length-ps", "2", "--frame-ps", "0.1", "--timestep-fs", "5"]
    main(["simulate", "run", *of_runs, "--out", "md.dcd"])
    main(["evaluate", "run", "--samples", "iid.dcd", "--simulation", "md.dcd", "--out", "page"])
    said = " ".join(capsys.readouterr().out.split())
    assert "flat: all coordinates as they are" in said
    assert "10 updates" in said
    model = twofold.load("run")
    assert model.temperature == pytest.approx(SYSTEMS["mueller-brown"].temperature)
    assert model.beads.masses.tolist() == [0.5]
    assert len(read_positions("iid.dcd", 1)) == 200
    page = (tmp_path / "page" / "report.html").read_text()
    assert "twofold: mueller-brown" in page
    for title in ("Densities", "Energy at several levels of noise", "Fokker-Planck residual"):
        assert title in page


def test_the_table_names_all_systems_and_their_networks():
    lines = (Path(__file__).parents[2] / "docs" / "getting-started.md").read_text().split("### Known systems")[1]
    rows = re.findall(r"^\| `([\w-]+)` \|.* (yes|no) \|.*\| `(\w+)` \|$", lines.split("\n## ")[0], re.MULTILINE)
    of_landscapes, of_others = ("yes", "flat"), ("no", "particles")
    assert rows == [(name, *(of_landscapes if name in LANDSCAPES else of_others)) for name in SYSTEMS]


@pytest.mark.parametrize("name", SYSTEMS)
def test_forces_are_slopes_of_the_energy(name):
    system = SYSTEMS[name]
    positions = system.starts(3, np.random.default_rng(0))
    along = np.random.default_rng(1).standard_normal(positions.shape)
    step = 1e-2
    slope = (system.energies(positions + step * along) - system.energies(positions - step * along)) / (2 * step)
    expected = -(system.forces(positions) * along).sum((1, 2)) / system.thermal
    np.testing.assert_allclose(slope, expected, rtol=0.05, atol=0.05 * np.abs(expected).max() + 0.05)
