"""The page of a diagnosis, from findings that are made up."""

import numpy as np
from soundness import findings

from twofold.diagnosis import Curve, Line
from twofold.report.diagnosis import figure, render_diagnosis, section, summary


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
    assert section(findings(), "kinetics").count("<tr>") == 4


def test_tables_show_errors():
    text = section(findings(), "kinetics")
    assert "Times, ps" in text
    assert "scale &lt;1&gt;" in text
    assert "1.25 ± 0.25" in text
    assert ">30.0<" in text  # an error that is not known is not shown
    assert findings().to_dict()["tables"][0]["values"] == [[1.25, 30.0]]


def test_all_groups_are_one_section_of_a_report():
    text = summary(findings())
    assert text.count("<h3>Diffusion</h3>") == 1
    assert "<h3>Symmetry" not in text
    assert "1 of 3 checks fails" in text
    assert "A remark." in text


def test_curves_leave_out_what_is_no_number():
    (curve,) = findings().curves
    drawn = figure(curve).html()
    assert "NaN" not in drawn
    assert "nan" not in drawn
    assert drawn.count('<circle class="dot samples"') == 1 + 7  # legend and points
    empty = Curve("a.b", "Nothing", "x", "y", (Line("one", np.ones(2), np.full(2, np.nan)),))
    assert "Nothing to draw" in figure(empty).html()
