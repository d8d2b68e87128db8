"""How a record shows itself in a notebook: HTML in which nothing runs, and text."""

from __future__ import annotations

import msgspec
import pytest
import record_factory as factory
from lxml import etree, html

import mbench
from mbench.core.records import Record
from mbench.page import notebook

HOSTILE = "<script>alert(1)</script><img src=x onerror=y>\"'&{{ 7*7 }}\x1b[31m"


def hostile() -> Record:
    record = factory.record(factory.PAIR, failed=(HOSTILE,))
    first, second = record.results
    layers = (msgspec.structs.replace(first.layers[0], name=HOSTILE), *first.layers[1:])
    first = msgspec.structs.replace(first, layers=layers, warnings=(HOSTILE,))
    return msgspec.structs.replace(
        record, run_id=HOSTILE, results=(first, second), host=msgspec.structs.replace(record.host, cpu=HOSTILE)
    )


def as_html(record: Record) -> str:
    assert mbench.Record is Record  # whoever asks `mbench` for anything has records with these methods
    found = record._repr_html_()  # type: ignore[attr-defined]
    assert isinstance(found, str)
    assert found == notebook.render(record)
    return found


def test_a_notebook_shows_the_table_and_the_main_figure() -> None:
    shown = as_html(factory.record())
    assert "<table>" in shown
    assert "12.1 ms" in shown
    assert "predicted by the multiply-adds" in shown  # the waterfall
    assert shown.count("<rect") >= 3


def test_of_one_network_a_notebook_shows_the_layers() -> None:
    shown = as_html(factory.record(factory.PAIR[:1]))
    assert "Share of the time of each layer" in shown
    assert "block3.pw" in shown
    assert "Share of the instructions of each layer" in as_html(factory.emulated(factory.PAIR[:1]))


def test_a_record_without_figures_is_shown_still() -> None:
    shown = as_html(factory.record(factory.PAIR[:1], latency=False))
    assert "<svg" not in shown
    assert "<table>" in shown
    empty = msgspec.structs.replace(factory.record(), results=())
    assert "<svg" not in as_html(empty)


@pytest.mark.parametrize(
    "record",
    [factory.record(), factory.emulated(), hostile(), factory.in_sessions(factory.record(), disturbed=(1,))],
    ids=["pair", "emulated", "hostile", "sessions"],
)
def test_nothing_in_a_notebook_runs(record: Record) -> None:
    shown = as_html(record)
    elements = html.fragment_fromstring(shown)
    tags = {element.tag for element in elements.iter() if isinstance(element.tag, str)}
    drawn = {"svg", "text", "rect", "g", "title"}
    assert tags <= drawn | {"div", "p", "b", "table", "thead", "tbody", "tr", "th", "td", "span"}
    attributes = {name for element in elements.iter() for name in element.attrib}
    assert not [name for name in attributes if name.startswith("on") or name in ("href", "src")]
    assert "{{" not in shown.replace("{{ 7*7 }}", "")
    assert "\x1b" not in shown
    etree.fromstring(shown)  # well-formed


def test_a_hostile_name_is_text() -> None:
    shown = as_html(hostile())
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
    assert "{{ 7*7 }}" in shown  # not rendered again


def test_a_kind_of_layer_that_is_not_known_is_drawn_too() -> None:
    record = factory.record(factory.PAIR[:1])
    [result] = record.results
    layers = tuple(msgspec.structs.replace(layer, op="fft") for layer in result.layers)
    assert as_html(
        msgspec.structs.replace(record, results=(msgspec.structs.replace(result, layers=layers),))
    ).count("<rect") >= 29  # fmt: skip


def test_a_notebook_shows_the_sessions_and_how_sure_the_latency_is() -> None:
    shown = as_html(factory.in_sessions(factory.record(), disturbed=(1,)))
    for words in (
        "12.1 ms to 12.6 ms, 88 %",
        "of all samples: p50 12.4\u00a0ms",
        "1.7 %, 1.7 %",
        "+6.2 %",
        "Sessions of MobileNetV1",
    ):
        assert words in shown, words
    assert shown.count("left out") >= 2  # in the text alternative and in the box's own words
    assert "Sessions of" not in as_html(factory.in_sessions(factory.record(), count=1))


def test_a_notebook_calls_disturbed_what_is_no_figure() -> None:
    shown = as_html(factory.in_sessions(factory.record(), disturbed=range(5)))
    assert f"<b>Disturbed:</b> {factory.BUSY}" in shown
    assert "~25 ms, disturbed" in shown
    assert "predicted by the multiply-adds" not in shown  # no waterfall
    assert "Share of the time" not in shown


def test_a_notebook_has_images_a_second_of_batches() -> None:
    record = factory.in_sessions(factory.record(("mobilenet_v1_0.25_32_b8",)))
    assert "images a second" in as_html(record)
    assert "images a second" not in as_html(factory.in_sessions(factory.record()))
