"""Files of torch.export.save: what is refused and how, and what reads them beside torch."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from network_files import error, read
from torch import nn

from mbench.core.errors import UsageError
from mbench.networks.importers import export_file


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.register_buffer("scale", torch.rand(1, 4, 1, 1), persistent=False)
        self.eval()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.conv(image).relu() * self.scale + torch.tensor(2.0)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "small.pt2"
    with torch.no_grad():
        program = torch.export.export(
            Small(), (torch.randn(2, 3, 6, 8),), dynamic_shapes={"image": {0: torch.export.Dim.DYNAMIC}}
        )
    torch.export.save(program, path)
    return path


def refused(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_network_and_where_it_comes_from(saved: Path) -> None:
    found = read(saved, batch=2)
    assert error(found) < 1e-6
    assert (found.source, found.name, found.opset) == ("export", "small", None)
    assert found.producer == f"torch {torch.__version__}"
    assert "PyTorch" in found.reference
    assert found.examples["image"].std() > 0.5  # those of the file


@pytest.mark.parametrize("batch", [1, 5])
def test_an_open_batch(saved: Path, batch: int) -> None:
    found = read(saved, batch=batch)
    assert found.graph.inputs["image"].shape == (batch, 3, 6, 8)
    assert error(found) < 1e-6


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        (lambda path, _whole: None, "No such file"),
        (lambda path, _whole: path.mkdir(), "is a folder"),
        (lambda path, _whole: path.write_bytes(b""), "is empty"),
        (lambda path, _whole: path.write_text("no archive"), "only a part of one"),
        (lambda path, whole: path.write_bytes(whole[: len(whole) // 2]), "only a part of one"),
    ],
)
def test_files_that_are_none(
    tmp_path: Path, saved: Path, write: Callable[[Path, bytes], object], expected: str
) -> None:
    write(tmp_path / "bad.pt2", saved.read_bytes())
    assert expected in refused(tmp_path / "bad.pt2")


def test_an_archive_of_something_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "other.pt2", "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert "cannot be loaded by torch" in refused(tmp_path / "other.pt2")


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (open, (self.path, "w"))  # type: ignore[return-value]


def changed(source: Path, target: Path, change: Callable[[str, bytes], bytes], **added: bytes) -> Path:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as new:
        root = old.namelist()[0].split("/")[0]
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
        for name, content in added.items():
            new.writestr(f"{root}/data/constants/{name}", content)
    return target


@pytest.mark.parametrize("where", ["inputs", "weights", "constants"])
def test_pickled_objects_are_refused_and_not_run(tmp_path: Path, saved: Path, where: str) -> None:
    trap = pickle.dumps(Trap(tmp_path / "touched"))
    buffer = io.BytesIO()
    torch.save(Trap(tmp_path / "touched"), buffer)

    def change(name: str, content: bytes) -> bytes:
        if where == "inputs" and name.endswith("sample_inputs/model.pt"):
            return buffer.getvalue()
        if where == "weights" and name.endswith("model_weights_config.json"):
            config = json.loads(content)
            next(iter(config["config"].values()))["use_pickle"] = True
            return json.dumps(config).encode()
        return content

    added = {"custom_obj_0": trap} if where == "constants" else {}
    path = changed(saved, tmp_path / "trap.pt2", change, **added)
    assert "loading it would run code" in refused(path)
    assert not (tmp_path / "touched").exists()


def test_the_trap_works(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Trap(tmp_path / "touched"))).close()
    assert (tmp_path / "touched").exists()


def test_files_of_older_torch(tmp_path: Path) -> None:
    """The archive that torch wrote up to 2.7: one file of weights, one of JSON."""
    from torch._export.serde.serialize import SCHEMA_VERSION, serialize

    with torch.no_grad():
        program = torch.export.export(Small(), (torch.randn(1, 3, 6, 8),))
    artifact = serialize(program)
    path = tmp_path / "old.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("version", ".".join(map(str, SCHEMA_VERSION)))
        archive.writestr("serialized_exported_program.json", artifact.exported_program)
        archive.writestr("serialized_state_dict.pt", artifact.state_dict)
        archive.writestr("serialized_constants.pt", artifact.constants)
        archive.writestr("serialized_example_inputs.pt", artifact.example_inputs)
    assert error(read(path)) < 1e-6


def test_a_file_of_another_schema(tmp_path: Path, saved: Path) -> None:
    def change(name: str, content: bytes) -> bytes:
        if name.endswith("models/model.json"):
            program = json.loads(content)
            program["schema_version"] = {"major": 99, "minor": 0}
            return json.dumps(program).encode()
        return content

    message = refused(changed(saved, tmp_path / "new.pt2", change))
    assert "export the network again with this version of torch" in message
    assert export_file is not None


def test_a_file_is_read_once_so_that_what_is_loaded_is_what_was_checked(saved: Path, tmp_path: Path) -> None:
    file = tmp_path / "small.pt2"
    file.write_bytes(saved.read_bytes())
    found = read(file, batch=2)
    file.write_bytes(b"another file")
    assert error(found) < 1e-5
    assert found.file_sha256 == hashlib.sha256(saved.read_bytes()).hexdigest()


def test_constants_and_weights_may_be_outputs(tmp_path: Path) -> None:
    class Detector(Small):
        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return self.conv(image), self.scale, self.conv.weight, torch.arange(6.0), image

    torch.export.save(torch.export.export(Detector(), (torch.randn(1, 3, 6, 8),)), tmp_path / "net.pt2")
    found = read(tmp_path / "net.pt2")
    assert error(found) < 1e-5
    assert [found.graph.shape(name) for name in found.graph.outputs] == [
        (1, 4, 6, 8), (1, 4, 1, 1), (4, 3, 3, 3), (6,), (1, 3, 6, 8),
    ]  # fmt: skip
