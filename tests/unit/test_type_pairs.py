from __future__ import annotations

import msgspec
import pytest
import quantized_records as quantized
import record_factory as factory

from mbench.analysis import type_pairs
from mbench.core.records import Layer

replace = msgspec.structs.replace


def test_a_network_in_two_types_is_a_pair() -> None:
    record = quantized.both()
    [pair] = type_pairs.of_record(record)
    assert (pair.wide, pair.narrow) == record.results
    assert pair.expected == 4
    assert pair.achieved == pytest.approx(3.0)
    assert not pair.by_instructions
    assert type_pairs.of_record(replace(record, results=record.results[::-1]))[0].wide.variant.dtype == "float32"


@pytest.mark.parametrize(
    "change", [{"batch": 2}, {"family": "another"}, {"parameters": {}}, {"convolution": "standard"}]
)
def test_what_differs_in_more_than_the_type_is_no_pair(change: dict[str, object]) -> None:
    record = quantized.both()
    floats, narrow = record.results
    other = replace(narrow, variant=replace(narrow.variant, **change))
    assert type_pairs.of_record(replace(record, results=(floats, other))) == ()


def test_two_networks_of_one_type_are_no_pair() -> None:
    assert type_pairs.of_record(factory.record()) == ()


def test_two_are_expected_of_float16() -> None:
    record = quantized.both()
    floats, narrow = record.results
    half = replace(narrow, variant=replace(narrow.variant, dtype="float16"))
    [pair] = type_pairs.of_record(replace(record, results=(floats, half)))
    assert pair.expected == 2


def test_layers_of_one_name_meet_and_a_pass_that_rounds_stands_alone() -> None:
    [pair] = type_pairs.of_record(quantized.both(left_float=("block2.pw",)))
    first, second, *_ = pair.layers()
    assert (first.name, first.wide, first.wide_s, first.gain) == (quantized.PASS, (), None, None)
    assert second.name == "conv0"
    assert second.gain == pytest.approx(3.0, rel=0.01)
    assert [each.name for each in pair.layers()] == [layer.name for layer in pair.narrow.layers]
    by_name = {each.name: each for each in pair.layers()}
    assert by_name["block2.pw"].gain == pytest.approx(1.0)
    left = by_name["block2.pw"].stayed_float
    assert left is not None
    assert left.reason == quantized.FLOAT_REASON
    assert [name for name, each in by_name.items() if each.stayed_float] == ["block2.pw"]


def test_each_has_the_signal_of_its_own_value() -> None:
    [pair] = type_pairs.of_record(quantized.both())
    found = {each.name: each.sqnr_db for each in pair.layers()}
    assert found[quantized.PASS] is None
    assert (found["conv0"], found["block1.dw"]) == (40.0, 39.0)
    assert found[pair.wide.layers[-1].name] == 19.5


def named(*names: str, index: int = 0, contains: tuple[str, ...] = ()) -> Layer:
    layer = factory.record(factory.PAIR[:1]).results[0].layers[0]
    return replace(layer, name=names[0], index=index, contains=contains)


def row(*layers: Layer) -> tuple[Layer, ...]:
    return tuple(replace(layer, index=at) for at, layer in enumerate(layers))


def matched(wide: tuple[Layer, ...], narrow: tuple[Layer, ...]) -> list[tuple[list[str], list[str]]]:
    return [
        ([layer.name for layer in ours], [layer.name for layer in theirs])
        for ours, theirs in type_pairs.matched(wide, narrow)
    ]


def test_a_kernel_fused_of_several_layers_meets_all_of_them() -> None:
    fused = named("block", contains=("expand", "dw", "project"))
    found = matched(row(named("stem"), fused), row(named("in"), *map(named, ("stem", "expand", "dw", "project"))))
    assert found == [([], ["in"]), (["stem"], ["stem"]), (["block"], ["expand", "dw", "project"])]
    back = matched(row(*map(named, ("stem", "expand", "dw", "project"))), row(named("stem"), fused))
    assert back == [(["stem"], ["stem"]), (["expand", "dw", "project"], ["block"])]


def test_kernels_that_overlap_meet_as_one() -> None:
    wide = row(named("ab", contains=("a", "b")), named("c"))
    narrow = row(named("a"), named("bc", contains=("b", "c")))
    assert matched(wide, narrow) == [(["ab", "c"], ["a", "bc"])]


def test_what_one_network_lacks_keeps_its_place() -> None:
    found = matched(row(*map(named, ("a", "only", "b"))), row(*map(named, ("a", "b"))))
    assert found == [(["a"], ["a"]), (["only"], []), (["b"], ["b"])]


def test_what_is_not_timed_has_no_gain() -> None:
    [pair] = type_pairs.of_record(quantized.both(latency=False))
    assert pair.achieved is None
    assert {each.gain for each in pair.layers()} == {None}
