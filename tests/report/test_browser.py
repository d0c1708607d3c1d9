"""The page in headless Chromium: it renders, works, and complains about nothing."""

import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import chromium
import numpy as np
import pytest

from twofold.report import ReportContent, write_report

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(chromium.executable() is None, reason="no Chromium is installed"),
]

SCROLL = "document.getElementById('viewer').scrollIntoView({behavior: 'instant'})"


@pytest.fixture(scope="module")
def path(content: ReportContent, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(content, path)
    return path


@pytest.fixture(scope="module")
def page() -> Iterator[chromium.Page]:
    with chromium.Page() as page:
        yield page


def pixels(png: bytes) -> np.ndarray:
    from matplotlib.image import imread

    return imread(io.BytesIO(png), format="png")[..., :3]


def coloured(picture: np.ndarray) -> float:
    """Share of pixels that are neither white, black nor grey."""
    return float((np.ptp(picture, axis=2) > 0.15).mean())


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (420, True)])
def test_page_renders(page: chromium.Page, path: Path, width: int, dark: bool) -> None:
    page.errors.clear()
    page.requests.clear()
    page.open(path, width, 900, dark=dark)
    assert page.run("document.querySelector('.verdict').getBoundingClientRect().bottom") < 400
    assert page.run("document.documentElement.scrollWidth") <= width
    top = pixels(page.screenshot())
    background = np.median(top.reshape(-1, 3), axis=0)
    assert (background.mean() < 0.3) == dark
    assert 0.02 < float((np.abs(top - background).max(2) > 0.2).mean()) < 0.8
    maps = pixels(page.screenshot(page.box("svg.plot.square")))
    assert coloured(maps) > 0.04
    assert page.errors == []
    assert all(url.startswith(("file:", "data:")) for url in page.requests)


def test_structures_turn_and_play(page: chromium.Page, path: Path) -> None:
    page.errors.clear()
    page.open(path, 560, 520)
    page.run(SCROLL)
    assert page.wait_for("document.getElementById('viewer').dataset.ready === 'yes'")
    assert eventually(lambda: coloured(stage(page)) > 0.02)
    still = stage(page)
    assert eventually(lambda: turned(page, still))
    page.run("document.getElementById('reset').click()")
    page.run("document.getElementById('names').click()")
    page.run("document.getElementById('play').click()")
    assert page.wait_for("Number(document.getElementById('frame').value) > 1")
    page.run("document.getElementById('play').click()")
    assert page.run("document.getElementById('frame-name').textContent").endswith("of 60")
    page.run("document.querySelectorAll('input[data-set]').forEach(x => x.click())")
    assert eventually(lambda: coloured(stage(page)) < 0.001)
    assert page.errors == []


def eventually(holds: Callable[[], bool], seconds: float = 10) -> bool:
    """Whether it holds within some seconds: a busy machine shows a frame late."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
    return True


def stage(page: chromium.Page) -> np.ndarray:
    page.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return pixels(page.screenshot(page.box("#stage")))


def turned(page: chromium.Page, still: np.ndarray) -> bool:
    """Drags the structures to the right and down and looks whether the picture is another."""
    # The browser may put back the scroll position of an earlier visit to the same file at any time.
    page.run(SCROLL)
    box = page.run("document.getElementById('stage').getBoundingClientRect().toJSON()")
    x, y = box["x"] + box["width"] / 2, box["y"] + 100
    for kind, shift, buttons in (
        ("mousePressed", 0, 1),
        ("mouseMoved", 60, 1),
        ("mouseMoved", 120, 1),
        ("mouseReleased", 120, 0),
    ):
        page.call(
            "Input.dispatchMouseEvent",
            type=kind,
            x=x + shift,
            y=y + shift / 2,
            button="left",
            buttons=buttons,
            clickCount=1,
        )
    return bool(np.abs(stage(page) - still).mean() > 1e-3)


def test_without_webgl_the_flat_picture_stays(path: Path) -> None:
    with chromium.Page(webgl=False) as page:
        page.open(path)
        assert page.run("document.getElementById('viewer').hidden")
        assert page.run("document.getElementById('flat-note').getBoundingClientRect().height") > 0
        assert page.run("document.querySelectorAll('#flat svg').length") == 3
        assert coloured(pixels(page.screenshot(page.box("#flat svg:nth-child(2)")))) > 0.01
        assert page.errors == []


def test_console_errors_would_be_seen(page: chromium.Page, tmp_path: Path) -> None:
    broken = tmp_path / "broken.html"
    broken.write_text("<script>console.error('one'); missing();</script>", encoding="utf-8")
    page.errors.clear()
    page.open(broken)
    assert len(page.errors) == 2
