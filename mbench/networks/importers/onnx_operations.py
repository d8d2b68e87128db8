"""The operations of ONNX that mbench reads, by name, and what can be said of those that it does not."""

from __future__ import annotations

from mbench.networks.importers import onnx_elements, onnx_quantized, onnx_shapes, onnx_windows
from mbench.networks.importers.onnx_layer import OnnxReading

OPERATIONS: dict[str, OnnxReading] = {
    **onnx_windows.OPERATIONS,
    **onnx_elements.OPERATIONS,
    **onnx_shapes.OPERATIONS,
    **onnx_quantized.OPERATIONS,
}

_RECURRENT = ("LSTM", "GRU", "RNN")
_CONTROL = ("If", "Loop", "Scan")
_DETECTION = ("NonMaxSuppression", "TopK", "NonZero", "RoiAlign", "Unique", "Compress", "MaxRoiPool")
_QUANTISING = (
    *("DynamicQuantize", "QLinear", "QGemm", "ConvInteger", "MatMulInteger", "MatMulNBits", "Quantize", "Dequantize"),
    *("QAttention", "QMoE", "QEmbed", "QOrdered", "GatherBlockQuantized"),
)
"""How operations begin that hold or make numbers of few bits, ONNX's own and those of ONNX Runtime."""


def advice(op: str, domain: str) -> str:
    """Return why an operation is not read, and what could be done."""
    if op.startswith(_QUANTISING) and domain in ("", "com.microsoft"):
        return (
            "the file is quantised in another form than QDQ with 8 bits, which mbench reads: quantise it with "
            "quant_format=QuantFormat.QDQ, or give mbench the file from before quantisation"
        )
    if domain == "com.microsoft":
        return "ONNX Runtime writes it when it optimises a network; give mbench the file from before"
    if domain:
        return f"it is of the domain {domain!r}, not ONNX's own; export the network with ONNX's own operations"
    if op in _RECURRENT:
        return "mbench compiles no recurrent cells; export the convolutional part of the network alone"
    if op in _CONTROL:
        return "mbench compiles no control flow; export the network with fixed shapes, so that it needs none"
    if op.startswith(("Sequence", "Split", "Concat")) or "Sequence" in op or "Optional" in op:
        return "mbench has no sequences; export the network with tensors alone"
    if op in _DETECTION:
        return (
            "it belongs to what follows a detector; save the part of the file before it: "
            "onnx.utils.extract_model(FILE, NEW, INPUTS, OUTPUTS)"
        )
    return (
        "mbench does not know it; export the network with other operations, or save the part before it: "
        "onnx.utils.extract_model(FILE, NEW, INPUTS, OUTPUTS)"
    )
