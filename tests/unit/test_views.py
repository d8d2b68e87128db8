"""What the page shows of a record, before it is a page."""

from __future__ import annotations

import statistics

import msgspec
import pytest
import record_factory as factory

from mbench.analysis import repeat
from mbench.core import record_files
from mbench.page import views


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
    assert view.warnings == (("hot", tuple(result.variant.name for result in results)),)
