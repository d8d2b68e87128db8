"""A .tflite file, tensor by tensor and operator by operator. Knows the schema, and nothing of graphs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

_MOST_CODE = 127
"""Of operators in the schema's older field."""

CODES, KINDS, FUSED = schema.BuiltinOperator, schema.BuiltinOptions, schema.ActivationFunctionType
_STORED = {
    "float32": schema.TensorType.FLOAT32, "int32": schema.TensorType.INT32, "int8": schema.TensorType.INT8,
}  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Grid:
    """What whole numbers of a tensor stand for: scale * (number - zero_point)."""

    scales: Sequence[float]
    """One, or one for each place of an axis."""
    zero_point: int = 0
    axis: int = 0

    def described(self) -> Any:
        """Return it as the schema has it."""
        zero_points = [self.zero_point] * len(self.scales)
        return schema.QuantizationParametersT(
            scale=list(self.scales), zeroPoint=zero_points, quantizedDimension=self.axis
        )


class TfliteFile:
    """Collects tensors, which are known by their places, and operators in order of execution."""

    def __init__(self) -> None:
        self._tensors: list[Any] = []
        self._buffers: list[Any] = [schema.BufferT()]
        self._operators: list[Any] = []
        self._codes: dict[int, int] = {}

    def tensor(self, name: str, shape: Sequence[int], grid: Grid | None = None) -> int:
        """Add a tensor that is given or computed: float32, or int8 on a grid."""
        return self._tensor(name, shape, "int8" if grid else "float32", 0, grid)

    def constant(self, name: str, numbers: np.ndarray) -> int:
        """Add a tensor of constant numbers, float32."""
        return self._constant(name, numbers.astype(np.float32))

    def on_grid(self, name: str, numbers: np.ndarray, grid: Grid) -> int:
        """Add a tensor of constant whole numbers that stand for real ones, int8 or int32."""
        return self._constant(name, numbers, grid)

    def number(self, name: str, value: float) -> int:
        """Add a tensor of one constant number, float32."""
        return self.constant(name, np.full(1, value))

    def whole(self, name: str, numbers: Any) -> int:
        """Add a tensor of constant whole numbers: a shape, axes, widths of padding."""
        return self._constant(name, np.array(numbers, np.int32))

    def _constant(self, name: str, numbers: np.ndarray, grid: Grid | None = None) -> int:
        data = np.frombuffer(np.ascontiguousarray(numbers).tobytes(), np.uint8)
        self._buffers.append(schema.BufferT(data=data))
        return self._tensor(name, numbers.shape, str(numbers.dtype), len(self._buffers) - 1, grid)

    def _tensor(self, name: str, shape: Sequence[int], dtype: str, buffer: int, grid: Grid | None) -> int:
        made = schema.TensorT(name=name, shape=list(shape), type=_STORED[dtype], buffer=buffer)
        if grid is not None:
            made.quantization = grid.described()
        self._tensors.append(made)
        return len(self._tensors) - 1

    def operator(self, code: int, inputs: Sequence[int], output: int, options: Any = None) -> None:
        """Add an operator.

        Args:
            code: one of `CODES`.
            inputs: places of tensors.
            output: place of the tensor that it computes.
            options: an object of the schema, such as `Conv2DOptionsT`; None for an operator without options.
        """
        kind = getattr(KINDS, type(options).__name__.removesuffix("T")) if options is not None else KINDS.NONE
        place = self._codes.setdefault(code, len(self._codes))
        self._operators.append(
            schema.OperatorT(
                opcodeIndex=place,
                inputs=list(inputs),
                outputs=[output],
                builtinOptionsType=kind,
                builtinOptions=options,
            )
        )

    def content(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """Return the file's content."""
        graph = schema.SubGraphT(
            name="main",
            tensors=self._tensors,
            inputs=list(inputs),
            outputs=list(outputs),
            operators=self._operators,
        )
        codes = [
            schema.OperatorCodeT(builtinCode=code, deprecatedBuiltinCode=min(code, _MOST_CODE), version=1)
            for code in self._codes
        ]
        model = schema.ModelT(
            version=3, description="mbench", subgraphs=[graph], operatorCodes=codes, buffers=self._buffers
        )
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())
