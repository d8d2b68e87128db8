from __future__ import annotations

import re
from pathlib import Path

import fit_factory
import lxml.html
import msgspec
from checked_figures import of_json

from mbench.core.fit_records import DeviceLimits
from mbench.page import fit_report, single_file

SOME = fit_factory.record()


def page(html: str) -> lxml.html.HtmlElement:
    return lxml.html.document_fromstring(html)


def shared(**how: object) -> str:
    """Return the page without plotly's script, which is most of it."""
    return fit_report.render(SOME, plotlyjs="directory", **how)  # type: ignore[arg-type]


def test_the_first_screen_has_question_answer_and_what_comes_next() -> None:
    header = page(shared()).xpath("//header")[0].text_content()
    best = SOME.answers[0]
    for words in (
        "latency at most 2.00 ms",
        best.network,
        "is the most accurate that fits",
        "Certain:",
        "Next better:",
    ):
        assert words in header
    assert best.next_better is not None
    assert best.next_better in header
    assert best.next_over[0] in header


def test_an_answer_that_noise_decides_is_said_first() -> None:
    first, *others = SOME.answers
    close = msgspec.structs.replace(first, close=("latency 1.99 ms is within the noise of the limit",))
    found = msgspec.structs.replace(SOME, answers=(close, *others))
    header = page(fit_report.render(found, plotlyjs="directory")).xpath("//header")[0].text_content()
    assert "Close to a limit: latency 1.99 ms is within the noise of the limit." in header
    assert "Close to a limit" not in page(shared()).xpath("//header")[0].text_content()


def test_what_is_not_certain_is_said_first() -> None:
    html = fit_report.render(fit_factory.record(certain=False), plotlyjs="directory")
    assert "Not certain:" in page(html).xpath("//header//div[@class='alert warn']")[0].text_content()


def test_where_nothing_fits_the_nearest_is_named() -> None:
    limits = DeviceLimits(latency_s=1e-6)
    html = fit_report.render(fit_factory.record(fit_factory.grid(limits=limits), limits=limits), plotlyjs="directory")
    header = page(html).xpath("//header")[0].text_content()
    assert "Nothing fits." in header
    assert "comes nearest" in header


def test_every_candidate_is_a_row_in_the_order_that_figures_number_them() -> None:
    rows = page(shared()).xpath("//*[@id='candidates']/tbody/tr")
    assert [row.xpath("./th")[0].text_content() for row in rows] == [each.network.name for each in SOME.candidates]
    assert {row.get("data-fits") for row in rows} <= {"fits", "no", "open"}
    heads = page(shared()).xpath("//*[@id='candidates']/thead//th")
    assert {len(row.xpath("./th|./td")) for row in rows} == {len(heads)}


def test_figures_are_whole_and_name_rows() -> None:
    found = page(shared())
    scripts = found.xpath("//script[@type='application/json']")
    assert [each.get("id") for each in scripts][:4] == [f"trade-off-data{number}" for number in (1, 2, 3, 4)]
    for script in scripts:
        of_json(script.text)
    assert {plot.get("data-table") for plot in found.xpath("//div[@data-figure]")} == {"candidates"}


def test_measured_networks_lead_to_their_page() -> None:
    links = page(shared(measured="m.html")).xpath("//*[@id='candidates']//th/a")
    assert len(links) == 8
    assert all(link.get("href").startswith("./m.html#network=") for link in links)
    assert page(shared()).xpath("//*[@id='candidates']//th/a") == []


def test_the_size_of_ten_and_of_two_thousand_candidates() -> None:
    few = fit_report.render(fit_factory.record(fit_factory.grid(widths=(0.5, 1.0))))
    many = fit_report.render(fit_factory.many())
    assert len(few.encode()) < 6_000_000
    assert len(many.encode()) < 8_000_000
    assert len(page(many).xpath("//*[@id='candidates']/tbody/tr")) == 2000


def test_one_candidate_without_an_accuracy_has_no_figure_and_no_plotly() -> None:
    only = fit_factory.candidate(
        fit_factory.network("mobilenet_v2", 1.0, 224), latency_s=0.001, top1=None, measured=True
    )
    html = fit_report.render(fit_factory.record([only]))
    assert "No figure: no candidate has both an accuracy and a cost." in re.sub(r"\s+", " ", html)
    assert len(html) < 200_000


def test_write(tmp_path: Path) -> None:
    fit_report.write(tmp_path / "page.html", SOME, plotlyjs="directory")
    assert (tmp_path / single_file.plotly_file()).is_file()
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == shared()


def test_what_an_answer_hangs_on_is_said_first_and_nothing_is_called_certain() -> None:
    found = msgspec.structs.replace(SOME, certain=False, open=(), doubts=("a may fit: modelled; a board decides",))
    header = page(fit_report.render(found, plotlyjs="directory")).xpath("//header")[0].text_content()
    assert "Not certain: a may fit: modelled; a board decides." in header
    assert "Certain:" not in header
    assert "is the most accurate that fits by what is known" in header
