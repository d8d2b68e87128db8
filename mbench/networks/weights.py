"""The weights of a network as kernels read them, its inputs, and the outputs that are expected, as arrays.

Those of a built-in network are drawn, and PyTorch computes its outputs. An imported network has its own, and what its
own runtime gave; its standard twin has them but where its standard convolutions are.
"""

from __future__ import annotations

import dataclasses
import functools
import multiprocessing
import os
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np

from mbench.core import dtypes, no_gc, resources
from mbench.core.children import Children
from mbench.core.quantized import FloatLayer, QuantizationOutcome
from mbench.core.records import Variant
from mbench.networks import architectures, exactness, imported_store
from mbench.networks.graph import Graph
from mbench.networks.network_weights import Weights

PROCESS = "weights"
"""The name of the process that draws."""


_RESOLUTIONS = {"sigmoid": 2.0**-22, "tanh": 2.0**-21}
"""What runtimes do not distinguish near 0, of functions whose values end at 1: ONNX Runtime 1.32 is seen to be up to
1.5e-7 and 3.1e-7 off. PyTorch is exact near 0."""
_Outcome = Callable[[], QuantizationOutcome]
_LAST: dict[Variant, _Outcome] = {}
"""In the process that draws: what compares the network that was drawn last."""
_T = TypeVar("_T")
_LEFT = "its file does not round its values, or it has no form in whole numbers"
_MOVE = {"reshape", "permute", "slice", "concat", "pad", "expand", "gather"}
"""Operations that give the values that they read."""


def draw(variant: Variant) -> Weights:
    """Return the weights of a variant, the same each time. Imports torch, but for an imported network.

    Raises:
        BuildError: an imported network is not in the cache any more, or was damaged.
    """
    drawn, outcome = _drawn(variant)
    return drawn if outcome is None else dataclasses.replace(drawn, quantized=outcome())


def _drawn(variant: Variant) -> tuple[Weights, _Outcome | None]:
    """Return the weights of a variant, and what says what quantisation costs where it is quantised here."""
    with no_gc.not_collected():
        if variant.quantization is None:
            return _of_floats(variant), None
        from mbench.networks import quantized_weights

        exact = msgspec.structs.replace(variant, dtype=dtypes.DEFAULT, quantization=None)
        return quantized_weights.begun(_of_floats(exact), architectures.folded(exact).graph, variant.quantization)


def compiled_graph(variant: Variant) -> Graph:
    """Return the graph that is compiled; a quantised one depends on the weights, which are drawn for it."""
    own = begin(variant).result().graph if variant.quantization is not None else None
    return architectures.folded(variant).graph if own is None else own


def _of_floats(variant: Variant) -> Weights:
    if not variant.imported:
        return _of_family(variant)
    if variant.quantised_file:
        return _of_quantised_file(variant)
    return _of_twin(variant) if variant.convolution == "standard" else _of_file(variant)


def _of_family(variant: Variant) -> Weights:
    from mbench.networks import torch_network

    graph = architectures.graph(variant)
    with torch_network.one_thread():
        drawn, examples = torch_network.draw(graph), torch_network.example_inputs(graph)
        expected = torch_network.run(graph, drawn, examples)
    return Weights(
        parameters=architectures.folded(variant).parameters(drawn),
        examples=_as_read(graph, {name: value.numpy() for name, value in examples.items()}),
        expected=tuple(output.numpy() for output in expected),
    )


def _of_file(variant: Variant) -> Weights:
    examples, expected = imported_store.reference(variant)
    return Weights(
        parameters=architectures.folded(variant).parameters(imported_store.parameters(variant)),
        examples=_as_read(architectures.graph(variant), examples),
        expected=expected,
        reference=imported_store.of(variant).reference,
        reference_dtype=_narrowest(imported_store.float_types(variant)),
        reference_resolution=_resolution(imported_store.graph(variant)),
    )


def _of_quantised_file(variant: Variant) -> Weights:
    graph = imported_store.graph(variant)
    left = tuple(FloatLayer(name=node.name, op=node.op, reason=_LEFT) for node in exactness.float_nodes(graph))
    return dataclasses.replace(
        _of_file(variant),
        tolerance=exactness.tolerance(graph),
        quantized=QuantizationOutcome(left_float=left),
    )


