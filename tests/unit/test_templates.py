from __future__ import annotations

import contextlib
import errno
import gc
from pathlib import Path
from typing import Any

import jinja2
import pytest

from mbench.core import no_gc
from mbench.page import templates


def rendered(text: str) -> str:
    return templates.environment({"name": "<b>"}).from_string(text).render()


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "templates"


def test_everything_is_escaped_and_an_unknown_name_is_an_error() -> None:
    assert rendered("{{ name }}") == "&lt;b&gt;"
    with pytest.raises(jinja2.UndefinedError):
        rendered("{{ stranger }}")


def test_a_template_is_compiled_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    templates.environment({}).get_template("macros.html.j2")
    assert list(cache.iterdir())

    def compile_again(*_: Any, **__: Any) -> None:
        raise AssertionError("compiled again")

    monkeypatch.setattr(jinja2.Environment, "compile", compile_again)
    templates.environment({}).get_template("macros.html.j2")


def test_a_changed_template_is_compiled_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mbench.core.resources.data_dir", lambda _: tmp_path)
    for text in ("one", "another"):
        (tmp_path / "page.j2").write_text(text)
        assert templates.environment({}).get_template("page.j2").render() == text


def test_where_nothing_can_be_kept_pages_are_made_all_the_same(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.NamedTemporaryFile", full)
    assert templates.environment({}).get_template("macros.html.j2")
    assert list(cache.iterdir()) == []
    cache.rmdir()
    cache.write_text("a file where the folder should be")
    assert templates.environment({}).get_template("macros.html.j2")


def test_the_collector_is_afterwards_as_it_was() -> None:
    assert gc.isenabled()
    with contextlib.suppress(KeyError), no_gc.not_collected():
        assert not gc.isenabled()
        raise KeyError
    assert gc.isenabled()
    gc.disable()
    try:
        with no_gc.not_collected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
