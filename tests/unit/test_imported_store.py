"""Imported networks in the cache: what is read is what was written, whole, or it is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import imported_networks as networks
import msgspec
import numpy as np
import pytest

from mbench.core.errors import BuildError
from mbench.core.records import Variant
from mbench.networks import imported_store
from mbench.networks.graph import Graph


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def entry(variant: Variant) -> Path:
    return imported_store.folder() / str(variant.parameters[imported_store.CONTENT])


def read_all(variant: Variant) -> None:
    for read in (imported_store.graph, imported_store.parameters, imported_store.reference):
        read(variant)


def described(graph: Graph) -> list[object]:
    return [
        dict(graph.inputs), dict(graph.parameters), graph.outputs,
        *[(node.name, node.op, node.inputs, node.shape, node.dtype, dict(node.attributes), node.block, node.role,
           node.source_names) for node in graph.nodes],
    ]  # fmt: skip


@pytest.mark.parametrize("graph", [networks.separable(), networks.two_by_two()], ids=["separable", "two by two"])
def test_a_network_is_read_as_it_was_written(graph: Graph) -> None:
    network = networks.imported(graph)
    variant = networks.kept(graph)
    assert described(imported_store.graph(variant)) == described(graph)  # tuples stay tuples, and infinite numbers so
    read = imported_store.parameters(variant)
    assert list(read) == list(graph.parameters)
    assert all(np.array_equal(read[name], network.parameters[name]) for name in graph.parameters)
    examples, expected = imported_store.reference(variant)
    assert list(examples) == list(graph.inputs)
    for value, wanted in zip(expected, network.run(examples), strict=True):
        np.testing.assert_array_equal(value, wanted)
    known = imported_store.of(variant)
    assert (known.name, known.producer, known.opset) == ("my net", "a tool 1.0", 18)
    assert known.reference == "a runtime 2.0 on the same file"


def test_the_address_is_the_hash_of_all_that_is_in_it() -> None:
    first = networks.kept()
    assert networks.kept() == first
    manifest = (entry(first) / imported_store.MANIFEST).read_bytes()
    assert hashlib.sha256(manifest).hexdigest() == first.parameters[imported_store.CONTENT]
    for name, seal in imported_store.of(first).files.items():
        assert hashlib.sha256((entry(first) / name).read_bytes()).hexdigest() == seal
    network = networks.imported()
    weights = {name: value.copy() for name, value in network.parameters.items()}
    weights["fc.bias"][3] += 1e-3
    changed = (
        networks.kept(parameters=weights), networks.kept(opset=19), networks.kept(reference="another"),
        networks.kept(examples={"image": np.ones((1, 3, 16, 16), "float32")}),
    )  # fmt: skip
    digests = {str(each.parameters[imported_store.CONTENT]) for each in (first, *changed)}
    assert len(digests) == 5
    assert {path.name for path in imported_store.folder().iterdir()} == digests


@pytest.mark.parametrize("name", [imported_store.MANIFEST, imported_store.PARAMETERS, imported_store.REFERENCE])
def test_a_damaged_entry_is_found_out_and_gives_way(name: str) -> None:
    variant = networks.kept()
    file = entry(variant) / name
    whole = file.read_bytes()
    file.write_bytes(whole[:-20] + bytes(reversed(whole[-20:])))
    imported_store._read.cache_clear()
    imported_store._graph.cache_clear()
    with pytest.raises(BuildError, match=f"{name}: it was damaged; run the network's file again"):
        read_all(variant)
    assert networks.kept() == variant
    assert file.read_bytes() == whole


def test_an_entry_that_is_gone_is_said_to_be(cache: Path) -> None:
    variant = networks.kept()
    elsewhere = msgspec.structs.replace(variant, parameters={imported_store.CONTENT: "0" * 64})
    with pytest.raises(BuildError, match=r"000000000000 is not in the cache .* any more; run its file again"):
        imported_store.graph(elsewhere)
    (entry(variant) / imported_store.PARAMETERS).unlink()
    with pytest.raises(BuildError, match=r"cannot be read: .*No such file"):
        imported_store.parameters(variant)
    assert imported_store.graph(variant).outputs == ("fc",)  # which needs no parameters


@pytest.mark.parametrize("digest", ["../elsewhere", "", "0" * 63, "A" * 64, "/etc", None])
def test_what_a_record_names_is_no_path(digest: str | None, cache: Path) -> None:
    variant = msgspec.structs.replace(networks.kept(), parameters={imported_store.CONTENT: digest})
    with pytest.raises(BuildError, match="is no digest of an imported network; expected 64 hexadecimal digits"):
        imported_store.graph(variant)


def test_an_entry_is_whole_or_not_there(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imported_store, "_described", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        networks.kept()
    assert list(imported_store.folder().iterdir()) == []


def test_a_cache_that_cannot_be_written(cache: Path) -> None:
    cache.mkdir()
    (cache / "networks").write_text("taken")
    with pytest.raises(BuildError, match=r"cannot be written to .*free space or set MBENCH_CACHE_DIR"):
        networks.kept()
