"""Archives of torch.export: what would run when torch loads it is refused before."""

from __future__ import annotations

import contextlib
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from mbench.core.errors import UsageError
from mbench.networks.importers import export_archive


class Halved(nn.Module):
    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"half": image[:, :, ::2] * 2}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with open sides, so that it has formulas of sizes and guards."""
    path = tmp_path_factory.mktemp("archive") / "halved.pt2"
    sides = {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC}
    with torch.no_grad():
        program = torch.export.export(Halved().eval(), (torch.randn(2, 3, 6, 8),), dynamic_shapes={"image": sides})
    torch.export.save(program, path)
    return path


def changed(
    source: Path, target: Path, change: Callable[[Any], object], added: tuple[str, bytes] | None = None
) -> Path:
    """Write an archive whose program is another, or that has one file more."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith("models/model.json"):
                program = json.loads(content)
                change(program)
                content = json.dumps(program).encode()
            new.writestr(name, content)
        if added is not None:
            new.writestr(f"{old.namelist()[0].split('/')[0]}/{added[0]}", added[1])
    return target


def check(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        export_archive.check(archive, path)


def refused(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        check(path)
    return str(caught.value)


def test_what_torch_writes_passes(tmp_path: Path, saved: Path) -> None:
    check(changed(saved, tmp_path / "same.pt2", lambda _program: None))


def formulas(value: Any) -> list[dict[str, Any]]:
    """Return what of a program holds a formula."""
    inside = [each for part in (value.values() if isinstance(value, dict) else value) if isinstance(part, dict | list)
              for each in formulas(part)]  # fmt: skip
    return [value, *inside] if isinstance(value, dict) and "expr_str" in value else inside


@pytest.mark.parametrize("runs", [False, True])
def test_a_size_that_is_code(tmp_path: Path, saved: Path, *, runs: bool) -> None:
    touched = tmp_path / "touched"

    def change(program: Any) -> None:
        formulas(program)[0]["expr_str"] = f"open({str(touched)!r}, 'w').close() or 5"

    path = changed(saved, tmp_path / "trap.pt2", change)
    if runs:  # this is why
        with contextlib.suppress(Exception):
            torch.export.load(path)
    else:
        assert "the formula of a size that torch.export does not write" in refused(path)
    assert touched.exists() == runs


def with_target(program: Any, target: str) -> None:
    program["graph_module"]["graph"]["nodes"][0]["target"] = target


@pytest.mark.parametrize(
    "target",
    [
        "torch.os.system", "torch.ops.load_library", "torch.ops.__init__.__globals__", "_operator.attrgetter",
        "torch.ops.aten.add.__class__", "math.__loader__.load_module", "os.system",
        "torch.ops.aten.from_file.default",
    ],
)  # fmt: skip
def test_a_function_that_is_no_operation(tmp_path: Path, saved: Path, target: str) -> None:
    path = changed(saved, tmp_path / "trap.pt2", lambda program: with_target(program, target))
    assert target in refused(path)


@pytest.mark.parametrize(
    "target",
    [
        "torch.ops.aten.conv2d.default", "torch.ops.aten.__and__.Tensor", "torch.ops.higher_order.cond",
        "torch.ops.mine.special.default", "torch.sym_max", "math.trunc", "_operator.floordiv",
    ],
)  # fmt: skip
def test_functions_that_networks_have(tmp_path: Path, saved: Path, target: str) -> None:
    check(changed(saved, tmp_path / "good.pt2", lambda program: with_target(program, target)))


@pytest.mark.parametrize(
    ("guard", "passes"),
    [
        ("L['image'].size()[2] >= 2", True),
        ("Eq(Mod(L['image'].size()[2], 2), 0)", True),
        ("math.trunc(1.5*torch.sym_float(1 + L['image'].size()[2] // 2)) != 1", True),
        ("torch.os.system('true')", False),
        ("__import__('os').system('true')", False),
        ("L['image'].__class__", False),
        ("print(1)", False),
        ("L['a(b)']", False),
        ("1 ; 2", False),
    ],
)
def test_guards(tmp_path: Path, saved: Path, guard: str, *, passes: bool) -> None:
    path = changed(saved, tmp_path / "guards.pt2", lambda program: program.update(guards_code=[guard]))
    if passes:
        check(path)
    else:
        assert "a guard that torch.export does not write" in refused(path)


@pytest.mark.parametrize("name", ['x"); print("', "x(y)", "a\nb"])
def test_a_name_that_would_be_code(tmp_path: Path, saved: Path, name: str) -> None:
    def change(program: Any) -> None:
        program["graph_module"]["graph"]["inputs"][0]["as_tensor"]["name"] = name

    assert "a name that torch.export does not write" in refused(changed(saved, tmp_path / "name.pt2", change))


@pytest.mark.parametrize(
    "spec",
    [
        {"type": "collections.defaultdict", "context": '{"default_factory_module": "antigravity"}'},
        {"type": "builtins.dict", "context": '[{"__enum__": true, "fqn": "antigravity:x", "name": "x"}]'},
    ],
)
def test_containers_that_import_modules(tmp_path: Path, saved: Path, spec: dict[str, str]) -> None:
    def change(program: Any) -> None:
        call = program["graph_module"]["module_call_graph"][0]["signature"]
        call["in_spec"] = json.dumps([1, {**spec, "children_spec": []}])

    assert "a kind of input that torch.export does not write" in refused(changed(saved, tmp_path / "spec.pt2", change))


def test_a_compiled_library(tmp_path: Path, saved: Path) -> None:
    added = ("data/aotinductor/model/evil.so", b"\x7fELF")
    assert "a compiled library (evil.so)" in refused(changed(saved, tmp_path / "so.pt2", lambda _program: None, added))


@pytest.mark.parametrize("name", ["models/model.json", "models/MODEL.json"])
def test_two_files_of_one_name(tmp_path: Path, saved: Path, name: str) -> None:
    """torch finds files by other rules than Python does, so that one could be checked and another loaded."""
    with pytest.warns(UserWarning, match="Duplicate") if name == "models/model.json" else contextlib.nullcontext():
        path = changed(saved, tmp_path / "two.pt2", lambda _program: None, (name, b"{}"))
    assert "two files of one name" in refused(path)


def test_pickles_in_the_place_of_json(tmp_path: Path) -> None:
    """The archive of torch up to 2.7 may have its weights in a file that is called .json."""
    path = tmp_path / "old.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("serialized_state_dict.json", pickle.dumps({}))
    with pytest.raises(ValueError, match=r"decode|Expecting"):
        check(path)


def test_files_of_the_users_own_are_left_alone(tmp_path: Path, saved: Path) -> None:
    check(changed(saved, tmp_path / "extra.pt2", lambda _program: None, ("extra/notes.json", b'{"(any)": "f(x)"}')))
