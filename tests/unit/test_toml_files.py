"""Hostile TOML, as a table of cases for each of the five kinds of file that mbench reads."""

from __future__ import annotations

import ast
import datetime
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

import mbench
from mbench.core import toml_files
from mbench.core.errors import MbenchError, RecordError, TargetError, UsageError
from mbench.devices import registry
from mbench.gating import acceptance, limits
from mbench.hardware import target_file
from mbench.tuning import choice_files

PACKAGE = Path(mbench.__file__).parent

TARGET = """\
name = "board"
family = "arm"
description = "a board"
default_device = "local"
threads = FIGURE

[tvm]
kind = "llvm"
mtriple = "aarch64-linux-gnu"
mcpu = "cortex-a72"

[processor]
cores = 4
vector_bits = 128
"""
TUNED = """\
format_version = 1
target = "x86_64_v3"
cpu = "a processor"
mcpu = "znver3"

[[kernels]]
kernel = "conv2d"
threads = 2
rule = "cpu.matmul"
parameters = {rows = 6}
seconds = FIGURE
default = {rule = "cpu.matmul", parameters = {rows = 4}, seconds = 1.5e-05}
made_with = {mbench = "0.1.0", tvm = "0.27.0", date = "2026-01-31"}
"""
ACCEPTED = """\
[[accepted]]
variant = "*"
reason = "agreed"
up_to = FIGURE
expires = 2026-12-31
"""
DAY = datetime.date(2026, 1, 1)


def _devices(file: Path) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MBENCH_CONFIG_DIR", str(file.parent))
        return registry.devices()


@dataclass(frozen=True)
class Kind:
    """A kind of file: a good one with a place for a figure, what reads it, and a table's name written wrong."""

    name: str
    text: str
    good: str
    read: Callable[[Path], object]
    error: type[MbenchError]
    slip: tuple[str, str]
    meant: str

    def with_figure(self, value: str) -> str:
        return self.text.replace("FIGURE", value)


KINDS = {
    "target": Kind("target.toml", TARGET, "4", target_file.read, TargetError, ("[processor]", "[procesor]"),
                   "procesor: unknown key; did you mean 'processor'?"),
    "thresholds": Kind("mbench.toml", "[gate.thresholds]\nlatency = FIGURE\n", '"3%"', limits.read, UsageError,
                       ("[gate.thresholds]", "[gate.treshold]"),
                       "gate.treshold: unknown key; did you mean 'thresholds'?"),
    "accepted": Kind("mbench-accepted.toml", ACCEPTED, '"5%"', lambda file: acceptance.read(file, DAY), UsageError,
                     ("[[accepted]]", "[[acepted]]"), "acepted: unknown key; did you mean 'accepted'?"),
    "devices": Kind("devices.toml", "format_version = FIGURE\n[devices.pi4]\nrpc = 'a:1'\n", "1", _devices, UsageError,
                    ("[devices.pi4]", "[device.pi4]"), "device: unknown key; did you mean 'devices'?"),
    "tuned": Kind("rules.toml", TUNED, "1.25e-05", choice_files.read, RecordError, ("[[kernels]]", "[[kernel]]"),
                  "kernel: unknown key; did you mean 'kernels'?"),
}  # fmt: skip

