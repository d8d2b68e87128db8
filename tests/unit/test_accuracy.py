"""Accuracies of networks: published, interpolated between what is published, given, or not known."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from scipy.interpolate import PchipInterpolator

from mbench.analysis import accuracy
from mbench.analysis.accuracy import GivenAccuracy, NetworkAccuracy
from mbench.networks import published, variants

WIDTHS, RESOLUTIONS = (0.25, 0.5, 0.75, 1.0), (128, 160, 192, 224)


def of(name: str) -> NetworkAccuracy:
    return accuracy.of(variants.parse(name))


def printed(name: str) -> float:
    return published.accuracies()[name].top1_percent


# ------------------------------------------------------------------------------------------------------------ published
def test_what_is_published_is_returned_with_its_source_whatever_the_batch() -> None:
    found = of("mobilenet_v1_0.75_160_b8")
    assert (found.kind, found.top1_percent, found.top5_percent) == ("published", 65.3, 86.0)
    assert found.source.startswith("tensorflow/models, research/slim/nets/mobilenet_v1.md")
    assert found.setting == "TensorFlow-Slim checkpoints of 2018-02-22"
    assert (found.error, found.bracket, found.reason) == (None, (), "")


def test_int8_has_figures_of_its_own_and_nothing_between_them() -> None:
    found = of("mobilenet_v1_1.0_224_int8")
    assert (found.kind, found.top1_percent) == ("published", 70.0)
    assert "quantisation-aware" in found.setting
    assert of("efficientnet_lite0_int8").setting.endswith("post-training quantisation")
    between = of("mobilenet_v1_0.6_224_int8")
    assert (between.kind, between.top1_percent) == ("unknown", None)
    assert between.reason == "nothing is published of it in int8; give it in a table: --accuracies FILE.csv"


# --------------------------------------------------------------------------------------------------------- interpolated
def test_between_two_figures_the_error_is_a_power_of_the_width() -> None:
    """Of MobileNetV3 large two widths are published, 0.75 and 1.0."""
    found = of("mobilenet_v3_large_0.875_224")
    share = math.log(0.875 / 0.75) / math.log(1.0 / 0.75)
    expected = 100 - (100 - 73.3) ** (1 - share) * (100 - 75.2) ** share
    assert found.kind == "interpolated"
    assert found.top1_percent == pytest.approx(expected, abs=1e-9)
    assert [row.name for row in found.bracket] == ["mobilenet_v3_large_0.75_224", "mobilenet_v3_large_1.0_224"]
    assert found.error is None, "of two figures none lies between others"
    assert found.setting == "TensorFlow-Slim checkpoints"


def test_along_a_line_it_is_scipys_monotone_curve() -> None:
    curve = PchipInterpolator(
        np.log(WIDTHS), [math.log(100 - printed(f"mobilenet_v1_{width}_160")) for width in WIDTHS]
    )
    found = of("mobilenet_v1_0.6_160")
    assert found.top1_percent == pytest.approx(100 - math.exp(curve(math.log(0.6))), abs=1e-9)
    assert {row.name for row in found.bracket} == {"mobilenet_v1_0.5_160", "mobilenet_v1_0.75_160"}


@pytest.fixture
def replaced(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[float, int], float]], None]]:
    """Return what puts other figures in the place of MobileNetV1's published ones."""
    rows = [row for row in published.table() if row.name.startswith("mobilenet_v1_") and row.macs and row.top5_percent]

    def forget() -> None:
        accuracy._grids.cache_clear()
        accuracy.left_out.cache_clear()

    def put(top1: Callable[[float, int], float]) -> None:
        found = tuple(
            dataclasses.replace(
                row,
                top1_percent=top1(row.variant.number("width_multiplier"), int(row.variant.number("resolution"))),
            )
            for row in rows
        )
        monkeypatch.setattr(published, "table", lambda: found)
        forget()

    assert len(rows) == 16
    yield put
    forget()


def test_a_law_of_powers_comes_out_as_it_is(replaced: Callable[[Callable[[float, int], float]], None]) -> None:
    def law(width: float, resolution: int) -> float:
        return 100 - 30 * math.pow(width, -0.4) * math.pow(resolution / 224, -0.7)

    replaced(law)
    for width, resolution in ((0.3, 128), (0.3, 140), (0.6, 200), (0.99, 223), (1.0, 130)):
        found = of(f"mobilenet_v1_{width}_{resolution}")
        assert found.top1_percent == pytest.approx(law(width, resolution), abs=1e-9)
        assert found.error is not None
        assert found.error.compared == 12, "all but the four corners"
        assert found.error.largest_points < 1e-9


def test_the_error_is_that_of_figures_that_were_left_out(
    replaced: Callable[[Callable[[float, int], float]], None],
) -> None:
    replaced(lambda width, resolution: 53.0 if (width, resolution) == (0.5, 128) else 50.0)
    found = of("mobilenet_v1_0.6_140")
    assert found.error is not None
    assert found.error.largest_points == pytest.approx(3.0), "itself, from the two beside it"
    assert 0 < found.error.median_points < 3


