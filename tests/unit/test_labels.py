from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest
import record_factory as factory
from conftest import Mbench

from mbench.analysis import labels
from mbench.analysis.layer_causes import Cause
from mbench.analysis.waterfall import Part
from mbench.core import record_files
from mbench.core.records import Variant
from mbench.networks import variants
from mbench.page import drawing, report, templates


def test_a_network_of_another_family_has_a_name() -> None:
    variant = msgspec.structs.replace(
        factory.record().results[0].variant, family="mobilenet_v9", parameters={"size": "large", "depth": 2}
    )
    assert labels.variant(variant) == "mobilenet_v9 large 2"


OWN = Variant(
    name="net_b8", source="onnx", family="net", parameters={"producer": "a tool", "content_sha256": "0" * 64},
    convolution="depthwise_separable", batch=8, dtype="float32",
)  # fmt: skip


def test_an_imported_network_is_called_as_its_file() -> None:
    twin = variants.paired_with(OWN)
    assert twin is not None
    assert (labels.variant(OWN), labels.variant(twin)) == ("net, batch 8", "net, standard convolutions, batch 8")
    assert labels.variant(msgspec.structs.replace(OWN, name="net")) == "net"


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


def test_a_kind_of_layer_that_is_not_known_is_shown_as_it_is_called() -> None:
    assert labels.op("depthwise_conv2d") == "depthwise"
    assert labels.op("fft") == "fft"
    record = factory.record(factory.PAIR[:1])
    [result] = record.results
    layers = (msgspec.structs.replace(result.layers[0], op="fft"), *result.layers[1:])
    strange = msgspec.structs.replace(record, results=(msgspec.structs.replace(result, layers=layers),))
    assert '<span class="op op-fft" aria-hidden="true"></span>fft' in report.render([strange])


@pytest.mark.parametrize("op", labels.OPS)
def test_each_kind_has_its_own_colour_on_the_page_and_in_figures(op: str) -> None:
    style = templates.asset("page.css").lower()
    colour = drawing.op_colour(op).lower()
    [rule] = re.findall(rf"\.op-{op} {{ background: ([^}}]*); }}", style) or re.findall(
        r":where\(\.op, \.stack span\) { background: ([^}]*); }", style
    )
    assert colour in rule
    assert drawing.op_colour("fft") == drawing.op_colour("other")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mobilenet_v2_1.0_224", "17 depthwise and 17 pointwise layers became 17 standard convolutions: 301 → 1,225"),
        ("mobilenet_v1_1.0_224", "13 depthwise and 13 pointwise layers became 13 standard convolutions: 569 → 4,867"),
    ],
)
def test_what_became_of_a_network_in_its_twin_is_a_sentence(name: str, said: str) -> None:
    """Oracles: arXiv:1801.04381, table 4 (300 million), arXiv:1704.04861, table 4 (569 and 4866 million)."""
    network, twin = factory.record((name, f"{name}_standard")).results
    assert labels.replaced(twin) == f"{said} million multiply-adds"
    assert labels.replaced(network) is None


def test_what_became_of_depthwise_layers_alone() -> None:
    [twin] = factory.record(("mobilenet_v2_1.0_224_standard",)).results
    alone = [msgspec.structs.replace(each, layers=each.layers[:1]) for each in twin.replaced]
    said = labels.replaced(msgspec.structs.replace(twin, replaced=tuple(alone)))
    assert said is not None
    assert said.startswith("17 depthwise layers became 17 standard convolutions: ")
    one = labels.replaced(msgspec.structs.replace(twin, replaced=tuple(alone[:1])))
    assert one is not None
    assert one.startswith("1 depthwise layer became a standard convolution: ")


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


@pytest.mark.parametrize(
    ("share", "above", "said"),
    [(0.5, False, "50 %"), (1.3, False, "130 %"), (1.3, True, ">100 %"), (0.4, True, "40 %"), (None, True, "\u2013")],
)
def test_a_share_of_a_peak_that_nothing_explains_is_no_figure(share: float | None, above: bool, said: str) -> None:
    assert labels.of_roof(share, above=above) == said
