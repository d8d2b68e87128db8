from __future__ import annotations

import dataclasses

import msgspec
import pytest
import record_factory as factory

from mbench.analysis import headline, pairs
from mbench.core import stats
from mbench.core.records import Record, Result


def test_the_papers_saving() -> None:
    """Oracle: arXiv:1704.04861, table 4: 569 and 4866 million multiply-adds, 4.2 and 29.3 million parameters."""
    [pair] = pairs.of_record(factory.record())
    assert pairs.macs(pair.separable) / 1e6 == pytest.approx(569, abs=0.5)
    assert pairs.macs(pair.standard) / 1e6 == pytest.approx(4866, rel=0.001)
    assert pairs.params(pair.separable) / 1e6 == pytest.approx(4.2, abs=0.05)
    assert pairs.params(pair.standard) / 1e6 == pytest.approx(29.3, abs=0.05)
    assert pair.predicted == pytest.approx(4866 / 569, rel=0.001)


def test_a_blocks_promise_is_the_papers_formula() -> None:
    """Oracle: section 3.1: depthwise-separable over standard is 1/N + 1/Dk²."""
    [pair] = pairs.of_record(factory.record())
    blocks = pair.blocks()
    assert [block.name for block in blocks] == [f"block{number}" for number in range(1, 14)]
    for block in blocks:
        assert block.predicted == pytest.approx(1 / (1 / block.channels + 1 / 9))
        assert block.cost_ratio == pytest.approx(1 / block.predicted)


def test_achieved_is_the_ratio_of_medians() -> None:
    [pair] = pairs.of_record(factory.record())
    layers = {layer.name: layer for layer in (*pair.separable.layers, *pair.standard.layers)}
    seconds = {name: stats.median(layer.latency_s or ()) for name, layer in layers.items() if layer.latency_s}
    block = pair.blocks()[4]
    assert block.achieved == pytest.approx(seconds["block5.conv"] / (seconds["block5.dw"] + seconds["block5.pw"]))
    whole = [stats.median(half.end_to_end.latency_s or ()) for half in (pair.standard, pair.separable)]
    assert pair.achieved == pytest.approx(whole[0] / whole[1])


def test_without_latency_the_promise_stays() -> None:
    [pair] = pairs.of_record(factory.record(latency=False))
    assert pair.achieved is None
    assert pair.predicted is not None
    assert all(block.achieved is None and block.predicted > 1 for block in pair.blocks())


def test_a_single_network_has_no_pair_and_names_its_counterpart() -> None:
    name, standard = factory.PAIR
    assert pairs.of_record(factory.record((name,))) == ()
    assert unpaired(factory.record((name,))) == [(name, standard)]
    assert unpaired(factory.record((standard,))) == [(standard, name)]
    assert unpaired(factory.record()) == []


def unpaired(record: Record) -> list[tuple[str, str]]:
    return [(one.name, other.name) for one, other in pairs.unpaired(record)]


def test_imported_networks_are_paired_by_what_they_are_and_not_by_their_names() -> None:
    record = factory.record()
    ours, theirs = record.results

    def of(content: str, result: Result, name: str) -> Result:
        own = msgspec.structs.replace(
            result.variant, name=name, source="onnx", family="net_b1", parameters={"content_sha256": content}
        )
        return msgspec.structs.replace(result, variant=own)

    both = msgspec.structs.replace(
        record, results=(of("a", theirs, "x"), of("b", ours, "net_b1"), of("a", ours, "y_standard"))
    )
    [pair] = pairs.of_record(both)
    assert (pair.separable.variant.name, pair.standard.variant.name) == ("y_standard", "x")
    assert unpaired(both) == [("net_b1", "net_b1_standard")]
    built_in = msgspec.structs.replace(record, results=(ours, of("a", theirs, "x")))
    assert pairs.of_record(built_in) == ()


