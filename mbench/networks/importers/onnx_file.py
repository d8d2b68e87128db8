"""ONNX files: opened, checked, refused where mbench cannot read them, and computed by ONNX Runtime for reference.

The file is data of a stranger: nothing in it is run, and nothing outside of its folder is read. `onnx_graph` makes the
graph of it.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from mbench.core.errors import UsageError, why
from mbench.networks.graph import TensorType
from mbench.networks.importers import input_shapes, onnx_graph, onnx_quantized, whole
from mbench.networks.importers.graph_writer import LayerError
from mbench.networks.importers.imported import Arrays, Imported
from mbench.networks.importers.input_shapes import InputSide
from mbench.networks.importers.messages import plain
from mbench.networks.importers.onnx_operations import OPERATIONS
from mbench.networks.importers.onnx_types import numpy_name

OPSETS = (7, 28)
"""The first and the last version of ONNX's own operations whose meaning is known here."""
_LARGEST = 2**31 - 1
"""Bytes of a message of protobuf."""
_INSTALL = "pip install 'mobilenet-bench[onnx]'"
_TENSOR = "tensor_type"
_OWN = ("", "ai.onnx")


def read(path: Path, *, shapes: Mapping[str, tuple[int, ...]], batch: int | None) -> Imported:
    """Return the network of an ONNX file.

    Args:
        path: the file; its weights may lie beside it.
        shapes: of inputs by name, where the file leaves sides open.
        batch: the first side of inputs that leave it open; 1 if it is not given.

    Raises:
        UsageError: the file is none, or holds what mbench cannot read; the message says what could be done.
    """
    onnx = _package("onnx")
    _package("onnxruntime")
    data = _data(path)
    model = _opened(onnx, path, data)
    opset = checked_opset(model, path)
    beside = _load_external(onnx, model, path)
    model = inlined(model, path)
    types = inputs_of(model, path, shapes, batch)
    found = onnx_graph.read(model, types, where=str(path))
    graph, parameters = whole.finished(found, str(path))
    graph, parameters = onnx_quantized.in_whole_numbers(graph, parameters, found.scales)
    producer = " ".join(word for word in (model.producer_name, model.producer_version) if word)
    return Imported(
        graph=graph, parameters=parameters, source="onnx", name=path.stem, producer=producer or None,
        opset=opset, reference=f"ONNX Runtime {_package('onnxruntime').__version__} on the same file",
        run=_reference(path, path if beside else data), file_sha256=hashlib.sha256(data).hexdigest(),
    )  # fmt: skip


