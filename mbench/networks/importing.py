"""Importing: the user's file or function is read once, checked, and kept in the cache as a network of its own.

It is done in a process of its own, which may import torch or a file's own runtime and run the user's code; whatever
happens there happens to it alone. What comes of it is a variant, by which all else finds the network.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import re
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from mbench.core import dtypes, needs, no_gc, plain, system_limits, units
from mbench.core.children import ChildError, Children, TaskLimits, TookTooLong, as_completed
from mbench.core.errors import MbenchError, UsageError, cut, shortened, why
from mbench.core.field_types import LONGEST_NAME, MOST_BATCH, MOST_CHARACTERS
from mbench.core.records import Variant
from mbench.networks import exactness, folding, imported_store, layers, standard
from mbench.networks.graph import Graph

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from mbench.networks.importers.imported import Imported

TIMEOUT_S = 600.0
_MEMORY_SHARE = 0.9
_LONGEST_NAME = 60
_LONGEST_LAYER = LONGEST_NAME - 20
"""Characters of a node's name: passes add to it."""
_LONGEST = 400
"""Characters of what an error says."""
_LEAST_SQNR_DB = 6.0
"""Of a quantised network's outputs beside its own runtime's: what is wrong shows 0, roundings alone 13 and more."""
_UNSAFE = re.compile(r"[^\w.+-]+")


class ImportPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What to import, and at which shapes."""

    source: str
    """A file, or `package.module:function`."""
    shapes: dict[str, tuple[int, ...]] = {}
    """Of inputs, by name."""
    inputs: Path | None = None
    """An .npz with values of inputs, by name."""
    batch: int | None = None
    """None: the file's own; 1 where it is open."""


def in_a_child(plan: ImportPlan, *, timeout_s: float = TIMEOUT_S) -> Variant:
    """Import a network in a process of its own; return it as a variant, which says where it lies in the cache.

    Raises:
        UsageError: it cannot be imported.
        BuildError: the cache cannot be written.
    """
    limits = TaskLimits(time_s=timeout_s, memory_bytes=system_limits.memory_bytes() * _MEMORY_SHARE)
    try:
        with Children(1, limits=limits) as pool:
            [done] = as_completed([pool.submit(_import, plan)])
            pool.kill()  # it has no more to do, and torch takes its time to end
            return done.result()
    except TookTooLong as error:
        raise UsageError(
            f"{plan.source}: it cannot be imported: {error}; raise --build-timeout to wait longer"
        ) from error
    except ChildError as error:
        from mbench.networks.importers import front_ends

        own = "" if front_ends.runs(plan.source) is None else "did its code end it, or is it "
        hint = f"{own}out of memory?{system_limits.memory_hint()}"
        raise UsageError(f"{plan.source}: it cannot be imported: {error}; {hint}") from error


def _import(plan: ImportPlan) -> Variant:
    if not plan.source.endswith(".onnx"):
        _let_bars_lock_threads_alone()
    try:
        with no_gc.not_collected():
            return _read(plan)
    except MbenchError:
        raise
    except OSError as error:
        raise UsageError(f"{plan.source}: cannot be read: {why(error)}") from error
    except MemoryError:
        raise UsageError(f"{plan.source}: out of memory{system_limits.memory_hint()}") from None
    except Exception as error:
        if isinstance(error, ImportError) and (lacking := needs.message()):
            raise UsageError(f"{plan.source}: {lacking}") from error
        traceback.print_exc()
        said = shortened(f"{type(error).__name__}: {why(error)}", _LONGEST)
        raise UsageError(f"{plan.source}: it cannot be imported: {said}; this is a defect, please report it") from error


def _let_bars_lock_threads_alone() -> None:
    """Keep torch's bars from a lock between processes, which this one, killed at its end, would leave behind."""
    with contextlib.suppress(ImportError):
        importlib.import_module("tqdm").tqdm.set_lock(threading.RLock())


def _read(plan: ImportPlan) -> Variant:
    from mbench.networks import input_files
    from mbench.networks.importers import front_ends

    given = {} if plan.inputs is None else input_files.read(plan.inputs)
    found = front_ends.read(plan.source, shapes=plan.shapes, batch=plan.batch, examples=given)
    return kept(found, plan.source, batch=plan.batch)


def kept(network: Imported, source: str, *, batch: int | None = None) -> Variant:
    """Run a network by its own runtime, keep it in the cache, and return it as a variant.

    Args:
        network: as its front end gives it.
        source: as the user calls it, for messages.
        batch: that it was asked for; None: what its inputs show.

    Raises:
        UsageError: it does not run, or what it gives cannot be compared with anything.
        BuildError: the cache cannot be written.
    """
    from mbench.networks.importers import examples as inputs

    graph = with_short_names(network.graph)
    network = dataclasses.replace(network, graph=graph)
    if not layers.of_graph(folding.as_compiled(graph).graph):
        raise UsageError(f"{source}: it computes nothing; expected a network with layers")
    examples = inputs.complete(graph, network.examples)
    expected = _outputs(network, examples, source)
    quantised = exactness.is_quantised(graph)
    if quantised:
        network, expected = _exact(network, examples, expected, source)
    name = safe_name(network.name)
    parameters = {
        "producer": network.producer and shortened(plain.line(network.producer), _LONGEST_NAME),
        "opset": network.opset,
        "file_sha256": network.file_sha256,
        imported_store.CONTENT: imported_store.put(network, examples, expected),
    }
    return Variant(
        name=name,
        source=network.source,
        family=name,
        parameters={key: value for key, value in parameters.items() if value is not None},
        convolution="depthwise_separable" if standard.has_depthwise(graph) else None,
        batch=batch or _batch(network),
        dtype=dtypes.INT8 if quantised else dtypes.DEFAULT,
    )