def test_between_four_figures_it_lies_within_them() -> None:
    found = of("mobilenet_v1_0.6_170")
    names = {f"mobilenet_v1_{width}_{resolution}" for width in (0.5, 0.75) for resolution in (160, 192)}
    assert {row.name for row in found.bracket} == names
    assert found.top1_percent is not None
    assert printed("mobilenet_v1_0.5_160") < found.top1_percent < printed("mobilenet_v1_0.75_192")
    assert found.top5_percent is None


@pytest.mark.parametrize("family", ["mobilenet_v1", "mobilenet_v2", "mnasnet_a1"])
def test_a_larger_network_is_never_less_accurate(family: str) -> None:
    widths = [round(each, 3) for each in np.linspace(0.35, 1.0, 14)]
    resolutions = range(128, 225, 8)
    found = np.array([[of(f"{family}_{width}_{side}").top1_percent for side in resolutions] for width in widths])
    assert (np.diff(found, axis=0) >= 0).all()
    assert (np.diff(found, axis=1) >= 0).all()


@pytest.mark.parametrize(
    ("family", "setting", "compared", "median", "largest"),
    [
        ("mobilenet_v1", "TensorFlow-Slim checkpoints of 2018-02-22", 12, 0.4, 2.0),
        ("mobilenet_v2", "TensorFlow-Slim checkpoints", 18, 0.4, 3.0),
        ("mnasnet_a1", "MnasNet checkpoints", 20, 0.4, 3.0),
    ],
)
def test_published_figures_follow_from_the_others(
    family: str, setting: str, compared: int, median: float, largest: float
) -> None:
    found = accuracy.left_out(family, "depthwise_separable", setting)
    assert found is not None
    assert found.compared == compared
    assert 0 < found.median_points < median
    assert found.median_points < found.largest_points < largest


def test_the_document_has_the_errors_of_today() -> None:
    floats = [row for row in published.table() if row.variant.dtype == "float32"]
    rows = []
    for family, convolution, setting in dict.fromkeys(
        (row.variant.family, row.variant.convolution, row.setting) for row in floats
    ):
        found = accuracy.left_out(family, convolution, setting)
        if found is not None:
            errors = f"{found.median_points:.2f} | {found.largest_points:.2f}"
            rows.append(f"| {family} | {setting} | {found.compared} | {errors} |")
    assert len(rows) == 5
    text = (Path(__file__).parents[2] / "docs" / "accuracy.md").read_text(encoding="utf-8")
    assert [row for row in rows if row not in text] == []


# ------------------------------------------------------------------------------------------------------------ not known
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mobilenet_v1_1.1_224", "width 0.25 to 1.0 at resolution 128 to 224"),
        ("mobilenet_v1_0.2_224", "outside of what is published of its family"),
        ("mobilenet_v1_1.0_225", "outside of what is published of its family"),
        ("mobilenet_v2_1.2_192", "no published figures of one setting lie around it"),  # 1.3 at 224 alone
        ("efficientnet_lite0_0.5_224", "width 1.0 at resolution 224"),
        ("mobilenet_v2_1.0_224_standard", "nothing is published of its standard twin"),
        ("mobilenet_v1_0.5_224_standard", "width 1.0 at resolution 224"),
        ("mobilenet_v4_conv_small_0.75_224", "no published figures of one setting lie around it"),
    ],
)
def test_nothing_is_extrapolated(name: str, said: str) -> None:
    found = of(name)
    assert (found.kind, found.top1_percent, found.source, found.bracket) == ("unknown", None, "", ())
    assert said in found.reason
    assert found.reason.endswith("; give it in a table: --accuracies FILE.csv")


def test_between_settings_there_is_nothing_and_within_the_first_that_has_it() -> None:
    found = of("mobilenet_v4_conv_small_1.0_240")
    assert found.setting == "timm, 2400 epochs at 224"
    assert [row.top1_percent for row in found.bracket] == [73.756, 74.644]
    assert of("mobilenet_v3_small_0.6_224").setting == "timm, lamb_in1k"
    assert of("mobilenet_v3_small_0.9_224").setting == "TensorFlow-Slim checkpoints"


def test_a_table_goes_before_what_is_published() -> None:
    given = {
        "mobilenet_v1_1.0_224": GivenAccuracy(top1_percent=72.5, source="mine.csv, line 2"),
        "detector": GivenAccuracy(top1_percent=90.0, top5_percent=99.0, source="mine.csv, line 3"),
    }
    found = accuracy.of(variants.parse("mobilenet_v1_1.0_224_b4"), given)
    assert (found.kind, found.top1_percent, found.source) == ("given", 72.5, "mine.csv, line 2")
    assert accuracy.of(variants.parse("mobilenet_v1_1.0_224_int8"), given).kind == "published"
    plain = variants.parse("mobilenet_v1")
    own = msgspec.structs.replace(plain, source="onnx", name="detector_b2", family="detector", batch=2)
    assert (accuracy.of(own, given).kind, accuracy.of(own, given).top5_percent) == ("given", 99.0)
    assert accuracy.of(own).reason.startswith("nothing is published of a network of your own")
