"""Clusters: energies by hand, forces, equipartition of reference chains, and the way through a fit."""

import jax.numpy as jnp
import numpy as np
import pytest

from twofold.systems.catalogue import SYSTEMS
from twofold.systems.clusters import CLUSTERS
from twofold.units import thermal_energy


def triangle(side):
    return jnp.array([[0.0, 0.0, 0.0], [side, 0.0, 0.0], [side / 2, side * np.sqrt(0.75), 0.0]])


def test_four_in_double_wells_by_hand():
    """A square of side a has four pairs at a and two at a sqrt 2."""
    square = jnp.array([[0.0, 0], [3, 0], [3, 3], [0, 3]])
    d = np.array([3.0] * 4 + [3 * np.sqrt(2)] * 2) - 4
    assert float(CLUSTERS["dw4"].potential(square)) == pytest.approx(np.sum(0.9 * d**4 - 4 * d**2), rel=1e-5)


def test_lennard_jones_by_hand():
    """Three in contact: three pairs of depth two, and the trap."""
    x = triangle(1.0)
    trap = 0.5 * np.sum((np.asarray(x) - np.asarray(x).mean(0)) ** 2)
    assert float(CLUSTERS["lj13"].potential(x)) == pytest.approx(-6.0 + trap, rel=1e-5)
    y = triangle(1.2)
    trap = 0.5 * np.sum((np.asarray(y) - np.asarray(y).mean(0)) ** 2)
    pair = 2 * (1.2**-12 - 2 * 1.2**-6)
    assert float(CLUSTERS["lj13"].potential(y)) == pytest.approx(3 * pair + trap, rel=1e-5)


def test_lj55_against_a_double_sum():
    """Over ordered pairs, so that a pair counts twice; in kT, with the minimum of a pair at 1."""
    cluster = CLUSTERS["lj55"]
    for x in cluster.starts(3, np.random.default_rng(4)).astype(np.float64):
        total, forces = 0.0, np.zeros((55, 3))
        for i in range(55):
            for j in range(55):
                if i != j:
                    step = x[i] - x[j]
                    r = np.sqrt(step @ step)
                    total += r**-12 - 2 * r**-6
                    forces[i] += 24 * (r**-14 - r**-8) * step
        away = x - x.mean(axis=0)
        total, forces = total + 0.5 * np.sum(away**2), forces - away
        assert cluster.thermal == pytest.approx(thermal_energy(cluster.temperature))
        assert float(cluster.potential(jnp.asarray(x, jnp.float32))) == pytest.approx(total, rel=1e-4)
        assert float(cluster.energy(jnp.asarray(x, jnp.float32))) == pytest.approx(total * cluster.thermal, rel=1e-4)
        found = cluster.forces(np.asarray(x[None], np.float32))[0] / cluster.thermal
        np.testing.assert_allclose(found, forces, rtol=2e-3, atol=2e-3 * np.abs(forces).max())


@pytest.mark.parametrize("name", ["dw4", "lj13"])
def test_reference_chains_obey_equipartition(name, tmp_path, monkeypatch):
    """`-<F.x> = D kT`; frames are centred, planar where they should be, and come back from the cache."""
    monkeypatch.setenv("TWOFOLD_CACHE", str(tmp_path))
    monkeypatch.setattr(type(CLUSTERS[name]), "burn_in_ps", 40.0)
    cluster = CLUSTERS[name]
    ensemble = cluster.ensemble(600, 0)
    virial = -np.sum(ensemble.forces.astype(float) * ensemble.positions, axis=(1, 2))
    degrees = cluster.axes * (cluster.count - 1)
    by_chain = virial.reshape(100, -1).mean(1)
    assert abs(virial.mean() - degrees) < 4 * by_chain.std() / 10
    assert by_chain.std() / 10 < 0.3 * degrees
    np.testing.assert_allclose(ensemble.positions.mean(1), 0, atol=1e-5)
    assert cluster.axes == 3 or not ensemble.positions[..., 2].any()
    assert ensemble.source == {"cluster": name, "axes": cluster.axes}
    assert len(list(tmp_path.iterdir())) == 1
    np.testing.assert_array_equal(cluster.ensemble(600, 0).positions, ensemble.positions)


def test_starts_have_no_overlap():
    cluster = CLUSTERS["lj55"]
    x = cluster.starts(3, np.random.default_rng(0))
    assert x.shape == (3, 55, 3)
    apart = np.linalg.norm(x[:, :, None] - x[:, None], axis=-1) + 9 * np.eye(55)
    assert apart.min() > 0.85
    assert np.isfinite(cluster.energies(x)).all()


def test_names_do_not_collide():
    assert set(CLUSTERS) < set(SYSTEMS)
    assert all(system.name == name for name, system in SYSTEMS.items())


def test_like_particles_are_compared_by_pooled_distances_and_energy():
    from twofold.analysis.quantities import observables_of

    ensemble = CLUSTERS["dw4"].ensemble(200, 11)
    found = {one.name: one for one in observables_of(ensemble.beads, ensemble, 60)}
    assert not {"far-pair distances", "end-to-end distance", "RMSD"} & set(found)
    pairs = found["pair distances by type"]
    (metric,) = pairs.metrics(pairs.values(ensemble.positions))
    shuffled = ensemble.positions[:, [2, 0, 3, 1]]
    parts = [metric.part(pairs.values(x), np.ones(200), np.zeros(200, int)) for x in (ensemble.positions, shuffled)]
    assert metric.statistic(*(part.totals()[0] for part in parts)) == pytest.approx(0, abs=1e-12)
    wider = metric.part(pairs.values(1.2 * ensemble.positions), np.ones(200), np.zeros(200, int))
    assert metric.statistic(parts[0].totals()[0], wider.totals()[0]) > 0.2
    energies = found["energy"].values(ensemble.positions)[:, 0]
    np.testing.assert_allclose(energies, [CLUSTERS["dw4"].potential(x[:, :2]) for x in ensemble.positions], rtol=1e-4)
