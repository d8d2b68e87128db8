"""What the options of a run say of quantisation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imported_networks as networks
import msgspec
import numpy as np
import PIL.Image
import pytest

from mbench.core.errors import UsageError
from mbench.core.quantized import QuantizationSettings
from mbench.core.run_options import RunOptions
from mbench.networks import image_sets, variants
from mbench.pipeline import quantizing

BUILT_IN = variants.parse("mobilenet_v1_0.25_32", dtype="int8")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "cache"))


def test_without_options_the_default_is_taken() -> None:
    assert quantizing.settings(RunOptions()) == QuantizationSettings()
    quantizing.check([variants.parse("mobilenet_v1_0.25_32")], RunOptions())


def test_options_become_settings(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", image=np.zeros((2, 3, 32, 32)))
    found = quantizing.settings(
        RunOptions(
            calibration=tmp_path / "a.npz", percentile=99.9, keep_float=("fc", "conv*"), weight_bits=7,
            activation_type="int8",
        )
    )  # fmt: skip
    assert (found.activations, found.largest_weight, found.percentile) == ("int8", 63, 99.9)
    assert found.keep_float == ("fc", "conv*")
    assert found.preprocessing is None
    assert found.calibration_sha256 is not None
    assert len(image_sets.remembered(found.calibration_sha256, "--calibration")) == 2


@pytest.mark.parametrize("asked", [None, "tensorflow"])
def test_pictures_of_either_set_have_their_preprocessing(tmp_path: Path, asked: Any) -> None:
    """A calibration of arrays leaves the pictures of an evaluation what they are."""
    np.savez(tmp_path / "a.npz", image=np.zeros((2, 3, 32, 32)))
    for name in ("0", "1"):
        (tmp_path / "set" / name).mkdir(parents=True)
        PIL.Image.new("RGB", (40, 40)).save(tmp_path / "set" / name / "a.png")
    arrays, folder = tmp_path / "a.npz", tmp_path / "set"
    both: list[dict[str, Any]] = [
        {"calibration": arrays, "evaluate": folder}, {"calibration": folder}, {"evaluate": folder},
    ]  # fmt: skip
    for given in both:
        found = quantizing.settings(RunOptions(preprocessing=asked, **given))
        assert found.preprocessing == (asked or image_sets.DEFAULT)
    assert quantizing.settings(RunOptions(calibration=arrays)).preprocessing is None


@pytest.mark.parametrize(
    ("changed", "flag"),
    [
        ({"percentile": 99.0}, "--percentile"), ({"keep_float": ("fc",)}, "--keep-float"),
        ({"weight_bits": 7}, "--weight-bits"), ({"activation_type": "int8"}, "--activations"),
        ({"evaluate": "a.npz"}, "--evaluate"), ({"calibration": "a.npz"}, "--calibration"),
        ({"preprocessing": "unit"}, "--preprocessing"),
    ],
)  # fmt: skip
def test_options_that_no_network_has_a_use_for_are_refused(changed: dict[str, object], flag: str) -> None:
    options = RunOptions(**changed)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=f"{flag} is for networks that mbench quantises; add --dtype int8"):
        quantizing.check([variants.parse("mobilenet_v1_0.25_32")], options)
    if flag not in ("--evaluate", "--preprocessing"):
        quantizing.check([BUILT_IN], options)


def test_of_a_quantised_file_no_type_is_asked_that_it_has_already() -> None:
    file = msgspec.structs.replace(BUILT_IN, name="whole", source="onnx", quantization=None)
    expected = "--weight-bits is for networks that mbench quantises; the file of whole is quantised already"
    with pytest.raises(UsageError, match=expected):
        quantizing.check([file], RunOptions(dtype="int8", weight_bits=7))


def test_preprocessing_without_pictures_is_refused(tmp_path: Path) -> None:
    """Numbers of an .npz are read as they are: who gives both would believe them scaled."""
    np.savez(tmp_path / "a.npz", image=np.zeros((2, 3, 32, 32)))
    for calibration in (None, tmp_path / "a.npz"):
        with pytest.raises(UsageError, match="--preprocessing unit is for folders of pictures, and none is given"):
            quantizing.check([BUILT_IN], RunOptions(preprocessing="unit", calibration=calibration))
    quantizing.check([BUILT_IN], RunOptions(preprocessing="unit", calibration=tmp_path))


def test_drawn_weights_have_no_accuracy() -> None:
    options = RunOptions(evaluate=Path("a.npz"))
    with pytest.raises(
        UsageError, match=r"the weights of mobilenet_v1_0\.25_32_int8 are drawn, so that it has no accuracy"
    ):
        quantizing.check([BUILT_IN], options)
    quantizing.check([variants.of_type(networks.kept(), "int8", QuantizationSettings())], options)
