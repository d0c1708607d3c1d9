"""Convergence of chains: autoregressive ones whose R-hat is known, and ones that are broken."""

import numpy as np
import pytest

from twofold.ensemble import Ensemble
from twofold.errors import UserError
from twofold.systems.clusters import CLUSTERS
from twofold.systems.convergence import chain_convergence, cluster_convergence


def autoregressive(chains: int, frames: int, memory: float, seed: int = 0) -> np.ndarray:
    """(chains, frames): mean 0, variance 1, correlation memory^lag, in equilibrium from the start."""
    rng = np.random.default_rng(seed)
    x = np.empty((chains, frames))
    x[:, 0] = rng.standard_normal(chains)
    for k in range(1, frames):
        x[:, k] = memory * x[:, k - 1] + np.sqrt(1 - memory**2) * rng.standard_normal(chains)
    return x


def judged(x: np.ndarray):
    return chain_convergence({"x": x.ravel()}, np.repeat(np.arange(len(x)), x.shape[1]))


@pytest.mark.parametrize(("memory", "converged"), [(0.0, True), (0.5, True), (0.9, False)])
def test_r_hat_of_autoregressive_chains(memory, converged):
    """Halves of n frames whose means have the variance m: R^2 = (n - 1)/n / (1 - m)."""
    half = 50
    found = judged(autoregressive(400, 2 * half, memory))
    lags = np.arange(1, half)
    mean_variance = (1 + 2 * np.sum((1 - lags / half) * memory**lags)) / half
    (mixing,) = found.observables
    assert mixing.r_hat == pytest.approx(np.sqrt((half - 1) / half / (1 - mean_variance)), abs=0.01)
    assert abs(mixing.drift) < 3 * mixing.drift_error
    between = memory * ((1 - memory**half) / (1 - memory) / half) ** 2
    assert mixing.drift_error == pytest.approx(np.sqrt(2 * (mean_variance - between) / 400), rel=0.15)
    assert mixing.independent == pytest.approx(800 / mean_variance, rel=0.15)
    assert found.converged is converged
    assert ("too short to agree in x" in found.sentence) is not converged


def test_chains_that_stay_where_they_began():
    """Half of them in another well: no drift, but no agreement either."""
    x = autoregressive(40, 100, 0.0) + 6.0 * (np.arange(40) % 2)[:, None]
    found = judged(x)
    assert found.observables[0].r_hat > 2.5
    assert abs(found.observables[0].drift) < 3 * found.observables[0].drift_error
    assert not found.converged


def test_chains_that_all_relax_together():
    """Which R-hat alone would pass."""
    x = autoregressive(200, 100, 0.0) + 0.4 * (np.arange(100) < 50)
    (mixing,) = judged(x).observables
    assert mixing.r_hat < 1.1
    assert mixing.drift == pytest.approx(-0.4, abs=0.06)
    assert mixing.drifts
    assert not mixing.converged


def test_chains_that_do_not_move():
    still = np.repeat(np.arange(5.0), 20).reshape(5, 20)
    assert judged(still).observables[0].r_hat == np.inf
    assert judged(np.ones((5, 20))).converged


def test_too_few_to_tell():
    for shape in ((3, 100), (50, 7)):
        found = judged(np.random.default_rng(0).standard_normal(shape))
        assert not found.converged
        assert "too short to tell" in found.sentence
    x = np.random.default_rng(0).standard_normal(4 * 20 + 3)
    found = chain_convergence({"x": x}, np.arange(83) // 20)
    assert (found.chains, found.frames) == (4, 20)
    with pytest.raises(UserError, match=r"(?i)x of shape \(83,\).*5 frames"):
        chain_convergence({"x": x}, np.zeros(5))


def test_particles_that_began_on_a_lattice(tmp_path, monkeypatch):
    """Chains of DW4 without time to forget are found out; the same frames, shuffled over chains, are not."""
    monkeypatch.setenv("TWOFOLD_CACHE", str(tmp_path))
    monkeypatch.setattr(type(CLUSTERS["dw4"]), "burn_in_ps", 0.0)
    ensemble = CLUSTERS["dw4"].ensemble(800, 0)
    found = cluster_convergence(ensemble)
    assert [one.name for one in found.observables] == ["energy", "size"]
    assert not found.converged
    assert "have not forgotten where they began in" in found.sentence
    mixed = ensemble.select(np.random.default_rng(0).permutation(800))
    shuffled = Ensemble.build(
        mixed.beads, mixed.positions, mixed.temperature, energies=mixed.energies, trajectory=ensemble.trajectory
    )
    assert cluster_convergence(shuffled).converged
    with pytest.raises(UserError, match="without energies"):
        cluster_convergence(Ensemble.build(mixed.beads, mixed.positions, mixed.temperature))
