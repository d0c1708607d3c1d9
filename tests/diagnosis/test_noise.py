"""The place of the noise level on its curve, and the blur that it brings."""

import numpy as np
import pytest

import synthetic
from twofold.chart.cartesian import cartesian_chart
from twofold.diagnosis.noise import blur, noise_level

LEVELS = np.geomspace(0.01, 0.4, 12)


def scan(best):
    loss = np.square(np.log(LEVELS / LEVELS[best]))
    return {"sigma": LEVELS.tolist(), "loss": loss.tolist(), "difference_error": (0.01 * np.ones(12)).tolist()}


@pytest.mark.parametrize(("best", "state"), [(0, "warn"), (5, "pass"), (11, "fail")])
def test_edges(best, state):
    found = noise_level(scan(best), LEVELS[best])
    assert found.checks[0].state == state
    assert found.curves[0].rules == {"in use": LEVELS[best]}
    limits = found.checks[0].threshold
    assert (limits.passes, limits.fails) == (LEVELS[-2], LEVELS[-1])
    assert "no minimum" in limits.source


def test_a_level_that_was_not_looked_at():
    assert noise_level(scan(5), 2.0).checks[0].state == "warn"
    assert noise_level(None, 0.1).checks[0].state == "skipped"
    broken = scan(5) | {"loss": [float("nan")] * 12}
    assert noise_level(broken, 0.1).checks[0].state == "fail"


def test_blur_adds_variances():
    """A bond of width w gets sqrt(w^2 + 2 s^2 L^2)."""
    beads = synthetic.dipeptide()
    positions = synthetic.frames(beads, 4000)
    chart = cartesian_chart(positions)
    for over, state in ((0.2, "pass"), (0.5, "warn"), (2.0, "fail")):
        sigma = over * 0.002 / float(chart.length)
        check = blur(beads, chart, positions, sigma).checks[0]
        assert check.value == pytest.approx(np.sqrt(1 + 2 * over**2) - 1, abs=0.04)
        assert check.state == state
