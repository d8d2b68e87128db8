from __future__ import annotations

from pathlib import Path
from typing import get_args

import msgspec
import record_factory as factory
from conftest import Mbench

from mbench.analysis import labels
from mbench.analysis.waterfall import Cause, Part
from mbench.core import record_files
from mbench.page import report


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


def test_the_labels_of_a_run_are_shown_and_on_its_page(run: Mbench, tmp_path: Path) -> None:
    record = factory.record(factory.PAIR[:1])
    file = tmp_path / "run.json"
    record_files.write(file, msgspec.structs.replace(record, labels={"branch": "<main>", "change": "42"}))
    assert "branch <main>, change 42" in run("show", file).out
    assert "branch &lt;main&gt;, change 42" in report.render([record_files.read(file)])
    assert labels.given(record) == ""
