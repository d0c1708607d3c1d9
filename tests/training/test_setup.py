"""What a fit starts from."""

import re
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from twofold.beads import Beads
from twofold.energy.coulomb import Coulomb
from twofold.energy.experts import PlainScore
from twofold.energy.repulsion import HardCores
from twofold.energy.springs import Springs
from twofold.energy.sums import Sum
from twofold.ensemble import Ensemble
from twofold.errors import UserError
from twofold.fitting import load
from twofold.recipes import PARTICLES
from twofold.systems.clusters import CLUSTERS
from twofold.systems.toys import LANDSCAPES
from twofold.training.fit import fit_ensembles
from twofold.training.settings import TrainingSettings
from twofold.training.setup import set_up

FRAMES = LANDSCAPES["double-well-2d"].ensemble(200, 0)


def started(**settings):
    return set_up(FRAMES, FRAMES, TrainingSettings(width=8, depth=1, **settings), jax.random.key(0))


def test_the_recipe_fills_what_the_user_left_open():
    setup = started(learning_rate=1e-5)
    assert (setup.settings.learning_rate, setup.settings.batch) == (1e-5, setup.built.recipe.batch)
    assert setup.trainer(7).steps == 7


def test_the_plain_loss_comes_as_it_was_published():
    settings = started(loss="denoising").settings
    assert (settings.softening, settings.fokker_planck, settings.classification) == (0.0, 0.0, 0.0)
    assert started(loss="denoising", fokker_planck=1.0).settings.fokker_planck == 1.0


def test_with_forces_the_plain_loss_keeps_the_softening_of_the_recipe():
    """Their mean square is bounded at small noise: a weight of sigma^2 would switch them off there."""
    frames = CLUSTERS["dw4"].ensemble(60, 0)
    for forces, softening in (("auto", PARTICLES.softening), ("none", 0.0)):
        asked = TrainingSettings(width=4, depth=1, loss="denoising", forces=forces)
        assert set_up(frames, frames, asked, jax.random.key(0)).settings.softening == softening


def test_forces_are_all_signal_where_the_beads_are_all_atoms():
    """Energies of the frames are known, so that forces are a function of the coordinates."""
    frames, asked = CLUSTERS["dw4"].ensemble(60, 0), TrainingSettings(width=4, depth=1)
    said = str(set_up(frames, frames, asked, jax.random.key(0)).budget)
    assert said.endswith("forces: all is signal")
    said = str(set_up(replace(frames, energies=None), frames, asked, jax.random.key(0)).budget)
    assert re.search(r"forces: at least \S+ % is signal$", said)


def test_the_smallest_noise_is_that_of_the_budget():
    setup = started(smallest_noise=0.3)
    assert setup.built.schedule.smallest == setup.budget.sigma == 0.3


def test_the_budget_is_of_frames_with_a_weight(monkeypatch):
    """Every other frame has none, and every other is looked at."""
    monkeypatch.setattr("twofold.training.setup.BUDGET_FRAMES", 50)
    frames = replace(FRAMES, weights=np.arange(200) % 2)
    asked = TrainingSettings(width=8, depth=1)
    found, alone = (
        set_up(part, part, asked, jax.random.key(0)).budget for part in (frames, FRAMES.select(slice(1, None, 2)))
    )
    assert 0 < found.noise < 1
    assert found.noise == pytest.approx(alone.noise, rel=1e-4)


def test_experts_stand_in_one_energy():
    assert started(experts=(0.2, 1.0)).built.energy.boundaries == (0.2, 1.0)


BONDED = Beads.anonymous(3, bonds=[(0, 1), (1, 2)])
CHARGED = Beads.from_dict(BONDED.to_dict() | {"charges": [1.0, 0.0, -1.0]})


TERMS = ("coulomb", "springs", "repulsion")


def bent(beads):
    return Ensemble.build(beads, np.random.default_rng(0).normal([[0.0], [1.0], [2.5]], 0.1, (60, 3, 3)), 300.0)


