from dataclasses import replace

import numpy as np
import pytest

from twofold.beads import Beads
from twofold.ensemble import Ensemble
from twofold.errors import UserError
from twofold.force_check import TypeForces, check_forces, measure_forces
from twofold.force_verdict import is_off, judged
from twofold.units import thermal_energy

WIDTH = 0.004
"""Standard deviation of each component of a bond, nm."""
REST = np.array([[0.15, 0.0, 0.0], [0.05, 0.14, 0.0], [0.0, 0.05, 0.14], [0.15, 0.0, 0.02]])
KT = thermal_energy(300.0)


def chain(frames=4000, seed=0, temperature=300.0, width=WIDTH, **extra):
    """Five beads A B A B A whose bonds are Gaussian vectors about `REST`, with their exact forces."""
    spread = width * np.sqrt(temperature / 300.0)
    stretched = spread * np.random.default_rng(seed).standard_normal((frames, 4, 3))
    x = np.concatenate([np.zeros((frames, 1, 3)), np.cumsum(REST + stretched, axis=1)], axis=1)
    beads = replace(Beads.anonymous(5, bonds=[(i, i + 1) for i in range(4)]), types=tuple("ABABA"))
    return Ensemble.build(beads, x, 300.0, forces=chain_forces(stretched, width), **extra)


def chain_forces(stretched, width=WIDTH):
    pull = KT / width**2 * stretched
    none = np.zeros_like(pull[:, :1])
    return np.concatenate([pull, none], axis=1) - np.concatenate([none, pull], axis=1)


def test_exact_forces_are_accepted():
    found = check_forces(chain())
    assert found.verdict == "accepted"
    assert found.dimension == 12
    assert found.error < 0.4
    assert abs(found.ratio - 1) < 3 * found.error
    assert found.stretch == pytest.approx(1, abs=0.05)
    assert "can be those of this ensemble" in found.sentence


def test_mean_squares_by_type_and_the_crossover():
    found = measure_forces(chain())
    # an inner bead has two bonds, an end one; what the mean over beads takes away is that of the count of components
    share = 3 * (1 - 1 / 5)
    inner, end = 2 * 3 / WIDTH**2, 3 / WIDTH**2
    assert [one.name for one in found.types] == ["A", "B"]
    assert [one.beads for one in found.types] == [3, 2]
    expected = [(2 * end + inner) / (3 * share), inner / share]
    assert [one.mean_square for one in found.types] == pytest.approx(expected, rel=0.05)
    assert found.mean_square == pytest.approx(8 * 3 / WIDTH**2 / 12, rel=0.05)
    assert found.types[1].crossover_nm == pytest.approx(expected[1] ** -0.5, rel=0.03)
    assert TypeForces("C", 1, 1.0, 0.1, 0.0).crossover_nm == np.inf


def test_noise_adds_to_the_mean_square_and_not_to_the_ratio():
    ensemble = chain()
    noise = np.random.default_rng(1).normal(scale=2000.0, size=ensemble.positions.shape)
    clean, noisy = measure_forces(ensemble), measure_forces(ensemble, ensemble.forces + noise)
    assert noisy.mean_square - clean.mean_square == pytest.approx((2000.0 / KT) ** 2, rel=0.05)
    assert abs(noisy.ratio - 1) < 3 * noisy.error
    assert noisy.error > clean.error
    assert noisy.verdict != "refused"


def test_another_temperature_is_refused_where_the_virial_alone_would_pass():
    ensemble = replace(chain(600), temperature=500.0)
    found = measure_forces(ensemble)
    assert not is_off((found.ratio, found.error))
    assert found.stretch == pytest.approx(0.6, abs=0.05)
    assert found.verdict == "refused"
    assert "they fit a temperature of" in found.sentence
    assert "not 500 K" in found.sentence
    assert f"force_temperature {500 * found.stretch:.0f} (in --config)" in found.sentence


def test_frames_and_forces_that_differ_otherwise_are_learned_from_and_the_user_is_told():
    """Stretches of 0.6 beside a virial above one are of no temperature."""
    verdict, meaning = judged((1.2, 0.1), (0.6, 0.01), {"A": (1.2, 0.1)}, 500.0, 12)
    assert verdict == "undecided"
    assert "frames and forces differ" in meaning
    assert "learned from all the same, and --forces none leaves them out" in meaning


