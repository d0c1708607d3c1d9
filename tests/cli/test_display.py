"""Lines for the terminal."""

import numpy as np
import pytest

from twofold.cli.display import samples_line
from twofold.sampling.correctors import Settling
from twofold.sampling.draw import Samples

SINKING = Settling(800, -0.2, 0.05)


@pytest.mark.parametrize(
    ("settling", "told"),
    [(None, False), (Settling(800, 0.02, 0.01), False), (Settling(800, -0.08, 0.05), False), (SINKING, True)],
)
def test_energies_that_have_not_settled_are_told(settling, told):
    drawn = Samples(np.zeros((3, 2, 3), np.float32), 1, 2, {"corrector": 800}, settling)
    line = samples_line(drawn, "iid.dcd")
    assert line.startswith("3 conformations in iid.dcd; 1 not finite, 2 outside of the region of the data")
    assert ("still changing after 800 Langevin steps" in line) == told
