"""Where code lies, as binutils and the linker see it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import require

from mbench.compile import objects


def done(*command: str | Path) -> str:
    return subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True, check=True).stdout


@pytest.fixture
def compiled(tmp_path: Path) -> list[Path]:
    """Object files: a function of 5 bytes, and two behind it."""
    require(shutil.which("g++") and shutil.which("nm"), "needs g++ and nm (Debian: g++)")
    sources = {
        "first": "int first() { return 1; }",
        "second": "int table[] = {1, 2, 3}; int second(int i) { return table[i]; }",
        "third": "double third(double x) { return x * 2; }",
    }
    for name, source in sources.items():
        (tmp_path / f"{name}.c").write_text(source)
        done("g++", "-x", "c", "-Os", "-fPIC", "-c", tmp_path / f"{name}.c", "-o", tmp_path / f"{name}.o")
    return [tmp_path / f"{name}.o" for name in sources]


def begins(files: list[Path]) -> dict[str, int]:
    library = files[0].parent / "linked.so"
    done("g++", "-shared", "-o", library, *files)
    rows = [line.split() for line in done("nm", library).splitlines()]
    return {row[2]: int(row[0], 16) for row in rows if row[-1] in {"first", "second", "third"}}


def test_aligned_code_begins_a_cache_line(compiled: list[Path]) -> None:
    before = begins(compiled)
    assert any(address % 64 for address in before.values())
    for file in compiled:
        objects.align_code(file)
    after = begins(compiled)
    assert sorted(after) == ["first", "second", "third"]
    assert {name: address % 64 for name, address in after.items()} == dict.fromkeys(after, 0)


def test_nothing_else_is_changed(compiled: list[Path]) -> None:
    def sections() -> list[list[str]]:
        rows = [line.replace("[ ", "[").split() for line in done("readelf", "-SW", compiled[1]).splitlines()]
        return [row for row in rows if row and row[0].startswith("[") and "NULL" not in row and row[0] != "[Nr]"]

    code, before = done("objdump", "-dr", compiled[1]), sections()
    objects.align_code(compiled[1])
    assert done("objdump", "-dr", compiled[1]) == code
    changed = [(old[1], old[-1], new[-1]) for old, new in zip(before, sections(), strict=True) if old != new]
    assert [(name, new) for name, _, new in changed] == [(".text", "64")]


def test_more_alignment_is_kept(tmp_path: Path, compiled: list[Path]) -> None:
    require(shutil.which("objcopy"), "needs objcopy (Debian: binutils)")
    done("objcopy", "--set-section-alignment", ".text=256", compiled[2])
    kept = compiled[2].read_bytes()
    objects.align_code(compiled[2])
    assert compiled[2].read_bytes() == kept


def test_other_files_are_left_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "lib.o"
    for content in (b"\xcf\xfa\xed\xfe" + bytes(100), b"\x7fELF\x01\x01" + bytes(100), b""):  # Mach-O, 32 bits, nothing
        file.write_bytes(content)
        objects.align_code(file)
        assert file.read_bytes() == content
