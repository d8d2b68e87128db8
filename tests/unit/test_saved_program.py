"""Programs of .pt2 files that are read without torch.export.load: the same network as torch loads."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from network_files import error, read
from torch import nn
from torch.nn import functional

from mbench.networks.importers import export_file, saved_program
from mbench.networks.importers.imported import Imported


class Layers(nn.Module):  # type: ignore[misc]
    """Operations of all forms of arguments and results: several outputs, lists, types, axes, and nested modules."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(inplace=True))
        self.blocks = nn.ModuleList([nn.Conv2d(4, 4, 3, padding="same", groups=4), nn.Conv2d(4, 8, 1)])
        self.norm, self.drop = nn.LayerNorm(8), nn.Dropout(0.1)
        self.table = nn.Embedding(7, 8)
        self.register_buffer("shift", torch.randn(8, 1, 1), persistent=False)
        self.register_buffer("whole", torch.arange(8))

    def forward(self, image: torch.Tensor, places: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = self.stem(image) + self.shift
        low, high = x.split([4, 4], 1)
        y = functional.max_pool2d(self.blocks[0](low), 2) + high.amax(1, True)[..., ::2, ::2]
        y = functional.hardswish(self.blocks[1](y))
        y, _ = torch.cat([y, y.flip(2)], 3).max(3)
        rows = self.drop(self.norm(y.transpose(1, 2)))
        rows = functional.scaled_dot_product_attention(rows, rows, rows) + self.table(places)[:, None, 0]
        chosen = torch.where(rows > 0, rows, torch.tensor(-0.5)).to(torch.float64).to(torch.float32)
        return chosen.clamp(-2, float("inf")), self.whole, y.mean((1, 2)).round()


INPUTS = (torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(1)), torch.tensor([[1, 3]]))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "layers.pt2"
    torch.export.save(torch.export.export(Layers().eval(), INPUTS), path)
    return path


def by_torch(path: Path, monkeypatch: pytest.MonkeyPatch) -> Imported:
    with monkeypatch.context() as patched:
        patched.setattr(saved_program, "read", lambda _: None)
        return read(path)


def described(found: Imported) -> list[tuple[Any, ...]]:
    return [
        (node.name, node.op, node.inputs, node.shape, node.dtype, dict(node.attributes), node.block, node.role,
         node.source_names)
        for node in found.graph.nodes
    ]  # fmt: skip


def test_it_is_the_network_that_torch_loads(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, found = by_torch(saved, monkeypatch), read(saved)
    with zipfile.ZipFile(saved) as archive:
        assert saved_program.read(archive) is not None
    assert described(found) == described(loaded)
    assert found.graph.outputs == loaded.graph.outputs
    assert found.parameters.keys() == loaded.parameters.keys()
    for name, numbers in found.parameters.items():
        np.testing.assert_array_equal(numbers, loaded.parameters[name])
    for name, example in found.examples.items():
        np.testing.assert_array_equal(example, loaded.examples[name])
    for one, other in zip(found.run(found.examples), loaded.run(found.examples), strict=True):
        np.testing.assert_array_equal(one, other)
    assert error(found) < 1e-5


def test_no_compiler_of_torch_is_imported(tmp_path: Path) -> None:
    """Single operations of torch import it when they are called, such as its attention; convolutions do not."""
    file = tmp_path / "net.pt2"
    torch.export.save(
        torch.export.export(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval(), INPUTS[:1]), file
    )
    code = (
        "import sys; from mbench.networks.importers import front_ends\n"
        f"found = front_ends.read({str(file)!r}, shapes={{}}, batch=None, examples={{}})\n"
        "found.run(found.examples)\n"
        "print([name for name in ('torch._dynamo', 'torch._inductor') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def rewritten(saved: Path, folder: Path, name: str, change: Any) -> Path:
    """Write a file whose JSON of one name was changed."""
    path = folder / "changed.pt2"
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(path, "w") as new:
        for entry in old.namelist():
            data = old.read(entry)
            if entry.endswith(name):
                document = json.loads(data)
                change(document)
                data = json.dumps(document).encode()
            new.writestr(entry, data)
    return path


CHANGES: dict[str, Any] = {
    "another major version": ("model.json", lambda file: file["schema_version"].update(major=99)),
    "a symbol": ("model.json", lambda file: file["graph_module"]["graph"]["sym_int_values"].update(s0={"as_int": 1})),
    "an unknown kind of argument": (
        "model.json", lambda file: file["graph_module"]["graph"]["nodes"][0]["inputs"][0].update(arg={"as_new": 1})
    ),
    "an output of another kind": (
        "model.json",
        lambda file: file["graph_module"]["signature"]["output_specs"].append({"token": {"arg": {"name": "x"}}}),
    ),
    "weights outside of their storage": (
        "model_weights_config.json",
        lambda file: next(iter(file["config"].values()))["tensor_meta"].update(storage_offset={"as_int": 10**9}),
    ),
    "an unknown type": (
        "model_weights_config.json", lambda file: next(iter(file["config"].values()))["tensor_meta"].update(dtype=33)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_not_known_is_left_to_torch(saved: Path, tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(rewritten(saved, tmp_path, *CHANGES[name])) as archive:
        assert saved_program.read(archive) is None


def test_open_sides_and_what_changes_values_in_place_are_left_to_torch(tmp_path: Path) -> None:
    class InPlace(nn.Module):  # type: ignore[misc]
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            view = x.flatten(1)
            y = view * 2
            y[:, 0].add_(1)
            return y

    torch.export.save(torch.export.export(InPlace().eval(), (torch.randn(2, 3, 4),)), tmp_path / "net.pt2")
    found = read(tmp_path / "net.pt2")
    assert error(found) < 1e-6
    sides = {"x": {0: torch.export.Dim.DYNAMIC}}
    torch.export.save(
        torch.export.export(nn.ReLU().eval(), (torch.randn(2, 3),), dynamic_shapes={"input": sides["x"]}),
        tmp_path / "open.pt2",
    )
    with zipfile.ZipFile(tmp_path / "open.pt2") as archive:
        assert saved_program.read(archive) is None
    assert read(tmp_path / "open.pt2", batch=5).graph.shape("input") == (5, 3)
    assert export_file.read(tmp_path / "open.pt2", shapes={}, batch=None).graph.shape("input") == (1, 3)
