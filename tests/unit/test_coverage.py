"""What both runs have and no way of comparing took is named, network by network and layer by layer."""

from __future__ import annotations

import msgspec
import record_factory as factory
import verdict_factory as make

from mbench.core.records import Result
from mbench.gating import coverage, matching

[WHOLE] = factory.counted(factory.record(factory.PAIR[:1])).results
NAME = WHOLE.variant.name
JUDGED = make.finding(variant=NAME, layer=None, way="counts")


def lacking(base: Result, head: Result, *, judged: bool = True) -> list[str]:
    matched = {NAME: matching.layers(base.layers, head.layers)}
    found = [JUDGED] if judged else []
    return [each.reason for each in coverage.lacking([(NAME, base, head)], matched, ["counts"], ["counts"], found)]


def test_nothing_is_lacking_where_all_was_compared() -> None:
    assert lacking(WHOLE, WHOLE) == []


def test_a_network_that_was_not_judged_is_named() -> None:
    [said] = lacking(WHOLE, WHOLE, judged=False)
    assert said.startswith("nothing that it executed could be compared")
    assert lacking(WHOLE, msgspec.structs.replace(WHOLE, counts=None)) == ["counted in the base alone"]


def test_layers_that_one_run_counted_alone_are_named_and_more_than_three_are_in_brief() -> None:
    def without(count: int) -> Result:
        layers = [msgspec.structs.replace(layer, counters=None) for layer in WHOLE.layers[:count]]
        return msgspec.structs.replace(WHOLE, layers=(*layers, *WHOLE.layers[count:]))

    first = [layer.name for layer in WHOLE.layers[:3]]
    assert lacking(WHOLE, without(1)) == [f"layers counted in the base alone: {first[0]}"]
    assert lacking(without(5), WHOLE) == [f"layers counted in the head alone: {', '.join(first)} and 2 more"]
    [note] = coverage.notes(
        [(NAME, WHOLE, WHOLE)], {NAME: matching.layers(without(1).layers, without(1).layers)}, ["counts"]
    )
    assert f"{NAME}: layers {first[0]} were counted in neither run" in note
