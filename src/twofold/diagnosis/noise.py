"""Was the noise level chosen well: between a score that is badly learned and a density that is blurred?"""

from __future__ import annotations

from typing import Any

import numpy as np

from twofold.analysis.observables import distances
from twofold.beads import Beads
from twofold.chart.base import Chart
from twofold.chart.noising import noised_positions
from twofold.diagnosis import thresholds
from twofold.diagnosis.checks import Check, Curve, Findings, Line, State, Threshold
from twofold.diagnosis.verdict import judged, skipped


def noise_level(scan: dict[str, Any] | None, chosen: float) -> Findings:
    """Where the choice lies on the curve of `twofold.training.noise_level`; scan: what a model keeps of it.

    A minimum at the smallest level means that smaller ones would be better still (the model was not trained there); one
    at the largest that the score is bad wherever the blur is small.
    """
    name = "place of the noise level"
    if not scan or len(scan.get("sigma", ())) < 3:
        return Findings((skipped("noise.edge", name, "Cannot be judged: the model keeps no scan of noise levels."),))
    sigma, loss = np.asarray(scan["sigma"], np.float64), np.asarray(scan["loss"], np.float64)
    state, sentence = _place(sigma, loss, chosen)
    caption = (
        "Implicit score-matching loss on clean held-out frames: to the left the score is badly learned, to the right "
        "the density is blurred. Its minimum is where a force field describes the data best."
    )
    line = Line("loss", sigma, loss, np.asarray(scan["difference_error"], np.float64))
    curve = Curve(
        "noise.level", "Noise level of the force field", "sigma", "implicit loss", (line,), caption, True,
        rules={"in use": chosen},
    )  # fmt: skip
    limits = Threshold(float(sigma[-2]), float(sigma[-1]), thresholds.EDGE_SOURCE)
    check = Check("noise.edge", name, state, sentence, chosen, unit="units of the chart", threshold=limits)
    return Findings((check,), (curve,))


def _place(sigma: np.ndarray, loss: np.ndarray, chosen: float) -> tuple[State, str]:
    if not np.isfinite(loss).any():
        return "fail", "The loss is not finite at any level of noise."
    best = int(np.nanargmin(loss))
    if not sigma[0] * 0.999 <= chosen <= sigma[-1] * 1.001:
        return "warn", "The level in use is outside of what was looked at."
    if best == len(sigma) - 1 or chosen >= 0.999 * sigma[-1]:
        return "fail", "The loss falls up to the largest level looked at: the score is bad wherever the blur is small."
    if best == 0 or chosen <= 1.001 * sigma[0]:
        return (
            "warn",
            "The loss falls down to the smallest level that was trained: a smaller one, had it been trained, might "
            "describe the data better.",
        )
    return "pass", "The level lies inside of the range that was trained, where blur and error of the score balance."


def blur(beads: Beads, chart: Chart, positions: np.ndarray, sigma: float, seed: int = 0) -> Findings:
    """How much wider the noise of the force field makes the narrowest bond: what a simulation of it shows at best."""
    if not len(beads.bonds):
        return Findings()
    clean = distances(positions, beads.bonds).std(axis=0)
    noised = distances(noised_positions(chart, positions, sigma, seed), beads.bonds).std(axis=0)
    value = float(np.max(noised / np.maximum(clean, 1e-6))) - 1
    sentences = {
        "pass": "The noise of the force field makes no bond much wider.",
        "fail": f"The noise of the force field makes a bond wider by {100 * value:.0f} %: its simulations are softer "
        "than the data, and have to be freed of the blur before they are compared (twofold evaluate does that).",
    }
    return Findings((judged("noise.blur", "blur of bonds", value, thresholds.BLUR, sentences),))
