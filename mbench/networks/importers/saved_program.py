"""Programs of .pt2 files as their JSON says, without `torch.export.load`, which imports torch's compilers for seconds.

Most files are of static shapes, plain tensors and operations of ATen: their nodes are read here, and torch calls them
one by one for the right outputs. Of any other file nothing is returned, and torch loads it.

What is made looks like `torch.export.ExportedProgram`, as far as `export_graph` and `programs` look at it.
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
import operator
import types
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_SCHEMA = 8
"""The major version of the JSON that is known: torch 2.8 to 2.13."""
_TARGET = "torch.ops.aten."
_MODEL = "models/model.json"
_DTYPES = (
    None, "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64", None, None, None, "bool",
    "bfloat16",
)  # fmt: skip
"""By torch's numbers of them in a file."""
_FORMATS = (None, "contiguous_format", "channels_last", "channels_last_3d", "preserve_format")
_STRIDED = 7
_OTHERS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RuntimeError, zipfile.BadZipFile)
"""What reading raises where a file is of another form."""
_STATIC = ("parameter", "buffer", "tensor_constant")


class _OtherFormError(ValueError):
    """The file has something that is left to torch."""


@dataclasses.dataclass(frozen=True)
class SavedTensor:
    """The shape and type of a value."""

    shape: tuple[int, ...]
    dtype: Any


