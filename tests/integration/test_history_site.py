"""The site of a history in a real browser: from a folder, offline, drawn, filtered, and deaf to markup in names."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pytest
import record_factory
import site_factory as factory
from test_page import Visit, browser, findings, plot  # noqa: F401 - a fixture

from mbench.history import publish, serve, site_names, site_words
from mbench.page import single_file

PLACE = site_names.place("mobilenet_v1_1.0_224", "x86_64_v4")
PAGES = (site_names.INDEX, site_names.TARGETS, PLACE)
Opened = Callable[..., Visit]


class Address:
    """A page by its address, where `Visit` takes a file."""

    def __init__(self, url: str) -> None:
        self.url = url

    def as_uri(self) -> str:
        return self.url


def published(folder: Path, history: tuple[list[Any], dict[str, Any]], *, pages: int = 1, live: str = "") -> Path:
    record = record_factory.record(("mobilenet_v1_0.25_128",), latency=False)
    series, changes = history
    publish.publish(
        folder, series, changes, read=lambda _: record, note=print, record_pages=pages, live=live or None
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return published(tmp_path_factory.mktemp("published") / "project" / "site", factory.history())


@pytest.fixture
def visit(browser: Any, site: Path) -> Iterator[Opened]:  # noqa: F811
    opened: list[Visit] = []

    def open_page(name: str = site_names.INDEX, *, folder: Path = site, **options: Any) -> Visit:
        opened.append(Visit(browser, folder / name, **options))
        return opened[-1]

    yield open_page
    for page in opened:
        page.context.close()


def rows(page: Visit) -> int:
    found: int = page.tab.locator("table.series tbody tr:visible").count()
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_works_from_a_folder_and_offline(visit: Opened, site: Path, scheme: str) -> None:
    page = visit(offline=True, color_scheme=scheme)
    assert (page.errors, page.outside(site / site_names.INDEX)) == ([], [])
    page.tab.locator("table.series a", has_text="mobilenet_v1").last.click()
    page.tab.wait_for_url("**/mobilenet_v1*")
    assert plot(page, "history").locator(".scatterlayer .point").count() >= 80
    ink = page.tab.evaluate("getComputedStyle(document.body).color")
    tick = plot(page, "history").locator(".ytick text").first
    assert tick.evaluate("node => getComputedStyle(node).fill") == ink
    asked = {Path(url.partition("?")[0]).name for url in page.requests if url.startswith("file:")}
    assert asked == {site_names.INDEX, PLACE, single_file.plotly_file()}
    assert page.errors == []


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve a folder as GitHub Pages does a project's: below a path."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_it_works_below_a_path_and_from_page_to_page(browser: Any, site: Path) -> None:  # noqa: F811
    with serving(site.parents[1]) as url:
        page = Visit(browser, cast(Path, Address(f"{url}/project/site/")))
        page.tab.locator("table.series a", has_text="efficientnet").last.click()
        page.tab.wait_for_url("**/efficientnet*")
        plot(page, "history")
        page.tab.locator("#runs a[href^=record-]").first.click()
        page.tab.wait_for_url("**/record-*")
        page.tab.locator(".brand a").click()
        page.tab.wait_for_url("**/project/site/index.html")
        page.tab.locator("nav a", has_text="Targets side by side").click()
        assert plot(page, "targets").locator(".scatterlayer .point").count() == 12
        assert page.errors == []
        assert all(request.startswith((url, "data:", "blob:")) for request in page.requests)
        page.context.close()


def lines(page: Visit) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = page.tab.evaluate(
        "document.querySelector('#history').data.filter(each => each.meta?.line)"
        ".map(each => ({ name: each.name, x: each.x, y: each.y, hover: each.hovertext, leads: each.customdata }))"
    )
    return found


def test_the_chart_switches_quantity_scale_and_runs_by_keyboard(visit: Opened) -> None:
    page = visit(PLACE)
    figure = plot(page, "history")
    axis = "document.querySelector('#history').layout.yaxis"
    series = [each for each in factory.history()[0] if site_names.place(*names(each)) == PLACE]
    for label, quantity in (("instructions", "instructions"), ("latency", "latency_s")):
        button = page.tab.locator(".switch button", has_text=label)
        button.focus()
        page.tab.keyboard.press("Enter")
        assert figure.locator(".ytitle").text_content() == label
        drawn = {line["name"]: line["y"] for line in lines(page)}
        shown = {f"{each.identity.dtype}, 1 thread": each for each in series if each.quantity.name == quantity}
        for name, each in shown.items():
            assert drawn[name] == pytest.approx([point.value for point in each.points], rel=1e-5)
    page.tab.locator(".switch button", has_text="logarithmic").click()
    assert page.tab.evaluate(f"{axis}.type") == "log"
    page.tab.locator(".switch button", has_text="from zero").click()
    assert page.tab.evaluate(f"{axis}.range[0]") <= 0
    page.tab.locator(".switch button", has_text="last 20").click()
    assert sum(len(line["x"]) for line in lines(page)) == 20
    assert page.tab.evaluate(f"{axis}.range[0]") <= 0  # one choice leaves the other
    assert page.errors == []


def names(series: Any) -> tuple[str, str]:
    return site_words.network(series.identity), series.identity.target


def test_a_point_says_when_it_was_and_leads_to_its_record(visit: Opened, site: Path) -> None:
    name = next(file.name for file in site.glob("*-on-*.html") if 'href="record-' in file.read_text())
    page = visit(name)
    plot(page, "history")
    [line] = [line for line in lines(page) if any(line["leads"])]
    at = next(number for number, leads in enumerate(line["leads"]) if leads)
    assert "a click leads to its page" in line["hover"][at]
    assert "2026-03-" in line["hover"][at]
    assert line["x"][0] == "2026-03-01 12:00:00"
    leads = line["leads"][at]
    page.tab.evaluate(
        "leads => document.querySelector('#history').emit('plotly_click', { points: [{ customdata: leads }] })", leads
    )
    page.tab.wait_for_url(f"**/{leads}")


def test_a_doubtful_point_and_a_change_look_so(visit: Opened) -> None:
    page = visit(PLACE)
    figure = plot(page, "history")
    texts = figure.locator(".textpoint text").all_text_contents()
    assert texts.count("disturbed") == 4  # two runs in two types
    assert texts.count("+5.2 % worse") == 2
    hover = lines(page)[0]["hover"]
    assert [number for number, said in enumerate(hover) if "another process kept 1.2 CPUs busy" in said] == [7, 25]


def test_series_are_filtered_and_sorted(visit: Opened) -> None:
    page = visit()
    assert rows(page) == 48
    page.tab.locator("select[data-key=target]").select_option("arm64")
    assert rows(page) == 24
    page.tab.locator("select[data-key=change]").select_option("better")
    assert rows(page) == 2
    page.tab.locator("#series input.filter").fill("int8")
    assert rows(page) == 1
    assert page.tab.locator(".found").first.inner_text() == "1 of 48"
    for control in ("target", "change"):
        page.tab.locator(f"select[data-key={control}]").select_option("")
    page.tab.locator("#series input.filter").fill("latency")
    head = page.tab.locator("table.series thead th", has_text="last value")
    head.locator("button").click()
    values = page.tab.locator("table.series tbody tr:visible td.value").evaluate_all(
        "all => all.map(e => +e.dataset.sort)"
    )
    assert values == sorted(values)
    assert len(values) == 12


def test_without_scripts_words_lines_and_tables_stay(visit: Opened) -> None:
    page = visit(java_script_enabled=False)
    assert rows(page) == 48
    assert page.tab.locator("svg.spark polyline").count() == 48
    assert page.tab.locator("select:visible, input:visible").count() == 0
    assert "changed: 14 worse" in page.tab.locator("h1").inner_text()
    page = visit(PLACE, java_script_enabled=False)
    assert "The figure needs scripts" in page.tab.locator("figure").first.inner_text()
    assert page.tab.locator("#runs tbody tr").count() == 80
    assert page.tab.locator(".switch:visible").count() == 0


def test_hostile_names_are_shown_and_do_nothing(visit: Opened, tmp_path: Path) -> None:
    folder = published(tmp_path / "site", factory.hostile(), pages=0)
    shown = (site_names.INDEX, site_names.TARGETS, next(folder.glob("*-on-*.html")).name)
    for name in shown:
        page = visit(name, folder=folder)
        if name not in (site_names.INDEX, site_names.TARGETS):
            plot(page, "history").locator(".scatterlayer .point").first.hover(force=True)
            page.tab.wait_for_timeout(300)
        assert (page.dialogs, page.errors) == ([], [])
        assert page.tab.locator("img, [onerror]").count() == 0
        assert factory.EVIL in page.tab.locator("body").inner_text()


@pytest.mark.parametrize("name", PAGES)
def test_a_phone_does_not_scroll_sideways(visit: Opened, name: str) -> None:
    page = visit(name, viewport={"width": 360, "height": 740})
    assert page.tab.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("name", PAGES)
def test_nothing_serious_for_those_who_see_or_move_otherwise(visit: Opened, name: str) -> None:
    page = visit(name, color_scheme="light")
    page.tab.evaluate("document.querySelectorAll('details').forEach(fold => { fold.open = true; })")
    assert findings(page) == []
    page.tab.emulate_media(color_scheme="dark")
    page.tab.wait_for_timeout(300)
    assert findings(page, "color-contrast") == []


def test_it_prints(visit: Opened) -> None:
    page = visit(PLACE)
    assert page.tab.pdf(format="A4").startswith(b"%PDF")
    assert page.errors == []


def test_a_served_page_loads_itself_again_when_the_store_changes(browser: Any, tmp_path: Path) -> None:  # noqa: F811
    state, go_on, over, addresses = ["1"], threading.Event(), threading.Event(), list[str]()
    ready = threading.Event()

    def make(folder: Path, live: str) -> None:
        published(folder, ([factory.series(count=10 * int(live))], {}), pages=0, live=live)

    def announce(url: str) -> None:
        addresses.append(url)
        ready.set()

    def pause() -> None:
        go_on.wait()
        go_on.clear()
        if over.is_set():
            raise KeyboardInterrupt

    def work() -> None:
        with contextlib.suppress(KeyboardInterrupt):
            serve.serve(make, lambda: state[0], port=0, announce=announce, note=print, pause=pause)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert ready.wait(120)
        page = Visit(browser, cast(Path, Address(addresses[0])))
        assert page.tab.locator("td.runs").inner_text() == "10"
        state[0] = "2"
        go_on.set()
        page.tab.locator("td.runs", has_text="20").wait_for(timeout=60_000)
        assert page.errors == []
        page.context.close()
    finally:
        over.set()
        go_on.set()
        thread.join()