DEEP = 100_000
FIGURES = {
    "inf": ("inf", "got inf"),
    "-inf": ("-inf", "got -inf"),
    "nan": ("nan", "got nan"),
    "beyond a float": ("1e999", "got inf"),
    "an integer of 5,000 digits": ("9" * 5000, "integers of at most 64 bits"),
    "a hexadecimal integer of 10,000 digits": ("0x" + "f" * 10_000, "got an integer of more than 64 bits"),
    "an integer of 65 bits": (str(2**64), "got an integer of more than 64 bits"),
    "a negative number": ("-1", "-1"),
    "zero and a bit": ("-0.5", "-0.5"),
    "a million million": (str(10**12), str(10**12)),
    "true": ("true", "True"),
    "a date": ("2026-12-31", "2026-12-31"),
    "an array": ("[1]", "an array"),
    "a table": ("{value = 1}", "a table"),
    "a word": ("'four'", "'four'"),
    "a word with an escape": ('"\\u001b[31m\\u202e"', "\\x1b[31m\\u202e"),
    "a word of 100,000 characters": (f"'{'x' * 100_000}'", "'xxx"),
    "arrays in arrays": ("[" * DEEP, "nested too deeply"),
    "tables in tables": ("{a = " * DEEP, "nested too deeply"),
    "arrays in arrays, closed": ("[" * DEEP + "]" * DEEP, "nested too deeply"),
    "nothing": ("", "not valid TOML"),
}
LINES = {
    "a key of 100,000 parts": (".".join("a" * DEEP) + " = 1", "line 1 has 99999 dots, expected at most 100"),
    "a table of 100,000 parts": ("[" + ".".join("a" * DEEP) + "]", "line 1 has 99999 dots, expected at most 100"),
    "a key of 100 parts": (".".join("a" * 100) + " = 1", "a: unknown key"),
    "a key that is not known": ("zebra = 1", "zebra: unknown key"),
    "a key with an escape and a new line": ('"a\\n\\u001b[31m\\u202e\\u0085" = 1', "unknown key"),
    "a key of 100,000 characters": ("a" * DEEP + " = 1", "unknown key"),
    "a key that looks like a path": ('"a` - at `$.x.y[3][...].z" = 1', "unknown"),
    "a key twice": ("zebra = 1\nzebra = 2", "not valid TOML: Cannot overwrite a value"),
    "a table twice": ("[zebra]\n[zebra]", "not valid TOML: Cannot declare [zebra] twice"),
    "a long table twice": (f"[{'a' * DEEP}]\n[{'a' * DEEP}]", "not valid TOML: Cannot declare"),
    "a NUL": ("a = '\0'", "not valid TOML"),
    "an escape": ("a = '\x1b[31m'", "not valid TOML"),
    "half a surrogate": ('a = "\\ud800"', "not valid TOML"),
    "no key": ("[[[[", "not valid TOML"),
    "inf at a key that is not known": ("zebra = [1, {lion = inf}]", "zebra[1].lion: got inf, expected a finite number"),
}


def refused(kind: Kind, file: Path) -> str:
    """Read a file, and return the line that refuses it."""
    with pytest.raises(kind.error) as caught:
        kind.read(file)
    said = str(caught.value)
    assert said.startswith(f"{file}: ")
    assert said.isprintable()
    assert len(said) < 700 + len(str(file))
    return said.removeprefix(f"{file}: ")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


@pytest.fixture
def file(kind: Kind, tmp_path: Path) -> Path:
    """Return where the file goes: a target's lies in a folder of its name."""
    (tmp_path / "board").mkdir()
    return tmp_path / "board" / kind.name


def test_a_good_file_is_read(kind: Kind, file: Path) -> None:
    file.write_text(kind.with_figure(kind.good))
    assert kind.read(file)


def test_a_byte_order_mark_is_no_fault(kind: Kind, file: Path) -> None:
    file.write_text(kind.with_figure(kind.good), encoding="utf-8-sig")
    assert kind.read(file)


@pytest.mark.parametrize("case", FIGURES)
def test_what_is_no_figure_is_refused(kind: Kind, file: Path, case: str) -> None:
    value, said = FIGURES[case]
    file.write_text(kind.with_figure(value))
    assert said in refused(kind, file)


@pytest.mark.filterwarnings("error::DeprecationWarning")  # Python 3.14 deprecates errors of TOML made of a text alone
@pytest.mark.parametrize("case", LINES)
def test_lines_that_are_refused(kind: Kind, file: Path, case: str) -> None:
    line, said = LINES[case]
    file.write_text(f"{line}\n{kind.with_figure(kind.good)}")
    line = refused(kind, file)
    assert said in line or (case.startswith("a key") and "not valid TOML" not in said and "missing" in line)


def test_a_table_whose_name_is_a_slip_of_the_pen_is_not_ignored(kind: Kind, file: Path) -> None:
    text = kind.with_figure(kind.good).replace(*kind.slip)
    assert text != kind.with_figure(kind.good)
    file.write_text(text)
    assert refused(kind, file).startswith(kind.meant)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_another_encoding(kind: Kind, file: Path, encoding: str) -> None:
    file.write_text(kind.with_figure(kind.good), encoding=encoding)
    assert "byte 0 is no UTF-8; save the file as UTF-8" in refused(kind, file)


def test_bytes_that_are_no_text(kind: Kind, file: Path) -> None:
    file.write_bytes(b"# \xff\n" + kind.with_figure(kind.good).encode())
    assert "byte 2 is no UTF-8" in refused(kind, file)


def test_a_file_that_does_not_end(kind: Kind, file: Path) -> None:
    with file.open("wb") as sparse:
        sparse.truncate(2**40)
    assert "more than 8,388,608 bytes" in refused(kind, file)


