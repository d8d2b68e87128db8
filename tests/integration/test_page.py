"""The page in a real browser: offline, drawn, sortable, and deaf to markup in names."""

from __future__ import annotations

import gzip
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import quantized_records as quantized
import record_factory as factory
from conftest import require

from mbench.core import record_files
from mbench.core.records import Record
from mbench.page import report, single_file

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


PAGES: dict[bytes, str] = {}


def rendered(record: Record) -> str:
    """Return the page of a record, made once: it takes longer than most tests."""
    key = record_files.encode(record)
    if key not in PAGES:
        PAGES[key] = report.render([record])
    return PAGES[key]


@pytest.fixture
def visit(browser: Any, tmp_path: Path) -> Iterator[Visitor]:
    opened: list[Visit] = []

    def open_page(record: Record | str, **options: Any) -> Visit:
        file = tmp_path / f"{len(opened)}.html"
        file.write_text(record if isinstance(record, str) else rendered(record), encoding="utf-8")
        opened.append(Visit(browser, file, **options))
        return opened[-1]

    yield open_page
    for item in opened:
        item.context.close()


ANCHORS = (
    "run1-pair1-waterfall", "run1-pair1-blocks", "run1-depth1", "run1-roofline1", "run1-memory1", "run1-energy1",
)  # fmt: skip


def plot(visited: Visit, anchor: str) -> Any:
    """Return a figure, drawn: figures wait until they are near the view."""
    found = visited.tab.locator(f"#{anchor}")
    found.scroll_into_view_if_needed()
    found.locator("svg.main-svg").first.wait_for(timeout=60_000)
    return found


def column(visited: Visit, number: int) -> list[str]:
    cells = visited.tab.locator("table.layers").first.locator(f"tbody tr > :nth-child({number})")
    texts: list[str] = cells.all_text_contents()
    return texts


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_draws_offline_in_both_schemes(visit: Visitor, tmp_path: Path, scheme: str) -> None:
    page = visit(factory.record(), color_scheme=scheme, offline=True)
    assert page.errors == []
    assert page.outside(tmp_path / "0.html") == []
    for anchor in ANCHORS:
        assert plot(page, anchor).locator("svg.main-svg").count() >= 1, anchor
    assert plot(page, "run1-depth1").locator(".point path").count() == 29
    ink, paper = (page.tab.evaluate(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor"))
    label = plot(page, "run1-depth1").locator(".xtick text").first
    assert label.evaluate("node => getComputedStyle(node).fill") == ink
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")


def test_the_figures_follow_a_change_of_scheme(visit: Visitor) -> None:
    page = visit(factory.record(), color_scheme="light")
    label = plot(page, "run1-depth1").locator(".xtick text").first
    before = label.evaluate("node => getComputedStyle(node).fill")
    page.tab.emulate_media(color_scheme="dark")
    page.tab.wait_for_timeout(300)
    after = plot(page, "run1-depth1").locator(".xtick text").first.evaluate("node => getComputedStyle(node).fill")
    assert after == page.tab.evaluate("getComputedStyle(document.body).color")
    assert after != before


def test_a_request_would_be_seen_and_refused(visit: Visitor, tmp_path: Path) -> None:
    """Control: the checks above can fail."""
    html = report.render([factory.record(latency=False)])
    html = html.replace(
        '<main id="content">', '<main><img src="https://example.invalid/x.png"><script>alert(1)</script>'
    )
    page = visit(html)
    assert any("Content Security Policy" in error for error in page.errors)
    assert page.dialogs == []
    unguarded = visit(html.replace("Content-Security-Policy", "x"))
    assert unguarded.dialogs == ["1"]
    assert unguarded.outside(tmp_path / "1.html") != []


def test_nothing_moves_when_a_figure_is_drawn(visit: Visitor) -> None:
    page = visit(factory.record())
    height = "element => element.getBoundingClientRect().height"
    kept = [page.tab.locator(f"#{anchor}").evaluate(height) for anchor in ANCHORS]
    assert [plot(page, anchor).evaluate(height) for anchor in ANCHORS] == kept
    assert len(set(kept)) > 1


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
    plot(page, "run1-depth1").hover()
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
    ticks = plot(page, "run1-depth1").locator(".xtick text").all_text_contents()
    assert ticks[0] == "conv0<script>alert(1)</script>"


def test_both_types_draw_their_waterfall_first(visit: Visitor) -> None:
    page = visit(quantized.both(), offline=True)
    seen = "[...document.querySelectorAll('.plot')].find((plot) => plot.getClientRects().length).id"
    assert page.tab.evaluate(seen) == "run1-types1-waterfall"
    for anchor in ("run1-types1-waterfall", "run1-types1-layers", "run1-signals2"):
        assert plot(page, anchor).locator("svg.main-svg").count() >= 1, anchor


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_emulated_run_draws_instructions(visit: Visitor, scheme: str) -> None:
    page = visit(factory.emulated(), color_scheme=scheme, offline=True)
    assert page.errors == []
    depth = plot(page, "run1-depth1")
    assert depth.locator(".point path").count() == 29
    assert depth.locator(".ytitle").text_content() == "instructions"
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
        factory.in_sessions(factory.record(), disturbed=(1,)),
        factory.in_sessions(factory.record(("mobilenet_v1_1.0_224_b8",)), disturbed=range(5)),
        quantized.evaluated(quantized.both(left_float=("block2.pw",))),
    ],
)
def test_a_phone_does_not_scroll_sideways(visit: Visitor, record: Record) -> None:
    page = visit(record, viewport={"width": 360, "height": 740})
    assert page.tab.evaluate("document.documentElement.scrollWidth") <= 360
    assert (
        page.tab.evaluate("document.querySelector('.panel.current table.layers').scrollWidth") > 360
    )  # it scrolls in its own frame


