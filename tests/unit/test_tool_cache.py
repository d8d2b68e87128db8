from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from mbench.core.errors import UsageError
from mbench.devices import tool_cache


def test_what_decides_the_result_decides_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "cache"))
    source = tmp_path / "source.c"
    source.write_text("int a;")
    assert tool_cache.digest(source) == hashlib.sha256(b"int a;").hexdigest()
    found = [tool_cache.kept("tools", source, ["gcc 12"]), tool_cache.kept("tools", source, ["gcc 13"])]
    source.write_text("int b;")
    found.append(tool_cache.kept("tools", source, ["gcc 12"]))
    assert len(set(found)) == 3
    assert {folder.parent for folder in found} == {tmp_path / "cache" / "tools"}


def test_a_folder_is_made_once_and_whole(tmp_path: Path) -> None:
    folder = tmp_path / "tools" / "made"
    with tool_cache.made(folder) as work:
        assert work is not None
        (work / "tool").write_text("x")
        assert not folder.exists()
    assert (folder / "tool").read_text() == "x"
    with tool_cache.made(folder) as work:
        assert work is None


def test_where_making_fails_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), tool_cache.made(tmp_path / "tools" / "made"):
        raise ZeroDivisionError
    assert list((tmp_path / "tools").iterdir()) == []


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "tools").write_text("not a folder")
    with pytest.raises(UsageError, match="MBENCH_CACHE_DIR"), tool_cache.made(tmp_path / "tools" / "made"):
        pass


def test_a_tool_that_fails_is_quoted() -> None:
    code = "print('first'); print('x.c:1: error: no such thing'); print('last'); raise SystemExit(3)"
    with pytest.raises(UsageError, match=r"the plugin failed \(status 3\): x.c:1: error: no such thing"):
        tool_cache.run([sys.executable, "-c", code], "the plugin")
    assert tool_cache.output([sys.executable, "-c", "print('1.0')"]) == "1.0\n"
    with pytest.raises(UsageError, match=r"'no-such-tool --version' failed: .*install it again"):
        tool_cache.output(["no-such-tool", "--version"])
