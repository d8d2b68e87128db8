"""The operations of ATen that mbench reads, by name, and what can be said of those that it does not."""

from __future__ import annotations

import re

from mbench.networks.importers import export_elements, export_shapes, export_windows
from mbench.networks.importers.export_layer import ExportReading

_KNOWN: dict[str, ExportReading] = {
    **export_windows.OPERATIONS,
    **export_elements.OPERATIONS,
    **export_shapes.OPERATIONS,
}
_ALIASES = {
    "multiply": "mul", "subtract": "sub", "divide": "div", "true_divide": "div", "absolute": "abs", "negative": "neg",
    "clip": "clamp", "concat": "cat", "concatenate": "cat", "greater": "gt", "less": "lt", "greater_equal": "ge",
    "less_equal": "le", "not_equal": "ne", "swapaxes": "transpose", "swapdims": "transpose",
}  # fmt: skip
"""Operations of two names. torch takes a program apart, for a second, where it has one that is not known."""

OPERATIONS: dict[str, ExportReading] = {
    **_KNOWN,
    **{
        f"{alias}.{form}": read
        for alias, operation in _ALIASES.items()
        for name, read in _KNOWN.items()
        for known, _, form in [name.partition(".")]
        if known == operation
    },
}

_RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu", "lstm_cell", "gru_cell")
_TRAINING = ("native_dropout", "_native_batch_norm_legit", "_native_batch_norm_legit_functional", "bernoulli")
_QUANTISED = ("quantized_decomposed", "torchao", "quantized.", "aten.quantize_per_", "aten.fake_quantize")
_DETECTION = ("topk", "sort", "nms", "nonzero", "roi_align", "masked_select", "unique")


def _operation(name: str) -> str:
    """Return the operation of `aten::lstm.input` or `aten.lstm.input`: lstm."""
    return re.sub(r"^\w+(::|\.)", "", name).split(".", 1)[0]


def refused(name: str) -> str | None:
    """Return why an operation is refused before anything is taken apart; None where it is not.

    A recurrent cell would become a node a step, and a network of thousands of small layers.
    """
    operation = _operation(name)
    if operation in _RECURRENT:
        return "mbench compiles no recurrent cells; export the convolutional part of the network alone"
    if operation.startswith("wrap_with"):
        return "it switches gradients or number types inside; export the network under torch.no_grad() and in float32"
    if name.startswith("higher_order"):
        return "mbench compiles no control flow; export the network for fixed shapes, so that it needs none"
    return None


def advice(name: str) -> str:
    """Return why an operation is not read, and what could be done."""
    operation = _operation(name)
    if operation in _TRAINING:
        return "it is of training; call network.eval() before the export"
    if name.startswith(_QUANTISED):
        return (
            "the network is quantised, which mbench reads as a QDQ file of ONNX alone: export it with "
            "torch.onnx.export, or give mbench the network from before quantisation"
        )
    if not name.startswith("aten"):
        return "it is not one of torch's own; export the network with torch's operations alone"
    if operation in _DETECTION:
        return "it belongs to what follows a detector; export the network without it"
    return "mbench does not know it; export the network with other operations, or without this layer"