@pytest.mark.parametrize("scripts", [True, False])
def test_a_drawn_network_scrolls_in_its_own_frame_and_leads_to_its_layers(visit: Visitor, scripts: bool) -> None:
    page = visit(
        factory.record(("mobilenet_v2_1.0_224",)), viewport={"width": 360, "height": 740}, java_script_enabled=scripts
    )
    if scripts:
        page.tab.locator(".panel.current .tabs button", has_text="Block by block").click()
    drawn = page.tab.locator("svg.network")
    assert drawn.evaluate("drawn => drawn.parentElement.scrollWidth") > 360
    assert page.tab.evaluate("document.documentElement.scrollWidth") <= 360
    drawn.locator("a").nth(20).click()
    view = page.tab.locator(".layer-view:target")
    assert view.is_visible()
    assert drawn.locator("a").nth(20).get_attribute("href") == f"#{view.get_attribute('id')}"
    assert page.errors == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_in_a_drawn_network_can_be_read_in_every_box(visit: Visitor, scheme: str) -> None:
    """Oracle: WCAG 2.1, 1.4.3: the luminance of text and of what is behind it differ by a factor of 4.5."""
    page = visit(factory.record(("mobilenet_v2_1.0_224",)), color_scheme=scheme)
    colours = page.tab.evaluate(
        r"""() => {
          const of = (element, name) => getComputedStyle(element)[name].match(/[\d.]+/g).map(Number);
          const drawn = document.querySelector("svg.network");
          const [paper, bar] = [of(drawn.querySelector(".block"), "fill"), of(drawn.querySelector(".bar"), "fill")];
          const shade = of(drawn.querySelector(".shade"), "fill");
          const shades = [...drawn.querySelectorAll(".shade")].map((each) => each.getAttribute("fill-opacity"));
          const most = Math.max(...shades);
          const head = paper.map((value, at) => value + most * (shade[at] - value));
          return { ink: of(drawn.querySelector("text"), "fill"), behind: [paper, bar, head] };
        }"""
    )
    ratios = [contrast(colours["ink"], behind) for behind in colours["behind"]]
    assert min(ratios) >= 4.5
    assert contrast([0, 0, 0], [255, 255, 255]) == pytest.approx(21)  # as the standard has it
    assert contrast([119, 119, 119], [255, 255, 255]) < 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_boxes_of_sessions_can_be_seen(visit: Visitor, scheme: str) -> None:
    """Oracle: WCAG 2.1, 1.4.11: what is drawn differs from what is behind it by a factor of 3 in luminance."""
    page = visit(factory.in_sessions(factory.record(), disturbed=(1,)), color_scheme=scheme)
    colours = page.tab.evaluate(
        r"""() => {
          const of = (element, name) => getComputedStyle(element)[name].match(/[\d.]+/g).map(Number);
          const chart = document.querySelector(".session-chart");
          return {
            paper: of(document.body, "backgroundColor"),
            ink: [...chart.querySelectorAll("text")].map((each) => of(each, "fill")),
            boxes: [...chart.querySelectorAll("rect[stroke]")].map((each) => of(each, "stroke")),
          };
        }"""
    )
    assert len(colours["boxes"]) == 5
    assert min(contrast(box, colours["paper"]) for box in colours["boxes"]) >= 3
    assert min(contrast(ink, colours["paper"]) for ink in colours["ink"]) >= 4.5


