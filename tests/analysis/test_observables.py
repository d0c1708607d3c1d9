import mdtraj
import numpy as np
import pytest
from tests.analysis.chains import peptide_beads, peptide_positions

from twofold.analysis import graph, observables
from twofold.beads import Beads, pair_classes
from twofold.bond_graph import bonds_apart
from twofold.errors import UserError


@pytest.fixture
def chain():
    rng = np.random.default_rng(1)
    phi, psi = rng.uniform(-np.pi, np.pi, (2, 40, 3))
    return phi, psi, peptide_positions(phi, psi, rng=rng)


def test_geometry_agrees_with_mdtraj(chain):
    _, _, positions = chain
    beads = peptide_beads()
    trajectory = mdtraj.Trajectory(positions, beads.topology())
    pairs, triples = graph.pairs_apart(beads, 1), graph.angle_triples(beads)
    rows = graph.torsion_quadruples(beads)
    assert np.allclose(observables.distances(positions, pairs), mdtraj.compute_distances(trajectory, pairs), atol=1e-5)
    assert np.allclose(observables.angles(positions, triples), mdtraj.compute_angles(trajectory, triples), atol=1e-3)
    turn = observables.torsions(positions, rows) - mdtraj.compute_dihedrals(trajectory, rows)
    assert np.abs(np.angle(np.exp(1j * turn))).max() < 1e-3
    equal = np.ones(len(beads))  # With masses MDTraj measures from the centre of geometry, not of mass.
    assert np.allclose(observables.radius_of_gyration(positions, equal), mdtraj.compute_rg(trajectory), atol=1e-5)
    assert np.allclose(observables.rmsd(positions, positions[3]), mdtraj.rmsd(trajectory, trajectory[3]), atol=1e-4)


def test_radius_of_gyration_of_two_unequal_masses():
    positions = 1000.0 + np.array([[[0.0, 0, 0], [3.0, 0, 0]]])
    # The reduced mass: m1 m2 / (m1 + m2)^2 d^2.
    assert observables.radius_of_gyration(positions, np.array([1.0, 2.0]))[0] == pytest.approx(np.sqrt(2.0))


def test_named_torsions_are_those_the_chain_was_built_with(chain):
    phi, psi, positions = chain
    beads = peptide_beads()
    for name, built in (("phi", phi), ("psi", psi)):
        for residue, row in beads.torsions_named(name).items():
            assert np.allclose(observables.torsions(positions, np.array([row]))[:, 0], built[:, residue - 1], atol=1e-9)


def test_graph_of_a_peptide():
    beads = peptide_beads()
    assert len(graph.torsion_quadruples(beads)) == 6  # All bonds but the three to CB and the two at the ends.
    assert graph.three_neighbour_centres(beads)[:, 0].tolist() == [1, 5, 9]
    assert graph.chain_ends(beads) == (1, 9)
    assert all(bonds_apart(12, beads.bonds)[i, j] >= 4 for i, j in graph.pairs_apart(beads, 4))


def test_beads_without_bonds_are_all_apart():
    beads = Beads.anonymous(4)
    assert len(graph.pairs_apart(beads, 4)) == 6
    assert graph.chain_ends(beads) == (0, 3)
    assert graph.chain_ends(Beads.anonymous(2)) is None


def test_mirror_image_has_every_centre_wrong_handed(chain):
    _, _, positions = chain
    centres = graph.three_neighbour_centres(peptide_beads())
    signs = observables.majority_signs(observables.signed_volumes(positions, centres))
    assert np.all(np.abs(signs) == 1)
    assert not observables.wrong_handed(observables.signed_volumes(positions, centres), signs).any()
    mirrored = positions * [1, 1, -1]
    assert observables.wrong_handed(observables.signed_volumes(mirrored, centres), signs).all()


def test_flat_centres_have_no_handedness():
    volumes = np.random.default_rng(0).standard_normal((500, 1))
    assert observables.majority_signs(volumes).tolist() == [0]
    assert observables.wrong_handed(volumes, np.array([0])).shape == (500, 0)


@pytest.mark.parametrize(("omega", "cis"), [(np.pi, False), (2.0, False), (1.5, True), (0.0, True), (-1.5, True)])
def test_cis_peptide_bonds_of_a_built_chain(omega, cis):
    positions = peptide_positions(np.full((2, 3), -1.2), np.full((2, 3), 2.0), omega=omega)
    rows = np.array(list(peptide_beads().torsions_named("omega").values()))
    assert len(rows) == 2
    assert np.all(observables.is_cis(observables.torsions(positions, rows)) == cis)


def test_rmsd_ignores_motion_but_not_mirroring(chain):
    _, _, positions = chain
    turn = np.linalg.qr(np.random.default_rng(2).standard_normal((3, 3)))[0]
    turn *= np.linalg.det(turn)
    assert observables.rmsd(positions[:1] @ turn.T + 5.0, positions[0])[0] < 1e-6
    assert observables.rmsd(positions[:1] * [-1, 1, 1], positions[0])[0] > 0.02


def test_closest_of_each_class():
    beads = peptide_beads()
    pairs = graph.pairs_apart(beads, 4)
    classes = pair_classes(beads, pairs)
    table = np.random.default_rng(0).random((30, len(pairs)))
    closest = observables.closest_by_class(table, classes)
    assert closest[0] == table[:, classes == 0].min()
    alike = {frozenset((beads.names[i], beads.names[j])) for i, j in pairs}
    assert len(closest) == len(alike)


def test_positions_that_do_not_fit_are_refused():
    beads = Beads.anonymous(3)
    with pytest.raises(UserError, match="shape"):
        observables.check_positions(np.zeros((4, 2, 3)), beads, "samples")
    with pytest.raises(UserError, match="without frames"):
        observables.check_positions(np.zeros((0, 3, 3)), beads, "samples")
    bad = np.zeros((4, 3, 3))
    bad[2, 1, 0] = np.nan
    with pytest.raises(UserError, match="1 of 4 frames of samples are not finite, first frame 2"):
        observables.check_positions(bad, beads, "samples")