def test_charges_bonds_and_contacts_stand_beside_a_network(tmp_path):
    frames = bent(CHARGED)
    asked = {"architecture": "particles", "width": 4, "depth": 1, "steps": 2, "batch": 4}
    model = fit_ensembles(frames, frames, tmp_path / "run", TrainingSettings(terms=TERMS, **asked))
    assert load(tmp_path / "run").report["settings"]["terms"] == list(TERMS)
    learned, *known = model.network.terms
    assert [type(term) for term in known] == [Coulomb, Springs, HardCores]
    x = frames.positions[0] / float(model.chart.length)
    # one pair, two bonds apart, is left out: no energy of charges
    assert float(known[0].energy(None, x, jnp.float32(0.1))) == pytest.approx(0.0, abs=1e-5)
    steps = np.linalg.norm(np.diff(frames.positions, axis=1), axis=-1)
    assert np.asarray(known[1].length) * float(model.chart.length) == pytest.approx(steps.mean(axis=0), rel=1e-5)
    assert known[2].contact[0, 1] * float(model.chart.length) == pytest.approx(steps[:, 0].min(), rel=1e-5)
    scores = [term.score(None, x, jnp.float32(0.1)) for term in (learned, *known)]
    np.testing.assert_allclose(model.network.score(None, x, jnp.float32(0.1)), sum(scores), rtol=1e-4, atol=1e-4)


def test_labels_and_charges_count_in_kt_of_the_temperature_that_was_asked_for():
    """All of them, so that they stay in proportion."""
    drawn = bent(CHARGED)
    rng = np.random.default_rng(1)
    frames = replace(drawn, forces=rng.normal(size=drawn.positions.shape), energies=rng.normal(size=len(drawn)))
    asked = TrainingSettings(
        architecture="particles", width=4, depth=1, terms=("coulomb",), energy_weight=1.0, smallest_noise=0.01
    )
    one, other = (
        set_up(frames, frames, asked.model_copy(update={"force_temperature": kelvin}), jax.random.key(0))
        for kelvin in (None, 600.0)
    )
    for name in ("scores", "energies"):
        for part in ("data", "unseen"):
            expected = np.asarray(getattr(getattr(one, part), name)) / 2
            np.testing.assert_allclose(getattr(getattr(other, part), name), expected, rtol=1e-4, atol=1e-6)
    strengths = [setup.built.energy.terms[1].strength for setup in (one, other)]
    assert strengths[1] == pytest.approx(strengths[0] / 2)
    with pytest.raises(UserError, match=r"(?i)force_temperature 1\.3 K for frames of 300 K"):
        set_up(frames, frames, asked.model_copy(update={"force_temperature": 1.3}), jax.random.key(0))


def test_each_expert_has_the_terms_unless_it_is_a_plain_score():
    asked = {"architecture": "particles", "width": 4, "depth": 1, "experts": (0.1, 1.0), "experts_plain": 1}
    built = set_up(bent(BONDED), bent(BONDED), TrainingSettings(terms=("springs",), **asked), jax.random.key(0)).built
    assert [type(one) for one in built.energy.experts] == [Sum, Sum, PlainScore]
    assert built.energy.conservative_to < 1.0


@pytest.mark.parametrize(
    ("beads", "term", "architecture", "words"),
    [
        (BONDED, "coulomb", "particles", "without charges"),
        (Beads.anonymous(3), "springs", "particles", "without bonds"),
        (BONDED, "springs", "internal", "Cartesian"),
    ],
)
def test_terms_that_cannot_be(beads, term, architecture, words):
    settings = TrainingSettings(architecture=architecture, terms=(term,), width=4, depth=1)
    with pytest.raises(UserError, match=words):
        set_up(bent(beads), bent(beads), settings, jax.random.key(0))


def test_frames_that_were_chosen_are_said_to_be(tmp_path):
    said = []
    frames = replace(bent(BONDED), source={"data": {"equilibrium": "no"}})
    settings = TrainingSettings(architecture="particles", width=4, depth=1, steps=1, batch=4)
    fit_ensembles(frames, frames, tmp_path / "run", settings, progress=lambda progress: said.append(progress.note))
    assert any("chosen, not sampled" in note for note in said)


def test_forces_alone_need_forces():
    with pytest.raises(UserError, match="without forces"):
        started(forces="only")


def test_held_out_frames_are_not_judged_by_forces_that_training_does_not_have():
    labelled = CLUSTERS["dw4"].ensemble(60, 0)
    settings = TrainingSettings(architecture="particles", width=4, depth=1)
    setup = set_up(replace(labelled, forces=None), labelled, settings, jax.random.key(0))
    assert setup.squares == (None, None)
    assert setup.unseen.scores is None


def test_a_plain_expert_leaves_an_energy_at_the_smallest_noise():
    smallest = started().built.schedule.smallest
    with pytest.raises(UserError, match="plain expert"):
        started(experts=(1.1 * smallest,), experts_plain=1)


def test_heavy_tails_go_without_the_antithetic_loss():
    assert started(stability=1.5).settings.loss == "denoising"
    with pytest.raises(UserError, match=r"Stability 1\.5 with loss antithetic"):
        started(stability=1.5, loss="antithetic")