def _narrowest(types: set[str]) -> str:
    """Return the narrowest of the types that a network's own runtime computes in."""
    return min(dtypes.DTYPES.keys() & types, key=lambda name: dtypes.of(name).bytes, default=dtypes.DEFAULT)


def _resolution(graph: Graph) -> float:
    """Return what a network's own runtime may not distinguish in outputs that are nearly 0."""
    found, names = 0.0, list(graph.outputs)
    while names:
        node = graph.by_name.get(names.pop())
        if node is not None:
            found = max(found, _RESOLUTIONS.get(node.op, 0.0))
            names += node.inputs[: None if node.op == "concat" else 1] if node.op in _MOVE else ()
    return found


def _of_twin(variant: Variant) -> Weights:
    """Draw what the standard convolutions and the BatchNorms after them read; the rest is the file's."""
    import torch

    from mbench.networks import tensors, torch_network

    exact = msgspec.structs.replace(variant, dtype=dtypes.DEFAULT)
    graph, examples = architectures.graph(exact), imported_store.reference(variant)[0]
    known = _kept(graph, {each.layer for each in architectures.replaced(variant)}, imported_store.parameters(variant))
    inputs = {name: tensors.of(value) for name, value in _as_read(graph, examples).items()}
    with torch_network.one_thread():
        drawn = torch_network.draw(graph, known, inputs)
        expected = torch_network.run(graph, drawn, inputs)
    return Weights(
        parameters=architectures.folded(variant).parameters(drawn),
        examples=_as_read(architectures.graph(variant), examples),
        expected=tuple(output.numpy() for output in expected),
        reference=f"PyTorch {torch.__version__} on the imported graph, with drawn weights in its standard convolutions",
    )


def _kept(graph: Graph, replaced: Collection[str], parameters: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the parameters that a standard twin has of its network, without those that fit other weights."""
    drawn = set[str]()
    for node in graph.nodes:
        if node.name in replaced or (node.op == "batch_norm" and node.inputs[0] in replaced):
            drawn.update(graph.constants(node))
    kept = {name: parameters[name] for name in graph.parameters if name in parameters and name not in drawn}
    return {name: value.astype(dtypes.numpy_name(graph.parameters[name].dtype)) for name, value in kept.items()}


def _as_read(graph: Graph, examples: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return inputs in the types that the graph has."""
    return {name: value.astype(dtypes.numpy_name(graph.inputs[name].dtype)) for name, value in examples.items()}


def begin(variant: Variant) -> Future[Weights]:
    """Begin to draw the weights of a variant in a process beside this one, which needs no torch then.

    A network that is quantised comes without what that costs, which `begin_outcome` gives. The future raises
    `children.Died` where that process dies. A process that may start none, such as a worker of another executor, draws
    them itself, and so does this one what needs no torch.
    """
    if variant.imported and variant.convolution != "standard" and variant.quantization is None:
        return _threads().submit(draw, variant)
    if multiprocessing.current_process().daemon:
        return _known(draw(variant))
    return _beside().submit(_draw_beside, resources.cache_dir(), variant)


def begin_outcome(variant: Variant, drawn: Weights) -> Future[QuantizationOutcome | None]:
    """Begin to compare a network that `begin` gave with the one in float32, in the same process."""
    if variant.quantization is None or drawn.quantized is not None:
        return _known(drawn.quantized)
    return _beside().submit(_outcome_beside, resources.cache_dir(), variant)


def _known(value: _T) -> Future[_T]:
    found: Future[_T] = Future()
    found.set_result(value)
    return found


def _draw_beside(cache: Path, variant: Variant) -> Weights:
    """Draw in a process that may have been started when the cache was another."""
    os.environ["MBENCH_CACHE_DIR"] = str(cache)
    drawn, outcome = _drawn(variant)
    _LAST.clear()
    if outcome is not None:
        _LAST[variant] = outcome
    return drawn


def _outcome_beside(cache: Path, variant: Variant) -> QuantizationOutcome | None:
    """Compare what was drawn last; draw it again where that was another, or in a process that is gone."""
    os.environ["MBENCH_CACHE_DIR"] = str(cache)
    outcome = _LAST.pop(variant, None)
    return outcome() if outcome is not None else draw(variant).quantized


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1)


@functools.cache
def _beside() -> Children:
    """Return the process, which is kept: importing torch takes longer than all else that it does."""
    return Children(1, name=PROCESS, daemon=True)
