"""Tiny molecules, one short fit and one model that many tests share."""

from pathlib import Path

import quick  # noqa: F401

# isort: split

import jax
import numpy as np
import pytest

import synthetic
from twofold import architectures
from twofold.model import Model
from twofold.simulation.region import Region
from twofold.training.fit import fit_ensembles
from twofold.training.settings import TrainingSettings


@pytest.fixture(autouse=True, scope="module")
def compiled_code():
    """Compiled code is dropped after each file: kept, it grows to gigabytes."""
    yield
    jax.clear_caches()


@pytest.fixture(scope="session")
def chain_ensemble():
    """1,200 frames of five beads with two basins in phi and psi."""
    return synthetic.ensemble(synthetic.dipeptide(), 1200)


@pytest.fixture(scope="session")
def branched_ensemble():
    """600 frames of seven beads with two branches."""
    return synthetic.ensemble(synthetic.branched(), 600, seed=1)


@pytest.fixture(scope="session")
def untrained(chain_ensemble) -> Model:
    """A model of the chain: its stiff coordinates are exact, its torsions are those of a random network."""
    built = architectures.build("internal", chain_ensemble, jax.random.key(0), width=16, depth=2)
    return Model(
        beads=chain_ensemble.beads,
        temperature=300.0,
        chart=built.chart,
        network=synthetic.with_random_readout(built.energy),
        schedule=built.schedule,
        sigma_star=0.3,
        region=Region.around(chain_ensemble.positions),
        report={"architecture": "internal", "reason": "a test"},
    )


@pytest.fixture(scope="session")
def fitted_run(tmp_path_factory, chain_ensemble) -> Path:
    """Folder of a run of forty steps on the chain."""
    folder = tmp_path_factory.mktemp("fit") / "run"
    training, held_out = chain_ensemble.select(np.arange(900)), chain_ensemble.select(np.arange(900, 1200))
    fit_ensembles(training, held_out, folder, TrainingSettings(**synthetic.TINY))
    return folder
