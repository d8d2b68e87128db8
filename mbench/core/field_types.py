"""The fields of records and of what they are made from: their ranges, and the strict base of their types."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

MOST_COUNT = 10**18
"""Of anything that is counted: sums of a few stay below 2^63, which is the end of a table's whole numbers."""
LEAST_MAGNITUDE, MOST_MAGNITUDE = 1e-60, 1e60
"""Of a number that is not 0: ratios and squares stay far from where floating point ends."""
MOST_S = 1e12
MOST_THREADS = 1024
MOST_BATCH = 65_536
MOST_REPEAT = 100_000
MOST_TIMEOUT_S = 86_400
MOST_VARIANTS = 10_000
MOST_LAYERS = 10_000
MOST_KEYS = 20_000
"""Of a table of kernels, reasons or figures."""
MOST_CHARACTERS = 65_536
"""Of a text; a name has its own, smaller limit."""
_MOST_SIDE = 10**9
_MOST_PARTS = 10**9
"""Of what a machine or a network has several of."""
_DATE = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|\+00:00)$(?!\n)"
LABEL_KEY = r"^[A-Za-z_][A-Za-z0-9_.-]*$(?!\n)"
"""How the key of a label is written."""

Seconds = Annotated[float, Meta(ge=0, le=MOST_S, description="seconds")]
Joules = Annotated[float, Meta(ge=0, le=MOST_S, description="joules")]
Amount = Annotated[float, Meta(ge=0, le=MOST_MAGNITUDE)]
Number = Annotated[float, Meta(ge=-MOST_MAGNITUDE, le=MOST_MAGNITUDE)]
Count = Annotated[int, Meta(ge=0, le=MOST_COUNT)]
Bytes = Annotated[int, Meta(ge=0, le=MOST_COUNT, description="bytes")]
PositiveInt = Annotated[int, Meta(gt=0, le=_MOST_PARTS)]
Threads = Annotated[int, Meta(gt=0, le=MOST_THREADS)]
Batch = Annotated[int, Meta(gt=0, le=MOST_BATCH)]
Repeat = Annotated[int, Meta(gt=0, le=MOST_REPEAT)]
Patience = Annotated[float, Meta(gt=0, le=MOST_TIMEOUT_S, description="seconds")]
"""How long something may take."""
LONGEST_NAME = 200
"""Characters of a name."""
Name = Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME)]
Text = Annotated[str, Meta(max_length=MOST_CHARACTERS)]
Texts = Annotated[tuple[Text, ...], Meta(max_length=MOST_KEYS)]
TextTable = Annotated[dict[Text, Text], Meta(max_length=MOST_KEYS)]
AmountTable = Annotated[dict[Text, Amount], Meta(max_length=MOST_KEYS)]
BytesTable = Annotated[dict[Text, Bytes], Meta(max_length=MOST_KEYS)]
Moment = Annotated[str, Meta(pattern=_DATE, description="a date and time in UTC, as ISO 8601 writes it")]
Samples = Annotated[tuple[Seconds, ...], Meta(max_length=MOST_REPEAT)]
Traffic = Annotated[dict[Text, Bytes], Meta(max_length=16)]
"""Bytes by level of the memory."""
Dimension = Annotated[int, Meta(gt=0, le=_MOST_SIDE)]
Shape = Annotated[tuple[Dimension, ...], Meta(min_length=1, max_length=8)]
Sides = Annotated[tuple[Dimension, ...], Meta(min_length=1, max_length=6)]
"""Of a kernel or a stride, one for each dimension that it moves in."""

Op = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]*$(?!\n)", max_length=64)]
"""What a layer does. The list is open: a reader shows one that it does not know as it is called."""
CONVOLUTIONS: tuple[Op, ...] = (
    *("conv2d", "depthwise_conv2d", "pointwise_conv2d", "grouped_conv2d", "transposed_conv2d"),
)
"""The kinds of layers that are convolutions."""
ROLES = (
    *("stem", "expand", "depthwise", "project", "pointwise", "standard", "squeeze", "reduce", "excite", "residual"),
    *("query", "key", "value", "attention", "head", "pool", "classifier", "activation", "fused", "other"),
)
"""What layers do in their blocks; networks of other packages may have more."""
TargetFamily = Literal["x86", "arm", "gpu"]
LEVELS = ("L1", "L2", "L3", "DRAM")
"""Of the memory, nearest to the processor first."""


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base: immutable, and an unknown field is an error (`kw_only` is not inherited, so each type says it)."""
