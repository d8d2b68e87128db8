"""What the page shows of a record, before it is a page."""

from __future__ import annotations

import statistics

import farm_factory as farms
import msgspec
import pytest
import record_factory as factory

from mbench.analysis import headline, labels, repeat
from mbench.core import record_files
from mbench.page import report, views


def test_it_is_the_command_on_the_page() -> None:
    record = record_files.decode(record_files.encode(factory.record()), source="x")
    assert [item.command for item in views.of_record(record).results] == [
        repeat.command(record, result) for result in record.results
    ]


def test_shares_are_of_all_layers_and_the_largest_comes_first() -> None:
    [view] = views.of_record(factory.record(factory.PAIR[:1])).results
    medians = {layer.name: statistics.median(layer.latency_s or ()) for layer in view.result.layers}
    whole = sum(medians.values())
    assert {item.row.layer.name: item.share for item in view.slowest} == pytest.approx(
        {name: median / whole for name, median in medians.items()}
    )
    shares = [item.share for item in view.slowest]
    assert shares == sorted(shares, reverse=True)
    assert sum(kind.share for kind in view.spending) == pytest.approx(1.0)
    assert sum(kind.layers for kind in view.spending) == len(view.layers)


def test_of_layers_that_were_not_timed_there_are_no_shares() -> None:
    [view] = views.of_record(factory.record(factory.PAIR[:1], latency=False)).results
    assert (view.slowest, view.spending, view.latency) == ((), (), None)


def test_two_layers_of_one_name_have_ids_of_their_own() -> None:
    record = factory.record(factory.PAIR[:1])
    first, second, *others = record.results[0].layers
    layers = (first, msgspec.structs.replace(second, name=first.name), *others)
    result = msgspec.structs.replace(record.results[0], layers=layers)
    [view] = views.of_record(msgspec.structs.replace(record, results=(result,)), prefix="a b/").results
    anchors = [row.anchor for row in view.layers]
    assert len(set(anchors)) == len(anchors)
    assert anchors[0] == f"layer=a_b/{result.variant.name}/{first.name}"
    assert not any(" " in anchor for anchor in anchors)


def test_a_warning_of_two_networks_is_said_once() -> None:
    record = factory.record()
    results = tuple(msgspec.structs.replace(result, warnings=("hot",)) for result in record.results)
    view = views.of_record(msgspec.structs.replace(record, results=results))
    assert view.warnings == (("hot", tuple(labels.variant(result.variant) for result in results)),)


def test_a_networks_latency_is_its_headline_and_has_its_sessions() -> None:
    record = factory.in_sessions(factory.record(factory.PAIR[:1]), disturbed=(2,))
    [view] = views.of_record(record).results
    assert view.latency is not None
    assert view.headline is not None
    assert view.latency.median_s == view.headline.median_s
    assert [each.number for each in view.sessions] == [1, 2, 3, 4, 5]
    medians = [each.median_s for each in view.sessions if not each.session.left_out]
    assert medians == list(headline.medians(view.result))
    assert view.sessions[2].median_s == statistics.median(view.result.sessions[2].latency_s or ())
    assert view.disturbed is None
    assert view.load_s == pytest.approx(0.04)  # of 20, 30, 50 and 60 ms


def test_what_disturbed_a_network_is_known_beside_its_shares() -> None:
    view = views.of_record(factory.in_sessions(factory.record(), disturbed=range(5), only=factory.PAIR[:1]))
    first, second = view.results
    assert first.disturbed == factory.BUSY
    assert sum(part.share for part in first.spending) == pytest.approx(1)
    assert [part.share for part in first.slowest] == sorted((part.share for part in first.slowest), reverse=True)
    assert second.disturbed is None
    assert second.slowest
    assert view.disturbed == ((factory.BUSY, (first.label,)),)
    assert view.pairs[0].disturbed == factory.BUSY


def test_networks_with_too_few_sessions_are_unfinished() -> None:
    record = factory.in_sessions(factory.record(), count=2)
    more = msgspec.structs.replace(record, settings=msgspec.structs.replace(record.settings, sessions=5))
    assert views.of_record(record).unfinished == ()
    assert views.of_record(more).unfinished == tuple((name, 2) for name in factory.PAIR)


def test_why_no_session_has_something() -> None:
    record = factory.in_sessions(factory.record(factory.PAIR[:1]), count=2)
    [result] = record.results
    silent = tuple(
        msgspec.structs.replace(each, load_s=None, missing={"load_s": "this device does not report it"})
        for each in result.sessions
    )
    record = msgspec.structs.replace(record, results=(msgspec.structs.replace(result, sessions=silent),))
    [view] = views.of_record(record).results
    assert (view.load_s, view.why_session("load_s")) == (None, "this device does not report it")
    [before] = views.of_record(factory.record(factory.PAIR[:1])).results
    assert before.why_session("load_s") == "the record has no sessions"


def test_a_record_of_several_devices_shows_each_with_its_networks() -> None:
    view = views.of_record(farms.record(["pi-3", "pi-1"])).farm
    assert view is not None
    assert [(each.device.name, each.reference_s, len(each.networks)) for each in view.devices] == [
        ("pi-1", 0.01, 1), ("pi-2", 0.0104, 0), ("pi-3", 0.01005, 1),
    ]  # fmt: skip
    assert len(view.spreads) == 1
    assert views.of_record(factory.record()).farm is None


def test_the_page_has_a_table_of_the_devices() -> None:
    html = report.render([farms.record(["pi-3", "pi-1"])])
    assert "The devices of the farm" in html
    assert "takes 4.0 % more than the quickest" in html
    assert "The devices of the farm" not in report.render([factory.record()])
