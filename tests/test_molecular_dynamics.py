"""From a model to replicas that move: starts, files, going on."""

import json

import mdtraj
import numpy as np
import pytest

from twofold.analysis.observables import torsions
from twofold.errors import UserError
from twofold.files.trajectories import read_positions, write_trajectory
from twofold.molecular_dynamics import (
    Outputs,
    deblurred,
    guard,
    simulate_model,
    simulated_with,
)
from twofold.simulation.record import Record

OPTIONS = {"replicas": 4, "timestep_fs": 2.0, "frame_ps": 0.05, "seed": 3}


@pytest.fixture(scope="module")
def starts(chain_ensemble):
    return chain_ensemble.positions[:4]


@pytest.fixture(scope="module")
def finished(untrained, starts, tmp_path_factory):
    path = tmp_path_factory.mktemp("md") / "md.xtc"
    return path, simulate_model(untrained, path, length_ps=1.0, start=starts, **OPTIONS)


def contents(path):
    with Record.open(Outputs.at(path).record) as record:
        return {name: record.read(name) for name in ("positions", "potential", "kinetic_temperature")}


def test_all_files_appear(finished, untrained):
    path, summary = finished
    assert {file.suffix for file in path.parent.iterdir()} == {".xtc", ".pdb", ".h5", ".csv", ".json"}
    trajectory = mdtraj.load(str(path), top=str(path.with_suffix(".pdb")))
    assert trajectory.n_frames == 4 * 20
    assert trajectory.n_atoms == 5
    table = np.loadtxt(path.with_suffix(".csv"), delimiter=",", skiprows=1)
    assert table.shape == (80, 4)
    assert summary.finished
    told = json.loads(path.with_suffix(".json").read_text())
    assert told["model"] == untrained.identity
    assert (told["kind"], told["sigma"], told["start"]) == ("simulation", untrained.sigma_star, "positions")
    assert simulated_with(untrained, path)[1].notes["model"] == untrained.identity


def test_forces_of_the_model_move_the_replicas(finished, untrained):
    frames = contents(finished[0])
    expected = untrained.energy(frames["positions"][0])
    np.testing.assert_allclose(frames["potential"][0], expected, atol=0.02)
    assert 150 < np.nanmean(frames["kinetic_temperature"]) < 450


def test_resume_goes_on_to_the_bit_and_keeps_how_it_began(untrained, starts, finished, tmp_path):
    path = tmp_path / "md.xtc"
    simulate_model(untrained, path, length_ps=0.5, start=starts, **OPTIONS)
    summary = simulate_model(untrained, path, length_ps=1.0, resume=True, **(OPTIONS | {"frame_ps": None}))
    assert summary.frames == 20
    for name, value in contents(finished[0]).items():
        np.testing.assert_array_equal(contents(path)[name], value)
    assert json.loads(path.with_suffix(".json").read_text())["start"] == "positions"
    assert len(read_positions(path, 5)) == 80


def test_seeds_differ(untrained, starts, finished, tmp_path):
    simulate_model(untrained, tmp_path / "md.xtc", length_ps=1.0, start=starts, **(OPTIONS | {"seed": 4}))
    assert np.abs(contents(tmp_path / "md.xtc")["positions"] - contents(finished[0])["positions"]).max() > 1e-3


def test_existing_files_are_left_alone(untrained, starts, finished):
    path = finished[0]
    before = {file: file.read_bytes() for file in path.parent.iterdir()}
    with pytest.raises(UserError, match="exists already"):
        simulate_model(untrained, path, length_ps=1.0, start=starts, **OPTIONS)
    assert {file: file.read_bytes() for file in path.parent.iterdir()} == before


def test_replicas_start_in_one_basin(untrained, chain_ensemble, tmp_path):
    write_trajectory(tmp_path / "start.xtc", chain_ensemble.positions[:200], chain_ensemble.beads)
    path = tmp_path / "md.xtc"
    simulate_model(untrained, path, length_ps=0.05, start=tmp_path / "start.xtc", start_basin="phi>0", **OPTIONS)
    first = contents(path)["positions"][:, 0]
    assert (torsions(first, np.array([[0, 1, 2, 3]])) > 0).all()
    notes = simulated_with(untrained, path)[1].notes
    assert (notes["kind"], notes["start"]) == ("basin", "phi>0")


def strict(text):
    """JSON as the standard has it: no NaN, no Infinity."""

    def refuse(name):
        raise ValueError(name)

    return json.loads(text, parse_constant=refuse)


def test_a_simulation_that_never_gets_going_still_says_why(untrained, starts, tmp_path):
    path = tmp_path / "md.xtc"
    summary = simulate_model(untrained, path, length_ps=0.5, start=3 * starts, **OPTIONS)
    assert summary.stable == 0
    told = strict(path.with_suffix(".json").read_text())
    assert [stop["replica"] for stop in told["stops"]] == [0, 1, 2, 3]
    assert told["stops"][0]["reason"]
    assert told["temperatures"]["kinetic"] is None
    assert not path.exists()


@pytest.mark.parametrize(
    "options",
    [
        {"replicas": 0},
        {"length_ps": -1.0},
        {"temperature": 0.0},
        {"temperature": float("nan")},
        {"friction": -1.0},
        {"timestep_fs": 0.0},
        {"sigma": 1e3},
        {"integrator": "verlet"},
        {"start": "nothing.xtc"},
        {"start": np.zeros((4, 3, 3))},
        {"start_basin": "chi<0"},
        {"seed": -1},
    ],
    ids=str,
)
def test_mistakes_leave_no_file(untrained, starts, tmp_path, options):
    with pytest.raises(UserError):
        simulate_model(untrained, tmp_path / "md.xtc", **({"length_ps": 0.1, "start": starts} | OPTIONS | options))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", [{"replicas": 5}, {"start_basin": "phi<0"}])
