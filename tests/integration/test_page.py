"""The page in a real browser: offline, drawn, sortable, and deaf to markup in names."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import factory
import pytest
from conftest import require

from mbench import report
from mbench.records import Record

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    require(BROWSER, "no chromium on the path; install it to test the page")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        require(False, "playwright is not installed: pip install 'mobilenet-bench[test]'")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=BROWSER, args=ARGUMENTS, headless=True)
        yield started
        started.close()


class Visit:
    """A page as opened, with all that it said, asked for and popped up."""

    def __init__(self, browser: Any, file: Path, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.tab = self.context.new_page()
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.dialogs: list[str] = []
        self.tab.on("console", lambda message: self.errors.append(f"{message.type}: {message.text}"))
        self.tab.on("pageerror", lambda error: self.errors.append(str(error)))
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.tab.on("dialog", self._dialog)
        self.tab.goto(file.as_uri(), wait_until="load")
        self.tab.wait_for_timeout(200)

    def _dialog(self, dialog: Any) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def outside(self, file: Path) -> list[str]:
        return [url for url in self.requests if url != file.as_uri() and not url.startswith(("data:", "blob:"))]


Visitor = Callable[..., Visit]


@pytest.fixture
def visit(browser: Any, tmp_path: Path) -> Iterator[Visitor]:
    opened: list[Visit] = []

    def open_page(record: Record | str, **options: Any) -> Visit:
        file = tmp_path / f"{len(opened)}.html"
        file.write_text(record if isinstance(record, str) else report.render([record]), encoding="utf-8")
        opened.append(Visit(browser, file, **options))
        return opened[-1]

    yield open_page
    for item in opened:
        item.context.close()


def column(visited: Visit, number: int) -> list[str]:
    cells = visited.tab.locator("table.layers").first.locator(f"tbody tr > :nth-child({number})")
    return cells.all_text_contents()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_draws_offline_in_both_schemes(visit: Visitor, tmp_path: Path, scheme: str) -> None:
    page = visit(factory.record(), color_scheme=scheme, offline=True)
    assert page.errors == []
    assert page.outside(tmp_path / "0.html") == []
    assert page.tab.locator(".js-plotly-plot svg.main-svg").count() >= 3
    assert page.tab.locator(".js-plotly-plot").count() == 3
    assert page.tab.locator(".js-plotly-plot").nth(1).locator(".point path").count() == 29
    ink, paper = (page.tab.evaluate(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor"))
    label = page.tab.locator(".js-plotly-plot .xtick text").first
    assert label.evaluate("node => getComputedStyle(node).fill") == ink
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")


def test_the_figures_follow_a_change_of_scheme(visit: Visitor) -> None:
    page = visit(factory.record(), color_scheme="light")
    label = page.tab.locator(".js-plotly-plot .xtick text").first
    before = label.evaluate("node => getComputedStyle(node).fill")
    page.tab.emulate_media(color_scheme="dark")
    page.tab.wait_for_timeout(300)
    after = page.tab.locator(".js-plotly-plot .xtick text").first.evaluate("node => getComputedStyle(node).fill")
    assert after == page.tab.evaluate("getComputedStyle(document.body).color")
    assert after != before


def test_a_request_would_be_seen_and_refused(visit: Visitor, tmp_path: Path) -> None:
    """Control: the checks above can fail."""
    html = report.render([factory.record(latency=False)])
    html = html.replace("<main>", '<main><img src="https://example.invalid/x.png"><script>alert(1)</script>')
    page = visit(html)
    assert any("Content Security Policy" in error for error in page.errors)
    assert page.dialogs == []
    unguarded = visit(html.replace("Content-Security-Policy", "x"))
    assert unguarded.dialogs == ["1"]
    assert unguarded.outside(tmp_path / "1.html") != []


def test_sorts_by_click_and_by_keyboard(visit: Visitor) -> None:
    record = factory.record()
    page = visit(record)
    by_index = sorted(record.results[0].layers, key=lambda layer: layer.macs)
    head = page.tab.locator("table.layers").first.locator("thead th", has_text="multiply-adds")
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert column(page, 2)[0] == "pool"
    head.locator("button").focus()
    page.tab.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert column(page, 2)[-1] == "pool"
    macs = {layer.name: layer.macs for layer in by_index}
    order = [macs[name] for name in column(page, 2)]
    assert order == sorted(order, reverse=True)
    assert page.tab.locator("table.layers").first.locator('th[aria-sort="descending"]').count() == 1


def test_missing_values_sort_last_both_ways(visit: Visitor) -> None:
    import msgspec

    record = factory.record(factory.PAIR[:1])
    [result] = record.results
    layers = (msgspec.structs.replace(result.layers[0], latency_s=None), *result.layers[1:])
    record = msgspec.structs.replace(record, results=(msgspec.structs.replace(result, layers=layers),))
    page = visit(record)
    button = page.tab.locator("table.layers thead th", has_text="latency").locator("button")
    for _ in range(2):
        button.click()
        assert column(page, 2)[-1] == "conv0"


def test_hostile_names_are_shown_and_do_nothing(visit: Visitor, tmp_path: Path) -> None:
    page = visit(factory.hostile(factory.record()))
    page.tab.locator(".js-plotly-plot").first.hover()
    page.tab.wait_for_timeout(300)
    assert (page.dialogs, page.errors, page.outside(tmp_path / "0.html")) == ([], [], [])
    assert page.tab.locator("img, [onerror]").count() == 0
    text = page.tab.locator("body").inner_text()
    for name in (
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(2)>',
        "</script>",
        "{{7*7}}",
        "[bold]x[/bold]",
    ):
        assert name in text
    ticks = page.tab.locator(".js-plotly-plot").nth(1).locator(".xtick text").all_text_contents()
    assert ticks[0] == "conv0<script>alert(1)</script>"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_emulated_run_draws_instructions(visit: Visitor, scheme: str) -> None:
    page = visit(factory.emulated(), color_scheme=scheme, offline=True)
    assert page.errors == []
    assert page.tab.locator(".js-plotly-plot").count() == 3
    assert page.tab.locator(".js-plotly-plot").nth(1).locator(".point path").count() == 29
    assert page.tab.locator(".js-plotly-plot").nth(1).locator(".ytitle").text_content() == "instructions"
    head = page.tab.locator("table.layers").first.locator("thead th", has_text="instructions")
    head.locator("button").click()
    assert column(page, 2)[0] == "pool"


@pytest.mark.parametrize(
    "record",
    [
        factory.record(),
        factory.hostile(factory.record()),
        factory.record(latency=False),
        factory.emulated(),
        factory.counted(factory.on_board(factory.record())),
    ],
)
def test_a_phone_does_not_scroll_sideways(visit: Visitor, record: Record) -> None:
    page = visit(record, viewport={"width": 360, "height": 740})
    assert page.tab.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.tab.evaluate("document.querySelector('table.layers').scrollWidth") > 360  # it scrolls in its own frame


def test_without_scripts_the_tables_and_text_stay(visit: Visitor) -> None:
    page = visit(factory.record(), java_script_enabled=False)
    assert page.tab.locator("table.layers").first.locator("tbody tr").count() == 29
    assert "The figure needs scripts" in page.tab.locator("figure").first.inner_text()
    assert "8.6" in page.tab.locator("h1").inner_text()


def test_without_latency_there_is_no_empty_figure(visit: Visitor) -> None:
    page = visit(factory.record(latency=False))
    assert page.errors == []
    assert page.tab.locator(".plot").count() == 0
    assert factory.NO_LATENCY in page.tab.locator("figure").first.inner_text()
    head = page.tab.locator("table.layers").first.locator("thead th", has_text="multiply-adds")
    head.locator("button").click()
    assert column(page, 2)[0] == "pool"


def test_require_fails_where_everything_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "MBENCH_REQUIRE_ALL", "1")
    with pytest.raises(pytest.fail.Exception, match="nothing here"):
        require(False, "nothing here")
    monkeypatch.delitem(os.environ, "MBENCH_REQUIRE_ALL")
    with pytest.raises(pytest.skip.Exception):
        require(False, "nothing here")
    require(True, "unused")
