"""Numbers, ticks, maps, the choice of frames: against values worked out by hand."""

import base64
import json
import zlib

import numpy as np
import pytest

from twofold.errors import UserError
from twofold.report import ReportContent, StructureSet, judged, simulated, write_summary_figure
from twofold.report.content import Comparison
from twofold.report.curves import thin
from twofold.report.intake import sentence
from twofold.report.maps import contour_lines, free_energy, histogram, palette_png, smooth
from twofold.report.measures import angle_groups, bond_groups, torsion, weighted_density
from twofold.report.numerals import number, plain, plus_minus, small_length
from twofold.report.svg import log_ticks, nice_ticks
from twofold.report.tables import metric_tables
from twofold.report.viewer import chosen_frames, payload, superpose


@pytest.mark.parametrize(
    ("value", "error", "expected"),
    [
        (0.00832, 0.00031, "0.00832 ± 0.00031"),
        (-1.5, 0.25, "−1.50 ± 0.25"),  # noqa: RUF001
        (123456.0, 789.0, "123\u2009456 ± 789"),
        (1.3e-7, 2e-8, "1.30 × 10⁻⁷ ± 2.0 × 10⁻⁸"),  # noqa: RUF001
        (2.0, None, "2.00"),
        (2.0, 0.0, "2.00"),
        (float("nan"), 1.0, "–"),  # noqa: RUF001
        (None, None, "–"),  # noqa: RUF001
    ],
)
def test_value_and_error(value: float | None, error: float | None, expected: str) -> None:
    assert plus_minus(value, error) == expected


def test_numbers() -> None:
    assert number(0.0) == "0"
    assert number(1234.5, 3) == "1\u2009234" or number(1234.5, 3) == "1\u2009235"
    assert plain(15000) == "15\u2009000"
    assert plain(0.004) == "0.004"
    assert small_length("nm", 1e-4, 2e-4) == (1e3, "pm")
    assert small_length("nm", 0.15) == (1.0, "nm")
    assert small_length("nats", 1e-4) == (1.0, "nats")


def test_ticks() -> None:
    assert nice_ticks(0, 1, 5) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert nice_ticks(-7.3, 2.1, 5)[0] == -6
    assert log_ticks(0.2, 10) == [0.2, 0.5, 1, 2, 5, 10]
    assert log_ticks(1e-3, 10) == pytest.approx([1e-3, 1e-2, 1e-1, 1, 10])


def test_torsion_sign_is_that_of_iupac() -> None:
    turn = np.radians(60)
    positions = np.array([[[1, 0, 0], [0, 0, 0], [0, 0, 1], [np.cos(turn), np.sin(turn), 1]]])
    assert torsion(positions, (0, 1, 2, 3))[0] == pytest.approx(60)


def test_kinds_of_bonds_and_angles(content: ReportContent) -> None:
    bonds = bond_groups(content.beads)
    assert {name: index.tolist() for name, index in bonds.items()} == {
        "C–N": [[0, 1], [3, 4]],  # noqa: RUF001
        "N–CA": [[1, 2]],  # noqa: RUF001
        "CA–C": [[2, 3]],  # noqa: RUF001
    }
    assert list(angle_groups(content.beads)) == ["C–N–CA", "N–CA–C", "CA–C–N"]  # noqa: RUF001


def test_density_integrates_to_one_and_respects_weights() -> None:
    values, edges = np.array([[0.1, 0.1], [0.9, 0.9], [np.nan, 0.9]]), np.linspace(0, 1, 3)
    density = weighted_density(values, np.array([3.0, 1.0, 1.0]), edges)
    assert density.tolist() == pytest.approx([2 * 6 / 9, 2 * 3 / 9])


def test_free_energy_of_a_known_density() -> None:
    probability = np.full((4, 4), 1 / 32)
    probability[0, 0] = 1 / 32 + 0.5
    energy = free_energy(probability)
    assert energy.values[0, 0] == 0
    assert energy.values[1, 1] == pytest.approx(np.log(17))
    empty = free_energy(np.array([[1.0, 0.0], [0.0, 0.0]]))
    assert np.isinf(empty.values[1, 1])


