import mdtraj
import numpy as np
import pytest

import peptides
from twofold.beads import Beads
from twofold.ensemble import Ensemble
from twofold.errors import UserError
from twofold.force_check import measure_forces
from twofold.force_mapping import (
    basic_map,
    configuration,
    constraint_groups,
    fitted_map,
    optimal_map,
    rigid_pairs,
)
from twofold.force_verdict import is_off
from twofold.mapping import Mapping, build_mapping
from twofold.units import thermal_energy

NONE = np.zeros((0, 2), dtype=np.int64)
KT = 2.5
STIFFNESS = np.array(
    [
        [900.0, -500.0, 0.0, -100.0, 0.0, 0.0],
        [-500.0, 1400.0, -600.0, 0.0, 0.0, 0.0],
        [0.0, -600.0, 1500.0, -400.0, 0.0, 0.0],
        [-100.0, 0.0, -400.0, 1200.0, -300.0, 0.0],
        [0.0, 0.0, 0.0, -300.0, 800.0, -200.0],
        [0.0, 0.0, 0.0, 0.0, -200.0, 700.0],
    ]
)
"""kJ/mol/nm^2 between six atoms."""


def grouped(groups, owner, atoms, bonds=None, weights=None):
    """A mapping of `atoms` atoms to beads at the (weighted) centres of `groups`."""
    weights = weights or [[1 / len(group)] * len(group) for group in groups]
    chain = [(i, i + 1) for i in range(atoms - 1)]
    return Mapping(
        beads=Beads.anonymous(len(groups)),
        atoms=np.concatenate(groups),
        bead=np.repeat(np.arange(len(groups)), [len(group) for group in groups]),
        weight=np.concatenate(weights),
        owner=np.asarray(owner),
        bonds=np.array(chain if bonds is None else bonds).reshape(-1, 2),
    )


def pairs_of_masses():
    """Six atoms, three beads at mass-weighted centres of two each."""
    groups = [[0, 1], [2, 3], [4, 5]]
    return grouped(groups, [0, 0, 1, 1, 2, 2], 6, weights=[[0.75, 0.25], [0.5, 0.5], [0.9, 0.1]])


def single_atoms():
    """Six atoms, beads on the second and the fifth."""
    return grouped([[1], [4]], [0, 0, 0, 1, 1, 1], 6)