def test_the_word_disturbed_leads_to_what_disturbed_it(visit: Visitor) -> None:
    page = visit(factory.in_sessions(factory.record(), disturbed=range(5)), java_script_enabled=False)
    assert page.tab.locator("h1").inner_text().count("disturbed") == 2
    page.tab.locator(".panel-name a.disturbed").first.click()
    assert page.tab.url.endswith("#run1-disturbed")
    banner = page.tab.locator("#run1-disturbed")
    assert factory.BUSY in banner.inner_text()
    assert banner.evaluate("shown => shown.getBoundingClientRect().top") >= 0
    assert page.tab.locator(".session-chart").count() == 2  # they need no scripts


def test_a_disturbed_page_draws_what_is_no_time(visit: Visitor) -> None:
    page = visit(factory.in_sessions(factory.record(), disturbed=range(5)))
    assert page.errors == []
    assert plot(page, "run1-depth1").locator(".ytitle").text_content() == "median latency, disturbed"
    for anchor in ("run1-memory1", "run1-energy1"):
        assert plot(page, anchor).locator(".point path").count() > 0, anchor
    assert page.tab.locator("#run1-roofline1, #run1-pair1-waterfall, #run1-pair1-blocks").count() == 0


def test_one_of_a_pair_disturbed_keeps_the_others_place_under_the_roofline(visit: Visitor) -> None:
    page = visit(factory.in_sessions(factory.record(), disturbed=range(5), only=factory.PAIR[1:]))
    page.tab.evaluate("location.hash = '#layer=mobilenet_v1_1.0_224/block3.pw'")
    view = page.tab.locator(".layer-view:visible")
    view.locator(".plot svg.main-svg").first.wait_for(timeout=60_000)
    assert view.locator(".plot").count() == 2
    page.tab.evaluate("location.hash = '#layer=mobilenet_v1_1.0_224_standard/block3.conv'")
    page.tab.locator(".layer-view:visible h4", has_text="block3.conv").wait_for(timeout=60_000)
    assert page.tab.locator(".layer-view:visible .plot").count() == 1
    assert page.errors == []


def contrast(one: list[float], other: list[float]) -> float:
    """Return the contrast of two colours, each red, green, blue from 0 to 255."""
    first, second = (
        sum(
            weight * (share / 12.92 if share <= 0.03928 else ((share + 0.055) / 1.055) ** 2.4)
            for weight, share in zip((0.2126, 0.7152, 0.0722), (value / 255 for value in colour[:3]), strict=True)
        )
        for colour in (one, other)
    )
    return (max(first, second) + 0.05) / (min(first, second) + 0.05)


