"""The page of a diagnosis, from findings that are made up."""

import numpy as np

from twofold.diagnosis import Check, Curve, Findings, Line, Threshold, conclude
from twofold.report.diagnosis import figure, render_diagnosis, section

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
    return conclude([Findings(checks, (curve,), ("A remark.",)), Findings(rest)])


def test_page_says_everything_once():
    page = render_diagnosis(findings(), "a run", ("5 beads",), "today")
    assert page.startswith("<!doctype html>")
    for words in ("1 of 3 checks fails: Fokker-Planck residual", "It is &lt;bad&gt;.", "A remark.", "A caption.",
                  "not judged", "5 beads", "today", "seen &amp; unseen"):  # fmt: skip
        assert words in page
    assert "<bad>" not in page
    assert "<here>" not in page
    assert "second <b>" not in page
    assert 'id="kinetics"' in page
    assert 'id="symmetry"' not in page


def test_sections_fit_into_other_pages():
    assert section(findings(), "symmetry") == ""
    assert section(findings(), "kinetics").count("<tr>") == 2


def test_curves_leave_out_what_is_no_number():
    (curve,) = findings().curves
    drawn = figure(curve).html()
    assert "NaN" not in drawn
    assert "nan" not in drawn
    assert drawn.count('<circle class="dot samples"') == 1 + 7  # legend and points
    empty = Curve("a.b", "Nothing", "x", "y", (Line("one", np.ones(2), np.full(2, np.nan)),))
    assert "Nothing to draw" in figure(empty).html()
