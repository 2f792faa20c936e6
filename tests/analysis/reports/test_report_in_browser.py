"""The report as people see it in Chromium: contrast, keyboard, narrow windows, print, and no script of a tenant."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from iam_guard.analysis.reports.access_report import AccessReport, report_html
from tests.analysis.reports.sample_findings import COMPANY, EMPTY, hostile
from tests.console.browser.chromium import PATIENCE, accessibility_violations, launched, open_tab
from tests.console.browser.test_pages import FOCUSED, OVERFLOWING, SCHEMES
from tests.tables import table

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FOCUSABLE = "a[href], summary, [tabindex='0']"
OUTSIDE_THEIR_BOX = """groups => groups.flatMap(group => {
    const box = group.querySelector("rect").getBBox();
    return [...group.querySelectorAll("text")].filter(text => {
        const drawn = text.getBBox(), right = drawn.x + drawn.width, bottom = drawn.y + drawn.height;
        return right > box.x + box.width || drawn.y < box.y || bottom > box.y + box.height;
    }).map(text => text.textContent);
})"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@contextmanager
def opened(chromium: Browser, report: AccessReport, folder: Path, **options: Any) -> Iterator[Page]:
    """Open a report as a file; fail if Chromium complains or shows a dialog."""
    file = folder / "report.html"
    file.write_text(report_html(report), encoding="utf-8")
    complaints: list[str] = []
    context = chromium.new_context(**options)
    context.set_default_timeout(PATIENCE)
    page = open_tab(context, complaints)
    page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
    page.goto(file.as_uri())
    yield page
    page.evaluate("null")  # so that all complaints have arrived
    context.close()
    assert complaints == []


@table(
    "report",
    [pytest.param(COMPANY, id="company"), pytest.param(EMPTY, id="empty"), pytest.param(hostile(), id="hostile")],
)
def test_report_is_accessible(chromium: Browser, tmp_path: Path, report: AccessReport) -> None:
    with opened(chromium, report, tmp_path) as page:
        for scheme, width in (*SCHEMES, ("light", 320)):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 800})
            assert accessibility_violations(page) == [], (scheme, width)
            assert page.locator("html, body, main, section").evaluate_all(OVERFLOWING) == [], (scheme, width)


def test_closed_tables_open_by_keyboard_and_every_stop_is_seen(chromium: Browser, tmp_path: Path) -> None:
    with opened(chromium, COMPANY, tmp_path, viewport={"width": 320, "height": 480}, reduced_motion="reduce") as page:
        keyboard = page.keyboard
        closed = page.locator("section > details:not([open])")
        assert closed.count() == 1
        closed.locator("> summary").focus()
        keyboard.press("Enter")
        assert closed.count() == 0
        page.reload()
        stops = page.locator(FOCUSABLE).filter(visible=True).evaluate_all("all => all.map(e => e.outerHTML)")
        walk = []
        for _ in stops:
            keyboard.press("Tab")
            walk.append(page.evaluate(FOCUSED))
        assert [step["element"] for step in walk] == stops
        assert [step for step in walk if not step["outlined"] or not step["visible"]] == []


def test_skip_link_and_cards_lead_to_their_sections(chromium: Browser, tmp_path: Path) -> None:
    with opened(chromium, COMPANY, tmp_path, reduced_motion="reduce") as page:
        for name, anchor in (("Skip to the findings", "findings"), ("Escalation", "escalation")):
            page.get_by_role("link", name=name).focus()
            page.keyboard.press("Enter")
            assert page.url.endswith(f"#{anchor}")
            assert page.locator(f"#{anchor}").evaluate("e => e.getBoundingClientRect().top < innerHeight")


def test_screen_readers_get_names_of_figures_tables_and_regions(chromium: Browser, tmp_path: Path) -> None:
    with opened(chromium, COMPANY, tmp_path) as page:
        assert page.get_by_role("img", name="Map of external access").count() == 1
        assert page.get_by_role("img", name="Graph of escalation").count() == 1
        assert page.get_by_role("region", name="Heat map of unused access").get_by_role("table").count() == 1
        for name in ("External access", "Unused access", "Escalation"):
            assert page.get_by_role("region", name=name, exact=True).get_by_role("heading", name=name).count() == 1
        heat = page.get_by_role("region", name="Heat map of unused access")
        assert heat.get_by_role("columnheader", name="Password").count() == 1
        assert heat.get_by_role("rowheader", name="user/staff/jonas").count() == 1


def test_shades_of_the_heat_map_differ_without_colour(chromium: Browser, tmp_path: Path) -> None:
    """Their edges have four styles, in forced colours, too."""
    style = "all => all.map(cell => getComputedStyle(cell).borderInlineStartStyle)"
    with opened(chromium, COMPANY, tmp_path) as page:
        for forced in ("none", "active"):
            page.emulate_media(forced_colors=forced)  # type: ignore[arg-type]
            for kind in ("td", "span"):  # the cells, and the legend
                found = [page.locator(f"{kind}.level-{level}").evaluate_all(style) for level in (1, 2, 3, 4)]
                assert [set(styles) for styles in found] == [{"dotted"}, {"dashed"}, {"double"}, {"solid"}], (
                    forced,
                    kind,
                )


@table("report", [pytest.param(COMPANY, id="company"), pytest.param(hostile(), id="hostile")])
def test_texts_stay_in_their_boxes(chromium: Browser, tmp_path: Path, report: AccessReport) -> None:
    with opened(chromium, report, tmp_path) as page:
        assert page.locator("svg g.node").count() > 10
        assert page.locator("svg g.node").evaluate_all(OUTSIDE_THEIR_BOX) == []


def test_hostile_texts_run_no_script(chromium: Browser, tmp_path: Path) -> None:
    with opened(chromium, hostile(), tmp_path) as page:
        assert page.title().startswith("Access report: <script>")
        assert page.locator("script, img, iframe, h1:has-text('injected')").count() == 0
        assert page.locator("[onerror], [onload], [onmouseover]").count() == 0


def test_print_is_light_and_fits_the_paper(chromium: Browser, tmp_path: Path) -> None:
    with opened(chromium, COMPANY, tmp_path, color_scheme="dark", viewport={"width": 1032, "height": 700}) as page:
        dark = page.locator("body").evaluate("body => getComputedStyle(body).color")
        page.emulate_media(media="print", color_scheme="dark")
        assert page.locator("body").evaluate("body => getComputedStyle(body).color") == "rgb(27, 31, 36)" != dark
        assert page.locator("html, .scroll").evaluate_all(OVERFLOWING) == []
