"""Networks that were imported, as they lie in the cache: from then on nothing reads the user's file or runs its code.

    network.json     what it is, its graph, and the hash of each other file
    parameters.npz   the file's own numbers
    reference.npz    example inputs, and what the network's own runtime gives for them

A folder each, called by the SHA-256 of `network.json`, and so by all that is in it. An entry is written whole or not at
all; one that was damaged is found out by its hashes. The graph is read without the parameters.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from mbench.core import regular_files, resources, scratch, strict_json
from mbench.core.errors import BuildError, shown, why
from mbench.core.records import Variant
from mbench.networks.graph import Graph, GraphError, Node, TensorType

if TYPE_CHECKING:
    import numpy as np

    from mbench.networks.importers.imported import Imported

CONTENT = "content_sha256"
"""The parameter of an imported network that says where it lies here."""
MANIFEST = "network.json"
PARAMETERS = "parameters.npz"
REFERENCE = "reference.npz"
FILES = (MANIFEST, PARAMETERS, REFERENCE)
"""All that an entry holds."""
_DIGEST = re.compile("[0-9a-f]{64}")
_FORMAT: Literal[1] = 1
_MOST_BYTES = 256 * 2**20
"""Of a manifest."""
_KEPT = 16


class _TypedName(msgspec.Struct, frozen=True):
    """An input or a parameter."""

    name: str
    shape: tuple[int, ...]
    dtype: str


class _StoredNode(msgspec.Struct, frozen=True, omit_defaults=True):
    """See `networks.graph.Node`."""

    name: str
    op: str
    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    attributes: dict[str, Any] = {}
    block: str | None = None
    role: str = "other"
    source_names: tuple[str, ...] = ()


class StoredNetwork(msgspec.Struct, frozen=True, kw_only=True):
    """What an entry says: what the network is, and its graph."""

    format: Literal[1] = _FORMAT
    name: str
    source: str
    producer: str | None
    opset: int | None
    reference: str
    """What computed the expected outputs, for people."""
    inputs: tuple[_TypedName, ...]
    parameters: tuple[_TypedName, ...]
    nodes: tuple[_StoredNode, ...]
    outputs: tuple[str, ...]
    files: dict[str, str]
    """SHA-256 of each other file."""

    def graph(self) -> Graph:
        """Return the graph, as the file has it."""
        return Graph(
            inputs=_types(self.inputs),
            parameters=_types(self.parameters),
            nodes=tuple(Node(**{**msgspec.structs.asdict(node), "attributes": _tuples(node.attributes)})
                        for node in self.nodes),
            outputs=self.outputs,
        )  # fmt: skip


def _types(values: Iterable[_TypedName]) -> dict[str, TensorType]:
    return {value.name: TensorType(shape=value.shape, dtype=value.dtype) for value in values}


def folder() -> Path:
    """Return the folder of all entries."""
    return resources.cache_dir() / "networks"


def _entry(digest: str) -> Path:
    """Return the folder of an entry, whether or not it is there; a record may name anything as its digest.

    Raises:
        BuildError: it is no digest.
    """
    if not _DIGEST.fullmatch(digest):
        raise BuildError(f"{shown(digest)} is no digest of an imported network; expected 64 hexadecimal digits")
    return folder() / digest


# ------------------------------------------------------------------------------------------------------------- writing
def put(network: Imported, examples: Mapping[str, np.ndarray], expected: Sequence[np.ndarray]) -> str:
    """Keep an imported network, unless it is there already; return the digest that it is found by.

    Args:
        network: as its front end gives it.
        examples: a value for each of its inputs.
        expected: what its own runtime gives for them, in order.

    Raises:
        BuildError: the cache cannot be written.
    """
    graph = network.graph
    given = [*(examples[name] for name in graph.inputs), *expected]
    try:
        with scratch.folder(folder()) as work:
            _save(work / PARAMETERS, (network.parameters[name] for name in graph.parameters))
            _save(work / REFERENCE, given)
            seals = {PARAMETERS: _sha256(work / PARAMETERS), REFERENCE: _sha256(work / REFERENCE)}
            data = _encoded(_described(network, seals))
            (work / MANIFEST).write_bytes(data)
            digest = hashlib.sha256(data).hexdigest()
            if not is_sound(digest):
                _replace(work, _entry(digest))
    except OSError as error:
        raise BuildError(
            f"an imported network cannot be written to {folder()}: {why(error)}; free space or set MBENCH_CACHE_DIR"
        ) from error
    return digest


def _described(network: Imported, files: dict[str, str]) -> StoredNetwork:
    graph = network.graph
    return StoredNetwork(
        name=network.name,
        source=network.source,
        producer=network.producer,
        opset=network.opset,
        reference=network.reference,
        inputs=tuple(_TypedName(name, each.shape, each.dtype) for name, each in graph.inputs.items()),
        parameters=tuple(_TypedName(name, each.shape, each.dtype) for name, each in graph.parameters.items()),
        nodes=tuple(
            _StoredNode(node.name, node.op, node.inputs, node.shape, node.dtype, dict(node.attributes), node.block,
                        node.role, node.source_names)
            for node in graph.nodes
        ),
        outputs=graph.outputs,
        files=files,
    )  # fmt: skip


def _encoded(network: StoredNetwork) -> bytes:
    """Return an entry as JSON, in which numbers are exact, infinite ones too: msgspec's own has none of these."""
    return json.dumps(msgspec.to_builtins(network, enc_hook=_number), separators=(",", ":"), sort_keys=True).encode()


