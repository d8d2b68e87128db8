"""A .tflite file, tensor by tensor and operator by operator. Knows the schema, and nothing of graphs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

_MOST_CODE = 127
"""Of operators in the schema's older field."""

CODES, KINDS, FUSED = schema.BuiltinOperator, schema.BuiltinOptions, schema.ActivationFunctionType


class TfliteFile:
    """Collects tensors, which are known by their places, and operators in order of execution."""

    def __init__(self) -> None:
        self._tensors: list[Any] = []
        self._buffers: list[Any] = [schema.BufferT()]
        self._operators: list[Any] = []
        self._codes: dict[int, int] = {}

    def tensor(self, name: str, shape: Sequence[int]) -> int:
        """Add a tensor that is given or computed, float32."""
        return self._tensor(name, shape, schema.TensorType.FLOAT32, 0)

    def constant(self, name: str, numbers: np.ndarray) -> int:
        """Add a tensor of constant numbers, float32."""
        return self._constant(name, numbers.astype(np.float32), schema.TensorType.FLOAT32)

    def number(self, name: str, value: float) -> int:
        """Add a tensor of one constant number, float32."""
        return self.constant(name, np.full(1, value))

    def whole(self, name: str, numbers: Any) -> int:
        """Add a tensor of constant whole numbers: a shape, axes, widths of padding."""
        return self._constant(name, np.array(numbers, np.int32), schema.TensorType.INT32)

    def _constant(self, name: str, numbers: np.ndarray, kind: int) -> int:
        data = np.frombuffer(np.ascontiguousarray(numbers).tobytes(), np.uint8)
        self._buffers.append(schema.BufferT(data=data))
        return self._tensor(name, numbers.shape, kind, len(self._buffers) - 1)

    def _tensor(self, name: str, shape: Sequence[int], kind: int, buffer: int) -> int:
        self._tensors.append(schema.TensorT(name=name, shape=list(shape), type=kind, buffer=buffer))
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
