"""The pages of a history, as HTML."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import re
from html import unescape

import site_factory as factory

from mbench.history import site_pages, site_view
from mbench.history.site_pages import HistorySite


def site(*, live: str | None = None, hostile: bool = False) -> HistorySite:
    series, changes = factory.hostile() if hostile else factory.history()
    places = site_view.of_series(series, changes)
    records = site_view.every(places)
    return site_pages.of_places(places, {records[0]: "record-a.html"}, records=len(records), live=live)


def pages(made: HistorySite) -> list[str]:
    return [site_pages.index(made), site_pages.targets(made), *(site_pages.place(made, each) for each in made.places)]


def test_the_overview_says_what_changed_last_and_lists_every_series() -> None:
    html = site_pages.index(site())
    [title] = re.findall(r"<h1>(.*?)</h1>", html)
    assert re.fullmatch(r"2026-03-09: 14 series of .* changed: 14 worse", title)
    assert html.count('<svg class="spark"') == 48
    assert html.count("<tr data-network=") == 48
    assert "48 series of 3 networks on 2 targets; 480 records from 2026-03-01 to 2026-03-11" in html
    assert "3 more runs will show whether it lasts" in html.replace("3 More", "3 more")


def test_an_empty_store_says_how_records_come_into_it() -> None:
    html = site_pages.index(site_pages.of_places((), {}, records=0))
    assert "There is no series yet." in html
    assert "mbench history add" in html
    assert "<table" not in html


def test_without_a_change_that_is_said() -> None:
    places = site_view.of_series([factory.series()], {})
    html = site_pages.index(site_pages.of_places(places, {}, records=40))
    assert "<h1>No change was found in 1 series</h1>" in html
    assert 'id="changes"' not in html


def test_a_place_has_chart_changes_series_and_runs() -> None:
    made = site()
    html = site_pages.place(made, made.places[0])
    for anchor in ("chart", "changes", "series", "runs", "history", "run-data"):
        assert f'id="{anchor}"' in html
    assert html.count("<button") == 4 + 4 + 1 + 1  # quantities, scales, all runs and the last 20
    assert "The same network on:" in html
    assert made.places[3].page in html
    assert html.count('<th scope="row">2026-') == 80


def test_the_newest_runs_are_in_the_table_and_all_in_its_csv() -> None:
    series = factory.series(count=300)
    [place] = site_view.of_series([series], {})
    html = site_pages.place(site_pages.of_places((place,), {}, records=300), place)
    assert html.count('<th scope="row">2026-') == site_pages.SHOWN_RUNS
    assert "The newest 200 of 300 runs" in html
    [packed] = re.findall(r"data:application/gzip;base64,([A-Za-z0-9+/=]+)", html.replace("&#43;", "+"))
    rows = list(csv.DictReader(io.StringIO(gzip.decompress(base64.b64decode(packed)).decode())))
    assert len(rows) == 300
    assert [float(row["latency_s"]) for row in rows] == [point.value for point in series.points]
    assert rows[-1]["record"] == series.points[-1].record


def test_a_record_with_a_page_is_a_link_and_one_without_is_not() -> None:
    made = site()
    html = "".join(pages(made))
    assert 'href="record-a.html"' in html
    assert len(set(re.findall(r'href="(record-[^"]*)"', html))) == 1
    assert "1 of them has a page here" in html


def test_what_is_published_asks_for_nothing_and_what_is_served_asks_its_server() -> None:
    for html in pages(site()):
        assert "connect-src" not in html
        assert "fetch(" not in html
        assert "data-live" not in html
    for html in map(unescape, pages(site(live="7"))):
        assert "connect-src 'self'" in html
        assert 'data-live="7"' in html
        assert html.count("fetch(") == 1


def test_hostile_names_are_text() -> None:
    made = site(hostile=True)
    for html in pages(made):
        assert factory.EVIL not in html
        assert "<img" not in html
    assert "&lt;script&gt;alert(1)" in site_pages.index(made)


def test_no_cell_of_the_csv_is_a_formula() -> None:
    series = factory.series(count=2, of=factory.identity(dtype="=1+1"))
    [place] = site_view.of_series([series], {})
    html = site_pages.place(site_pages.of_places((place,), {}, records=2), place)
    [packed] = re.findall(r"data:application/gzip;base64,([A-Za-z0-9+/=]+)", html.replace("&#43;", "+"))
    [first, _] = csv.DictReader(io.StringIO(gzip.decompress(base64.b64decode(packed)).decode()))
    assert first["settings"] == "'=1+1, 1 thread"