def _package(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UsageError(f"reading ONNX files needs the package {name} ({why(error)}); install: {_INSTALL}") from error


def _data(path: Path) -> bytes:
    """Return what a file holds. It is read once: another tool may be writing a new one meanwhile."""
    try:
        if path.is_dir():
            raise UsageError(f"{path} is a folder; expected an ONNX file")
        size = path.stat().st_size
        if size > _LARGEST:
            raise UsageError(
                f"{path} has {size / 1e9:.1f} GB; an ONNX file has at most 2.1 GB: save it with its weights beside it, "
                "onnx.save(model, FILE, save_as_external_data=True)"
            )
        if not size:
            raise UsageError(f"{path} is empty; expected an ONNX file")
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {why(error)}") from error


def _opened(onnx: Any, path: Path, data: bytes) -> Any:
    """Return the model of a file, without weights that lie beside it."""
    not_onnx = _package("google.protobuf.message").DecodeError  # protobuf comes without types
    try:
        model = onnx.load_model_from_string(data)
    except not_onnx as error:
        raise UsageError(f"{path} is no ONNX file, or only a part of one: {plain(why(error))}") from error
    if not model.graph.node or not model.graph.output:
        raise UsageError(f"{path} is no ONNX file, or only a part of one: it has no nodes or no outputs")
    return model


def checked_opset(model: Any, path: Path) -> int:
    """Return the version of ONNX's own operations.

    Raises:
        UsageError: it is one that mbench does not know, or there is none.
    """
    opset = max((each.version for each in model.opset_import if each.domain in _OWN), default=0)
    if not opset:
        raise UsageError(f"{path} does not say which version of ONNX's operations it has; it is damaged or truncated")
    low, high = OPSETS
    if not low <= opset <= high:
        advice = "export the network again" if opset < low else "export it for an older opset"
        raise UsageError(f"{path} is of opset {opset}; mbench reads {low} to {high}: {advice}")
    return opset


def _load_external(onnx: Any, model: Any, path: Path) -> bool:
    """Read the weights that lie beside the file; return whether there are any.

    Raises:
        UsageError: they lie outside of the file's folder, or are not there.
    """
    helper = onnx.external_data_helper
    folder = path.resolve().parent
    outside = [each for each in helper._get_all_tensors(model) if helper.uses_external_data(each)]
    for tensor in outside:
        location = next((each.value for each in tensor.external_data if each.key == "location"), "")
        parts = PurePosixPath(location.replace("\\", "/"))
        target = (folder / location).resolve()
        if not location or parts.is_absolute() or ".." in parts.parts or not target.is_relative_to(folder):
            raise UsageError(
                f"{path}: the weights {tensor.name!r} lie at {location!r}, outside of the file's folder; "
                "mbench reads files beside it alone"
            )
        if not target.is_file():
            raise UsageError(f"{path}: the weights {tensor.name!r} lie in {location!r}, and there is no such file")
    if outside:
        try:
            helper.load_external_data_for_model(model, str(folder))
        except (OSError, ValueError, onnx.checker.ValidationError) as error:
            raise UsageError(f"{path}: its weights cannot be read: {plain(why(error))}") from error
    return bool(outside)


def inlined(model: Any, path: Path) -> Any:
    """Return a model without functions of its own, and with ONNX's own definition of what mbench has no form for."""
    import onnx.inliner

    schemas = {each.name: each for each in onnx.defs.get_all_schemas() if each.domain in _OWN}
    defined = {name for name, each in schemas.items() if each.has_function or each.has_context_dependent_function}
    try:
        if model.functions:
            model = onnx.inliner.inline_local_functions(model)
        wanted = {node.op_type for node in model.graph.node if node.domain in _OWN} & defined - OPERATIONS.keys()
        for node in model.graph.node if wanted else ():  # the inliner leaves out attributes that have their defaults
            given = {each.name for each in node.attribute}
            known = schemas[node.op_type].attributes.values() if node.op_type in wanted else ()
            node.attribute.extend(
                each.default_value for each in known if each.default_value.name and each.name not in given
            )
        if wanted:
            described = {each.name for each in (*model.graph.input, *model.graph.value_info)}
            model.graph.value_info.extend(
                onnx.helper.make_tensor_value_info(each.name, each.data_type, each.dims)
                for each in model.graph.initializer
                if each.name not in described  # else the inliner knows no type of it
            )
            names = [("", name) for name in wanted]
            model = onnx.inliner.inline_selected_functions(model, names, inline_schema_functions=True)
    except Exception as error:
        raise UsageError(f"{path}: its functions cannot be taken apart: {plain(why(error))}") from error
    return model


def inputs_of(
    model: Any, path: Path, shapes: Mapping[str, tuple[int, ...]], batch: int | None
) -> dict[str, TensorType]:
    """Return the inputs of a model with every side known."""
    weights = {each.name for each in model.graph.initializer}
    given = [each for each in model.graph.input if each.name not in weights]
    sides: dict[str, list[InputSide]] = {}
    dtypes: dict[str, str] = {}
    for each in given:
        kind = each.type.WhichOneof("value")
        if kind != _TENSOR:
            said = (kind or "nothing").removesuffix("_type")
            raise UsageError(f"{path}: input {each.name!r} is a {said}; mbench reads networks whose inputs are tensors")
        tensor = each.type.tensor_type
        if not tensor.HasField("shape"):
            raise UsageError(f"{path}: input {each.name!r} does not say how many sides it has; export it with a shape")
        try:
            dtypes[each.name] = numpy_name(tensor.elem_type)
        except LayerError as error:
            raise UsageError(f"{path}: input {each.name!r}: {error}") from error
        sides[each.name] = [_side(extent) for extent in tensor.shape.dim]
    if not given:
        raise UsageError(f"{path}: the network has no inputs; it computes the same at all times")
    settled = input_shapes.settle(sides, shapes, batch)
    return {name: TensorType(shape=shape, dtype=dtypes[name]) for name, shape in settled.items()}


def _side(extent: Any) -> InputSide:
    if extent.dim_value > 0:
        return int(extent.dim_value)
    named = extent.dim_param not in ("", "?")
    return str(extent.dim_param) if named else None


def _reference(path: Path, given: bytes | Path) -> Callable[[Arrays], tuple[np.ndarray, ...]]:
    """Return what computes the outputs of a file by ONNX Runtime, on one thread.

    Args:
        path: the file, for messages.
        given: what it holds; or the file itself, where weights lie beside it, which the runtime finds by its path.
    """

    @functools.cache
    def session() -> Any:
        runtime = _package("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            model = str(given) if isinstance(given, Path) else given
            return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise UsageError(f"{path}: ONNX Runtime, the reference, does not load it: {plain(why(error))}") from error

    def run(inputs: Arrays) -> tuple[np.ndarray, ...]:
        loaded = session()
        try:
            return tuple(np.asarray(each) for each in loaded.run(None, dict(inputs)))
        except Exception as error:
            raise UsageError(f"{path}: ONNX Runtime, the reference, failed: {plain(why(error))}") from error

    return run
