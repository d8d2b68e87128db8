from __future__ import annotations

from typing import get_args

import msgspec
import record_factory as factory

from mbench.analysis import labels
from mbench.analysis.waterfall import Cause, Part


def test_a_network_of_another_family_has_a_name() -> None:
    variant = msgspec.structs.replace(
        factory.record().results[0].variant, family="mobilenet_v9", parameters={"size": "large", "depth": 2}
    )
    assert labels.variant(variant) == "mobilenet_v9 large 2"


def test_threads_are_named_where_they_compute() -> None:
    assert labels.where(factory.record()).endswith("), 2 threads")
    assert labels.where(factory.emulated()).endswith(", emulated")
    assert labels.threads(factory.emulated()) == "1 thread"
    assert labels.threads(factory.on_gpu(factory.record())) is None
    assert labels.where(factory.on_gpu(factory.record())) == "cuda_sm90 (GPU)"


def test_every_kind_has_a_word() -> None:
    assert set(labels.CAUSES) == set(get_args(Cause))
    assert set(labels.PARTS) == set(get_args(Part))
    assert set(labels.REASONS) == set(get_args(Cause)) - {"arithmetic"}


def test_a_step_of_the_standard_network_that_costs_less_than_nothing() -> None:
    assert labels.step("standard", "extra_macs", 1.0) == "standard convolutions: fewer multiply-adds"
    assert labels.step("standard", "extra_macs", -1.0) == "standard convolutions: more multiply-adds"
    assert labels.step("depthwise", "kernel", 1.0) == "depthwise layers: below the roofline"
    assert labels.step("whole", "rest", -1.0) == "unattributed"


def test_a_batch_in_the_name_is_said() -> None:
    record = factory.record(("mobilenet_v1_0.25_32_standard_b8",))
    assert labels.variant(record.results[0].variant) == "MobileNetV1 0.25 32, standard convolutions, batch 8"
