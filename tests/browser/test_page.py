"""The page in a browser: what it shows on each ground and at each width, to eyes, keyboard and screen reader."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
FORMS = [(scheme, size) for scheme in ("light", "dark") for size in (WIDE, NARROW)]
VIEWS = 2
"""Interactive views of the page: the correlation of the sweep, and the curves."""


class Opened:
    """A page in the browser, with what it said and asked for meanwhile."""

    def __init__(self, browser: Any, file: Path, scheme: str, size: dict[str, int], scripts: bool = True) -> None:
        context = browser.new_context(
            viewport=size, color_scheme=scheme, offline=True, java_script_enabled=scripts, reduced_motion="reduce"
        )
        self.tab, self.said, self.asked = context.new_page(), [], []
        self.tab.on("console", lambda message: self.said.append(message.text))
        self.tab.on("pageerror", lambda error: self.said.append(str(error)))
        self.tab.on("request", lambda request: self.asked.append(request.url))
        self.tab.goto(file.as_uri())
        if scripts:
            self.tab.locator(".vega-embed svg").nth(VIEWS - 1).wait_for()


@pytest.fixture
def opened(browser: Any, page_file: Path) -> Iterator[Any]:
    """Opens the page in a form; closed at the end of a test."""
    made: list[Opened] = []

    def open_page(scheme: str = "light", size: dict[str, int] = WIDE, **options: Any) -> Opened:
        made.append(Opened(browser, options.pop("file", page_file), scheme, size, **options))
        return made[-1]

    yield open_page
    for one in made:
        one.tab.context.close()


@pytest.mark.parametrize(("scheme", "size"), FORMS)
def test_a_page_is_quiet_alone_within_its_width_and_accessible(
    opened: Any, scheme: str, size: dict[str, int]
) -> None:
    page = opened(scheme, size)
    assert page.said == []
    assert [url for url in page.asked if not url.startswith(("file:", "data:"))] == []
    assert page.tab.evaluate("document.documentElement.scrollWidth") <= size["width"]
    ground = page.tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    assert violations(page.tab) == []


def violations(tab: Any) -> list[str]:
    """What axe-core objects to, with details opened."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    tab.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    found = axe.Axe().run(tab).response
    assert len(found["passes"]) > 20  # else it did not look
    return [f"{v['id']}: {node['html'][:120]}" for v in found["violations"] for node in v["nodes"]]


def test_axe_is_heard(opened: Any) -> None:
    page = opened()
    page.tab.evaluate("document.querySelector('[role=img]').removeAttribute('aria-label')")
    page.tab.evaluate("document.querySelector('.note').style.color = '#bbb'")
    assert {told.partition(":")[0] for told in violations(page.tab)} == {"svg-img-alt", "color-contrast"}


def test_finding_table_and_picture_are_on_the_first_screen(opened: Any) -> None:
    page = opened()
    for part in (".headline strong", ".lead table tbody tr:last-child", ".lead figure svg"):
        box = page.tab.locator(part).first.bounding_box()
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= WIDE["height"]
        assert box["x"] + box["width"] <= WIDE["width"]


def test_points_of_a_column_stand_below_each_other(opened: Any) -> None:
    page = opened()
    places = page.tab.evaluate(
        "[...document.querySelectorAll('.lead tbody tr')].map(tr => [...tr.querySelectorAll('.whole')]"
        ".map(one => one.getBoundingClientRect().right))"
    )
    assert len(places) == 2
    assert len(places[0]) == 4
    for one, other in zip(*places, strict=True):
        assert one == pytest.approx(other, abs=0.5)


def test_the_keyboard_reaches_the_results_and_what_scrolls(opened: Any) -> None:
    page = opened("light", NARROW)
    page.tab.keyboard.press("Tab")
    assert page.tab.evaluate("document.activeElement.textContent") == "Skip to the results"
    assert page.tab.locator(".skip").bounding_box()["x"] >= 0
    page.tab.keyboard.press("Enter")
    assert page.tab.evaluate("document.activeElement.id") == "results"
    page.tab.locator(".lead .scroll").focus()
    before = page.tab.evaluate("document.activeElement.scrollLeft")
    page.tab.keyboard.press("ArrowRight")
    page.tab.wait_for_timeout(300)
    assert (before, page.tab.evaluate("document.activeElement.scrollLeft") > 0) == (0, True)


def test_a_point_tells_model_setting_and_seed(opened: Any) -> None:
    page = opened()
    points = page.tab.locator("#chart-models-0 path[aria-roledescription='point']")
    assert points.count() == 6
    points.first.hover()
    told = page.tab.locator("#vg-tooltip-element")
    told.wait_for(state="visible")
    text = told.inner_text()
    for said in ("model", "P", "setting", "ε = 0.1", "seed", "0"):
        assert said in text


def test_without_scripts_all_but_the_views_is_there(opened: Any) -> None:
    page = opened(scripts=False)
    assert page.tab.locator(".headline strong").is_visible()
    assert page.tab.locator("figure svg[role=img]").count() == 4
    assert page.tab.locator("figure.chart:visible").count() == 0


def test_what_a_page_would_load_is_refused(opened: Any, page_file: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.html"
    text = page_file.read_text(encoding="utf-8")
    broken.write_text(
        text.replace("</main>", '<img alt="" src="https://example.org/a.png"></main>'), encoding="utf-8"
    )
    page = opened(file=broken)
    assert any("Content Security Policy" in told for told in page.said)


def test_print_opens_what_is_folded_and_leaves_out_what_cannot_be_clicked(opened: Any) -> None:
    page = opened()
    page.tab.emulate_media(media="print")
    assert page.tab.locator("#legend dl").is_visible()
    assert not page.tab.locator("nav").is_visible()
    assert page.tab.locator("figure.chart:visible").count() == 0
