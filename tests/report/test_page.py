"""The page as text: what is on it, in which order, and that nothing foreign gets in."""

import dataclasses
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from twofold.beads import Beads
from twofold.errors import UserError
from twofold.report import Comparison, Metric, ReportContent, Stability, StructureSet, render, write_report
from twofold.report.curves import training_curve
from twofold.report.figures import ALL_SETS, size_distributions, torsion_maps

VOID = {"meta", "link", "br", "input", "img", "path", "rect", "line", "circle", "polygon", "polyline", "image"}


class Reader(HTMLParser):
    """Collects elements, checks nesting, keeps text outside scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style", "title"} & set(self.stack) and data.strip():
            self.text.append(data.strip())


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.stack == []
    return reader


def test_verdict_comes_before_everything_else(content: ReportContent) -> None:
    reader = read(render(content))
    assert reader.text[0] == content.title
    body = [words for words in reader.text[1:] if "beads" not in words]
    assert body[0] == content.verdict
    assert body.index("nearly agree") < body.index("Conformations")
    assert [tag for tag, _ in reader.elements].index("svg") > 10


def test_nothing_is_loaded_from_elsewhere(content: ReportContent) -> None:
    page = render(content)
    for _, attributes in read(page).elements:
        for name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
            value = attributes.get(name) or ""
            assert value.startswith(("data:", "#")) or value == ""
    style = "".join(re.findall(r"<style>(.*?)</style>", page, re.S))
    assert "url(" not in style
    assert "@import" not in style
    assert "default-src 'none'" in page
    assert len(page.encode()) < 5_000_000


def test_all_sections_and_numbers_are_there(content: ReportContent) -> None:
    page = render(content)
    text = " ".join(read(page).text)
    for name in ("conformations", "structures", "geometry", "numbers", "training", "running", "details", "glossary"):
        assert f'id="{name}"' in page
    for words in (
        "0.0130 ± 0.0010",
        "1.30",
        "241\u2009000",
        "too close",
        "1 of 30 replicas was stopped",
        "σ* = 2.00 pm",  # noqa: RUF001
    ):
        assert words in text, words


def test_identifiers_are_unique_and_links_lead_somewhere(content: ReportContent) -> None:
    elements = read(render(content)).elements
    identifiers = [attributes["id"] for tag, attributes in elements if attributes.get("id") and tag != "clippath"]
    assert len(identifiers) == len(set(identifiers))
    for tag, attributes in elements:
        if tag == "a":
            assert (attributes["href"] or "").lstrip("#") in identifiers


def test_every_figure_has_words_for_those_who_do_not_see_it(content: ReportContent) -> None:
    plots = [
        attributes
        for tag, attributes in read(render(content)).elements
        if tag == "svg" and "plot" in (attributes.get("class") or "")
    ]
    assert len(plots) > 15
    assert all(len(attributes.get("aria-label") or "") > 15 for attributes in plots)


def test_hostile_names_are_escaped(content: ReportContent) -> None:
    evil = "</script><script>alert(1)</script>\"'<img src=x onerror=alert(1)>&"
    beads = Beads(
        **{**content.beads.to_dict(), "names": (evil,) * 5, "types": (evil,) * 5, "residue_names": (evil,) * 5}
    )
    hostile = dataclasses.replace(
        content,
        beads=beads,
        title=evil,
        verdict=evil,
        subtitle=evil,
        notes=(evil,),
        comparisons=(Comparison("samples", "reference", "agree", evil),),
        metrics=[Metric(evil, evil, evil, evil, 1.0, unit=evil, help=evil, state=evil, key=True)],  # type: ignore[arg-type]
        settings={evil: evil},
        speed={evil: evil},
    )
    page = render(hostile)
    reader = read(page)
    plain = [tag for tag, _ in reader.elements]
    assert "img" not in plain
    assert plain.count("script") == 3
    assert not any(name.startswith("on") for _, attributes in reader.elements for name in attributes)
    assert reader.text[0] == evil


KEYS = ("reference", "samples", "simulation")


@pytest.mark.parametrize("left", [(), *[(key,) for key in KEYS], ("reference", "samples"), ("samples", "simulation")])
def test_missing_sets_leave_their_parts_out(content: ReportContent, left: tuple[str, ...]) -> None:
    sets = tuple(item for item in content.sets if item.key in left)
    page = render(dataclasses.replace(content, sets=sets))
    text = " ".join(read(page).text)
    assert text.count("Ramachandran free energies") == bool(left)
    assert ("No structures to show." in text) == (not left)
    if "reference" not in left:
        assert "Differences from the reference" not in text


def test_a_page_of_the_verdict_alone(content: ReportContent) -> None:
    text = read(render(ReportContent(content.beads, "Nothing was compared."))).text
    assert text.count("not compared") == 3
    assert "Nothing was compared." in text


def test_empty_and_odd_data(content: ReportContent) -> None:
    broken = np.full((4, 5, 3), np.nan, np.float32)
    one = StructureSet("samples", content.sets[1].positions[:1])
    sets = (content.sets[0], one, StructureSet("simulation", broken[:0]), StructureSet("basin", broken))
    odd = dataclasses.replace(
        content,
        sets=sets,
        training=[{"step": 0, "loss": float("nan")}, {"loss": 1.0}],
        sigma_scan=None,
        stability=Stability(2, 10.0),
        metrics=[
            Metric("g", "m", "samples", "reference", None),
            Metric("g", "m", "samples", "reference", float("inf")),
        ],
    )
    text = " ".join(read(render(odd)).text)
    assert "All 2 replicas ran to the end" in text
    assert "nan" not in re.sub(r"[a-z]nan|nan[a-z]", "", text.lower())


def test_without_phi_and_psi_neighbouring_torsions_are_drawn(chain_content: ReportContent) -> None:
    figure = torsion_maps(chain_content)
    assert figure is not None
    assert figure.title == "Free energies of neighbouring torsions"
    assert len(figure.panels) + len(figure.folded) == 3 * 3 + 1


def test_without_bonds_there_is_still_a_page(chain_content: ReportContent) -> None:
    bare = dataclasses.replace(chain_content, beads=Beads.anonymous(7))
    assert torsion_maps(bare) is None
    assert size_distributions(bare) is not None
    assert "Size and shape" in read(render(bare)).text


def test_same_content_same_page(content: ReportContent) -> None:
    assert render(content) == render(content)


def test_writing_is_atomic_and_does_not_overwrite(content: ReportContent, tmp_path) -> None:
    small = ReportContent(content.beads, "Nothing was compared.")
    path = tmp_path / "report.html"
    write_report(small, path)
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    with pytest.raises(UserError, match="exists"):
        write_report(small, path)
    write_report(small, path, overwrite=True)
    assert [item.name for item in tmp_path.iterdir()] == ["report.html"]


def test_set_keys_are_those_with_colours() -> None:
    from importlib import resources

    style = resources.files("twofold.report").joinpath("style.css").read_text(encoding="utf-8")
    assert all(f"--{key}:" in style for key in ALL_SETS)


def test_the_loss_curve_marks_the_step_that_was_kept(content: ReportContent) -> None:
    ended, early = (training_curve(dataclasses.replace(content, kept=kept)) for kept in (None, 480))
    assert ended is not None
    assert early is not None
    assert "kept: step" not in ended.html()
    assert "rule chosen" not in ended.html()
    assert "kept: step 480" in early.html()
    assert early.html().count("rule chosen") == 1
