from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
import verdict_factory as make

from mbench.gating.outputs import page


class Elements(HTMLParser):
    """The elements of a page with their attributes."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def html(name: str) -> str:
    return page.render(make.EVERY[name]).decode()


@pytest.mark.parametrize("name", make.EVERY)
def test_no_script_no_reference_no_inline_style(name: str) -> None:
    for document in (html(name), page.render(make.EVERY[name].comparison).decode()):
        elements = Elements(document).found
        assert not {tag for tag, _ in elements} & {"script", "img", "iframe", "a", "object", "form"}
        for _, attributes in elements:
            assert not {key for key in attributes if key.startswith("on")} | set(attributes) & {"style", "src"}
            assert attributes.get("href", "data:,") == "data:,"


def test_the_verdict_stands_on_top_and_every_finding_below() -> None:
    document = html("regressed")
    assert re.search(r"<h1><strong>Regressed:</strong> mobilenet_v1_0.25_128 is 3.1 % slower", document)
    layers = document[document.index("Layer by layer") :]
    assert layers.count("<tr") - layers.count("<thead><tr") == len(make.regressed().comparison.findings)
    for part in (
        "schedule changed",
        "tuned: none → 3f2a9c",
        "load 1.9 on 2",
        "borders are exact now (until 2026-12-31)",
    ):
        assert part in document, part


def test_layers_are_summed_by_role_and_by_block() -> None:
    findings = (make.finding("block1.dw", ratio=1.5), make.finding("block2.pw", role="pointwise"))
    document = page.render(make.comparison(*findings)).decode()
    sums = document[document.index("By role and by block") : document.index("Layer by layer")]
    assert re.search(r"depthwise</th>.*?1\.00 ms.*?1\.50 ms.*?\+50\.0 %", sums)
    assert re.search(r"block2</th>.*?1\.00 ms.*?0 %", sums)
    assert "<small>pointwise, block2</small>" in document
    assert "By role and by block" not in page.render(make.comparison(make.finding())).decode()


def test_marks_stand_where_the_figures_say() -> None:
    finding = make.finding(ratio=1.05, interval=(1.02, 1.08), threshold=0.02)
    mark = page.mark(finding, edge=0.1)
    middle, half = page.WIDTH / 2, page.WIDTH / 2 - 6
    assert mark is not None
    assert (mark.x, mark.low, mark.high, mark.tolerated) == pytest.approx(
        (middle + 0.5 * half, middle + 0.2 * half, middle + 0.8 * half, middle + 0.2 * half)
    )
    assert not mark.off_scale


def test_what_lies_beyond_the_edge_is_marked_so() -> None:
    far = page.mark(make.counted(ratio=3.0), edge=0.1)
    assert far is not None
    assert (far.x, far.off_scale) == (page.WIDTH - 6, True)
    assert page.mark(make.bare(outcome="regressed", reason="gone"), edge=0.1) is None


def test_the_scale_is_that_of_intervals() -> None:
    wide = make.finding(ratio=1.1, interval=(1.0, 1.2))
    assert page.scale([wide, make.counted(ratio=9.0)]) == pytest.approx(0.2)
    assert page.scale([make.counted(ratio=1.3)]) == pytest.approx(0.3)
    assert page.scale([make.counted(ratio=9.0)]) == 0.5
    assert page.scale([]) == 0.02


def test_what_was_not_measured_is_said_on_top_and_in_its_row() -> None:
    document = html("unmeasured")
    assert '<div class="verdict unmeasured"><h1><strong>Not measured:</strong> 2 not measured: ' in document
    for said in (f"{make.LARGE}: {make.NOT_BUILT}", make.DIED):
        assert f'<div class="alert bad"><p><strong>Not measured:</strong> {said}</p></div>' in document
    row = document[document.index(f"<summary>{make.LARGE}: 1 finding</summary>") :]
    assert re.search(rf'<td class="outcome">unmeasured</td>\s*<td class="remark">{make.NOT_BUILT}', row)
    assert re.search(rf"<h2>New</h2>\s*<h3>{make.MENDED}</h3>", document)
    compared = page.render(make.unmeasured().comparison).decode()
    assert f"<strong>Not measured:</strong> {make.LARGE}: {make.NOT_BUILT}" in compared


def test_the_command_that_measures_both_builds_is_shown() -> None:
    assert f"now, type: <code>{make.COMMAND}</code>" in html("inconclusive")
    assert "at hand" not in html("regressed")


def test_nothing_compared_says_so() -> None:
    document = html("incomparable")
    assert "Nothing was compared." in document
    assert "nothing could be compared" in document
    assert "--allow-different cpu" in document
    assert make.LEFT_OUT in document