def test_without_scripts_the_tables_and_text_stay(visit: Visitor) -> None:
    page = visit(factory.record(), java_script_enabled=False)
    assert page.tab.locator("table.layers").first.locator("tbody tr").count() == 29
    assert "The figure needs scripts" in page.tab.locator("figure").first.inner_text()
    assert page.tab.locator(".filter").first.is_hidden()
    page.tab.locator("table.layers tbody th a", has_text="block3.pw").first.click()
    view = page.tab.locator(".layer-view:target")
    assert "fused_pointwise_conv2d6_add_relu" in view.inner_text()
    assert view.locator(".samples").text_content().count("µs") == 20
    with page.tab.expect_download() as download:
        page.tab.locator("a.download").first.click()
    assert gzip.decompress(Path(download.value.path()).read_bytes()) == record_files.encode(factory.record())
    assert "8.6" in page.tab.locator("h1").inner_text()


def test_without_latency_there_is_no_empty_figure(visit: Visitor) -> None:
    page = visit(factory.record(latency=False))
    assert page.errors == []
    assert "No figure" in page.tab.locator("figure").first.inner_text()
    assert (
        f"No figure of latency: {factory.NO_LATENCY}"
        in page.tab.locator("[id$='section=layers'] figure:has(.plot)").first.inner_text()
    )
    for anchor in page.tab.locator(".panel.current .plot:not(.small)").evaluate_all(
        "plots => plots.map(plot => plot.id)"
    ):
        assert plot(page, anchor).locator(".point path").count() > 0, anchor
    assert plot(page, "run1-depth1").locator(".ytitle").text_content() == "multiply-adds"
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


def test_filters_rows_and_says_how_many(visit: Visitor) -> None:
    page = visit(factory.record())
    box = page.tab.locator(".panel.current .table-box").first
    box.locator(".filter").fill("depthwise block1")
    shown = box.locator("tbody tr:visible > :nth-child(2)").all_text_contents()
    assert shown == ["block1.dw", "block10.dw", "block11.dw", "block12.dw", "block13.dw"]
    assert box.locator(".found").inner_text() == "5 of 29"
    box.locator(".filter").fill("")
    assert box.locator("tbody tr:visible").count() == 29
    few = box.locator("thead th:visible").count()
    box.locator(".all").check()
    assert box.locator("thead th:visible").count() == box.locator("thead th").count() > few


def test_a_figure_switches_what_it_shows(visit: Visitor) -> None:
    page = visit(factory.record())
    depth = plot(page, "run1-depth1")
    button = page.tab.locator(".switch button[data-plot=run1-depth1]", has_text="multiply-adds")
    button.focus()
    page.tab.keyboard.press("Enter")
    assert depth.locator(".ytitle").text_content() == "multiply-adds"
    pressed = page.tab.locator(".switch button[data-plot=run1-depth1][aria-pressed=true]")
    assert pressed.all_text_contents() == ["multiply-adds"]


def test_a_layer_has_a_link_and_a_view_of_its_own(visit: Visitor) -> None:
    page = visit(factory.record())
    page.tab.locator("table.layers tbody th a", has_text="block3.pw").first.click()
    assert page.tab.url.endswith("#layer=mobilenet_v1_1.0_224/block3.pw")
    view = page.tab.locator(".layer-view:visible")
    assert view.count() == 1
    for words in ("block3.pw", "fused_pointwise_conv2d6_add_relu", "x86.pointwise_conv2d", "51,380,224 multiply-adds"):
        assert words in view.inner_text()
    assert "mbench run mobilenet_v1_1.0_224 --target host --threads 2" in " ".join(view.inner_text().split())
    samples = view.locator(".plot").first
    samples.locator("svg.main-svg").first.wait_for(timeout=60_000)
    assert samples.locator(".scatterlayer .point").count() == 20
    view.locator("a[rel=next]").click()
    assert "block4.dw" in page.tab.locator(".layer-view:visible h4").inner_text()


def test_a_bar_leads_to_its_layer(visit: Visitor) -> None:
    page = visit(factory.record())
    bar = plot(page, "run1-depth1").locator(".trace.bars .point path").first
    bar.hover(force=True)
    box = bar.bounding_box()
    page.tab.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.tab.wait_for_url("**/*#layer=mobilenet_v1_1.0_224/conv0", timeout=60_000)


