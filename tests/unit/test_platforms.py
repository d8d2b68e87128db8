"""What differs by platform and by device stands in two tables, and nowhere else is a family or a kind asked for."""

from __future__ import annotations

import ast
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

import mbench
from mbench import devices
from mbench.core import dtypes
from mbench.core.field_types import TargetFamily
from mbench.hardware import device_kinds, platforms, targets

PACKAGE = Path(mbench.__file__).parent
HOMES = {"hardware/platforms.py", "hardware/device_kinds.py"}
FAMILIES, KINDS = typing.get_args(TargetFamily), tuple(device_kinds.KINDS)


def word(node: ast.expr) -> str:
    """Return the last name of an expression: `family` of `job.target.family`, and of `family`."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def constants(node: ast.expr) -> Iterator[object]:
    yield from (each.value for each in ast.walk(node) if isinstance(each, ast.Constant))


def asked(source: str) -> Iterator[int]:
    """Yield the lines that compare a family or a kind of device with a word, or look something up by a family."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Subscript) and word(node.slice) == "family":
            of = node.slice.value if isinstance(node.slice, ast.Attribute) else node.slice
            if word(of) != "variant":  # whose family is one of networks
                yield node.lineno
        sides: list[Any] = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
        sides += [node.subject, *(case.pattern for case in node.cases)] if isinstance(node, ast.Match) else []
        words = {word(side) for side in sides if isinstance(side, ast.expr)}
        given = {value for side in sides for value in constants(side)}
        if ("family" in words and given & {*FAMILIES}) or (words & {"kind", "device"} and given & {*KINDS}):
            yield cast("ast.expr", node).lineno


def test_no_module_asks_for_a_family_or_a_kind_of_device() -> None:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        if name not in HOMES and (lines := list(asked(path.read_text(encoding="utf-8")))):
            found[name] = lines
    assert found == {}


@pytest.mark.parametrize(
    "planted",
    [
        'if job.target.family == "gpu":\n    pass',
        'x = 1 if family in ("x86", "arm") else 2',
        "words = WORDS[record.target.family]",
        'if "emulated" == record.device.kind:\n    pass',
        'if job.device != "rpc":\n    pass',
        'match target.family:\n    case "gpu":\n        pass',
    ],
)
def test_one_that_asks_is_found(planted: str) -> None:
    assert list(asked(f"import math\n{planted}\n")) == [2]


def test_each_family_and_each_kind_has_its_facts() -> None:
    assert set(platforms.PLATFORMS) == {*FAMILIES}
    assert set(device_kinds.KINDS) == {*devices.OPENERS, "none", "farm"}
    for platform in platforms.PLATFORMS.values():
        assert {*platform.dtypes} <= {*dtypes.NAMES}
        assert (PACKAGE / "measure" / f"{platform.peaks}.py").is_file()
        assert platform.counted is None or not platforms.of(targets.load(platform.counted)).ships_source


def test_networks_of_bytes_run_on_every_target() -> None:
    types = {name: platforms.of(target).types(target) for name, target in targets.load_all().items()}
    assert [name for name, known in types.items() if dtypes.INT8 not in known] == []
    assert types["cuda_sm87"] == ("float32", "float16", "int8")


def test_every_target_has_the_keys_that_its_platform_names() -> None:
    for target in targets.load_all().values():
        platform = platforms.of(target)
        assert platform.code_key in target.tvm
        assert platform.on_host == (target.tvm["kind"] == "llvm")
