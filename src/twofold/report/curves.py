"""How the model came about: the training curve, and the choice of the noise level of the simulation."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from twofold.report.content import ReportContent, SigmaScan
from twofold.report.figures import Figure
from twofold.report.numerals import is_number, number
from twofold.report.svg import Plot


def _series(rows: Iterable[Mapping[str, Any]], *names: str) -> tuple[np.ndarray, np.ndarray]:
    found = []
    for row in rows:
        value = next((row[name] for name in names if is_number(row.get(name))), None)
        if is_number(row.get("step")) and value is not None:
            found.append((float(row["step"]), float(value)))
    table = np.array(found, float).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def thin(x: np.ndarray, y: np.ndarray, most: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Means of equal runs of points, so that no curve has more than `most`."""
    if len(x) <= most:
        return x, y
    parts = np.array_split(np.arange(len(x)), most)
    return np.array([x[part].mean() for part in parts]), np.array([y[part].mean() for part in parts])


def training_curve(content: ReportContent) -> Figure | None:
    """Training and validation loss over the steps."""
    steps, loss = _series(content.training, "loss", "train_loss")
    checked, validation = _series(content.training, "validation", "validation_loss")
    if len(steps) < 2:
        return None
    x, y = thin(steps, loss)
    settled = np.concatenate([y[len(y) // 20 :], validation])
    low, high = np.quantile(settled, [0.0, 0.995])
    margin = 0.08 * (high - low) or 0.1
    last = float(max(steps.max(), checked.max(initial=0)))
    plot = Plot(
        (0, last), (float(low - margin), float(high + margin)),
        f"Loss over training steps, from {number(y[0])} to {number(y[-1])}.", width=480, height=240,
        x_label="training step", y_label="loss", grid=True, left=58, right=16,
    )  # fmt: skip
    plot.line(x, y, "train")
    if len(checked):
        plot.line(checked, validation, "validation")
        if len(checked) <= 80:
            plot.dots(checked, validation, "validation", "circle", 2.6)
    if content.kept is not None and content.kept < last:
        plot.rule("rule chosen", x=content.kept)
        side, shift = ("start", 0.01) if content.kept < last / 2 else ("end", -0.01)
        plot.note(content.kept + shift * last, float(high), f"kept: step {content.kept}", side, "chosen")
    words = [
        '<li><svg viewBox="0 0 26 14" aria-hidden="true"><path class="line train" d="M1 7H25"/></svg>training</li>'
    ]
    if len(checked):
        swatch = '<path class="line validation" d="M1 7H25"/><circle class="dot validation" cx="13" cy="7" r="2.6"/>'
        words.append(f'<li><svg viewBox="0 0 26 14" aria-hidden="true">{swatch}</svg>held-out blocks</li>')
    caption = (
        "The loss of score matching has no natural zero (it falls below zero as the model learns): read its slope and "
        "the distance between the two curves. A held-out curve that turns upwards means that the model learns its data "
        "by heart."
    )
    panels = [plot.render("broad")]
    return Figure("Loss", [f'<ul class="legend">{"".join(words)}</ul>', *panels], caption, kind="single")


def sigma_curve(scan: SigmaScan | None) -> Figure | None:
    """Implicit score-matching loss over the noise level, the choice marked."""
    if scan is None or len(scan.sigma_nm) < 2:
        return None
    sigma, loss = np.asarray(scan.sigma_nm, float), np.asarray(scan.loss, float)
    order = np.argsort(sigma)
    sigma, loss = sigma[order], loss[order]
    error = np.zeros_like(loss) if scan.error is None else np.asarray(scan.error, float)[order]
    good = np.isfinite(sigma) & np.isfinite(loss) & (sigma > 0)
    sigma, loss, error = sigma[good], loss[good], np.nan_to_num(error[good])
    if len(sigma) < 2:
        return None
    factor, unit = (1e3, "pm") if scan.unit == "nm" else (1.0, scan.unit)
    sigma, chosen = sigma * factor, scan.chosen * factor
    best = loss.min()
    cut = max(float(np.quantile(loss, 0.8)), best + 8 * float(error.max(initial=0)), best + 1e-9)
    bottom, top = best - 0.15 * (cut - best) - float(error.max(initial=0)), cut + 0.1 * (cut - best)
    ends = (min(sigma.min(), chosen) / 1.15, max(sigma.max(), chosen) * 1.15)
    plot = Plot(
        ends, (float(bottom), float(top)), f"Loss over the noise level; chosen {number(chosen)} {unit}.", width=480,
        height=240, log_x=True, x_label=f"noise level σ ({unit})".replace(" ()", ""),  # noqa: RUF001
        y_label="implicit loss", grid=True, left=58, right=16,
    )  # fmt: skip
    if error.any():
        plot.area(sigma, loss + error, "train", loss - error)
    plot.line(sigma, loss, "train")
    plot.dots(sigma, loss, "train", "circle", 2.6)
    plot.rule("rule chosen", x=chosen)
    side = "start" if math.log(chosen / ends[0]) < 0.6 * math.log(ends[1] / ends[0]) else "end"
    shift = 1.04 if side == "start" else 1 / 1.04
    mark = f"σ* = {number(chosen)} {unit}".strip()  # noqa: RUF001
    plot.note(chosen * shift, float(top - 0.07 * (top - bottom)), mark, side, "chosen")
    how = "set by the user" if scan.overridden else "the largest level within one standard error of the minimum"
    caption = (
        "Loss of implicit score matching, ½|s|² + div s, on clean held-out frames: how well the model at noise level σ "  # noqa: RUF001
        f"describes the data without noise. Too small a σ is badly learned, too large a σ blurs. The simulation runs "  # noqa: RUF001
        f"at σ*, {how}."  # noqa: RUF001
    )
    return Figure("Noise level of the simulation", [plot.render("broad")], caption, kind="single")