def test_a_link_to_a_layer_opens_it_in_whatever_run(visit: Visitor) -> None:
    page = visit(report.render([factory.record(run_id="a"), factory.record(run_id="b")]))
    page.tab.evaluate("location.hash = '#layer=b/mobilenet_v1_1.0_224_standard/block3.conv'")
    page.tab.locator(".layer-view:visible").wait_for(timeout=60_000)
    assert page.tab.locator(".layer-view:visible h4").inner_text().startswith("block3.conv")
    assert page.errors == []


def test_raw_data_comes_out_of_the_page(visit: Visitor) -> None:
    record = factory.record()
    page = visit(record)
    with page.tab.expect_download() as download:
        page.tab.locator("a.download[data-kind='application/json']").first.click()
    assert download.value.suggested_filename == f"{record.run_id}.json"
    assert Path(download.value.path()).read_bytes() == record_files.encode(record)
    with page.tab.expect_download() as download:
        page.tab.locator("footer a.download[data-kind='text/csv']").click()
    lines = Path(download.value.path()).read_text().splitlines()
    assert len(lines) == 1 + 2 + sum(len(result.layers) for result in record.results)
    assert lines[0].startswith("run_id,created_at_utc")
    assert page.errors == []


def findings(visited: Visit, *rules: str) -> list[str]:
    """Return what axe-core finds serious or worse, by all of its rules or by some."""
    from axe_playwright_python.sync_playwright import Axe

    options = {"runOnly": list(rules)} if rules else {}
    found = Axe().run(visited.tab, options={"resultTypes": ["violations"], **options}).response["violations"]
    return [
        f"{item['id']}: {node['html'][:120]}"
        for item in found
        if item["impact"] in ("serious", "critical")
        for node in item["nodes"]
    ]


@pytest.mark.parametrize(("scheme", "rules"), [("light", ()), ("dark", ("color-contrast",))])
def test_nothing_serious_for_those_who_see_or_move_otherwise(
    visit: Visitor, scheme: str, rules: tuple[str, ...]
) -> None:
    emulated = msgspec.structs.replace(factory.emulated(factory.PAIR[:1]), run_id="emulated")
    quiet = factory.in_sessions(factory.record(run_id="quiet"), disturbed=(1,))
    disturbed = factory.in_sessions(factory.record(run_id="disturbed"), disturbed=range(5))
    types = msgspec.structs.replace(quantized.evaluated(quantized.both(left_float=("conv0",))), run_id="types")
    records = [factory.record(failed=("mobilenet_v1_0.5_128",)), emulated, quiet, disturbed, types]
    page = visit(report.render(records), color_scheme=scheme)
    page.tab.evaluate("document.querySelectorAll('details').forEach(fold => { fold.open = true; })")
    page.tab.evaluate("location.hash = document.querySelector('table.layers tbody th a').hash")
    page.tab.evaluate("document.querySelectorAll('.panel, .run, .tab').forEach(part => part.classList.add('current'))")
    page.tab.locator(".layer-view:visible").wait_for(timeout=60_000)
    assert findings(page, *rules) == []


def test_the_check_of_access_can_fail(visit: Visitor) -> None:
    html = report.render([factory.record((), failed=("mobilenet_v1_0.5_128",))])
    page = visit(html.replace("--ink: #1b1f24", "--ink: #d0d0d0"), color_scheme="light")
    assert any(found.startswith("color-contrast") for found in findings(page, "color-contrast"))


def test_it_prints(visit: Visitor) -> None:
    page = visit(factory.record())
    assert page.tab.pdf(format="A4", prefer_css_page_size=True).startswith(b"%PDF")
    assert page.errors == []


def test_a_shared_copy_of_plotly_beside_the_page(browser: Any, tmp_path: Path) -> None:
    file = tmp_path / "shared.html"
    report.write(file, [factory.record()], plotlyjs="directory")
    assert file.stat().st_size < 1_500_000
    page = Visit(browser, file)
    assert page.errors == []
    assert [Path(url).name for url in page.outside(file)] == [single_file.plotly_file()]
    assert plot(page, "run1-depth1").locator(".point path").count() == 29
    page.context.close()


