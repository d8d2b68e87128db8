"""int8 through the command line: a trained network in both types, with top-1 on images of the user's; a QDQ file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trained_digits
from benchmark_scripts import needs, script
from conftest import require
from quantized_cases import by_onnx_runtime
from running_mbench import finished, warm_cache
from trained_digits import BATCH, TESTED, Trained

from mbench.core import record_files
from mbench.core.records import Record
from mbench.networks import calibration, folding, quantize
from mbench.networks.quantize import QuantizedNetwork

QUICK = ("--quick", "--threads", "1", "--repeat", "3")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained() -> Trained:
    require(*needs("sklearn", "onnx", "onnxruntime"))
    return trained_digits.trained()


@pytest.fixture(scope="module")
def folder(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the network's file, the images of its calibration, and those that it is evaluated on."""
    import onnx

    folder = tmp_path_factory.mktemp("digits")
    onnx.save(script("onnx_writer").model(trained.graph, trained.parameters), folder / "digits.onnx")
    onnx.save(script("qdq_writer").model(quantised(trained).qdq), folder / "whole.onnx")
    np.savez(folder / "seen.npz", image=np.concatenate([each["image"] for each in trained.calibration]))
    np.savez(folder / "unseen.npz", image=trained.images, labels=trained.labels)
    np.savez(folder / "other.npz", image=trained.images, labels=trained.labels + 1)
    return folder


def run(folder: Path, *arguments: str) -> tuple[int, Record | None, str]:
    cache = warm_cache(folder.parent)
    code, seen = finished("run", *arguments, *QUICK, "-o", "out", "--json", cache=cache, cwd=folder)
    found = json.loads(seen.out) if seen.out else None
    record = record_files.read(folder / "out" / f"{found['run_id']}.json") if found else None
    return code, record, seen.err


def quantised(trained: Trained) -> QuantizedNetwork:
    graph, parameters = trained.graph, trained.parameters
    folded = folding.as_compiled(graph)
    ranges = calibration.ranges(folded.graph, folded.parameters(parameters), trained.calibration)
    return quantize.quantized(folded.graph, folded.parameters(parameters), ranges)


def test_a_trained_network_in_both_types(trained: Trained, folder: Path) -> None:
    code, record, said = run(
        folder, "digits.onnx", "--dtype", "float32,int8", "--calibration", "seen.npz", "--evaluate", "unseen.npz"
    )
    assert (code, record is not None) == (0, True), said
    assert record is not None
    assert record.settings.dtype == "float32,int8"
    floats, whole = record.results
    assert [(each.variant.name, each.variant.dtype) for each in record.results] == [
        ("digits", "float32"), ("digits_int8", "int8"),
    ]  # fmt: skip
    assert floats.variant.digest == whole.variant.digest
    assert whole.numerics is not None
    assert (whole.numerics.passed, whole.numerics.tolerance, whole.numerics.max_rel_error) == (True, 0.0, 0.0)
    assert whole.memory.weight_bytes < floats.memory.weight_bytes
    assert whole.quantized is not None
    assert whole.quantized.left_float == ()
    theirs = [by_onnx_runtime(quantised(trained).qdq, batch)["fc"] for batch in trained.batches()]
    evaluation = whole.quantized.evaluation
    assert evaluation is not None
    assert evaluation.images == TESTED
    assert evaluation.int8_correct == round(trained.accuracy(theirs) * TESTED)
    assert evaluation.float32_correct is not None
    assert evaluation.float32_correct > 0.92 * TESTED
    assert evaluation.agreeing is not None
    assert evaluation.agreeing > 0.97 * TESTED


def test_a_file_of_whole_numbers_runs_as_it_is(folder: Path) -> None:
    code, record, said = run(folder, "whole.onnx")
    assert (code, record is not None) == (0, True), said
    assert "Warning" not in said
    assert record is not None
    [result] = record.results
    assert (result.variant.name, result.variant.dtype, result.variant.quantization) == ("whole", "int8", None)
    assert result.numerics is not None
    assert (result.numerics.passed, result.numerics.tolerance) == (True, 0.0)
    assert "ONNX Runtime" in result.numerics.reference
    assert result.variant.batch == BATCH


WRONG: dict[tuple[str, ...], tuple[int, str]] = {
    ("digits.onnx", "--calibration", "seen.npz"): (2, "--calibration is for networks that mbench quantises"),
    ("digits.onnx", "--dtype", "int8", "--evaluate", "seen.npz"): (2, "--evaluate seen.npz: it has no array 'labels'"),
    ("digits.onnx", "--dtype", "int8", "--calibration", "no.npz"): (2, "--calibration no.npz: cannot be read"),
    ("digits.onnx", "--dtype", "int8", "--evaluate", "other.npz"): (4, "its labels are 1 to 10, and the network's"),
    ("digits.onnx", "--dtype", "int8", "--keep-float", "x*"): (
        4,
        "'x*' is to stay float, and no layer has such a name",
    ),
    ("digits.onnx", "--dtype", "int8,int5"): (2, "dtype 'int5' is not supported"),
    ("whole.onnx", "--dtype", "int8", "--weight-bits", "7"): (2, "the file of whole is quantised already"),
    ("whole.onnx", "--dtype", "float32"): (2, "its file is quantised, so that it runs in int8"),
    ("mobilenet_v1_0.25_32", "--dtype", "int8", "--evaluate", "unseen.npz"): (
        2,
        "are drawn, so that it has no accuracy",
    ),
}


@pytest.mark.parametrize(("arguments", "expected"), WRONG.items(), ids=lambda value: " ".join(map(str, value))[:60])
def test_what_cannot_be_is_said_in_a_line(folder: Path, arguments: Any, expected: tuple[int, str]) -> None:
    code, record, said = run(folder, *arguments)
    assert code == expected[0], said
    for failure in record.failures if record else ():
        assert failure.detail == ""
        said += failure.reason
    assert expected[1] in said.replace("\n", " ")
    assert "Traceback" not in said
