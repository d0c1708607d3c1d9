"""Findings of a diagnosis that are made up."""

import numpy as np

from twofold.diagnosis import Check, Curve, Findings, Line, Table, Threshold, conclude

LIMIT = Threshold(0.1, 0.5, 'a "judgement" <here>')


def findings():
    x = np.geomspace(0.01, 10, 8)
    y = np.where(x > 5, np.nan, x**2)
    lines = (Line("first", x, y, 0.1 * y), Line("second <b>", x, 2 * y))
    curve = Curve("diffusion.residual", "Residual", "sigma", "spread", lines, "A caption.", True, True, {"in use": 0.1})
    checks = (
        Check("diffusion.residual", "Fokker-Planck residual", "fail", "It is <bad>.", 0.7, 0.01, threshold=LIMIT),
        Check("diffusion.overfit", "seen & unseen", "pass", "Fine.", 0.01, float("nan"), "nats"),
        Check("diffusion.integral", "energy and score", "warn", "Hm.", float("nan")),
    )
    rest = (Check("kinetics.rates", "rates", "skipped", "Not judged: no simulation was given."),)
    values, errors = np.array([[1.25, 30.0]]), np.array([[0.25, np.nan]])
    table = Table("kinetics.times", "Times", ("scale <1>",), ("reference", "simulation"), values, errors, "ps", "How.")
    return conclude([Findings(checks, (curve,), ("A remark.",)), Findings(rest, tables=(table,))])
