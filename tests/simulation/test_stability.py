"""The stiffest mode and the time step."""

import numpy as np
import pytest

from twofold.errors import UserError
from twofold.simulation.stability import choose_timestep, stiffest_frequencies
from twofold.systems.harmonic import Harmonic


@pytest.mark.parametrize("beads", [1, 3, 30])
def test_stiffest_mode_of_springs(beads):
    rng = np.random.default_rng(beads)
    system = Harmonic.chain(rng.uniform(1e4, 4e5, beads - 1)) if beads > 1 else Harmonic.wells([3e4])
    masses = rng.uniform(12.0, 16.0, beads)
    found = stiffest_frequencies(system, rng.normal(size=(2, beads, 3)), masses)
    np.testing.assert_allclose(found, system.frequencies(masses)[-1], rtol=0.01)


def test_step_follows_the_stiffest_mode():
    masses = np.array([12.0, 12.0])
    frames = np.random.default_rng(0).normal(size=(3, 2, 3))
    soft = choose_timestep(Harmonic.chain([1e4]), frames, masses)
    assert (soft.timestep_fs, soft.note) == (2.0, "")
    stiff = Harmonic.chain([2.4e6])
    found = choose_timestep(stiff, frames, masses)
    frequency = np.sqrt(2.4e6 / 6.0)
    assert found.stiffest == pytest.approx(frequency, rel=1e-3)
    assert found.longest_fs == pytest.approx(2000 / frequency, rel=1e-3)
    assert found.timestep_fs == 0.8
    assert "0.8 fs" in found.note
    bold = choose_timestep(stiff, frames, masses, 2.0)
    assert bold.ratio == pytest.approx(2e-3 * frequency, rel=1e-3)
    assert "ten steps" in bold.note
    with pytest.raises(UserError, match=r"Use 0\.8 fs"):
        choose_timestep(stiff, frames, masses, 4.0)
