from __future__ import annotations

from typing import Any

import msgspec
import record_factory as factory

from mbench.core.records import Layer, Result
from mbench.gating import causes
from mbench.gating.matching import Match

RESULT = factory.counted(factory.record(["mobilenet_v1_0.25_32"])).results[0]
LAYER = RESULT.layers[5]


def of(head: Layer, result: Result = RESULT, *, base: Layer = LAYER, ratio: float | None = 1.2) -> tuple[str, ...]:
    return causes.of_layer(Match((base,), (head,)), RESULT, result, ratio)


def changed(**fields: Any) -> Layer:
    return msgspec.structs.replace(LAYER, **fields)


def rescheduled() -> Result:
    schedules = {**RESULT.artifact.schedules, LAYER.kernel: "x86.another rows 1"}
    return msgspec.structs.replace(RESULT, artifact=msgspec.structs.replace(RESULT.artifact, schedules=schedules))


def test_another_schedule_is_named() -> None:
    before = RESULT.artifact.schedules[LAYER.kernel]
    assert of(LAYER, rescheduled()) == (f"schedule changed: {before} → x86.another rows 1",)
    assert causes.of_network(RESULT, rescheduled()) == ("schedules of 1 kernels differ",)


def test_more_instructions_are_named_with_their_figures() -> None:
    assert LAYER.counters
    more = msgspec.structs.replace(LAYER.counters, instructions=LAYER.counters.instructions * 2)
    [cause] = of(changed(counters=more))
    assert cause.startswith("instructions ")
    assert "+100.00" in cause


def test_more_bytes_are_named() -> None:
    [cause] = of(changed(workspace_bytes=4096))
    assert cause.startswith("workspace bytes 0 B → 4.10 kB")


def test_the_same_counts_but_slower_is_noise_or_frequency_and_without_counts_it_is_unknown() -> None:
    assert of(LAYER) == ("the same instructions and bytes, but slower: noise, frequency, or where data lie",)
    bare = changed(counters=None)
    [unknown] = of(bare, base=bare)
    assert "--counts" in unknown


def test_what_the_user_changed_in_a_layer_comes_first() -> None:
    kernel, stride = LAYER.kernel_size, LAYER.stride
    assert kernel is not None
    assert stride is not None
    found = of(changed(kernel_size=(5, 5), stride=(2, 2), activation_bytes=2 * LAYER.activation_bytes))
    assert found[:2] == (f"kernel {kernel[0]}x{kernel[1]} → 5x5", "stride 1 → 2")
    assert "bytes" in found[2]


def test_nothing_is_explained_where_nothing_changed() -> None:
    assert of(LAYER, ratio=1.0) == of(LAYER, ratio=None) == ()


def test_quicker_wants_a_cause_too() -> None:
    assert of(LAYER, ratio=0.9) == (
        "the same instructions and bytes, but quicker: noise, frequency, or where data lie",
    )


def test_other_fusion_is_named() -> None:
    pair = RESULT.layers[3:5]
    joined = msgspec.structs.replace(pair[1], kernel="both")
    found = causes.of_layer(Match(pair, (joined,)), RESULT, RESULT, 1.2)
    assert "fusion changed: 2 layers → 1" in found


def test_two_records_of_one_build_are_told_and_other_builds_are_not() -> None:
    assert causes.of_network(RESULT, RESULT) == ("both are the same build",)
    other = msgspec.structs.replace(RESULT, artifact=msgspec.structs.replace(RESULT.artifact, digest="1" * 64))
    assert causes.of_network(RESULT, other) == ()


def test_another_file_of_the_users_is_named() -> None:
    def of_file(**parameters: str) -> Result:
        own = msgspec.structs.replace(RESULT.variant, source="onnx", parameters=dict(parameters))
        return msgspec.structs.replace(RESULT, variant=own)

    one = of_file(file_sha256="a", content_sha256="b")
    assert causes.of_network(one, of_file(file_sha256="c", content_sha256="d")) == ("the user's files differ",)
    [anew] = causes.of_network(one, of_file(file_sha256="a", content_sha256="d"))
    assert anew == "the user's file was imported with other inputs or versions"
    assert causes.of_network(one, one) == ("both are the same build",)
    [returned] = causes.of_network(of_file(content_sha256="b"), of_file(content_sha256="d"))
    assert returned == "the user's function returned another network or other inputs, or versions differ"
