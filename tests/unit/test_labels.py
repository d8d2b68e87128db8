from __future__ import annotations

import shlex
from typing import get_args

import factory
import msgspec

from mbench.analysis import labels
from mbench.analysis.waterfall import Cause, Part
from mbench.core.records import Record


def repeated(record: Record) -> list[str]:
    return shlex.split(labels.command(record, record.results[0]))


def test_a_command_repeats_the_run() -> None:
    assert repeated(factory.record()) == [
        "mbench", "run", "mobilenet_v1_1.0_224", "--target", "host", "--threads", "2", "--batch", "1", "--dtype",
        "float32",
    ]  # fmt: skip
    assert repeated(factory.emulated())[-2:] == ["--device", "emulated"]
    assert repeated(factory.on_board(factory.record()))[-2:] == ["--device", "rpc://10.0.0.7:9090"]
    assert repeated(factory.record(latency=False))[-1] == "--compile-only"


def test_threads_are_named_where_they_compute() -> None:
    assert labels.where(factory.record()).endswith("), 2 threads")
    assert labels.where(factory.emulated()).endswith(", emulated")
    assert labels.threads(factory.emulated()) == "1 thread"
    assert labels.threads(factory.on_gpu(factory.record())) is None
    assert labels.where(factory.on_gpu(factory.record())) == "cuda_sm90 (GPU)"


def test_a_hostile_name_is_one_word_of_the_command() -> None:
    record = factory.record(factory.PAIR[:1])
    [result] = record.results
    name = "x; rm -rf $HOME"
    variant = msgspec.structs.replace(result.variant, name=name)
    command = labels.command(record, msgspec.structs.replace(result, variant=variant))
    assert shlex.split(command)[2] == name


def test_every_kind_has_a_word() -> None:
    assert set(labels.CAUSES) == set(get_args(Cause))
    assert set(labels.PARTS) == set(get_args(Part))
    assert set(labels.REASONS) == set(get_args(Cause)) - {"arithmetic"}


def test_a_step_of_the_standard_network_that_costs_less_than_nothing() -> None:
    assert labels.step("standard", "extra_macs", 1.0) == "standard convolutions: fewer multiply-adds"
    assert labels.step("standard", "extra_macs", -1.0) == "standard convolutions: more multiply-adds"
    assert labels.step("depthwise", "kernel", 1.0) == "depthwise layers: slower than the roofline"
    assert labels.step("whole", "rest", -1.0) == "not accounted for"


def test_a_batch_in_the_name_is_said_and_repeated() -> None:
    record = factory.record(("mobilenet_v1_0.25_32_standard_b8",))
    assert labels.variant(record.results[0].variant) == "MobileNetV1 0.25 32, standard convolutions, batch 8"
    assert repeated(record)[2] == "mobilenet_v1_0.25_32_standard_b8"
    assert repeated(record)[repeated(record).index("--batch") + 1] == "8"