def test_resume_refuses_another_beginning(untrained, finished, option):
    before = {file: file.read_bytes() for file in finished[0].parent.iterdir()}
    with pytest.raises(UserError, match="record"):
        simulate_model(untrained, finished[0], length_ps=2.0, resume=True, **(OPTIONS | option))
    assert before == {file: file.read_bytes() for file in finished[0].parent.iterdir()}


def test_resume_without_a_record(untrained, tmp_path):
    with pytest.raises(UserError, match=r"md\.h5"):
        simulate_model(untrained, tmp_path / "md.xtc", length_ps=1.0, resume=True, **OPTIONS)


def test_other_names_than_trajectories(untrained, tmp_path):
    with pytest.raises(UserError, match="xtc"):
        simulate_model(untrained, tmp_path / "md.pdb", length_ps=1.0, **OPTIONS)


def test_guard_is_off_above_temperature_and_noise_of_the_data(untrained):
    level = untrained.sigma_star
    assert guard(untrained, None, level) is untrained.region
    assert guard(untrained, 310.0, level) is untrained.region
    assert guard(untrained, 400.0, level) is None
    assert guard(untrained, None, 2 * level) is None


def test_deblurring_narrows_bonds_by_the_blur(untrained, chain_ensemble):
    """Stiff coordinates of the untrained model are exactly Gaussian: variance 1 + sigma^2 becomes about 1."""
    from twofold.chart.noising import noised_positions

    noised = noised_positions(untrained.chart, chain_ensemble.positions, 0.5, seed=0)
    clean = deblurred(untrained, noised, {"sigma": 0.5})
    spread = [np.linalg.norm(np.diff(x, axis=1), axis=-1).std(0) for x in (chain_ensemble.positions, noised, clean)]
    assert (spread[1] > 1.08 * spread[0]).all()
    np.testing.assert_allclose(spread[2], spread[0], rtol=0.05)
    # a force field without blur has frames without blur
    assert deblurred(untrained, noised, {"sigma": 0.5, "deblur": "forces"}) is noised


def test_blur_is_undone_in_forces(untrained, starts, tmp_path):
    path = tmp_path / "md.xtc"
    simulate_model(untrained, path, length_ps=0.05, start=starts, deblur="forces", **OPTIONS)
    notes = simulated_with(untrained, path)[1].notes
    assert (notes["deblur"], notes["sigma"]) == ("forces", untrained.sigma_star)
    with pytest.raises(UserError, match="frames, forces"):
        simulate_model(untrained, tmp_path / "other.xtc", start=starts, deblur="both", **OPTIONS)
    # what is left out is as the record says, and nothing else may take its place
    longer = simulate_model(untrained, path, length_ps=0.1, resume=True)
    assert longer.frames == 2
    assert simulated_with(untrained, path)[1].settings.seed == OPTIONS["seed"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"deblur": "frames"}, "deblur frames.*forces, as in the record"),
        ({"sigma": 0.7}, r"sigma 0\.7"),
        ({"exchange": 2}, "exchange 2.*0, as in the record"),
        ({"length_ps": 0.05}, r"0\.05 ps for a record that began with 0\.1 ps"),
        ({"seed": 4}, "seed 3, and 4"),
        ({"friction": 2.0}, "friction"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_run_goes_on_as_it_began(untrained, starts, tmp_path, options, words):
    path = tmp_path / "md.xtc"
    simulate_model(untrained, path, length_ps=0.1, start=starts, deblur="forces", **OPTIONS)
    with pytest.raises(UserError, match=f"(?i){words}"):
        simulate_model(untrained, path, resume=True, **options)


def test_copies_at_larger_noise_trade_conformations(untrained, starts, tmp_path):
    path = tmp_path / "md.xtc"
    options = OPTIONS | {"replicas": 20}
    summary = simulate_model(untrained, path, length_ps=1.0, start=starts, exchange=2, **options)
    assert (summary.replicas, len(summary.acceptance)) == (20, 2)
    assert min(summary.acceptance) > 0
    header = simulated_with(untrained, path)[1]
    low, middle, high = header.notes["exchange"]
    assert (low, high) == (untrained.sigma_star, pytest.approx(8 * low))
    assert middle == pytest.approx((low * high) ** 0.5)
    # frames are those of the lowest level, and so are their energies
    frames = contents(path)
    assert frames["positions"].shape[0] == 20
    expected = untrained.energy(frames["positions"].reshape(-1, 5, 3))
    np.testing.assert_allclose(frames["potential"].ravel(), expected, rtol=1e-4, atol=1e-3)
    assert simulate_model(untrained, path, length_ps=1.2, resume=True).frames == 24
    top = simulate_model(
        untrained,
        tmp_path / "top.xtc",
        length_ps=0.1,
        exchange=1,
        exchange_largest=untrained.schedule.largest,
        **OPTIONS,
    )
    assert top.stable == 4
    for options, words in (
        ({"deblur": "forces"}, "deblur frames"),
        ({"exchange_largest": 1e3}, "exchange up to sigma 1000"),
        ({"exchange": -1}, "exchange with -1"),
        ({"exchange": None, "exchange_largest": 2.0}, "exchange_largest without exchange"),
    ):
        with pytest.raises(UserError, match=f"(?i){words}"):
            simulate_model(untrained, tmp_path / "no.xtc", start=starts, **{"exchange": 2} | options | OPTIONS)