def _number(value: Any) -> Any:
    """Return a number of numpy's as one of Python's."""
    return value.item()


def _save(file: Path, arrays: Iterable[np.ndarray]) -> None:
    """Write arrays in order. They are called by their place: a name may hold what no file's name may."""
    import numpy as np

    named: dict[str, Any] = {f"v{place}": np.asarray(array, order="C") for place, array in enumerate(arrays)}
    np.savez(file, **named)


def _replace(work: Path, place: Path) -> None:
    """Move a finished entry to its place; a damaged one gives way, and one that another process put there stays."""
    if place.exists():
        shutil.rmtree(place)
    try:
        work.rename(place)
    except OSError:
        if not is_sound(place.name):
            raise


def is_sound(digest: str) -> bool:
    """Return whether an entry is there and whole."""
    try:
        seals = {**read(digest).files, MANIFEST: digest}
        return all(_sha256(_entry(digest) / name) == seals[name] for name in FILES)
    except (BuildError, OSError):
        return False


# ------------------------------------------------------------------------------------------------------------- reading
def of(variant: Variant) -> StoredNetwork:
    """Return what is kept of an imported network.

    Raises:
        BuildError: it is not in the cache any more, or was damaged.
    """
    return read(content(variant))


def graph(variant: Variant) -> Graph:
    """Return the graph of an imported network, as its file has it.

    Raises:
        BuildError: it is not in the cache any more, or was damaged.
    """
    return _graph(_entry(content(variant)))


def float_types(variant: Variant) -> set[str]:
    """Return the floating-point types that an imported network's file computes in.

    Raises:
        BuildError: it is not in the cache any more, or was damaged.
    """
    return {node.dtype for node in graph(variant).nodes if "float" in node.dtype}


def parameters(variant: Variant) -> dict[str, np.ndarray]:
    """Return the numbers of all of an imported network's parameters, by name, as its file has them.

    Raises:
        BuildError: they are not in the cache any more, or were damaged.
    """
    kept = of(variant)
    return dict(zip((each.name for each in kept.parameters), _arrays(variant, kept, PARAMETERS), strict=True))


def reference(variant: Variant) -> tuple[dict[str, np.ndarray], tuple[np.ndarray, ...]]:
    """Return example inputs by name, and what the network's own runtime gives for them.

    Raises:
        BuildError: they are not in the cache any more, or were damaged.
    """
    kept = of(variant)
    arrays = tuple(_arrays(variant, kept, REFERENCE))
    count = len(kept.inputs)
    return dict(zip((each.name for each in kept.inputs), arrays[:count], strict=True)), arrays[count:]


def content(variant: Variant) -> str:
    """Return the digest of all that was imported; nothing of a built-in network."""
    return str(variant.parameters.get(CONTENT, ""))


def read(digest: str) -> StoredNetwork:
    """Return what an entry says.

    Raises:
        BuildError: it is not there, or was damaged.
    """
    return _read(_entry(digest))


@functools.lru_cache(maxsize=_KEPT)
def _read(entry: Path) -> StoredNetwork:
    file, digest = entry / MANIFEST, entry.name
    try:
        data = regular_files.read(file, most_bytes=_MOST_BYTES)
    except FileNotFoundError as error:
        raise BuildError(
            f"the imported network {digest[:12]} is not in the cache {entry.parent} any more; run its file again"
        ) from error
    except OSError as error:
        raise BuildError(f"the imported network {digest[:12]} cannot be read: {file}: {why(error)}") from error
    if hashlib.sha256(data).hexdigest() != digest:
        raise _damaged(file)
    try:
        return strict_json.converted(json.loads(data), StoredNetwork)
    except (ValueError, RecursionError) as error:  # written by another version
        raise BuildError(
            f"{file}: cannot be read by this version: {why(error)}; run the network's file again"
        ) from error


@functools.lru_cache(maxsize=_KEPT)
def _graph(entry: Path) -> Graph:
    try:
        return _read(entry).graph()
    except GraphError as error:
        raise _damaged(entry / MANIFEST) from error


def _arrays(variant: Variant, kept: StoredNetwork, name: str) -> Iterator[np.ndarray]:
    import numpy as np

    file = _entry(content(variant)) / name
    try:
        if _sha256(file) != kept.files[name]:
            raise _damaged(file)
        with np.load(file) as archive:
            yield from (archive[each] for each in archive.files)
    except OSError as error:
        raise BuildError(f"{variant.name}: cannot be read: {file}: {why(error)}; run its file again") from error


def _damaged(file: Path) -> BuildError:
    return BuildError(f"{file}: it was damaged; run the network's file again, and it is imported anew")


def _sha256(file: Path) -> str:
    with regular_files.opened(file) as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _tuples(value: Any) -> Any:
    """Return lists as tuples, as graphs have them."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