# ------------------------------------------------------------------------------------------------- one of many networks
GRID = tuple(f"mobilenet_v1_{width}_{side}" for width in ("0.25", "0.5") for side in (128, 160))
FRAME = "() => [document.documentElement.scrollWidth, document.documentElement.scrollHeight]"


def many() -> Record:
    """Return a grid of networks in sessions, one of them disturbed."""
    return factory.in_sessions(factory.record(GRID, repeat=20, layer_repeat=3), disturbed=range(5), only=GRID[1:2])


def test_a_selector_shows_another_network_at_the_same_section(visit: Visitor) -> None:
    page = visit(many())
    panels = page.tab.locator(".panel:visible")
    assert panels.evaluate_all("found => found.map(panel => panel.dataset.name)") == [GRID[0]]
    page.tab.locator("#places a", has_text="Roofline").click()
    assert page.tab.url.endswith(f"#network={GRID[0]}&section=roofline")
    page.tab.locator(".choose[data-key=network]").select_option("MobileNetV1 0.5 160")
    assert panels.evaluate_all("found => found.map(panel => panel.dataset.name)") == [GRID[3]]
    assert page.tab.url.endswith(f"#network={GRID[3]}&section=roofline")
    top = page.tab.locator(f"[id='network={GRID[3]}&section=roofline']").evaluate(
        "part => part.getBoundingClientRect().top"
    )
    assert 0 <= top < 300
    page.tab.locator(".turn button").first.click()
    assert panels.evaluate_all("found => found.map(panel => panel.dataset.name)") == [GRID[2]]
    assert page.errors == []


@pytest.mark.parametrize("scripts", [True, False])
def test_an_address_leads_to_a_section_of_any_network(visit: Visitor, scripts: bool) -> None:
    page = visit(many(), java_script_enabled=scripts)
    page.tab.goto(f"{page.tab.url}#network={GRID[2]}&section=memory")
    place = page.tab.locator(f"[id='network={GRID[2]}&section=memory']")
    place.wait_for(state="visible")
    assert place.locator("h2").inner_text() == "Memory"
    assert page.tab.locator(".panel:visible").count() == (1 if scripts else len(GRID))


def test_the_contents_name_every_section_and_lead_to_it(visit: Visitor) -> None:
    page = visit(many())
    heads = page.tab.locator("section[id]:not(.panel):not(.layer-view):visible:has(> h2)")
    ids = set(heads.evaluate_all("found => found.map(part => part.id)"))
    links = page.tab.locator("#places a:visible").evaluate_all(
        "found => found.map(a => decodeURIComponent(a.hash.slice(1)))"
    )
    assert len(ids) > 8
    assert ids | {"content"} == set(links)


def test_a_row_of_the_table_leads_to_its_network_and_carries_its_doubts(visit: Visitor) -> None:
    page = visit(many())
    row = page.tab.locator("#overview tbody tr", has_text="MobileNetV1 0.25 160")
    assert row.locator(".doubt", has_text="disturbed").get_attribute("title") == factory.BUSY
    assert page.tab.locator("#overview .doubt").count() == 1
    row.locator("th a").click()
    assert page.tab.locator(".panel:visible").get_attribute("data-name") == GRID[1]
    page.tab.locator("#overview .filter").fill("0.5 ")
    assert page.tab.locator("#overview tbody tr:visible").count() == 2


def test_runs_and_targets_are_chosen_beside_the_network(visit: Visitor) -> None:
    first = factory.record(GRID[:2], run_id="a", repeat=20, layer_repeat=3)
    other = msgspec.structs.replace(factory.emulated(GRID[1:3]), run_id="b")
    page = visit(report.render([first, other]))
    shown = page.tab.locator(".panel:visible")
    place = page.tab.locator(".choose[data-key=place]")
    assert place.locator("option").count() == 2
    place.select_option(index=1)
    assert shown.get_attribute("data-run") == "b"
    page.tab.locator(".choose[data-key=network]").select_option("MobileNetV1 0.25 128")
    assert (shown.get_attribute("data-run"), shown.get_attribute("data-name")) == ("a", GRID[0])
    assert place.input_value() == shown.get_attribute("data-place")


