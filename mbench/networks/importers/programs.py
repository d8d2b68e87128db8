"""A program that torch.export made, of a file or of a function: its inputs, its graph and torch as its reference."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mbench.core.errors import UsageError, why
from mbench.networks.graph import TensorType
from mbench.networks.importers import export_graph, input_shapes, whole
from mbench.networks.importers.imported import Arrays, Imported, SourceKind
from mbench.networks.importers.input_shapes import InputSide
from mbench.networks.importers.messages import plain
from mbench.networks.importers.saved_program import SavedProgram


def imported(
    program: Any,
    *,
    source: SourceKind,
    name: str,
    where: str,
    producer: str | None,
    shapes: Mapping[str, tuple[int, ...]],
    batch: int | None,
) -> Imported:
    """Return the network of a program.

    Args:
        program: a `torch.export.ExportedProgram`, or one that was read without it.
        source: what it comes from.
        name: what people call it.
        where: the file or function, for messages.
        producer: what made it.
        shapes: of inputs by name, where the program leaves sides open.
        batch: the first side of inputs that leave it open.

    Raises:
        UsageError: it has an operation, an input or an output that mbench cannot read.
    """
    import torch

    types = _inputs(program, where, shapes, batch)
    found = export_graph.read(program, types, where)
    graph, parameters = whole.finished(found, where)
    return Imported(
        graph=graph, parameters=parameters, source=source, name=name, producer=producer, opset=None,
        reference=f"PyTorch {torch.__version__}", run=_reference(program, tuple(types), where),
        examples=_examples(program, types),
    )  # fmt: skip


def _inputs(
    program: Any, where: str, shapes: Mapping[str, tuple[int, ...]], batch: int | None
) -> dict[str, TensorType]:
    values = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    sides: dict[str, list[InputSide]] = {}
    dtypes: dict[str, str] = {}
    for name in program.graph_signature.user_inputs:
        value: Any = values.get(name)
        if not hasattr(value, "shape"):
            if name in values and value is not None:
                raise UsageError(f"{where}: input {name!r} is no tensor; mbench gives networks tensors alone")
            continue
        sides[name] = [side if isinstance(side, int) else str(side) for side in value.shape]
        dtypes[name] = str(value.dtype).removeprefix("torch.")
        if dtypes[name] not in _DTYPES:
            raise UsageError(f"{where}: input {name!r} is of type {dtypes[name]}; expected {', '.join(_DTYPES)}")
    if not sides:
        raise UsageError(f"{where}: the network has no inputs; it computes the same at all times")
    _name_batch(sides)
    settled = input_shapes.settle(sides, shapes, batch)
    return {name: TensorType(shape=shape, dtype=dtypes[name]) for name, shape in settled.items()}


_DTYPES = ("float32", "float16", "float64", "int64", "int32", "int16", "int8", "uint8", "bool")


def _name_batch(sides: Mapping[str, list[InputSide]]) -> None:
    """Leave symbols of torch, such as s77, without a name where they say nothing; equal ones stay equal."""
    first = {each[0] for each in sides.values() if each and isinstance(each[0], str)}
    for name, each in sides.items():
        sides[name][:] = ["batch" if side in first else side for side in each]


def _examples(program: Any, types: Mapping[str, TensorType]) -> dict[str, np.ndarray]:
    """Return the inputs that the program was made with, where they have the shapes that are asked for."""
    if program.example_inputs is None:
        return {}
    from torch.utils import _pytree

    flat = [each for each in _pytree.tree_leaves(program.example_inputs) if hasattr(each, "shape")]
    if len(flat) != len(types):
        return {}
    arrays = {name: export_graph.array_of(each) for name, each in zip(types, flat, strict=True)}
    return {name: each for name, each in arrays.items() if each.shape == types[name].shape}


def _reference(program: Any, names: tuple[str, ...], where: str) -> Callable[[Arrays], tuple[np.ndarray, ...]]:
    """Return what computes the outputs of a program by torch, on one thread."""

    @functools.cache
    def module() -> Any:
        return program.module()

    def run(inputs: Arrays) -> tuple[np.ndarray, ...]:
        import torch
        from torch.utils import _pytree

        from mbench.networks import tensors
        from mbench.networks.torch_network import one_thread

        given = {name: tensors.of(np.asarray(inputs[name], order="C")) for name in names}
        try:
            if isinstance(program, SavedProgram):
                with one_thread(), torch.no_grad():
                    return tuple(map(export_graph.array_of, program.run(given)))
            arguments, keywords = _pytree.tree_unflatten(
                [given.get(name) for name in program.graph_signature.user_inputs], program.call_spec.in_spec
            )
            with one_thread(), torch.no_grad():
                made = module()(*arguments, **keywords)
        except Exception as error:
            raise UsageError(f"{where}: PyTorch, the reference, failed: {plain(why(error))}") from error
        return tuple(export_graph.array_of(each) for each in _pytree.tree_leaves(made) if hasattr(each, "shape"))

    return run