@dataclasses.dataclass(eq=False)
class SavedNode:
    """A node, as one of `torch.fx` is."""

    op: str
    name: str
    target: Any
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = dataclasses.field(default_factory=dict)
    meta: dict[str, Any] = dataclasses.field(default_factory=dict)
    users: dict[SavedNode, None] = dataclasses.field(default_factory=dict)

    @property
    def all_input_nodes(self) -> list[SavedNode]:
        """The nodes that it reads, each once."""
        found: dict[SavedNode, None] = {}
        waiting = [*reversed((*self.args, *self.kwargs.values()))]
        while waiting:
            value = waiting.pop()
            if isinstance(value, SavedNode):
                found[value] = None
            elif isinstance(value, list | tuple):
                waiting.extend(reversed(value))
        return list(found)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class SavedGraph:
    """The nodes in order, the outputs' last."""

    nodes: tuple[SavedNode, ...]

    def output_node(self) -> SavedNode:
        """Return the node that has the outputs as its arguments."""
        return self.nodes[-1]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class SavedProgram:
    """A program of static shapes, with its weights."""

    graph: SavedGraph
    graph_signature: Any
    """`user_inputs`, `input_specs` and `output_specs`, as torch's has them."""
    state_dict: Mapping[str, Any]
    constants: Mapping[str, Any]
    example_inputs: Any

    def run(self, tensors: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return its outputs for inputs by name, computed by torch, node by node."""
        values: dict[SavedNode, Any] = {}
        held = {**self.state_dict, **self.constants}
        targets = {spec.arg.name: spec.target for spec in self.graph_signature.input_specs}
        last = {read: node for node in self.graph.nodes for read in node.all_input_nodes}

        def value(given: Any) -> Any:
            if isinstance(given, SavedNode):
                return values[given]
            return [value(each) for each in given] if isinstance(given, list | tuple) else given

        for node in self.graph.nodes:
            if node.op == "placeholder":
                own = targets[node.name]
                values[node] = tensors[node.name] if own is None else held[own].detach()
            elif node.op == "call_function":
                named = {name: value(each) for name, each in node.kwargs.items()}
                values[node] = node.target(*map(value, node.args), **named)
            else:
                return tuple(map(value, node.args[0]))
            for read in node.all_input_nodes:
                if last[read] is node:
                    del values[read]
        return ()


def read(archive: zipfile.ZipFile) -> SavedProgram | None:
    """Return the program of an archive that was checked; None where it has something that torch has to load."""
    try:
        return _Archive(archive).program()
    except _OTHERS:
        return None


class _Archive:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        import torch

        self._torch = torch
        self._archive = archive
        self._root = archive.namelist()[0].partition("/")[0]
        self._nodes: dict[str, SavedNode] = {}
        self._types: dict[str, SavedTensor] = {}

    def program(self) -> SavedProgram:
        models = [name for name in self._archive.namelist() if "/models/" in name]
        _expect(models == [f"{self._root}/{_MODEL}"])
        document = self._json(_MODEL)
        _expect(document["schema_version"]["major"] == _SCHEMA and set(document["opset_version"]) <= {"aten"})
        module = document["graph_module"]
        signature = _signature(module["signature"])
        weights = self._tensors("data/weights/", "model_weights_config.json")
        constants = self._tensors("data/constants/", "model_constants_config.json")
        graph = self._graph(module["graph"])
        _expect([node.name for node in graph.nodes if node.op == "placeholder"] == signature.names)
        _expect(len(graph.output_node().args[0]) == len(signature.output_specs))
        _expect(all(spec.target is None or spec.target in {**weights, **constants} for spec in signature.input_specs))
        return SavedProgram(
            graph=graph, graph_signature=signature, state_dict=weights, constants=constants,
            example_inputs=self._examples(),
        )  # fmt: skip

    def _bytes(self, name: str) -> bytes:
        return self._archive.read(f"{self._root}/{name}")

    def _json(self, name: str) -> Any:
        return json.loads(self._bytes(name))

    def _examples(self) -> Any:
        name = "data/sample_inputs/model.pt"
        if f"{self._root}/{name}" not in self._archive.namelist():
            return None
        return self._torch.load(io.BytesIO(self._bytes(name)), weights_only=True)

    # ------------------------------------------------------------------------------------------------------- tensors
    def _tensors(self, folder: str, config: str) -> dict[str, Any]:
        """Return the tensors of a folder, by their names."""
        found, storages = {}, dict[str, bytearray]()
        for name, entry in self._json(f"{folder}{config}")["config"].items():
            _expect(not entry["use_pickle"])
            file = entry["path_name"]
            if file not in storages:
                storages[file] = bytearray(self._bytes(f"{folder}{file}"))
            found[name] = self._tensor(storages[file], entry["tensor_meta"])
        return found

    def _tensor(self, storage: bytearray, meta: Mapping[str, Any]) -> Any:
        dtype, sizes, strides = self._dtype(meta["dtype"]), _whole(meta["sizes"]), _whole(meta["strides"])
        _expect(meta["device"]["type"] == "cpu" and meta["layout"] == _STRIDED)
        if not math.prod(sizes) or not storage:
            return self._torch.zeros(sizes, dtype=dtype)
        flat = self._torch.frombuffer(storage, dtype=dtype)
        return flat.as_strided(sizes, strides, *_whole([meta["storage_offset"]]))

    def _dtype(self, number: int) -> Any:
        name = _DTYPES[number]
        _expect(name is not None)
        return getattr(self._torch, str(name))

    # --------------------------------------------------------------------------------------------------------- nodes
    def _graph(self, graph: Mapping[str, Any]) -> SavedGraph:
        symbols = [graph.get(f"sym_{kind}_values") for kind in ("int", "bool", "float")]
        _expect(not any(symbols) and not graph.get("custom_obj_values"))
        self._types = {
            name: SavedTensor(tuple(_whole(meta["sizes"])), self._dtype(meta["dtype"]))
            for name, meta in graph["tensor_values"].items()
        }
        for given in graph["inputs"]:
            name = given["as_tensor"]["name"]
            self._add(SavedNode("placeholder", name, name, meta={"val": self._types[name]}), name)
        for node in graph["nodes"]:
            self._call(node)
        outputs = [self._argument(given) for given in graph["outputs"]]
        _expect(all(isinstance(output, SavedNode) for output in outputs))
        self._add(SavedNode("output", "output", "output", args=(tuple(outputs),)), " output")
        return SavedGraph(nodes=tuple(self._nodes.values()))

    def _add(self, node: SavedNode, name: str) -> None:
        _expect(name not in self._nodes)
        self._nodes[name] = node
        for read in node.all_input_nodes:
            read.users[node] = None

    def _call(self, described: Mapping[str, Any]) -> None:
        target: str = described["target"]
        operation, _, form = target.removeprefix(_TARGET).partition(".")
        _expect(target.startswith(_TARGET) and bool(form))
        function = getattr(getattr(self._torch.ops.aten, operation), form)
        args, kwargs = self._arguments(function, described["inputs"])
        meta: dict[str, Any] = {"nn_module_stack": _stack(described["metadata"].get("nn_module_stack", ""))}
        made = described["outputs"]
        if len(made) == 1 and "as_tensor" in made[0]:
            self._add_call(made[0]["as_tensor"]["name"], function, args, kwargs, meta)
            return
        several = made[0]["as_tensors"] if len(made) == 1 else [each["as_tensor"] for each in made]
        names = [each["name"] for each in several]
        called = str(described.get("name") or f"{operation}_{len(self._nodes)}")
        meta["val"] = [self._types[name] for name in names]
        whole = SavedNode("call_function", called, function, args, kwargs, meta)
        self._add(whole, f" {called}")  # which no value is called
        for place, name in enumerate(names):
            self._add_call(name, operator.getitem, (whole, place), {}, meta)

    def _add_call(
        self, name: str, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], meta: Mapping[str, Any]
    ) -> None:
        known = {**meta, "val": self._types[name]}
        self._add(SavedNode("call_function", name, function, args, kwargs, known), name)

    def _arguments(self, function: Any, inputs: Sequence[Mapping[str, Any]]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments of a call: those by their place first, as the operation's schema has them."""
        given = {each["name"]: self._argument(each["arg"]) for each in inputs}
        args, kwargs = list[Any](), dict[str, Any]()
        for known in function._schema.arguments:
            if known.name not in given:
                _expect(known.has_default_value())
            elif known.kwarg_only or kwargs or len(args) + len(kwargs) < function._schema.arguments.index(known):
                kwargs[known.name] = given[known.name]
            else:
                args.append(given[known.name])
        _expect(len(args) + len(kwargs) == len(given))
        return tuple(args), kwargs

    def _argument(self, given: Mapping[str, Any]) -> Any:
        [(kind, value)] = given.items()
        return self._kinds()[kind](value)

    def _kinds(self) -> dict[str, Callable[[Any], Any]]:
        """Return how arguments are read, by what the file calls their kind; others are left to torch."""
        torch = self._torch
        return {
            "as_none": lambda _: None,
            "as_tensor": lambda value: self._nodes[value["name"]],
            "as_tensors": lambda value: [self._nodes[each["name"]] for each in value],
            "as_optional_tensor": self._argument,
            "as_optional_tensors": lambda value: [self._argument(each) for each in value],
            "as_sym_int": lambda value: value["as_int"],
            "as_sym_ints": lambda value: [each["as_int"] for each in value],
            "as_float": float,
            "as_floats": lambda value: [float(each) for each in value],
            "as_scalar_type": self._dtype,
            "as_memory_format": lambda value: getattr(torch, str(_FORMATS[value])),
            "as_layout": lambda value: {_STRIDED: torch.strided}[value],
            "as_device": lambda value: torch.device({"cpu": "cpu"}[value["type"]]),
            **dict.fromkeys(("as_int", "as_ints", "as_bool", "as_bools", "as_string"), lambda value: value),
        }


def _expect(condition: bool) -> None:
    if not condition:
        raise _OtherFormError


def _whole(sides: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return numbers that are known; a symbol is left to torch."""
    return [int(side["as_int"]) for side in sides]


def _stack(text: str) -> dict[str, tuple[str, str]]:
    """Return the modules around a node as torch has them: by their keys, path and class."""
    found = {}
    for item in filter(None, text.split(";")):
        key, path, kind = _parts(item)
        found[key] = (path, kind)
    return found


def _parts(text: str) -> list[str]:
    """Return what stands between the commas of a text that are in no brackets."""
    found, inside = [""], 0
    for sign in text:
        inside += (sign in "[(") - (sign in ")]")
        if sign == "," and not inside:
            found.append("")
        else:
            found[-1] += sign
    return found


def _signature(described: Mapping[str, Any]) -> Any:
    """Return what the inputs and outputs of a program are."""
    specs, users = [], []
    for each in described["input_specs"]:
        [(kind, spec)] = each.items()
        if kind == "user_input":
            name, target = spec["arg"]["as_tensor"]["name"], None
            users.append(name)
        else:
            _expect(kind in _STATIC)
            name, target = spec["arg"]["name"], spec[f"{kind}_name"]
        specs.append(types.SimpleNamespace(arg=types.SimpleNamespace(name=name), target=target))
    outputs = [types.SimpleNamespace(kind=types.SimpleNamespace(name="USER_OUTPUT"), target=None)
               for each in described["output_specs"] if each["user_output"]["arg"]["as_tensor"]]  # fmt: skip
    names = [spec.arg.name for spec in specs]
    return types.SimpleNamespace(user_inputs=tuple(users), input_specs=specs, output_specs=outputs, names=names)
