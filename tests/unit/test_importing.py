"""Importing: what becomes of a front end's network, and of what goes wrong, also in a process of its own."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import imported_networks as networks
import msgspec
import numpy as np
import pytest
import torch

from mbench.core.errors import UsageError
from mbench.core.field_types import LONGEST_NAME, MOST_CHARACTERS
from mbench.core.records import Variant
from mbench.networks import architectures, imported_store, importing
from mbench.networks.graph_builder import GraphBuilder
from mbench.networks.importers import front_ends
from mbench.networks.importers.imported import Imported
from mbench.networks.importing import ImportPlan


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "cache"))


def test_a_network_becomes_a_variant_that_says_what_it_is_and_not_where_it_was() -> None:
    variant = networks.kept()
    assert (variant.name, variant.family, variant.source) == ("my-net", "my-net", "onnx")
    assert (variant.convolution, variant.batch, variant.dtype) == ("depthwise_separable", 1, "float32")
    known = dict(variant.parameters)
    assert len(str(known.pop(imported_store.CONTENT))) == 64
    assert known == {"producer": "a tool 1.0", "opset": 18, "file_sha256": "f" * 64}
    assert networks.kept(networks.two_by_two()).convolution is None
    bare = importing.kept(networks.imported(producer=None, opset=None, source="function"), "m:f")
    assert bare.parameters.keys() == {imported_store.CONTENT}
    assert [layer.name for layer in architectures.layers(variant)] == [
        "stem", "one.dw", "one.pw", "two.dw", "two.pw", "pool", "fc",
    ]  # fmt: skip


def test_a_layer_with_a_longer_name_than_a_record_holds_gets_a_shorter_one() -> None:
    builder = GraphBuilder()
    x = builder.input("x", (1, 4, 6, 6))
    long = [f"{'stage/' * 60}{number}" for number in range(2)]
    for name in long:
        x = builder.convolution(name, x, 4, norm=None)
    graph = builder.graph(x)
    short = importing.with_short_names(graph)
    names = [node.name for node in short.nodes]
    assert len(set(names)) == 2
    assert max(map(len, names)) <= LONGEST_NAME - 10
    assert [node.source_names for node in short.nodes] == [(name,) for name in long]
    assert (short.nodes[1].inputs[0], short.outputs) == (names[0], (names[1],))
    assert importing.with_short_names(networks.separable()).nodes[0].source_names == ()


def test_what_a_file_says_of_any_length_fits_a_record() -> None:
    graph = networks.separable()
    first, *others = graph.nodes
    long = dataclasses.replace(first, source_names=("x" * (MOST_CHARACTERS + 1),))
    short = importing.with_short_names(dataclasses.replace(graph, nodes=(long, *others)))
    assert short.nodes[0].source_names == ("x" * (MOST_CHARACTERS - 1) + "…",)
    variant = networks.kept(producer="\x1b[31ma\nb" * MOST_CHARACTERS)
    assert len(str(variant.parameters["producer"])) <= 60
    assert str(variant.parameters["producer"]).isprintable()
    assert msgspec.json.decode(msgspec.json.encode(variant), type=Variant) == variant


def test_a_layer_with_a_name_of_several_lines_gets_one_of_one_line() -> None:
    builder = GraphBuilder()
    x = builder.input("x", (1, 4, 6, 6))
    for name in ("a\nb", "a b"):
        x = builder.convolution(name, x, 4, norm=None)
    short = importing.with_short_names(builder.graph(x))
    assert [node.name for node in short.nodes] == ["a b #0", "a b"]
    assert short.nodes[0].source_names == ("a\nb",)


def test_longer_blocks_than_a_record_holds_get_shorter_ones() -> None:
    graph = networks.separable()
    apart = [f"{'stage/' * 60}{place // 2}" for place in range(len(graph.nodes))]
    nodes = tuple(dataclasses.replace(node, block=block) for node, block in zip(graph.nodes, apart, strict=True))
    short = importing.with_short_names(dataclasses.replace(graph, nodes=nodes))
    blocks = [node.block or "" for node in short.nodes]
    assert max(map(len, blocks)) <= LONGEST_NAME
    assert [blocks.index(block) for block in blocks] == [apart.index(block) for block in apart]
    assert [node.name for node in short.nodes] == [node.name for node in graph.nodes]


def test_a_network_that_computes_nothing_is_refused() -> None:
    builder = GraphBuilder()
    graph = builder.graph(builder.add("reshape", "flat", builder.input("x", (2, 4)), shape=(8,)))
    with pytest.raises(UsageError, match=r"net\.onnx: it computes nothing; expected a network with layers"):
        networks.kept(graph)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("resnet18", "resnet18"), ("ch_PP-OCRv4_det", "ch_PP-OCRv4_det"), ("a b/../<i>\x1b[0m", "a-b-..-i-0m"),
        ("模型", "模型"), ("..", "network"), ("--help", "help"), ("", "network"), ("{1,2}", "1-2"),
        ("x" * 300, "x" * 60),
    ],
)  # fmt: skip
def test_a_name_is_one_safe_word(text: str, name: str) -> None:
    assert importing.safe_name(text) == name


def test_what_the_networks_own_runtime_gives_must_be_something_to_compare_with() -> None:
    def gives(value: np.ndarray) -> Any:
        return lambda _: (value,)

    with pytest.raises(UsageError, match=r"10 of 10 numbers of its own output 'fc' are NaN .*; give others with --in"):
        networks.kept(run=gives(np.full((1, 10), np.inf, "float32")))
    with pytest.raises(UsageError, match="output 'fc' is 1x9, by mbench's own reading 1x10; report it"):
        networks.kept(run=gives(np.ones((1, 9), "float32")))
    with pytest.raises(UsageError, match="it gives 2 outputs, by mbench's own reading 1"):
        networks.kept(run=lambda _: (np.ones((1, 10), "float32"),) * 2)


def test_inputs_that_came_with_it_go_before_those_that_are_drawn() -> None:
    ones = np.ones((1, 3, 16, 16), "float32")
    came = importing.kept(networks.imported(examples={"image": ones}), "f")
    np.testing.assert_array_equal(imported_store.reference(came)[0]["image"], ones)
    drawn = imported_store.reference(networks.kept())[0]["image"]
    assert abs(drawn.std() - 1) < 0.2


def test_given_inputs_go_to_the_front_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ones = np.ones((1, 3, 16, 16), "float32")
    np.savez(tmp_path / "in.npz", image=ones)

    def read(text: str, **how: Any) -> Imported:
        assert (text, how["shapes"], how["batch"]) == ("net.onnx", {"image": (1, 3, 16, 16)}, 1)
        return networks.imported(examples=how["examples"])

    monkeypatch.setattr(front_ends, "read", read)
    plan = ImportPlan(source="net.onnx", shapes={"image": (1, 3, 16, 16)}, inputs=tmp_path / "in.npz", batch=1)
    np.testing.assert_array_equal(imported_store.reference(importing._import(plan))[0]["image"], ones)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (UsageError("net.onnx: one clear line"), "^net.onnx: one clear line$"),
        (KeyError("axis"), "^net.onnx: it cannot be imported: KeyError: 'axis'; this is a defect, please report it$"),
        (PermissionError(13, "Permission denied"), "^net.onnx: cannot be read: Permission denied$"),
        (MemoryError(), "^net.onnx: out of memory"),
    ],
)
def test_whatever_goes_wrong_is_one_line(error: Exception, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(front_ends, "read", read)
    with pytest.raises(UsageError, match=said):
        importing._import(ImportPlan(source="net.onnx"))


def test_in_a_process_of_its_own_a_missing_file_is_one_line_too(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"absent\.onnx cannot be read: No such file or directory"):
        importing.in_a_child(ImportPlan(source=str(tmp_path / "absent.onnx")))
    with pytest.raises(UsageError, match=r"absent\.npz: cannot be read"):
        importing.in_a_child(ImportPlan(source="x.onnx", inputs=tmp_path / "absent.npz"))


def test_a_file_of_torch_leaves_nothing_behind(tmp_path: Path) -> None:
    """What a process leaves behind is said when the program ends that started it."""

    class InPlace(torch.nn.Module):  # type: ignore[misc]
        """Is taken apart by torch, which counts its steps."""

        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 4, 3)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.conv(image)
            found[:, 0].add_(1)
            return found

    torch.export.save(torch.export.export(InPlace().eval(), (torch.zeros(1, 3, 8, 8),)), tmp_path / "net.pt2")
    code = "import sys; from mbench.networks.importing import *; in_a_child(ImportPlan(source=sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "net.pt2"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "MBENCH_CACHE_DIR": str(tmp_path / "cache")},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def _end(_: ImportPlan) -> None:
    os._exit(3)


def test_a_process_that_dies_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "_import", _end)
    with pytest.raises(UsageError, match=r"^net\.onnx: it cannot be imported: the process died; out of memory\?"):
        importing.in_a_child(ImportPlan(source="net.onnx"))
