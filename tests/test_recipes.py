"""Recipes of the published methods, number by number, and what their files say is not as published."""

import re
from pathlib import Path

import numpy as np
import pytest

from twofold.architectures import Built
from twofold.energy.transformer import HEAD_WIDTH, TransformerSettings
from twofold.noise import VIEWS
from twofold.recipes import CARTESIAN, CHAIN, LANDSCAPE, PARTICLES, PUBLISHED, SMALL_CHAIN
from twofold.training.optimiser import learning_rate
from twofold.training.settings import load_settings
from twofold.training.setup import with_recipe

RECIPES = Path(__file__).parents[1] / "docs" / "recipes"
ALIKE = {
    "architecture": "transformer",
    "width": 96,
    "depth": 2,
    "loss": "denoising",
    "softening": 0.0,
    "classification": 0.0,
    "forces": "none",
    "optimiser": "adam",
    "adam_b2": 0.999,
    "learning_rate": 3e-4,
    "last_learning_rate": 1e-5,
    "warmup": 0,
    "batch": 1024,
}
"""What both have for alanine dipeptide."""
OF_EACH = {
    "two_for_one": {"schedule": "vp-cosine", "weight_decay": 1e-12, "fokker_planck": 0.0, "experts": ()},
    "scoremd": {"schedule": "vp-linear", "weight_decay": 1e-4, "ema": 0.995, "clip": 1e3, "experts_plain": 2},
}


def recipe(name, untrained):
    """Settings as a fit uses them."""
    built = Built("transformer", "a test", untrained.chart, untrained.network, untrained.schedule, PUBLISHED)
    return with_recipe(load_settings(RECIPES / f"{name}.yaml"), built)


def head(name):
    """The comment of the file, in one line."""
    lines = (RECIPES / f"{name}.yaml").read_text().splitlines()
    return " ".join(line.lstrip("# ") for line in lines if line.startswith("#"))


def stated(name, option):
    """The number that the commands in the file give an option."""
    (found,) = re.findall(rf"--{option} (\S+)", head(name))
    return float(found)


@pytest.mark.parametrize("name", OF_EACH)
def test_numbers_are_the_published_ones(name, untrained):
    used = recipe(name, untrained)
    for setting, value in (ALIKE | OF_EACH[name]).items():
        assert getattr(used, setting) == value, setting


@pytest.mark.parametrize("name", OF_EACH)
def test_the_learning_rate_falls_from_the_first_update_on(name, untrained):
    """`1e-5 + 1/2 (3e-4 - 1e-5) (1 + cos pi t)`, without a warm-up."""
    rate = learning_rate(recipe(name, untrained), 1000)
    place = np.array([0, 250, 500, 1001])
    expected = 1e-5 + 0.5 * 2.9e-4 * (1 + np.cos(np.pi * place / 1001))
    np.testing.assert_allclose([rate(step) for step in place], expected, rtol=1e-4)


def test_heads_of_the_published_network():
    assert (TransformerSettings().heads, HEAD_WIDTH) == (8, 64)


def test_what_the_transformer_gets_unless_told_otherwise_is_the_recipe_of_proteins():
    """That of Two for One for protein G."""
    used = (PUBLISHED.optimiser, PUBLISHED.loss, PUBLISHED.learning_rate, PUBLISHED.weight_decay, PUBLISHED.batch)
    assert used == ("adam", "denoising", 4e-4, 1e-12, 256)


def test_two_for_one():
    """The noise of its level 8 of 1,000 by its own discrete schedule, and a million updates."""
    angle = (np.arange(1001) / 1000 + 0.008) / 1.008 * np.pi / 2
    kept = np.cumprod(1 - np.clip(1 - (np.cos(angle[1:]) / np.cos(angle[:-1])) ** 2, 0, 0.999))
    assert stated("two_for_one", "sigma") == pytest.approx(np.sqrt(1 / kept[8] - 1), rel=2e-3)
    assert stated("two_for_one", "steps") == 1e6
    assert VIEWS["vp-cosine"].middle == 0.1  # half of the levels are among the first hundred


def test_what_is_not_as_in_two_for_one(untrained):
    used, said = recipe("two_for_one", untrained), head("two_for_one")
    assert "the average of the parameters is one of every update" in said
    assert used.ema**10 == pytest.approx(0.995, abs=1e-4)  # theirs, in every tenth
    assert used.clip >= 1e9  # they have none


def test_scoremd(untrained):
    """Experts meet at the times 0.1 and 0.6, forces are taken at the first time, 1e-5, after 10,000 epochs of 48."""
    time = np.array([1e-5, 0.1, 0.6])
    sigma = np.sqrt(np.exp(0.1 * time + 0.5 * 19.9 * time**2) - 1)
    assert stated("scoremd", "sigma") == pytest.approx(sigma[0], rel=0.02)
    assert stated("scoremd", "steps") == 10_000 * (50_000 // 1024)
    used = recipe("scoremd", untrained)
    np.testing.assert_allclose(used.experts, sigma[1:], rtol=5e-3)
    assert used.fokker_planck_largest == used.experts[0]
    view = VIEWS["vp-linear"]
    assert (view.first, view.middle, view.last) == (1e-5, 0.3, 1.0)


def test_what_is_not_as_in_scoremd(untrained):
    used, said = recipe("scoremd", untrained), head("scoremd")
    assert "so that its weight is ours" in said
    assert used.fokker_planck == 0.5  # theirs is 1e-3, of another quantity
    assert "of 128 frames in every fourth update" in said
    assert used.fokker_planck_groups * used.fokker_planck_members == 128
    assert used.fokker_planck_every == 4
    assert "the average of the parameters is one of some 200 updates" in said
    assert 1 / (1 - used.ema) == pytest.approx(200)


def test_the_method_states_the_softening_of_the_recipes():
    text = (RECIPES.parent / "method.md").read_text()
    (row,) = re.findall(r"^\| `tau` \|(.*)\|$", text, re.MULTILINE)
    stated = [float(cell.split()[0]) for cell in row.split("|")]
    assert stated == [one.softening for one in (CHAIN, CARTESIAN, PARTICLES, LANDSCAPE, PUBLISHED)]
    assert SMALL_CHAIN.softening == CHAIN.softening