def test_a_file_that_is_a_little_too_large(kind: Kind, file: Path) -> None:
    text = kind.with_figure(kind.good).encode()
    file.write_bytes(text + b"#" * (toml_files.MAX_BYTES - len(text)))
    assert kind.read(file)
    file.write_bytes(text + b"#" * (toml_files.MAX_BYTES - len(text) + 1))
    assert "more than 8,388,608 bytes" in refused(kind, file)


def test_what_is_no_file(kind: Kind, file: Path) -> None:
    os.mkfifo(file)
    assert "cannot be read: it is a named pipe, expected a file" in refused(kind, file)
    file.unlink()
    for device in ("/dev/zero", "/dev/full"):
        file.symlink_to(device)
        assert "cannot be read: it is a device, expected a file" in refused(kind, file)
        file.unlink()
    file.mkdir()
    assert "cannot be read: Is a directory" in refused(kind, file)
    file.rmdir()
    file.symlink_to(file)
    assert "cannot be read: Too many levels of symbolic links" in refused(kind, file)


PARTS = (
    *("[", "]", "{", "}", "[[", "]]", "=", ".", ",", '"', "'", "#", "\n", "\0", "\x1b", "\ufeff", "\\", "\r"),
    *("inf", "nan", "true", "1e999", "0x1", "-1", "9" * 30, "2026-12-31", "x = 1", "[x]", "''", '"""'),
)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_changed_in_a_file_it_is_read_or_refused(kind: Kind, file: Path, seed: int) -> None:
    """Three hundred mutants: parts of a good file are left out, doubled, moved, or replaced by what TOML is made of."""
    drawn = random.Random(seed)
    good = kind.with_figure(kind.good)
    for _ in range(100):
        text = good
        for _ in range(drawn.randrange(1, 4)):
            start = drawn.randrange(len(text) + 1)
            end = min(len(text), start + drawn.choice((0, 0, 1, 2, 5, 20)))
            text = text[:start] + drawn.choice((*PARTS, text[start:end] * 2, "")) + text[end:]
        file.write_text(text, encoding="utf-8", newline="")
        said = f"{file}: "
        try:
            kind.read(file)
        except kind.error as error:
            said = str(error)
        assert said.startswith(f"{file}: "), (seed, text)
        assert "\n" not in said, (seed, text)


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "\ufeff"])
def test_an_empty_file(kind: Kind, file: Path, text: str) -> None:
    file.write_text(text)
    if kind.error is UsageError and kind.name != "devices.toml":
        kind.read(file)  # has nothing to say
    else:
        assert refused(kind, file).startswith(("format_version is None", "name: missing", "family: missing"))


# ----------------------------------------------------------------------------------------------------------- the reader
class Inner(msgspec.Struct, forbid_unknown_fields=True):
    size: int
    kind: str = ""


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    tables: dict[str, Inner] = {}
    rows: tuple[Inner, ...] = ()
    maybe: Inner | None = None


@pytest.mark.parametrize(
    ("text", "said"),
    {
        "[tables.a]\nsize = 1\n[tables.b]\nsize = 'x'\n[tables.c]\nsize = 'y'": "tables.b.size: got 'x', expected an i",
        "[tables.'a b']\nsize = 1.5": "tables.'a b'.size: got 1.5, expected an integer",
        "[tables.a]\nsiz = 1": "tables.a.siz: unknown key; did you mean 'size'?",
        "[[rows]]\nsize = 1\n[[rows]]": "rows[1].size: missing",
        "[maybe]\nsize = 1\nzebra = 1": "maybe.zebra: unknown key; expected one of size, kind",
        "maybe = 1": "maybe: got 1, expected a table",
        "rows = {}": "rows: got a table, expected an array",
    }.items(),
)  # fmt: skip
def test_the_whole_key_is_named(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "file.toml"
    file.write_text(text)
    with pytest.raises(RecordError) as caught:
        toml_files.read(toml_files.Source(file, RecordError, "do this"), Outer)
    assert str(caught.value).startswith(f"{file}: {said}")
    assert str(caught.value).endswith("; do this")


def test_one_wrong_table_of_many_is_found_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file.toml"
    file.write_text(
        "".join(f"[tables.t{number}]\nsize = {number if number != 7777 else 'true'}\n" for number in range(9999))
    )
    tries: list[object] = []
    complaint = toml_files._complaint

    def counted(*given: Any) -> Any:
        tries.append(given)
        return complaint(*given)

    monkeypatch.setattr(toml_files, "_complaint", counted)
    with pytest.raises(UsageError, match=r"tables\.t7777\.size: got True"):
        toml_files.read(toml_files.Source(file), Outer)
    assert len(tries) < 20


def test_where_there_is_no_file_there_is_nothing(tmp_path: Path) -> None:
    source = toml_files.Source(tmp_path / "none.toml")
    assert toml_files.find(source, Outer) is None
    assert toml_files.find(toml_files.Source(Path(__file__) / "none.toml"), Outer) is None
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        toml_files.read(source, Outer)
    with pytest.raises(UsageError, match="cannot be read: File name too long"):
        toml_files.find(toml_files.Source(tmp_path / ("x" * 5000)), Outer)


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}"