def harmonic(frames=400, seed=0):
    """Positions and forces (frames, 6, 3) of harmonic atoms whose covariance over these frames is exactly kT / K."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((3 * frames, 6))
    noise = noise @ np.linalg.inv(np.linalg.cholesky(noise.T @ noise / len(noise))).T
    x = noise @ np.linalg.cholesky(KT * np.linalg.inv(STIFFNESS)).T
    return (a.reshape(frames, 3, 6).swapaxes(1, 2) for a in (x, -x @ STIFFNESS))


def assert_consistent(force_map, mapping, constraints=NONE):
    matrix = force_map.matrix
    assert matrix @ configuration(mapping).T == pytest.approx(np.eye(len(mapping.beads)), abs=1e-9)
    for i, j in constraints:
        assert np.array_equal(matrix[:, i], matrix[:, j])


@pytest.mark.parametrize("mapping", [pairs_of_masses(), single_atoms()], ids=["centres", "atoms"])
def test_optimal_forces_of_harmonic_atoms_are_the_exact_mean_force(mapping):
    x, f = harmonic()
    centres = configuration(mapping)
    precision = np.linalg.inv(centres @ np.linalg.inv(STIFFNESS) @ centres.T)
    found = optimal_map(mapping, f, NONE, ridge=0.0)
    assert_consistent(found, mapping)
    assert found.matrix == pytest.approx(precision @ centres @ np.linalg.inv(STIFFNESS), abs=1e-9)
    assert found.forces(f) == pytest.approx(-precision @ (centres @ x), rel=1e-4, abs=1e-3)


@pytest.mark.parametrize("mapping", [pairs_of_masses(), single_atoms()], ids=["centres", "atoms"])
def test_both_maps_have_the_exact_mean_force_on_average(mapping):
    x, f = harmonic()
    centres = configuration(mapping) @ x
    precision = np.linalg.inv(configuration(mapping) @ np.linalg.inv(STIFFNESS) @ configuration(mapping).T)
    for found in (basic_map(mapping, NONE), optimal_map(mapping, f, NONE)):
        mapped = found.forces(f).astype(np.float64)
        # the mean of forces given the beads is linear in them, so the regression is the conditional mean
        slope = np.einsum("fic,fjc->ij", mapped, centres) @ np.linalg.inv(np.einsum("fic,fjc->ij", centres, centres))
        assert slope == pytest.approx(-precision, rel=1e-4, abs=1e-2)


def random_forces(frames=300, atoms=6, seed=1):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((frames, atoms, 3)) @ rng.standard_normal((3, 3)) + rng.standard_normal((frames, 1, 3))


@pytest.mark.parametrize("constraints", [NONE, np.array([[0, 1]]), np.array([[0, 1], [2, 3], [4, 5]])])
def test_optimal_forces_vary_least(constraints):
    mapping, f = pairs_of_masses(), random_forces()
    weights = np.random.default_rng(2).random(len(f))
    best, basic = optimal_map(mapping, f, constraints, weights, ridge=0.0), basic_map(mapping, constraints)
    assert_consistent(best, mapping, constraints)
    assert_consistent(basic, mapping, constraints)

    def spread(matrix):
        return np.einsum("f,fbc->b", weights, np.square(matrix @ f))

    assert np.all(spread(best.matrix) <= spread(basic.matrix) * (1 + 1e-9))
    # moved along a direction that keeps all conditions, every bead gets worse
    groups = np.unique(constraint_groups(constraints, 6), return_inverse=True)[1]
    sums = configuration(mapping) @ np.eye(groups.max() + 1)[groups]
    free = np.linalg.svd(sums)[2][3:][:, groups]
    for direction in free:
        assert np.all(spread(best.matrix + 0.01 * direction) > spread(best.matrix))
        assert np.all(spread(best.matrix - 0.01 * direction) > spread(best.matrix))


def test_weights_count_as_repeated_frames():
    mapping, f = single_atoms(), random_forces()
    counts = np.random.default_rng(3).integers(0, 4, len(f))
    weighted = optimal_map(mapping, f, NONE, counts)
    assert weighted.matrix == pytest.approx(optimal_map(mapping, np.repeat(f, counts, axis=0), NONE).matrix, abs=1e-9)


def test_beads_of_a_molecule_by_itself_have_no_net_force():
    mapping, f = single_atoms(), random_forces()
    f -= f.mean(axis=1, keepdims=True)
    best = optimal_map(mapping, f, NONE)
    assert_consistent(best, mapping)
    assert np.abs(best.forces(f).sum(axis=1)).max() < 1e-4 * np.abs(f).max()


def test_atoms_without_forces_get_no_coefficient():
    mapping, f = single_atoms(), random_forces()
    f[:, 3] = 0.0
    best = optimal_map(mapping, f, NONE)
    assert_consistent(best, mapping)
    assert best.matrix[:, 3] == pytest.approx(0.0, abs=1e-9)


def hydride(frames=40_000, seed=4):
    """A bead on atom 0, atom 1 at 0.1 nm of it, held by 400 kJ/mol/nm^2 to the origin, atom 2 tied to 1 by a spring."""
    rng = np.random.default_rng(seed)
    way = rng.standard_normal((frames, 3))
    tip = rng.normal(scale=np.sqrt(KT / 400), size=(frames, 3))
    spring = rng.normal(scale=np.sqrt(KT / 2000), size=(frames, 3))
    x = np.stack([tip - 0.1 * way / np.linalg.norm(way, axis=1, keepdims=True), tip, tip + spring], axis=1)
    return x, np.stack([0 * tip, -400 * tip + 2000 * spring, -2000 * spring], axis=1)


def radial_force(r, length=0.1):
    """Mean force of the bead of `hydride`, whose density is a Gaussian smeared over a sphere: kT d ln p / dr."""
    stiffness = 400 / KT
    return KT * (-stiffness * r + stiffness * length / np.tanh(stiffness * r * length) - 1 / r)


def test_constrained_atoms_share_a_coefficient_and_the_mean_force_is_exact():
    x, f = hydride()
    mapping = grouped([[0]], [0, -1, -1], 3)
    constraints = rigid_pairs(x, mapping.bonds)
    assert constraints.tolist() == [[0, 1]]
    basic, best = basic_map(mapping, constraints), optimal_map(mapping, f, constraints)
    assert basic.matrix.tolist() == [[1, 1, 0]]
    assert best.matrix == pytest.approx(np.ones((1, 3)), abs=0.05)
    r = np.linalg.norm(x[:, 0], axis=1)
    shells = np.digitize(r, np.quantile(r, np.linspace(0, 1, 9)[1:-1]))
    exact = np.bincount(shells, radial_force(r)) / np.bincount(shells)
    for found in (basic, best):
        inward = np.sum(found.forces(f)[:, 0] * x[:, 0], axis=1) / r
        mean = np.bincount(shells, inward) / np.bincount(shells)
        error = np.array([inward[shells == shell].std() for shell in range(8)]) / np.sqrt(np.bincount(shells))
        assert np.all(np.abs(mean - exact) < 4 * error)
    assert best.forces(f).std() < 0.8 * basic.forces(f).std()
    # without the constraint no force is left on the bead, which is wrong by many errors
    ignorant = optimal_map(mapping, f, NONE)
    assert np.abs(ignorant.forces(f)).max() < 1e-3
    assert np.abs(exact).max() > 10 * error.max()


def test_constraint_forces_do_not_matter():
    x, f = hydride(2000)
    along = x[:, 1] - x[:, 0]
    tension = np.random.default_rng(5).normal(scale=1e4, size=(2000, 1)) * along
    held = f + np.stack([tension, -tension, 0 * tension], axis=1)
    mapping, constraints = grouped([[0]], [0, 0, 0], 3), np.array([[0, 1]])
    best = optimal_map(mapping, f, constraints)
    assert optimal_map(mapping, held, constraints).matrix == pytest.approx(best.matrix, abs=1e-6)
    assert best.forces(held) == pytest.approx(best.forces(f), abs=1e-2)


def rods(frames=20_000, seed=9):
    """Positions, forces without those of constraints, and weights of two rigid rods, atoms 0-1 and 2-3, at 300 K.

    Springs of 400 kJ/mol/nm^2 between 1 and 3, and of 150 between 0 and 2; frames are drawn with the first alone, and
    their weights are those of the second.
    """
    rng, kt = np.random.default_rng(seed), thermal_energy(300.0)
    ways = rng.standard_normal((2, frames, 3))
    ways *= 0.1 / np.linalg.norm(ways, axis=-1, keepdims=True)
    tips = rng.normal(scale=np.sqrt(kt / 400), size=(frames, 3))
    x = np.stack([-ways[0], 0 * tips, tips - ways[1], tips], axis=1)
    stretched, other = x[:, 3] - x[:, 1], x[:, 2] - x[:, 0]
    f = np.stack([150 * other, 400 * stretched, -150 * other, -400 * stretched], axis=1)
    return x, f, np.exp(-75 * np.sum(other**2, axis=-1) / kt)


def test_constrained_forces_fail_the_virial_until_they_are_those_of_beads():
    x, f, weights = rods()
    atoms = Ensemble.build(Beads.anonymous(4), x, 300.0, weights=weights, forces=f)
    # it is the virial that tells: no bond is known here, so that none is found to be rigid
    before = measure_forces(atoms)
    assert len(rigid_pairs(x, atoms.beads.bonds)) == 0
    assert is_off((before.ratio, before.error))
    assert before.verdict == "refused"
    assert "rigid" not in before.sentence
    mapping = grouped([[0], [2]], [0, 0, 1, 1], 4, bonds=[(0, 1), (2, 3)])
    found, constraints = fitted_map(mapping, x, f)
    assert (found.method, constraints) == ("optimal", 2)
    beads = Ensemble.build(mapping.beads, x[:, [0, 2]], 300.0, weights=weights, forces=found.forces(f))
    after = measure_forces(beads)
    assert after.verdict == "accepted"
    assert abs(after.ratio - 1.0) < 3 * after.error < 0.1
    # consistent for free atoms, but not with the constraints
    ignorant = measure_forces(beads, optimal_map(mapping, f, NONE).forces(f))
    assert is_off((ignorant.ratio, ignorant.error))


def test_basic_forces_of_a_peptide_are_sums_over_what_a_bead_stands_for(tmp_path):
    mapping = build_mapping(mdtraj.load_topology(str(peptides.write_pdb(tmp_path))), "backbone")
    forces = np.random.default_rng(6).normal(size=(5, 22, 3))
    hydrogens = np.array([[i, j] for i, j in mapping.bonds if "H" in (peptides.NAMES[i][0], peptides.NAMES[j][0])])
    assert len(hydrogens) == 12
    for constraints in (NONE, hydrogens):
        expected = [forces[:, mapping.owner == bead].sum(axis=1) for bead in range(len(mapping.beads))]
        assert basic_map(mapping, constraints).forces(forces) == pytest.approx(np.stack(expected, axis=1), abs=1e-5)


def test_other_molecules_take_no_part():
    mapping = grouped([[1], [4]], [0, 0, 0, 1, 1, 1, -1, -1], 8, bonds=[(i, i + 1) for i in range(5)] + [(6, 7)])
    found = optimal_map(mapping, random_forces(atoms=8), NONE)
    assert_consistent(found, mapping)
    assert not found.matrix[:, 6:].any()


def test_beads_that_share_atoms_have_an_optimal_map_only():
    mapping = grouped([[0, 1, 2], [2, 3, 4]], [0, 0, 0, 1, 1, -1], 6)
    with pytest.raises(UserError, match=r"share atoms.*Give more frames"):
        basic_map(mapping, NONE)
    assert_consistent(optimal_map(mapping, random_forces(), NONE), mapping)


def test_a_constraint_across_two_beads():
    mapping, f, across = pairs_of_masses(), random_forces(), np.array([[1, 2]])
    with pytest.raises(UserError, match="B1 of MOL1 and B2 of MOL1"):
        basic_map(mapping, across)
    assert_consistent(optimal_map(mapping, f, across), mapping, across)
    tied = np.array([[0, 1], [1, 2], [2, 3]])
    with pytest.raises(UserError, match="Beads B1 of MOL1, B2 of MOL1 that constraints tie to each other"):
        optimal_map(mapping, f, tied)


def test_more_constrained_beads_than_groups():
    with pytest.raises(UserError, match="tie to each other"):
        optimal_map(grouped([[0], [1], [2]], [0, 1, 2], 3), random_forces(atoms=3), np.array([[0, 1], [1, 2]]))


def test_groups_are_what_constraints_connect():
    assert constraint_groups(np.array([[4, 2], [2, 0], [5, 3]]), 7).tolist() == [0, 1, 0, 3, 0, 3, 6]
    assert constraint_groups(NONE, 3).tolist() == [0, 1, 2]
    for wrong in ([[0, 3]], [[-1, 0]]):
        with pytest.raises(UserError, match="Expected atoms 0 to 2"):
            constraint_groups(np.array(wrong), 3)


def test_rigid_distances_are_found_in_rounded_and_periodic_frames():
    rng = np.random.default_rng(7)
    way = rng.standard_normal((200, 3))
    first = rng.random((200, 3)) * 2
    rigid = first + 0.1 * way / np.linalg.norm(way, axis=1, keepdims=True)
    loose = rigid + np.array([0.15, 0, 0]) + rng.normal(scale=0.002, size=(200, 3))
    x = np.stack([first, rigid, loose], axis=1)
    pairs = np.array([[0, 1], [1, 2]])
    assert rigid_pairs(x, pairs).tolist() == [[0, 1]]
    assert rigid_pairs(np.round(x, 3), pairs).tolist() == [[0, 1]]
    box = np.broadcast_to(np.eye(3) * 2, (200, 3, 3))
    assert rigid_pairs(x % 2, pairs, box).tolist() == [[0, 1]]
    assert rigid_pairs(x, NONE).shape == (0, 2)
    with pytest.raises(UserError, match="5 frames"):
        rigid_pairs(x[:5], pairs)


def test_forces_that_do_not_fit():
    mapping, f = single_atoms(), random_forces()
    found = basic_map(mapping, NONE)
    for call in (found.forces, lambda forces: optimal_map(mapping, forces, NONE)):
        with pytest.raises(UserError, match=r"shape \(300, 5, 3\)"):
            call(f[:, :5])
        broken = f.copy()
        broken[7, 2, 1] = np.nan
        with pytest.raises(UserError, match="frame 7, atom 2"):
            call(broken)
    for frames, weights in ((f[:39], None), (f, np.where(np.arange(len(f)) < 39, 1.0, 0.0))):
        with pytest.raises(UserError, match=r"worth 39 of equal weight\. Expected at least 40, to fit 6 coefficients"):
            optimal_map(mapping, frames, NONE, weights)
    with pytest.raises(UserError, match="one weight for each"):
        optimal_map(mapping, f, NONE, np.ones(3))


def test_the_map_that_the_frames_allow():
    """The optimal one, or the basic one where the frames are too few to fit it."""
    mapping = pairs_of_masses()
    x, f = harmonic()
    found, constraints = fitted_map(mapping, x, f)
    assert (found.method, constraints) == ("optimal", 0)
    assert_consistent(found, mapping)
    assert fitted_map(mapping, x[:12], f[:12])[0].method == "basic"
    with pytest.raises(UserError, match="which distances are constrained"):
        fitted_map(mapping, x[:3], f[:3])
