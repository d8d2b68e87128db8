"""The page of a sweep without a browser: what it says, and that it stays small with thousands of cells."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path

import lxml.html
import pytest
import sweep_factory

from mbench.page import single_file, sweep_report
from mbench.page.sweep_view import HEADS

SOME = sweep_factory.record()
LINKS = {sweep_factory.FILE: "record.html"}


def page(html: str) -> lxml.html.HtmlElement:
    return lxml.html.document_fromstring(html)


@pytest.fixture(scope="module")
def html() -> str:
    return sweep_report.render(SOME, links=LINKS, plotlyjs="directory")


def test_the_first_screen_says_what_was_asked_how_far_it_is_and_who_wins(html: str) -> None:
    header = page(html).xpath("//header")[0].text_content()
    assert "Which family wins where, of 12 networks" in header
    assert "48 of 48 cells done" in header
    assert "At the highest accuracies MobileNetV2 is fastest" in header
    winners = page(html).xpath("//table[contains(@class, 'winners')]/tbody/tr")
    assert len(winners) == 4
    assert ["MobileNetV1" in cell.text_content() for cell in winners[0].xpath("td")] == [True, True, False, False]


def test_a_facet_for_each_place_and_type_and_a_heat_map_for_each_family(html: str) -> None:
    found = page(html)
    assert len(found.xpath("//article[contains(@class, 'facet')]//div[contains(@class, 'plot')]")) == 4
    assert [each.get("data-family") for each in found.xpath("//*[@data-family]")] == ["MobileNetV1", "MobileNetV2"]


def test_all_cells_are_in_the_page_once_and_as_csv(html: str) -> None:
    found = page(html)
    [rows] = found.xpath("//script[@id='rows']")
    data = json.loads(rows.text)
    assert len(data) == 48
    assert {len(texts) for texts, *_ in data} == {len(HEADS)}
    assert data[0][3] == f"./record.html#network={data[0][0][0]}"
    [link] = [each for each in found.xpath("//a[@class='download']/@href") if each.startswith("data:")]
    csv = gzip.decompress(base64.b64decode(link.partition(",")[2])).decode()
    assert len(csv.splitlines()) == 49


def test_of_thousands_of_cells_few_rows_are_in_the_document() -> None:
    many = sweep_factory.many(5000)
    made = sweep_report.render(many, plotlyjs="directory")
    assert len(made) < 4_000_000
    found = page(made)
    assert len(found.xpath("//table[@id='cells']/tbody/tr")) == sweep_report.FIRST_ROWS
    assert len(json.loads(found.xpath("//script[@id='rows']")[0].text)) == 5000
    assert len(found.xpath("//article[contains(@class, 'facet')]")) == 16
    assert "52 failed" in found.xpath("//header")[0].text_content()


def test_the_file_is_written_whole_with_the_shared_script_beside_it(tmp_path: Path) -> None:
    sweep_report.write(tmp_path / "page.html", SOME, plotlyjs="directory")
    assert (tmp_path / single_file.plotly_file()).exists()
    assert "Which family wins where" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_sweep_of_which_nothing_is_done_has_a_page() -> None:
    waiting = sweep_factory.record([sweep_factory.still_open(each) for each in SOME.cells])
    made = page(sweep_report.render(waiting, plotlyjs="directory"))
    assert "No family wins yet." in made.xpath("//h1")[0].text_content()
    assert made.xpath("//div[contains(@class, 'plot')]") == []