def test_forces_are_compared_with_the_temperature_that_was_asked_for():
    """Frames of 300 K that are called ones of 500 K."""
    ensemble = replace(chain(), temperature=500.0)
    found = check_forces(ensemble, temperature=300.0)
    assert (found.verdict, found.temperature) == ("accepted", 300.0)
    assert found.ratio == pytest.approx(measure_forces(chain()).ratio)
    assert found.mean_square == pytest.approx(measure_forces(chain()).mean_square)
    with pytest.raises(UserError, match="not 500 K") as caught:
        check_forces(replace(ensemble, temperature=300.0), temperature=500.0)
    assert "kT at 500 K" in str(caught.value)
    assert "(in --config)" not in str(caught.value)
    narrower = measure_forces(ensemble, 1.08 * ensemble.forces, temperature=300.0)
    assert "narrower" in narrower.sentence
    assert "--forces none" in narrower.sentence
    assert "force_temperature" not in narrower.sentence
    with pytest.raises(UserError, match="Temperature -5"):
        check_forces(ensemble, temperature=-5.0)


def turning(ensemble):
    """Weights det(I)^(-1/2), I the tensor of inertia of equal masses."""
    x = ensemble.positions.astype(np.float64)
    x -= x.mean(axis=1, keepdims=True)
    inertia = np.sum(x**2, axis=(1, 2))[:, None, None] * np.eye(3) - np.einsum("fbi,fbj->fij", x, x)
    return np.linalg.det(inertia) ** -0.5


def test_frames_without_angular_momentum_are_three_kt_short():
    """They have the density exp(-U/kT) det(I)^(-1/2), for which -<F.x> = (D - 3) kT."""
    ensemble = chain(100_000, width=0.02)
    still = replace(ensemble, weights=turning(ensemble))
    found = check_forces(still)
    assert found.ratio == pytest.approx(1 - 3 / 12, abs=3 * found.error)
    assert found.error < 0.02
    assert found.stretch == pytest.approx(1, abs=0.05)
    assert found.verdict == "undecided"
    assert "total angular momentum had been held at zero, which leaves frames 3 kT short" in found.sentence
    assert "--forces none leaves them out" in found.sentence
    assert measure_forces(ensemble).verdict == "accepted"
    assert measure_forces(still, 0.8 * still.forces).verdict == "refused"


@pytest.mark.parametrize(
    ("virial", "stretch", "dimension", "verdict"),
    [
        (0.75, 1.0, 12, "undecided"),
        (0.71, 1.0, 12, "undecided"),
        (0.69, 1.0, 12, "refused"),  # shorter than that
        (0.81, 1.0, 12, "refused"),
        (0.75, 1.3, 12, "undecided"),
        (0.75, 0.8, 12, "refused"),  # both are of another temperature
        (0.75, 1.5, 12, "refused"),
        (0.75, float("nan"), 12, "refused"),
        (1 / 3, 1.0, 3, "undecided"),  # two beads turn about two axes
        (0.0, 1.0, 3, "refused"),
    ],
)
def test_what_counts_as_without_angular_momentum(virial, stretch, dimension, verdict):
    pairs = (virial, 0.01), (stretch, 0.01)
    assert judged(*pairs, {"A": pairs[0]}, 300.0, dimension)[0] == verdict


def test_what_sound_forces_do_to_stiff_pairs_is_said():
    ensemble = chain(600)
    found = measure_forces(ensemble, 1.2 * ensemble.forces)
    assert found.verdict == "accepted"
    assert "8 % narrower" in found.sentence or "9 % narrower" in found.sentence
    assert f"force_temperature {found.stretch * ensemble.temperature:.0f} " in found.sentence
    assert "narrower" not in measure_forces(ensemble).sentence


def test_too_much_noise_leaves_it_undecided():
    ensemble = chain(400)
    noise = np.random.default_rng(1).normal(scale=2e4, size=ensemble.positions.shape)
    found = check_forces(ensemble, ensemble.forces + noise)
    assert found.verdict == "undecided"
    assert "too few independent frames" in found.sentence
    assert "learned from all the same, and --forces none leaves them out" in found.sentence


def test_errors_are_those_of_independent_repeats():
    found = [measure_forces(chain(600, seed)) for seed in range(60)]
    for value, error in (("ratio", "error"), ("stretch", "stretch_error")):
        deviations = [(getattr(one, value) - 1) / getattr(one, error) for one in found]
        assert np.std(deviations) == pytest.approx(1, abs=0.35)
        assert abs(np.mean(deviations)) < 0.5


