from pathlib import Path

import numpy as np
import pytest

from twofold.architectures import Built
from twofold.errors import UserError
from twofold.noise import VIEWS
from twofold.recipes import CHAIN
from twofold.training.fit import fit_ensembles
from twofold.training.settings import TrainingSettings, load_settings
from twofold.training.setup import with_recipe

RECIPES = Path(__file__).parents[2] / "docs" / "recipes"


def test_given_settings_overrule_the_file(tmp_path):
    path = tmp_path / "fit.yaml"
    path.write_text("batch: 32\nseed: 4\n")
    settings = load_settings(path, seed=9, steps=None)
    assert (settings.batch, settings.seed, settings.steps) == (32, 9, None)
    assert load_settings(None) == TrainingSettings()


def test_minutes_given_overrule_the_steps_of_the_file(tmp_path):
    path = tmp_path / "fit.yaml"
    path.write_text("steps: 100\n")
    settings = load_settings(path, minutes=3.0)
    assert (settings.steps, settings.minutes) == (None, 3.0)
    assert load_settings(path, minutes=3.0, steps=7).steps == 7


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("learning_rat: 1", "learning_rat"),
        ("batch: 0", "batch"),
        ("batch: many", "batch"),
        ("ema: 1.0", "ema"),
        ("optimiser: sgd", "optimiser"),
        ("- a\n- b", "list"),
        ("a: [", "cannot be read"),
        ("seed: -1", "seed"),
    ],
)
def test_a_bad_file_is_one_clear_line(tmp_path, text, found):
    path = tmp_path / "fit.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=found) as caught:
        load_settings(path)
    assert "\n" not in str(caught.value)


def test_a_missing_or_binary_file(tmp_path):
    with pytest.raises(UserError, match=r"none\.yaml"):
        load_settings(tmp_path / "none.yaml")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\x01\x80")
    with pytest.raises(UserError, match="binary"):
        load_settings(tmp_path / "binary")


@pytest.mark.parametrize("value", [-1.0, 0.0, float("nan")])
def test_minutes_must_be_positive(value):
    with pytest.raises(UserError, match="minutes"):
        load_settings(None, minutes=value)


def test_a_plain_expert_needs_experts():
    with pytest.raises(UserError, match="leaves no energy at small noise"):
        load_settings(None, experts_plain=1)
    assert load_settings(None, experts_plain=1, experts=(1.0,)).experts == (1.0,)


def test_published_recipes_are_those_of_their_schedules():
    arts, plainer = (load_settings(RECIPES / f"{name}.yaml") for name in ("two_for_one", "scoremd"))
    assert (arts.schedule, arts.loss, plainer.schedule) == ("vp-cosine", "denoising", "vp-linear")
    levels = VIEWS[plainer.schedule].sigma(np.array([0.1, 0.6]))
    np.testing.assert_allclose(plainer.experts, levels, rtol=0.02)
    assert plainer.fokker_planck_largest == plainer.experts[0]


def test_levels_of_the_residual_are_a_range():
    with pytest.raises(UserError, match=r"fokker_planck_smallest 1 is not below fokker_planck_largest 0\.5"):
        load_settings(None, fokker_planck_smallest=1.0, fokker_planck_largest=0.5)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["two_for_one", "scoremd"])
def test_published_recipes_train(recipe, chain_ensemble, tmp_path):
    """The whole of a recipe in a few updates of a small network: schedule, experts, residual."""
    few = {"steps": 4, "chunk": 2, "batch": 8, "fokker_planck_groups": 2, "fokker_planck_members": 2, "depth": 1}
    settings = load_settings(RECIPES / f"{recipe}.yaml", **few)
    parts = chain_ensemble.select(slice(0, 60)), chain_ensemble.select(slice(60, 120))
    model = fit_ensembles(*parts, tmp_path / "run", settings)
    assert model.report["architecture"] == "transformer"
    assert np.isfinite(model.force(parts[1].positions[:2])).all()


def test_the_range_of_the_residual_belongs_to_the_weight_of_the_recipe(untrained):
    built = Built("internal", "a test", untrained.chart, untrained.network, untrained.schedule, CHAIN)
    used = with_recipe(load_settings(None), built)
    assert (used.fokker_planck, used.fokker_planck_largest) == (CHAIN.fokker_planck, CHAIN.fokker_planck_largest)
    for given in ({"fokker_planck": 1.0}, {"fokker_planck_smallest": 2.0}):
        assert with_recipe(load_settings(None, **given), built).fokker_planck_largest is None
    assert with_recipe(load_settings(None, fokker_planck_largest=3.0), built).fokker_planck_largest == 3.0


def test_a_term_by_itself_and_a_name_that_is_none(tmp_path):
    assert load_settings(None, terms="coulomb").terms == ("coulomb",)
    (tmp_path / "odd.yaml").write_text("1: 2\n")
    with pytest.raises(UserError, match=r"Setting 1 in .*odd\.yaml"):
        load_settings(tmp_path / "odd.yaml")