def test_histogram_has_psi_upwards_and_uses_weights(content: ReportContent) -> None:
    phi, psi = (content.beads.torsions_named(name)[2] for name in ("phi", "psi"))
    positions = content.sets[0].positions[:2]
    grid = histogram(positions, np.array([1.0, 3.0]), (phi, psi), 60)
    x, y = (torsion(positions, quadruple) for quadruple in (phi, psi))
    for frame, share in ((0, 0.25), (1, 0.75)):
        row, column = int((y[frame] + 180) // 6), int((x[frame] + 180) // 6)
        assert grid[row, column] == pytest.approx(share)


def test_smoothing_keeps_the_sum_and_is_periodic() -> None:
    grid = np.zeros((30, 30))
    grid[0, 0] = 1
    blurred = smooth(grid, 1.5)
    assert blurred.sum() == pytest.approx(1)
    assert blurred[29, 0] == pytest.approx(blurred[1, 0])


def test_contours_of_a_cone() -> None:
    at = (np.arange(60) + 0.5) * 6 - 180
    lines = contour_lines(np.hypot(*np.meshgrid(at, at)) / 30, (2.0,))
    assert len(lines) == 1
    assert np.hypot(*lines[0].T) == pytest.approx(60, abs=1.5)


def test_picture_rows_start_at_the_bottom_and_nan_is_transparent() -> None:
    palette = np.arange(765, dtype=np.uint8).reshape(255, 3)
    png = base64.b64decode(palette_png(np.array([[0.0, np.nan], [1.0, 0.5]]), palette).partition(",")[2])
    start = png.index(b"IDAT") + 4
    rows = zlib.decompress(png[start : png.index(b"IEND") - 8])
    assert list(rows) == [0, 255, 128, 0, 1, 0]


def test_superposition_undoes_rotations() -> None:
    rng = np.random.default_rng(1)
    target = rng.normal(size=(6, 3))
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    moved = np.stack([target @ turn + 3.0, target * [1, 1, -1]])
    result = superpose(moved, target)
    centred = target - target.mean(0)
    assert result[0] == pytest.approx(centred)
    assert np.abs(result[1] - centred).max() > 0.1
    before = np.linalg.norm(moved[1][:, None] - moved[1][None], axis=-1)
    assert np.linalg.norm(result[1][:, None] - result[1][None], axis=-1) == pytest.approx(before)


def test_frames_shown_follow_weights_and_replicas() -> None:
    positions = np.zeros((100, 2, 3))
    weights = np.r_[np.zeros(50), np.ones(50)]
    index, ordered = chosen_frames(StructureSet("reference", positions, weights), 10)
    assert not ordered
    assert index.min() >= 50
    simulation = StructureSet("simulation", positions, trajectory=np.repeat([4, 7], 50))
    index, ordered = chosen_frames(simulation, 10)
    assert ordered
    assert index.max() < 50
    assert (np.diff(index) > 0).all()


def test_payload_holds_the_structures_in_picometres(content: ReportContent) -> None:
    data = payload(content)
    assert data is not None
    first = data["sets"][0]
    raw = np.frombuffer(base64.b64decode(first["pm"]), "<i2").reshape(first["frames"], 5, 3) / 1e3
    bond = np.linalg.norm(raw[:, 1] - raw[:, 0], axis=1)
    assert bond == pytest.approx(0.15, abs=2e-3)
    assert sorted(first["overlay"]) == list(range(first["frames"]))
    json.dumps(data)


def test_thinning_keeps_the_mean() -> None:
    x, y = thin(np.arange(1000.0), np.sin(np.arange(1000.0)), 100)
    assert len(x) == 100
    assert y.mean() == pytest.approx(np.sin(np.arange(1000.0)).mean())


@pytest.mark.parametrize(
    ("states", "words"),
    [
        (("agree", "agree", "agree"), "Samples, simulation and reference agree."),
        (
            ("agree", "differ", "close"),
            "The samples agree with the reference; the simulation differs from the reference",
        ),
        (("agree", "unknown", "unknown"), "The samples agree with the reference."),
        (("unknown", "unknown", "unknown"), "Nothing was compared"),
    ],
)
def test_the_sentence(states: tuple[str, str, str], words: str) -> None:
    pairs = (("samples", "reference"), ("simulation", "reference"), ("samples", "simulation"))
    rows = [Comparison(a, b, state) for (a, b), state in zip(pairs, states, strict=True)]  # type: ignore[arg-type]
    assert sentence(rows).startswith(words)


def row(**changes: object) -> dict[str, object]:
    empty = dict.fromkeys(("floor_error", "reference", "reference_error", "limit", "ratio", "excess", "excess_error"))
    known = {
        "name": "phi/psi ALA2 JS",
        "group": "torsions",
        "kind": "distance",
        "value": 0.02,
        "error": 0.001,
        "floor": 0.01,
        "n": 480,
    }
    return {
        **empty,
        **known,
        "state": "close",
        "unit": "nats",
        "help": "phi",
        "key": True,
        "parts": {},
        **changes,
    }


def test_intake_of_an_evaluation() -> None:
    level = row(
        name="population of phi > 0, ALA2", group="populations", kind="level", unit="", value=0.02, reference=0.03,
        reference_error=0.002, excess=-0.01, excess_error=0.003, ratio=0.67, limit=0.0345,
    )  # fmt: skip
    parts = {"C1-N2": {"mean": 0.133, "width": 0.002, "reference_mean": 0.134, "reference_width": 0.003}}
    bonds = row(name="bonds mean", group="geometry", unit="nm", parts=parts)
    verdict = {"state": "close", "text": "Simulation and reference nearly agree: 1 of 2 numbers agree."}
    motion = {
        "crossings": {"phi, residue 2": {"up": 3, "down": 2, "total": 5, "replicas": 4}},
        "independent_frames": 12.0,
        "slowest": "phi",
    }
    result = {
        "quantities": [row(ratio=2.0), level, bonds],
        "verdict": verdict,
        "motion": motion,
        "frames": 9,
        "effective_size": 8.0,
    }
    found = judged({"sets": {"simulation": result}, "between": [], "about": {"notes": ["Mind this."]}})
    assert found.verdict == "The simulation nearly agrees with the reference."
    assert found.comparisons == (Comparison("simulation", "reference", "close", "1 of 2 numbers agree."),)
    assert found.notes == ("Mind this.",)
    first, second, _ = found.metrics
    assert (first.name, first.ratio, first.reference) == ("φ/ψ ALA2 JS", 2.0, None)
    assert (first.n, second.n) == (480, None)
    assert "<small>n = 480</small>" in metric_tables(found.metrics)
    assert (second.value, second.reference, second.unit, second.ratio) == (
        pytest.approx(2.0),
        pytest.approx(3.0),
        "%",
        None,
    )
    table = {(item.group, item.name, item.set): item.value for item in found.observables}
    assert table["populations", "φ > 0, ALA2", "reference"] == 0.03
    assert table["bonds, one by one: width", "C1-N2", "reference"] == 0.003
    assert table["motion", "crossings of φ, residue 2", "simulation"] == 5


def test_intake_of_a_simulation() -> None:
    summary = {
        "replicas": 200, "stable": 199, "length_ps": 50.0, "temperature": 300.0, "peak_memory_mb": 512.0,
        "stops": [{"replica": 7, "step": 10, "time_ps": 0.02, "beads": (), "names": (), "reason": "not finite"}],
        "temperatures": {
            "kinetic": 301.0, "kinetic_error": 0.5, "configurational": 299.0, "configurational_error": 2.0,
        },
        "timestep": {"timestep_fs": 2.0}, "speed": {"rate": 2.5e5, "ns_per_day": 43_000.0},
    }  # fmt: skip
    stability, tiles = simulated(summary)
    assert (stability.replicas, stability.temperature_kinetic, stability.stops[0].reason) == (200, 301.0, "not finite")
    assert tiles["replica-steps per second"] == 2.5e5
    assert tiles["ns in all"] == 10.0


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_summary_figure(content: ReportContent, tmp_path, suffix: str) -> None:
    path = tmp_path / f"summary{suffix}"
    write_summary_figure(content, path, dpi=60)
    assert path.stat().st_size > 5000
    with pytest.raises(UserError, match="exists"):
        write_summary_figure(content, path)


def test_summary_figure_of_nothing(content: ReportContent, tmp_path) -> None:
    with pytest.raises(UserError, match="Nothing to draw"):
        write_summary_figure(ReportContent(content.beads, ""), tmp_path / "a.png")
    with pytest.raises(UserError, match="ends in one of"):
        write_summary_figure(content, tmp_path / "a.txt")
