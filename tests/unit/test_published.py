"""What is published of networks: their accuracies, multiply-adds and parameters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import published_modules
import pytest

from mbench.core import resources
from mbench.networks import published, variants
from mbench.networks.families import FAMILIES
from mbench.networks.published import Published

HEADS = "variant,setting,top1_percent,top5_percent,macs,params,counted,source\n"


def in_setting(name: str, setting: str) -> Published:
    """Return the one row of a network whose setting begins so."""
    [row] = [row for row in published.table() if row.name == name and row.setting.startswith(setting)]
    return row


@pytest.mark.parametrize(
    ("name", "setting", "top1", "top5", "macs", "params"),
    [
        # tensorflow/models, research/slim/nets/mobilenet_v1.md: first, a middle one and the last of its table
        ("mobilenet_v1_1.0_224", "TensorFlow-Slim", 70.9, 89.9, 569e6, 4.24e6),
        ("mobilenet_v1_0.75_160", "TensorFlow-Slim", 65.3, 86.0, 162e6, 2.59e6),
        ("mobilenet_v1_0.25_128", "TensorFlow-Slim", 41.5, 66.3, 14e6, 0.47e6),
        # arXiv:1704.04861, tables 4, 5 and 6
        ("mobilenet_v1_1.0_224", "MobileNetV1 paper", 70.6, None, 569e6, 4.2e6),
        ("mobilenet_v1_1.0_224_standard", "MobileNetV1 paper", 71.7, None, 4866e6, 29.3e6),
        ("mobilenet_v1_1.0_224_shallow", "MobileNetV1 paper", 65.3, None, 307e6, 2.9e6),
        # tensorflow/tensorflow, tensorflow/lite/g3doc/guide/hosted_models.md
        ("mobilenet_v1_0.75_128_int8", "quantisation-aware", 55.9, 79.1, None, None),
        ("mobilenet_v2_1.0_224_int8", "quantisation-aware", 70.8, 89.9, None, None),
        # tensorflow/models, research/slim/nets/mobilenet/README.md
        ("mobilenet_v2_1.4_224", "TensorFlow-Slim", 75.0, 92.5, 582e6, 6.06e6),
        ("mobilenet_v2_0.35_96", "TensorFlow-Slim", 45.5, 70.4, 11e6, 1.66e6),
        ("mobilenet_v3_large_minimalistic_1.0_224", "TensorFlow-Slim", 72.3, None, 209e6, 3.9e6),
        ("mobilenet_v3_small_1.0_224_int8", "TensorFlow-Slim", 64.9, None, 66e6, 2.9e6),
        # huggingface/pytorch-image-models, results/results-imagenet.csv
        ("mobilenet_v4_conv_small_1.0_224", "timm, 2400 epochs", 73.756, 91.430, 0.19e9, 3.77e6),
        ("mobilenet_v4_hybrid_large_1.0_448", "timm, 600 epochs at 384, other", 84.352, 96.888, 10.74e9, 37.76e6),
        # arXiv:2404.10518, tables 6 and 9
        ("mobilenet_v4_conv_small_1.0_224", "MobileNetV4 paper, ImageNet", 73.8, None, 0.2e9, 3.8e6),
        ("mobilenet_v4_hybrid_large_1.0_384", "MobileNetV4 paper, distilled", 86.6, None, 7.2e9, 35.9e6),
        # tensorflow/tpu, models/official/efficientnet/lite/README.md and models/official/mnasnet/README.md
        ("efficientnet_lite4_1.0_300", "EfficientNet-Lite", 81.5, None, 2.64e9, 13.0e6),
        ("efficientnet_lite4_1.0_300_int8", "EfficientNet-Lite", 80.2, None, 2.64e9, 13.0e6),
        ("mnasnet_a1_1.4_224", "MnasNet", 77.2, 93.5, 591.5e6, 6.1e6),
        ("mnasnet_a1_0.35_96", "MnasNet", 49.3, 73.4, 12.7e6, 1.7e6),
        # pytorch/vision, torchvision/models/mnasnet.py
        ("mnasnet_b1_1.3_224", "torchvision", 76.506, 93.522, 0.526e9, 6.282256e6),
    ],
)
def test_figures_are_those_of_their_source(
    name: str, setting: str, top1: float, top5: float | None, macs: float | None, params: float | None
) -> None:
    row = in_setting(name, setting)
    assert (row.top1_percent, row.top5_percent) == (top1, top5)
    assert [each and pytest.approx(each.value) for each in (row.macs, row.params)] == [macs, params]


def test_torchvision_has_the_same_figures_of_mnasnet_b1() -> None:
    models, _ = published_modules.libraries()
    for row in published.table():
        if row.source.startswith("pytorch/vision"):
            weights = getattr(models, row.source.split(", ")[-1].split(".")[0]).IMAGENET1K_V1
            metrics = weights.meta["_metrics"]["ImageNet-1K"]
            assert (row.top1_percent, row.top5_percent) == (metrics["acc@1"], metrics["acc@5"])
            assert row.params is not None
            assert round(row.params.value) == weights.meta["num_params"]


def test_all_sixteen_sizes_of_mobilenet_v1_and_all_of_v2_are_there() -> None:
    by_family = {family: {row.name for row in published.table() if row.variant.family == family} for family in FAMILIES}
    sixteen = set(variants.expand(["mobilenet_v1_{0.25,0.5,0.75,1.0}_{128,160,192,224}"]))
    assert sixteen | {f"{name}_int8" for name in sixteen} < by_family["mobilenet_v1"]
    v2 = {"mobilenet_v2_{0.35,0.5,0.75,1.0}_{96,128,160,192,224}", "mobilenet_v2_{1.3,1.4}_224"}
    assert {*variants.expand(sorted(v2)), "mobilenet_v2_1.0_224_int8"} == by_family["mobilenet_v2"]
    assert all(by_family.values())


def test_what_contradicts_itself_is_left_out() -> None:
    assert "mnasnet_a1_0.35_160" not in {row.name for row in published.table()}
    assert len([row for row in published.table() if row.variant.family == "mnasnet_a1"]) == 24


def test_a_larger_network_of_one_setting_is_more_accurate() -> None:
    """A misread figure would mostly stand out: in print, no smaller width and resolution is better."""
    rows = published.table()
    for small in rows:
        for large in rows:
            same = (small.setting, small.variant.family, small.variant.dtype, small.variant.convolution) == (
                large.setting, large.variant.family, large.variant.dtype, large.variant.convolution,
            )  # fmt: skip
            sizes = ("width_multiplier", "resolution")
            if same and all(small.variant.number(size) <= large.variant.number(size) for size in sizes):
                assert small.top1_percent <= large.top1_percent, (small.name, large.name)
        assert small.top5_percent is None or small.top1_percent < small.top5_percent < 100


def test_the_first_of_a_network_is_its_accuracy() -> None:
    found = published.accuracies()
    assert found["mobilenet_v1_1.0_224"].top1_percent == 70.9
    assert found["mobilenet_v4_conv_small_1.0_256"].setting == "timm, 3600 epochs at 256"
    assert not any(name.endswith("_int8") for name in found)


def test_a_count_agrees_in_the_digits_that_are_printed() -> None:
    row = in_setting("efficientnet_lite3_1.0_280", "EfficientNet-Lite checkpoints")
    assert row.macs is not None
    assert row.macs.text == "1.44G"
    assert row.macs.unit == pytest.approx(0.01e9)
    assert row.macs.agrees(1.4351e9)  # rounded
    assert row.macs.agrees(1.4499e9)  # truncated
    assert not row.macs.agrees(1.4501e9)
    assert not row.macs.agrees(1.4299e9)


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(resources, "data_dir", lambda name: tmp_path)
    published.table.cache_clear()
    yield tmp_path / published.FILE
    published.table.cache_clear()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("mobilenet_v2_1.0_96,x,1,,,,,s\nmobilenet_v2_1.0_96,x,2,,,,,s\n", "mobilenet_v2_1.0_96 twice"),
        ("mobilenet_v2_96,x,1,,,,,s\n", "no canonical name"),
        ("mobilenet_v2_1.0_96,x,1,,,,,\n", "no source"),
        ("mobilenet_v2_1.0_96,x,1,,,2.0M,,s\n", "does not say what its parameters are"),
        ("mobilenet_v2_1.0_96,x,1,,569,,,s\n", "'569' is no count"),
    ],
)
def test_a_row_that_is_none_is_an_error(rows: str, message: str, written: Path) -> None:
    written.write_text(HEADS + rows)
    with pytest.raises(ValueError, match=message):
        published.table()
