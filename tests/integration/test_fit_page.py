"""The page of a search in a real browser: drawn, filtered, readable without scripts, and deaf to markup in names."""

from __future__ import annotations

from pathlib import Path

import fit_factory
import pytest
from test_page import Visit, Visitor, browser, plot, visit  # noqa: F401 - fixtures

from mbench.page import fit_report

HTML = fit_report.render(fit_factory.record(), measured="measured.html")
OPTIONS = ("latency", "memory", "weights", "energy")


def rows(page: Visit) -> list[str]:
    texts: list[str] = page.tab.locator("#candidates tbody tr:visible th").all_text_contents()
    return texts


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_draws_offline_and_switches_costs(visit: Visitor, tmp_path: Path, scheme: str) -> None:  # noqa: F811
    page = visit(HTML, color_scheme=scheme, offline=True)
    assert (page.errors, page.outside(tmp_path / "0.html")) == ([], [])
    figure = plot(page, "trade-off")
    for name in OPTIONS:
        page.tab.locator(".switch button[data-plot=trade-off]", has_text=name).click()
        assert figure.locator(".xtitle").text_content() == name
        assert figure.locator(".scatterlayer .points path").count() >= (20 if name != "energy" else 8)
    assert plot(page, "grid1").locator(".hm image, .hm path").count() >= 1
    assert page.errors == []


def test_a_point_says_what_the_table_says_and_leads_to_its_measurement(
    visit: Visitor,  # noqa: F811
    tmp_path: Path,
) -> None:
    page = visit(HTML)
    (tmp_path / "measured.html").write_text("<title>measured</title>", encoding="utf-8")
    page.tab.locator("#candidates thead th", has_text="network").locator("button").click()  # numbers stay as they were
    plot(page, "trade-off")
    best = page.tab.evaluate("document.querySelector('#trade-off').data[1].customdata[0]")
    said = page.tab.evaluate("document.querySelector('#trade-off').data[1].hovertext[0]")
    candidate = fit_factory.record().candidates[best]
    assert said.startswith(f"<b>{candidate.network.name}</b><br>fits: ")
    for words in ("top-1: ", "accuracy is: ", "latency: ", "memory: ", "weights: ", "multiply-adds: ", "parameters: "):
        assert words in said
    page.tab.evaluate(
        "number => document.querySelector('#trade-off').emit('plotly_click', { points: [{ customdata: number }] })",
        best,
    )
    page.tab.wait_for_url("**/measured.html#network=*")
    assert page.tab.url.endswith(f"#network={candidate.network.name}")


def test_filters_by_text_family_type_and_whether_it_fits(visit: Visitor) -> None:  # noqa: F811
    both = [*fit_factory.grid(), *fit_factory.grid("mobilenet_v1", dtype="int8")]
    found = fit_factory.record(both)
    page = visit(fit_report.render(found))
    assert len(rows(page)) == 40
    page.tab.locator("select[data-key=type]").select_option("int8")
    assert rows(page) == [each.network.name for each in found.candidates if each.network.dtype == "int8"]
    page.tab.locator("select[data-key=fits]").select_option("fits")
    fitting = [each.network.name for each in found.candidates if each.network.dtype == "int8" and each.fits]
    assert rows(page) == fitting
    page.tab.locator("input.filter").fill("_224")
    assert rows(page) == [name for name in fitting if "_224" in name]
    assert page.tab.locator(".found").inner_text() == f"{len(rows(page))} of 40"
    page.tab.locator("select[data-key=family]").select_option("MobileNetV2")
    assert rows(page) == []


def test_without_scripts_the_answer_and_the_table_stay(visit: Visitor) -> None:  # noqa: F811
    page = visit(HTML, java_script_enabled=False)
    assert "is the most accurate that fits" in page.tab.locator("h1").inner_text()
    assert len(rows(page)) == 20
    assert page.tab.locator("select:visible, input:visible").count() == 0
    assert "The figure needs scripts" in page.tab.locator("figure").first.inner_text()