def _outputs(network: Imported, examples: Mapping[str, np.ndarray], source: str) -> tuple[np.ndarray, ...]:
    """Return a network's outputs by its own runtime.

    Raises:
        UsageError: they are not those that its graph says, or not finite.
    """
    import numpy as np

    graph = network.graph
    expected = tuple(map(np.asarray, network.run(examples)))
    if len(expected) != len(graph.outputs):
        wanted = len(graph.outputs)
        raise UsageError(f"{source}: it gives {len(expected)} outputs, by mbench's own reading {wanted}; report it")
    for name, value in zip(graph.outputs, expected, strict=True):
        shape = graph.shape(name)
        if value.shape != shape:
            got, read = units.shape(value.shape), units.shape(shape)
            raise UsageError(f"{source}: output {name!r} is {got}, by mbench's own reading {read}; report it")
        strange = 0 if value.dtype.kind != "f" else value.size - int(np.isfinite(value).sum())
        if strange:
            raise UsageError(
                f"{source}: {strange} of {value.size} numbers of its own output {name!r} are NaN or infinite for the "
                "inputs that it is checked on, so that nothing can be compared with them; give others with --input, "
                "or change a mask that leaves nothing to attend to"
            )
    return expected


def _exact(
    network: Imported, examples: Mapping[str, np.ndarray], own: tuple[np.ndarray, ...], source: str
) -> tuple[Imported, tuple[np.ndarray, ...]]:
    """Return a quantised network with its outputs computed exactly, and how far its own runtime's are from these.

    Runtimes add and round some numbers in another order, so that single ones differ by a step, and all behind them.

    Raises:
        UsageError: they differ by more than roundings explain.
    """
    import numpy as np

    from mbench.networks import quality, quantized_weights

    exact = quantized_weights.exact_outputs(network.graph, network.parameters, examples)
    furthest = 0.0
    for name, computed, given in zip(network.graph.outputs, exact, own, strict=True):
        numbers = computed.astype(np.float64), given.astype(np.float64)
        if quality.sqnr_db(*numbers) < _LEAST_SQNR_DB:
            raise UsageError(
                f"{source}: output {name!r} differs from that of {network.reference} by more than roundings explain; "
                "report it"
            )
        largest = float(np.abs(numbers[0]).max(initial=0.0))
        furthest = max(furthest, float(np.abs(numbers[0] - numbers[1]).max(initial=0.0)) / (largest or 1.0))
    said = f"{quantized_weights.REFERENCE}; {network.reference} differs by {furthest:.2g} of the largest output"
    return dataclasses.replace(network, reference=said), exact


def with_short_names(graph: Graph) -> Graph:
    """Return a graph in which no node and no block has a name of several lines, or longer than a record holds.

    What the user calls a node stays beside it, as far as a record holds it.
    """
    names = {node.name: _shorter(node.name, place) for place, node in enumerate(graph.nodes)}
    blocks = {node.block: node.block and _shorter(node.block, place) for place, node in enumerate(graph.nodes)}
    is_short = all(len(said) <= MOST_CHARACTERS for node in graph.nodes for said in node.source_names)
    if is_short and all(name == short for name, short in (*names.items(), *blocks.items())):
        return graph
    nodes = tuple(
        dataclasses.replace(
            node,
            name=names[node.name],
            block=blocks[node.block],
            inputs=tuple(names.get(each, each) for each in node.inputs),
            source_names=tuple(
                cut(said, MOST_CHARACTERS)
                for said in (*node.source_names, *({node.name} - {names[node.name], *node.source_names}))
            ),
        )
        for node in graph.nodes
    )
    return dataclasses.replace(graph, nodes=nodes, outputs=tuple(names.get(name, name) for name in graph.outputs))


def _shorter(name: str, place: int) -> str:
    if len(name) <= _LONGEST_LAYER and "\n" not in name:
        return name
    one_line = name.replace("\n", " ")
    return f"{shortened(one_line, _LONGEST_LAYER)} #{place}"


def _batch(network: Imported) -> int:
    """Return the images that one run takes: the first side of the first input that has several."""
    shapes = [given.shape for given in network.graph.inputs.values()]
    return next((shape[0] for shape in shapes if len(shape) > 1 and shape[0] <= MOST_BATCH), 1)


def safe_name(text: str) -> str:
    """Return a name of a file or a function as a network's name: one word of letters, digits and `. _ + -`."""
    return _UNSAFE.sub("-", text)[:_LONGEST_NAME].strip("-.") or "network"
