"""The runtimes that `peers.py` compares in int8, on the CPU.

ONNX Runtime takes part twice, by the type of activations. OpenVINO takes as long for a file in which residuals are
added before sums are rounded, as mbench does.
"""

from __future__ import annotations

import functools

import cpu_runtimes
from cases import LITE, MBENCH, ONNX, SIGNED, Case, Program, Runtime


def _load_litert(case: Case) -> Program:
    import tflite_int8_writer

    return cpu_runtimes.load_litert(case, tflite_int8_writer.as_given(case.image()))


RUNTIMES: dict[str, Runtime] = {
    MBENCH: cpu_runtimes.RUNTIMES[MBENCH],
    "onnxruntime": Runtime("ONNX Runtime", ("onnxruntime", "onnx"), cpu_runtimes.load_onnxruntime, ONNX),
    "onnxruntime-s8": Runtime(
        "ONNX Runtime S8S8",
        ("onnxruntime", "onnx"),
        functools.partial(cpu_runtimes.load_onnxruntime, file=SIGNED),
        SIGNED,
    ),
    "openvino": Runtime("OpenVINO", ("openvino", "onnx"), cpu_runtimes.load_openvino, ONNX, obeys_isa=True),
    "litert": Runtime("LiteRT", ("ai-edge-litert", "flatbuffers"), _load_litert, LITE),
}