def test_a_net_force_and_a_drift_do_not_matter():
    ensemble = chain()
    drift = np.cumsum(np.random.default_rng(2).normal(size=(len(ensemble), 1, 3)), axis=0)
    moved = replace(ensemble, positions=ensemble.positions + drift.astype(np.float32), forces=ensemble.forces + 1e3)
    one, other = measure_forces(ensemble), measure_forces(moved)
    assert other.ratio == pytest.approx(one.ratio, abs=0.02)
    assert other.mean_square == pytest.approx(one.mean_square, rel=1e-4)
    assert [kind.ratio for kind in other.types] == pytest.approx([kind.ratio for kind in one.types], abs=0.02)


def test_weights_bring_frames_to_the_temperature():
    # sampled at 330 K: weights proportional to exp(-(1/kT - 1/kT') U)
    ensemble = chain(20_000, temperature=330.0)
    stretched = np.diff(ensemble.positions.astype(np.float64), axis=1) - REST
    energy = 0.5 * np.sum(stretched**2, axis=(1, 2)) / WIDTH**2
    weighted = replace(ensemble, weights=np.exp(-energy * (1 - 300 / 330)))
    for each, expected in ((ensemble, 1.1), (weighted, 1.0)):
        found = measure_forces(each)
        assert found.stretch == pytest.approx(expected, abs=0.02)
        assert found.mean_square * WIDTH**2 / 2 == pytest.approx(expected, abs=0.02)


def test_errors_see_correlated_blocks():
    ensemble = chain(200)
    repeated = ensemble.select(np.repeat(np.arange(200), 20))
    assert measure_forces(repeated).error == pytest.approx(measure_forces(ensemble).error, rel=0.3)


def explained(ensemble, forces=None, **changes):
    with pytest.raises(UserError) as caught:
        check_forces(replace(ensemble, **changes), forces)
    return str(caught.value)


def test_three_errors_are_the_tolerance():
    """Forces that are too large by a factor are refused once it is three errors, and a twentieth, away from one."""
    ensemble = chain(40_000)
    exact = measure_forces(ensemble)
    for ratio, verdict in (
        (1 + 2.5 * exact.error, "accepted"),
        (1 + 4.0 * exact.error, "refused"),
        (1 - 4.0 * exact.error, "refused"),
    ):
        assert 4 * exact.error < 0.2
        # the error grows with the forces
        assert measure_forces(ensemble, ensemble.forces * (ratio / exact.ratio)).verdict == verdict
    assert not is_off((1.04, 0.001))  # a time step may do that
    assert is_off((1.06, 0.001))
    assert not is_off((1.06, 0.03))


def test_opposite_sign():
    ensemble = chain()
    found = explained(ensemble, -ensemble.forces)
    assert "their sign is opposite" in found
    assert "temperature" not in found
    assert "Expected forces with -<F.x> = 12 kT at 300 K" in found


@pytest.mark.parametrize(
    ("factor", "text"),
    [
        (4.184, "4.184 times too large, the factor between kJ/mol and kcal/mol"),
        (1 / 4.184, "4.184 times too small, the factor between kJ/mol and kcal/mol"),
        (10, "10 times too large, the factor between nm and Angstrom"),
        (0.1, "10 times too small, the factor between nm and Angstrom"),
        (1 / 41.84, "41.84 times too small, the factor between kJ/mol/nm and kcal/mol/Angstrom"),
        (96.485, "96.49 times too large, the factor between kJ/mol and eV"),
        (1 / 964.85, "964.9 times too small, the factor between kJ/mol/nm and eV/Angstrom"),
        (1 / 49614.75, "times too small, the factor between kJ/mol/nm and hartree/bohr"),
        (1 / KT, "2.494 times too small, the factor between kJ/mol and kT"),
    ],
)
def test_wrong_units(factor, text):
    ensemble = chain(20_000)
    for sign in (1, -1):
        found = explained(ensemble, sign * factor * ensemble.forces)
        assert text in found
        assert ("their sign is opposite" in found) == (sign < 0)
        assert "cancel" not in found


def test_positions_in_another_unit():
    ensemble = chain()
    assert "factor between nm and Angstrom" in explained(ensemble, positions=10 * ensemble.positions)


@pytest.mark.parametrize("stated", [150.0, 500.0])
def test_wrong_temperature(stated):
    found = explained(chain(40_000), temperature=stated)
    assert "they fit a temperature of" in found
    low, high = (float(text) for text in found.split("temperature of ")[1].split(" K")[0].split(" to "))
    assert low == pytest.approx(300, rel=0.15)
    assert high == pytest.approx(300, rel=0.15)
    assert f"not {stated:g} K" in found