def test_nothing_else_reads_toml() -> None:
    readers = {}
    for file in PACKAGE.rglob("*.py"):
        names = set(_imports(ast.parse(file.read_text(encoding="utf-8"))))
        found = {part for name in names for part in name.split(".") if part in ("tomllib", "tomli", "toml", "tomlkit")}
        if found:
            readers[file.relative_to(PACKAGE).as_posix()] = found
    assert readers == {"core/toml_files.py": {"tomllib"}, "devices/registry.py": {"tomlkit"}}


# ---------------------------------------------------------------------------------------------- what a figure can be
FIGURE = '{{value = {}, source = "a data sheet"}}'
OF_TARGET = {
    **{f"processor.{name}": f"[processor]\n{name} = {FIGURE}\n" for name in (
        "frequency_hz", "issue_width", "load_units", "store_units")},
    "processor.fma_units": f"[processor]\nfma_units = {FIGURE}\n",
    "processor.flops_per_cycle.float32": f"[processor.flops_per_cycle]\nfloat32 = {FIGURE}\n",
    "processor.l2.bytes": f"[processor.l2]\nbytes = {FIGURE}\n",
    "peaks.flops_per_s.float32": f"[peaks.flops_per_s]\nfloat32 = {FIGURE}\n",
    "peaks.bytes_per_s.DRAM": f"[peaks.bytes_per_s]\nDRAM = {FIGURE}\n",
    "energy.add_j.float32": f"[energy.add_j]\nfloat32 = {FIGURE}\n",
    "energy.static_w": f"[energy]\nstatic_w = {FIGURE}\n",
}  # fmt: skip


def target_line(tmp_path: Path, text: str) -> str:
    (tmp_path / "board").mkdir(exist_ok=True)
    (tmp_path / "board" / "target.toml").write_text(text)
    return refused(KINDS["target"], tmp_path / "board" / "target.toml")


@pytest.mark.parametrize("value", ["1e300", "1e25", "-1", "inf", "nan"])
@pytest.mark.parametrize("key", OF_TARGET)
def test_a_figure_that_no_machine_has_is_refused(tmp_path: Path, key: str, value: str) -> None:
    more = OF_TARGET[key].format(value)
    text = TARGET.replace("FIGURE", "4")
    text = text.replace("[processor]\n", more) if more.startswith("[processor]\n") else text + more
    line = target_line(tmp_path, text)
    assert line.startswith(f"{key}.value: got ")
    assert "expected" in line


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("cores = 4", "cores = 1000000000", "processor.cores: got 1000000000, expected 1 to 4096"),
        ("threads = 4", "threads = 5000", "threads: got 5000, expected an integer <= 1024"),
        ("vector_bits = 128", "vector_bits = 16", "processor.vector_bits: got 16, expected 32 to 65536"),
        ("vector_bits = 128", "vector_bits = 100", "processor.vector_bits: got 100, expected a multiple of 32"),
        ("vector_bits = 128", "vector_bits = 128\n[emulation]\nqemu_cup = 'max'",
         "emulation.qemu_cup: unknown key; did you mean 'qemu_cpu'?"),
        ("vector_bits = 128", "vector_bits = 128\n[peaks.flops_per_s]\nflaot32 = {value = 1e9, source = 'x'}",
         "peaks.flops_per_s.flaot32: unknown key; did you mean 'float32'?"),
    ],
)  # fmt: skip
def test_numbers_and_names_of_a_target_that_cannot_be(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert target_line(tmp_path, TARGET.replace("FIGURE", "4").replace(old, new)).startswith(said)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("rows = 6", "rows = 99999999999", "kernels[0].parameters.rows: got 99999999999, expected an integer <= "),
        ("threads = 2", "threads = 99999", "kernels[0].threads: got 99999, expected an integer <= 1024"),
        ("seconds = 1.5e-05", "seconds = 1e300", "kernels[0].default.seconds: got 1e+300, expected a number <= "),
    ],
)
def test_numbers_of_a_tuned_choice_that_cannot_be(tmp_path: Path, old: str, new: str, said: str) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(TUNED.replace("FIGURE", "1e-05").replace(old, new))
    assert refused(KINDS["tuned"], file).startswith(said)
