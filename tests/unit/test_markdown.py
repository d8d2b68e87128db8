"""Markdown, rendered by GitHub's own renderer (cmark-gfm, with raw HTML let through: GitHub filters it afterwards)."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from html.parser import HTMLParser

import cmarkgfm
import pytest
import verdict_factory as make
from cmarkgfm.cmark import Options

from mbench.gating.comparison import Verdict
from mbench.gating.outputs import markdown

COLUMNS = 8
COLUMNS_OF_SUMS = 5
JOB_SUMMARY_BYTES = 1024 * 1024
"""What GitHub takes of a step."""
KNOWN = {
    "h2", "h3", "p", "strong", "code", "pre", "ul", "li", "details", "summary", "table", "thead", "tbody", "tr", "th",
    "td",
}  # fmt: skip


class Tags(HTMLParser):
    """All elements of a document, and what cells a row of a table has."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.rows: list[int] = []
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        if tag == "tr":
            self.rows.append(0)
        elif tag in ("td", "th"):
            self.rows[-1] += 1


def rendered(text: str) -> str:
    html_text: str = cmarkgfm.github_flavored_markdown_to_html(text, Options.CMARK_OPT_UNSAFE)
    return html_text


def compared(verdict: Verdict) -> str:
    return markdown.render(verdict.comparison)


RENDERERS = [markdown.render, compared]


@pytest.mark.parametrize("render", RENDERERS)
@pytest.mark.parametrize("name", make.EVERY)
def test_only_what_is_meant_becomes_markup(name: str, render: Callable[[Verdict], str]) -> None:
    tags = Tags(rendered(render(make.EVERY[name])))
    assert set(tags.found) <= KNOWN
    assert set(tags.rows) <= {COLUMNS, COLUMNS_OF_SUMS}


def test_the_check_can_fail() -> None:
    assert not set(Tags(rendered("a <img src=x> b")).found) <= KNOWN
    assert not set(Tags(rendered("see www.a.example")).found) <= KNOWN
    assert Tags(rendered("| a | b |\n|---|---|\n| `x|y` | z |")).rows == [2, 2]


def test_hostile_text_is_read_as_it_is() -> None:
    seen = html.unescape(re.sub(r"</?[a-z][a-z0-9]*( [^>]*)?>", "", rendered(markdown.render(make.hostile()))))
    for part in (
        '"><img src=x onerror=alert(2)>',
        "| *b* _i_ ~~s~~ [l](https://a.example)",
        "#1 www.a.example",
        r"a\|b",
    ):
        assert part in seen, part
    plain = re.sub(r"(?s)<code>.*?</code>", "", rendered(markdown.render(make.hostile())))  # code calls nobody
    assert "@\u200boctocat" in plain
    assert "@octocat" not in plain


def test_names_stay_readable_in_the_source() -> None:
    assert markdown.render(make.regressed()).count("mobilenet_v1_0.25_128") > 10


def test_the_verdict_comes_first_and_everything_is_there() -> None:
    text = markdown.render(make.regressed())
    assert text.startswith("## Regressed\n\nmobilenet_v1_0.25_128 is 3.1 % slower")
    order = ["### Regressed", "### Undecided", "### Accepted", "### Improved", "**Notes**", "<details>"]
    assert [text.index(part) for part in order] == sorted(text.index(part) for part in order)
    whole = text[text.index("<details>") :]
    assert sum(line.startswith("| `") for line in whole.splitlines()) == len(make.regressed().comparison.findings)
    assert (
        "| `mobilenet_v1_0.25_128` | `block3.dw` | latency | 120 µs | 132 µs | +10.0 % (+9.5 to +10.5 %) | 2 % |"
        in text
    )
    assert f"- {make.LEFT_OUT}" in markdown.render(make.incomparable())


def test_what_was_not_measured_is_said_and_what_has_a_result_in_the_head_alone() -> None:
    text = markdown.render(make.unmeasured())
    assert text.startswith("## Not measured\n\n2 not measured: ")
    for said in (f"{make.LARGE}: {make.NOT_BUILT}", make.DIED):
        assert f"**Not measured:** {said}" in text
    assert "### New\n\n| network | layer |" in text
    assert f"| `{make.MENDED}` | network | result |" in text
    compared_text = markdown.render(make.unmeasured().comparison)
    assert f"**Not measured:** {make.LARGE}: {make.NOT_BUILT}" in compared_text
    assert make.DIED not in compared_text


def test_the_command_that_measures_both_builds_is_code() -> None:
    assert f"<pre><code>{make.COMMAND}\n</code></pre>" in rendered(markdown.render(make.inconclusive()))
    assert "at hand" not in markdown.render(make.regressed())


def test_long_lists_are_cut_with_their_count_and_fit_a_job_summary() -> None:
    text = markdown.render(make.long(3000))
    assert f"and {3000 - markdown.LONGEST} more." in text
    assert f"and {3000 - markdown.MOST_ROWS} more." in text
    assert len(text.encode()) < JOB_SUMMARY_BYTES
