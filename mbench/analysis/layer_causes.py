"""What the cost of one layer is spent on, by cause: its time under the roofline, or its instructions.

Derived from a record; no formatting, no measuring.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from mbench.analysis import pairs
from mbench.core import dtypes
from mbench.core.records import Layer, Record
from mbench.networks import layout

Cause = Literal[
    "arithmetic", "bandwidth", "threads", "vectors", "kernel", "layout", "no_macs", "extra_macs", "beside", "runtime",
    "rest", "instructions", "stayed_float", "rounding",
]  # fmt: skip
"""`arithmetic`: the multiply-adds at peak. Of time: `bandwidth`, what the level that feeds the layer adds under the
roofline; `threads`, starting and joining them, as measured in empty parallel loops; `vectors`, places of vectors that
its channels leave empty; `kernel`, what is left, slower than the roofline; `layout`, a layer that only moves data;
`no_macs`, another without multiply-adds; `runtime`, between the layers; `rest`, what no reading accounts for. Of
instructions: `extra_macs`, multiply-adds beyond the needed ones; `beside`, all other instructions. Of a type against
another: `instructions`, that the processor's multiply less at once than is expected of the type; `stayed_float`,
layers that do not have the type; `rounding`, passes that only bring numbers from one type to the other."""

CauseCosts = dict[Cause, float]
_MOVING = ("other", "transpose", "concat", "slice", "pad", "gather", "expand")
"""Kinds of layers that bring data from one place to another and compute nothing."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Machine:
    """What splits a layer's time: the measured peak in the network's type, and its vectors."""

    peak: float
    """Operations a second, two a multiply-add."""
    lanes: int | None
    """Sums that a vector holds."""
    depth: int = 1
    """Numbers that one instruction multiplies and adds up in each of them."""
    parallel_loop_s: float | None


def machine(record: Record, dtype: str) -> Machine | None:
    """Return the machine of a record for a type; None where its peak in that type was not measured."""
    calibration = record.device.calibration
    peak = calibration.flops_per_s.get(dtype) if calibration else None
    if calibration is None or not peak:
        return None
    lanes, depth = dtypes.lanes(dtype, record.target.processor.vector_bits), dtypes.depth(dtype)
    return Machine(
        peak=peak, lanes=lanes // depth if lanes else None, depth=depth, parallel_loop_s=calibration.parallel_loop_s
    )


def seconds(layer: Layer, machine: Machine) -> CauseCosts | None:
    """Split a layer's median latency; None where it cannot be."""
    latency = pairs.layer_latency_s(layer)
    if latency is None:
        return None
    if not layer.macs:
        return {"layout" if only_moves_data(layer) else "no_macs": latency}
    roof = layer.roofline
    if roof is None or not roof.flops_per_s:
        return None
    flops = 2 * layer.macs
    at_peak = flops / machine.peak
    under_roof = at_peak if roof.bound == "compute" else flops * roof.fraction_of_bound / roof.flops_per_s
    beyond = latency - under_roof
    starting = min((layer.parallel_loops or 0) * (machine.parallel_loop_s or 0.0), max(beyond, 0.0))
    empty = min(at_peak * _empty_lanes(layer, machine), max(beyond - starting, 0.0))
    return {
        "arithmetic": at_peak,
        "bandwidth": under_roof - at_peak,
        "threads": starting,
        "vectors": empty,
        "kernel": beyond - starting - empty,
    }


def instructions(layer: Layer, lanes: int) -> CauseCosts | None:
    """Split a layer's instructions; None where they were not counted."""
    counters = layer.counters
    if counters is None:
        return None
    needed = layer.macs / lanes
    return {
        "arithmetic": needed,
        "extra_macs": counters.fma_instructions - needed,
        "beside": float(counters.instructions - counters.fma_instructions),
    }


def only_moves_data(layer: Layer) -> bool:
    """Return whether a layer only brings data from one layout to another."""
    return layer.op in _MOVING and not layer.macs


def _along_vectors(shape: tuple[int, ...]) -> int:
    """Return how many elements lie side by side: the channels of an image, the last side of anything else."""
    return shape[1] if len(shape) == layout.IMAGE_RANK else shape[-1]


def _empty_lanes(layer: Layer, machine: Machine) -> float:
    """Return the places of vectors that a layer leaves empty, as a share of those filled."""
    across = _rounded_up(_along_vectors(layer.output_shape), machine.lanes or 1)
    return across * _rounded_up(_along_sums(layer), machine.depth) - 1


def _rounded_up(count: int, multiple: int) -> float:
    """Return how many times as much as filled is taken where only multiples are."""
    return (count + -count % multiple) / count if count else 1.0


def _along_sums(layer: Layer) -> int:
    """Return how many numbers lie side by side that go into one sum: of a depthwise window a line, else channels."""
    if layer.groups and layer.groups == layer.input_shape[1] > 1:
        return layer.kernel_size[-1] if layer.kernel_size else 1
    return _along_vectors(layer.input_shape) // (layer.groups or 1)