@pytest.mark.parametrize(("width", "height", "most"), [(1280, 900, 6_000), (390, 844, 12_000)])
def test_sixteen_networks_fit_a_page_and_nothing_is_cut(visit: Visitor, width: int, height: int, most: int) -> None:
    """Of eight networks, each with its standard twin, whose page is higher than that of sixteen alone."""
    grid = tuple(f"mobilenet_v1_{each}_{side}" for each in (0.25, 0.5, 0.75, "1.0") for side in (128, 224))
    pairs = tuple(name for each in grid for name in (each, f"{each}_standard"))
    page = visit(
        factory.in_sessions(factory.record(pairs, repeat=20, layer_repeat=3)),
        viewport={"width": width, "height": height},
    )
    wide, high = page.tab.evaluate(FRAME)
    assert wide <= width
    assert high <= most
    steps = (
        plot(page, "run1-pair1-waterfall")
        .locator(".ytick text")
        .evaluate_all(
            "texts => texts.map((text) => text.getBoundingClientRect()).map((at) => [at.top, at.bottom, at.left])"
        )
    )
    assert len(steps) > 8
    assert all(below[0] >= above[1] - 1 for above, below in itertools.pairwise(sorted(steps)))
    assert min(left for _, _, left in steps) >= 0
    bar = page.tab.locator("#contents")
    assert bar.evaluate("bar => bar.scrollWidth <= bar.clientWidth + 1")
    page.tab.evaluate("scrollTo(0, 3000)")
    assert bar.evaluate("bar => bar.getBoundingClientRect().top") == 0
    if width < 600:
        assert bar.evaluate("bar => bar.getBoundingClientRect().height") < 60
        page.tab.locator(".unfold").click()
        assert page.tab.locator("#places a", has_text="Energy").is_visible()


@pytest.mark.parametrize("width", [390, 1280])
def test_names_of_points_do_not_lie_over_each_other(visit: Visitor, width: int) -> None:
    grid = tuple(f"mobilenet_v1_{each}_{side}" for each in (0.25, 0.5, 0.75, "1.0") for side in (128, 160, 192, 224))
    page = visit(factory.record(grid, repeat=10, layer_repeat=2), viewport={"width": width, "height": 844})
    plot(page, "accuracy")
    page.tab.wait_for_timeout(200)
    over = page.tab.evaluate(
        r"""() => {
          const texts = [...document.querySelectorAll("#accuracy .textpoint text")]
            .filter((text) => getComputedStyle(text).visibility === "visible")
            .map((text) => text.getBoundingClientRect());
          const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
          return [texts.length, texts.filter((a, at) => texts.slice(at + 1).some((b) => meet(a, b))).length];
        }"""
    )
    assert over[0] > 3
    assert over[1] == 0


def test_a_scale_is_logarithmic_where_that_is_asked_for(visit: Visitor) -> None:
    page = visit(many())
    depth = plot(page, "run1-depth1")
    kind = "plot => plot._fullLayout.yaxis.type"
    assert depth.evaluate(kind) == "linear"
    page.tab.locator(".log[data-plot=run1-depth1]").click()
    assert depth.evaluate(kind) == "log"
    assert page.errors == []


def test_a_packed_network_is_shown_like_any_other(visit: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "PLAIN_LAYERS", 1)
    page = visit(report.render([factory.record()]))
    other = page.tab.locator(f".panel[data-name='{factory.PAIR[1]}']")
    assert other.locator("table").count() == 0
    page.tab.evaluate(f"location.hash = '#layer={factory.PAIR[1]}/block3.conv'")
    page.tab.locator(".layer-view:visible h4", has_text="block3.conv").wait_for(timeout=60_000)
    assert page.tab.locator(".panel:visible").get_attribute("data-name") == factory.PAIR[1]
    head = other.locator("table.layers thead th", has_text="multiply-adds").first
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert plot(page, "run1-depth2").locator(".point path").count() == len(factory.record().results[1].layers)
    assert page.errors == []
