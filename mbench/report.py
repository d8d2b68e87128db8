"""The page: records as one HTML file that needs nothing else, no network and no other file.

Here: the one door to Jinja, the scripts' hashes, the figures' data. What is said is gathered in `mbench.views`, drawn
in `mbench.figures`, laid out in `reports/`. No statistics of its own.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import jinja2
import plotly.graph_objects as go
from markupsafe import Markup
from plotly.offline import get_plotlyjs

import mbench
from mbench import figures, frame, pairs, records, resources, stats, units, views
from mbench.records import Record

TITLE = "mbench report"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chart:
    """A figure on the page: its data as JSON, or why there is none."""

    anchor: str
    title: str
    data: Markup | None
    reason: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
    """What the page shows of one record."""

    anchor: str
    view: views.RecordView
    speedups: tuple[Chart, ...]
    """One a pair."""
    depths: tuple[Chart, ...]
    """One a network."""


def render(items: Iterable[Record], *, title: str | None = None) -> str:
    """Return the page of one or several records as HTML; the same run_id is shown once."""
    once = tuple({record.run_id: record for record in items}.values())
    sections = [_section(f"run{number}", record) for number, record in enumerate(once, start=1)]
    needed = any(chart.data for section in sections for chart in (*section.speedups, *section.depths))
    scripts = [_script(get_plotlyjs())] if needed else []
    scripts.append(_script(_asset("page.js")))
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            title=title or TITLE,
            version=mbench.__version__,
            sections=sections,
            scripts=scripts,
            style=Markup(_asset("page.css")),  # noqa: S704 - mbench's own file
            policy=_policy(scripts),
        )
    )


def write(path: Path, items: Iterable[Record]) -> None:
    """Write the page of the records atomically.

    Raises:
        OutputError: it could not be written.
    """
    records.write_atomically(path, render(items).encode())


def _section(anchor: str, record: Record) -> Section:
    view = views.of_record(record)
    return Section(
        anchor=anchor,
        view=view,
        speedups=tuple(_speedups(f"{anchor}-speedup", view)),
        depths=tuple(_depths(f"{anchor}-depth", view)),
    )


def _speedups(anchor: str, view: views.RecordView) -> Iterator[Chart]:
    for number, found in enumerate(view.pairs, start=1):
        halves = (found.separable, found.standard)
        untimed = [half for half in halves if not any(row.latency for row in half.layers)]
        reason = untimed[0].why("layers.latency_s") if untimed else "the two networks have no timed block in common"
        title, draw = "Speed-up promised and achieved, block by block", figures.block_speedup
        if found.pair.by_instructions:
            title, draw = "Instructions saved, promised and executed, block by block", figures.block_instructions
            reason = "the two networks have no counted block in common"
        blocks = frame.of_blocks(found.pair)
        yield _chart(f"{anchor}{number}", title, found.separable.label, draw(blocks), reason)


def _depths(anchor: str, view: views.RecordView) -> Iterator[Chart]:
    table = frame.from_records([view.record])
    for number, result in enumerate(view.results, start=1):
        rows = table[(table["variant"] == result.result.variant.name) & (table["scope"] == "layer")]
        title, draw, path = "Latency over depth", figures.layer_latency, "layers.latency_s"
        if view.emulated:
            title, draw, path = "Instructions over depth", figures.layer_instructions, "layers.counters"
        yield _chart(f"{anchor}{number}", title, result.label, draw(rows), result.why(path))


def _chart(anchor: str, title: str, label: str, figure: go.Figure | None, reason: str) -> Chart:
    data = _json(figure.to_json()) if figure else None
    return Chart(anchor=anchor, title=f"{title}: {label}", data=data, reason=reason)


def _json(text: str) -> Markup:
    """Make JSON safe inside a script element: nothing in it can end the element or a line of a script."""
    for character in ("<", ">", "&", "\u2028", "\u2029"):
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - escaped above


def _script(text: str) -> Markup:
    """Return a script's text as the browser will hash it.

    Raises:
        ValueError: the text would end its own element.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "</script" in text.lower() or "<!--" in text:
        raise ValueError("a script holds '</script' or '<!--' and cannot stand inside a page")
    return Markup(text)  # noqa: S704 - mbench's own file or plotly's


def _policy(scripts: Sequence[str]) -> str:
    """Return the content security policy: these scripts and nothing from anywhere. plotly needs inline styles."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _asset(name: str) -> str:
    return (resources.data_dir("reports") / name).read_text(encoding="utf-8")


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(resources.data_dir("reports")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(units=units, pairs=pairs, stats=stats, ops=figures.OP_LABELS, colours=figures.OP_COLOURS)
    return environment
