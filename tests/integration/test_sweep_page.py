"""The page of a sweep in a real browser: drawn, filtered, sorted, readable without scripts, and deaf to markup."""

from __future__ import annotations

from pathlib import Path

import pytest
import sweep_factory
from test_page import Visit, Visitor, browser, plot, visit  # noqa: F401 - fixtures

from mbench.page import sweep_report

RECORD = sweep_factory.record()
HTML = sweep_report.render(RECORD, links={sweep_factory.FILE: "record.html"})
FIRST = RECORD.cells[0].network.name


def rows(page: Visit) -> list[str]:
    texts: list[str] = page.tab.locator("#cells tbody tr th").all_text_contents()
    return texts


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_draws_offline(visit: Visitor, tmp_path: Path, scheme: str) -> None:  # noqa: F811
    page = visit(HTML, color_scheme=scheme, offline=True)
    assert (page.errors, page.outside(tmp_path / "0.html")) == ([], [])
    assert plot(page, "facet1-front").locator(".scatterlayer .points path").count() == 12
    assert plot(page, "grid1").locator(".hm image, .hm path").count() >= 1
    assert page.errors == []


def test_filters_reach_the_table_the_facets_and_the_points(visit: Visitor) -> None:  # noqa: F811
    page = visit(HTML)
    plot(page, "facet2-front")
    page.tab.locator("#filters select[data-key=type]").select_option("int8")
    assert page.tab.locator(".facet:visible").count() == 2
    assert rows(page) == [each.network.name for each in RECORD.cells if each.network.dtype == "int8"]
    page.tab.locator("#filters select[data-key=family]").select_option("MobileNetV2")
    assert plot(page, "facet2-front").locator(".scatterlayer .points path").count() == 6
    assert plot(page, "facet4-front").locator(".scatterlayer .points path").count() == 6
    page.tab.locator("#filters select[data-key=target]").select_option("x86_64_v3, local")
    page.tab.locator("#filters input").fill("_0.5_ 128")
    assert rows(page) == ["mobilenet_v2_0.5_128_int8"]
    assert page.tab.locator("#filters .found").inner_text() == "1 of 48 cells"
    assert page.tab.locator(".grid-box:visible").count() == 1


def test_the_table_sorts_by_what_figures_are(visit: Visitor) -> None:  # noqa: F811
    page = visit(HTML)
    head = page.tab.locator("#cells thead th", has_text="latency").first
    head.locator("button").click()
    known = sorted(RECORD.cells, key=lambda each: each.figures.latency_s.value)  # type: ignore[union-attr]
    assert rows(page)[0] == known[0].network.name
    assert rows(page)[-1] == known[-1].network.name
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert rows(page)[0] == known[-1].network.name


def test_a_point_says_what_the_table_says_and_leads_to_its_record(visit: Visitor, tmp_path: Path) -> None:  # noqa: F811
    page = visit(HTML)
    (tmp_path / "record.html").write_text("<title>record</title>", encoding="utf-8")
    plot(page, "facet1-front")
    figure = "document.querySelector('#facet1-front')"
    said = page.tab.evaluate(f"{figure}.data[1].hovertext[0]")
    assert said.startswith(f"<b>{FIRST}</b><br>target: x86_64_v3, local<br>type: float32<br>state: done<br>latency: ")
    assert "<br>interval: " in said
    page.tab.evaluate(f"{figure}.emit('plotly_click', {{ points: [{{ customdata: 0 }}] }})")
    page.tab.wait_for_url("**/record.html#network=*")
    assert page.tab.url.endswith(f"#network={FIRST}")


def test_thousands_of_cells_are_shown_some_at_a_time(visit: Visitor) -> None:  # noqa: F811
    page = visit(sweep_report.render(sweep_factory.many(5000)))
    assert len(rows(page)) == 100
    page.tab.locator("#more").click()
    assert len(rows(page)) == 200
    page.tab.locator("#filters select[data-key=state]").select_option("failed")
    assert len(rows(page)) == 52
    assert not page.tab.locator("#more").is_visible()
    choice = page.tab.locator("select[data-switch]").first
    plot(page, "grid1")
    choice.select_option(index=3)
    assert page.tab.locator("#grid1").get_attribute("data-figure") == "grid1-data4"
    assert page.errors == []


def test_without_scripts_the_answer_and_the_first_cells_stay(visit: Visitor) -> None:  # noqa: F811
    page = visit(HTML, java_script_enabled=False)
    assert "MobileNetV2 is fastest" in page.tab.locator("h1").inner_text()
    assert len(rows(page)) == 48
    assert page.tab.locator("select:visible, input:visible, button:visible").count() == 0