@pytest.mark.parametrize(("over", "under"), [(None, 1.0), (1.0, None), (1.0, 0.0)])
def test_no_ratio(over: float | None, under: float | None) -> None:
    assert pairs.ratio(over, under) is None


def test_reasons_are_found_by_path_parent_or_part() -> None:
    [result] = factory.record(factory.PAIR[:1]).results
    result = msgspec.structs.replace(result, missing={"time_balance": "b", "layers.counters": "c"})
    assert pairs.why_missing(result, "time_balance.overhead_s") == "b"
    assert pairs.why_missing(result, "layers.counters") == "c"
    assert pairs.why_missing(result, "layers") == "c"
    assert pairs.why_missing(result, "energy") == "the record gives no reason"


def test_schedules_of_joined_kernels() -> None:
    [result] = factory.record(factory.PAIR[:1]).results
    artifact = msgspec.structs.replace(result.artifact, schedules={"a": "rule1", "b": "rule2", "c": "rule1"})
    result = msgspec.structs.replace(result, artifact=artifact)

    def schedule(kernel: str) -> str | None:
        return pairs.schedule(msgspec.structs.replace(result.layers[0], kernel=kernel), result)

    assert schedule("a") == "rule1"
    assert schedule("a + b + c") == "rule1 + rule2"
    assert schedule("d") is None


def test_blocks_are_found_by_block_and_role_and_not_by_name() -> None:
    """Names mean nothing: with others, in both networks, the blocks are the same."""
    record = factory.record()
    [pair] = pairs.of_record(record)

    def renamed(result: Result) -> Result:
        layers = tuple(
            msgspec.structs.replace(layer, name=f"n{layer.index}", inputs=()) for layer in result.layers
        )  # fmt: skip
        return msgspec.structs.replace(result, layers=layers, replaced=())

    def unnamed(blocks: tuple[pairs.PairedBlock, ...]) -> list[pairs.PairedBlock]:
        return [dataclasses.replace(block, layers=()) for block in blocks]

    other = pairs.Pair(separable=renamed(pair.separable), standard=renamed(pair.standard))
    assert unnamed(other.blocks()) == unnamed(pair.blocks())
    assert len(pair.blocks()) == 13


def test_without_roles_there_are_no_blocks() -> None:
    [pair] = pairs.of_record(factory.record())
    layers = tuple(msgspec.structs.replace(layer, role="other") for layer in pair.standard.layers)
    standard = msgspec.structs.replace(pair.standard, layers=layers, replaced=())
    bare = pairs.Pair(separable=pair.separable, standard=standard)
    assert bare.blocks() == ()


def test_a_pair_of_which_one_is_disturbed_is_so() -> None:
    quiet = factory.in_sessions(factory.record(), disturbed=(0, 1))
    one = factory.in_sessions(factory.record(), disturbed=range(5), only=factory.PAIR[1:])
    assert [pair.disturbed for pair in pairs.of_record(quiet)] == [()]
    assert [pair.disturbed for pair in pairs.of_record(one)] == [one.results[1:]]


def test_the_smallest_visible_change_is_that_of_the_sessions_or_of_the_aa_pair() -> None:
    before, record = factory.record(), factory.in_sessions(factory.record())
    noise, found = pairs.noise(before, before.results[0]), headline.of_result(record.results[0])
    assert noise is not None
    assert found is not None
    assert pairs.smallest_change(before, before.results[0]) == noise.smallest_visible_change
    assert pairs.smallest_change(record, record.results[0]) == found.smallest_change
    assert pairs.noise(record, record.results[0]) is None


def test_where_it_cannot_be_known_there_is_no_smallest_visible_change() -> None:
    for record in (
        factory.in_sessions(factory.record(), count=1),
        factory.in_sessions(factory.record(), disturbed=range(5)),
        factory.record(repeat=20),
        factory.record(latency=False),
    ):
        assert pairs.smallest_change(record, record.results[0]) is None
