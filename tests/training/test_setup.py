"""What a fit starts from."""

import jax
import pytest

from twofold.errors import UserError
from twofold.systems.toys import LANDSCAPES
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
    assert (settings.softening, settings.fokker_planck) == (0.0, 0.0)
    assert started(loss="denoising", fokker_planck=1.0).settings.fokker_planck == 1.0


def test_the_smallest_noise_is_that_of_the_budget():
    setup = started(smallest_noise=0.3)
    assert setup.built.schedule.smallest == setup.budget.sigma == 0.3


def test_experts_stand_in_one_energy():
    assert started(experts=(0.2, 1.0)).built.energy.boundaries == (0.2, 1.0)


def test_forces_alone_need_forces():
    with pytest.raises(UserError, match="without forces"):
        started(forces="only")


def test_a_plain_expert_leaves_an_energy_at_the_smallest_noise():
    smallest = started().built.schedule.smallest
    with pytest.raises(UserError, match="plain expert"):
        started(experts=(1.1 * smallest,), experts_plain=1)


def test_heavy_tails_go_without_the_antithetic_loss():
    assert started(stability=1.5).settings.loss == "denoising"
    with pytest.raises(UserError, match=r"Stability 1\.5 with loss antithetic"):
        started(stability=1.5, loss="antithetic")