def test_another_level_of_theory():
    ensemble = chain()
    # the same springs about bonds that are 3 % longer
    stretched = np.diff(ensemble.positions.astype(np.float64), axis=1) - 1.03 * REST
    found = explained(ensemble, chain_forces(stretched))
    assert "another level of theory" in found
    assert "the virial of A" in found or "the virial of B" in found


def test_another_level_of_theory_in_another_unit():
    ensemble = chain()
    stretched = np.diff(ensemble.positions.astype(np.float64), axis=1) - 1.03 * REST
    found = explained(ensemble, -chain_forces(stretched) / 41.84)
    for text in ("sign is opposite", "kcal/mol/Angstrom", "another level of theory"):
        assert text in found


def test_forces_of_other_frames_or_not_turned():
    ensemble = chain()
    turns, upper = np.linalg.qr(np.random.default_rng(4).standard_normal((len(ensemble), 3, 3)))
    turns *= np.sign(np.diagonal(upper, axis1=1, axis2=2))[:, None]
    for forces in (ensemble.forces[::-1], ensemble.forces @ turns, np.ones_like(ensemble.forces)):
        assert "they do not follow the positions" in explained(ensemble, forces)


def test_rigid_bonds():
    ensemble = chain()
    x = ensemble.positions.astype(np.float64)
    bond = x[:, 4] - x[:, 3]
    x[:, 4] = x[:, 3] + 0.15 * bond / np.linalg.norm(bond, axis=1, keepdims=True)
    found = explained(ensemble, positions=x)
    assert "the bond of B4 of MOL1 and B5 of MOL1 is rigid" in found
    assert "map forces on atoms to beads first" in found


def test_two_beads_at_a_fixed_distance_without_a_bond():
    way = np.random.default_rng(3).standard_normal((100, 3))
    x = np.stack([0 * way, 0.15 * way / np.linalg.norm(way, axis=1, keepdims=True)], axis=1)
    found = measure_forces(Ensemble.build(Beads.anonymous(2), x, 300.0, forces=-1e3 * x))
    assert np.isnan(found.stretch)
    assert found.verdict == "refused"


def test_one_block_with_all_of_the_weight_has_no_error():
    ensemble = chain(4000)
    found = measure_forces(replace(ensemble, weights=np.where(np.arange(4000) < 40, 1.0, 0.0)))
    assert np.isnan(found.error)
    assert found.verdict != "accepted"


@pytest.mark.parametrize("least", [0.0, 1e-300, 1e-40])
def test_blocks_without_weight_do_not_hide_a_mistake(least):
    """The first twentieth is left out by its weights, or by weights so small that nothing is left of them."""
    ensemble = chain(weights=np.where(np.arange(4000) < 200, least, 1.0))
    whole = chain().select(slice(200, None))
    assert measure_forces(ensemble).error == pytest.approx(measure_forces(whole).error, rel=0.3)
    assert check_forces(ensemble).verdict == "accepted"
    assert "their sign is opposite" in explained(ensemble, -ensemble.forces)
    assert "10 times too large" in explained(ensemble, 10 * ensemble.forces)


def test_whole_molecules_in_a_box_are_checked_and_broken_ones_are_not():
    box = np.eye(3) * 2.0
    ensemble = chain(box=box)
    assert measure_forces(ensemble).verdict == "accepted"
    with pytest.raises(UserError, match="spread over the whole of a periodic box"):
        measure_forces(replace(ensemble, positions=(ensemble.positions + 1.9) % 2.0))
    with pytest.raises(UserError, match="periodic box without volume"):
        measure_forces(chain(box=np.diag([2.0, 2.0, 0.0])))


def test_what_is_no_force():
    ensemble = chain(100)
    broken = ensemble.forces.copy()
    broken[3, 2, 0] = np.nan
    for forces, text in (
        (ensemble.forces[:50], r"shape \(50, 5, 3\)"),
        (ensemble.forces[:, :4], r"shape \(100, 4, 3\)"),
        (broken, r"not finite in frame 3, bead 2 \(B3 of MOL1\)"),
        (0 * ensemble.forces, "all zero"),
    ):
        with pytest.raises(UserError, match=text):
            measure_forces(ensemble, forces)
    with pytest.raises(UserError, match="No forces"):
        measure_forces(replace(ensemble, forces=None))
    with pytest.raises(UserError, match="10 frames of 5 beads"):
        measure_forces(ensemble.select(slice(10)))
    alone = Ensemble.build(Beads.anonymous(1), np.zeros((30, 1, 3)), 300.0, forces=np.ones((30, 1, 3)))
    with pytest.raises(UserError, match="30 frames of 1 beads"):
        measure_forces(alone)
