"""The forms that a verdict can be written in: of mbench, and of other packages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import record_factory as factory
from conftest import Mbench, assert_one_line

from mbench.core import record_files
from mbench.core.errors import PluginError
from mbench.gating.outputs import forms

pytest_plugins = ("plugin_fixtures",)
Install = Callable[..., Path]


def test_the_forms_of_mbench_need_no_package() -> None:
    assert set(forms.FORMS) == {"junit", "markdown", "benchmark-action", "bencher", "html"}
    assert all(forms.find(name) is render for name, render in forms.FORMS.items())


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def render(verdict): raise KeyError('x')", "it failed: KeyError"),
        ("def render(verdict): return 7", "it returned int, expected str or bytes"),
        ("render = 7", "neither a function nor a module"),
    ],
)
def test_an_output_that_fails_is_one_line(code: str, said: str, install: Install) -> None:
    install("chat", "[mbench.outputs]\nchat = chat_module\n", code)
    with pytest.raises((PluginError, Exception)) as caught:
        forms.find("chat")(object())
    assert said in str(caught.value)
    assert "chat 1.0" in str(caught.value)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import sys\ndef render(verdict): sys.exit(0)", "SystemExit: 0"),
        ("def render(verdict): raise BaseException('x')", "BaseException: x"),
        ("def render(verdict): return chr(0xd800)", "UnicodeEncodeError"),
    ],
)
def test_a_form_decides_no_exit_code(install: Install, run: Mbench, tmp_path: Path, code: str, said: str) -> None:
    install("chat", "[mbench.outputs]\nchat = chat_module\n", code)
    record = tmp_path / "a.json"
    record_files.write(record, factory.counted(factory.record(["mobilenet_v1_0.25_32"])))
    outcome = run("gate", record, record, "--output-file", f"chat={tmp_path / 'out.txt'}")
    assert outcome.code == 4
    assert said in outcome.err
    assert "Traceback" not in outcome.err
    assert not (tmp_path / "out.txt").exists()


def test_output_file_on_the_command_line(install: Install, run: Mbench, tmp_path: Path) -> None:
    install("chat", "[mbench.outputs]\nchat = chat_module\n", "def render(verdict): return verdict.conclusion")
    record = tmp_path / "a.json"
    record_files.write(record, factory.counted(factory.record(["mobilenet_v1_0.25_32"])))
    run("gate", record, record, "--output-file", f"chat={tmp_path / 'out.txt'}")
    assert (tmp_path / "out.txt").read_text() in ("passed", "inconclusive", "incomparable")
    assert_one_line(run("gate", record, record, "--output-file", "chta=x"), "did you mean 'chat'?", code=2)
    assert_one_line(run("gate", record, record, "--output-file", "chat"), "expected FORM=FILE", code=2)
    run("gate", record, record, "--output-file", f"chat={tmp_path / 'a=b.txt'}")
    assert (tmp_path / "a=b.txt").exists()
    for first in (("--junit", "a.xml"), ("--output-file", "junit=a.xml")):
        twice = run("gate", record, record, *first, "--output-file", "junit=b.xml")
        assert_one_line(twice, "junit goes to a.xml already", code=2)
    missing = tmp_path / "no" / "out"
    assert_one_line(run("gate", record, record, "--output-file", f"chat={missing}"), "does not exist", code=2)
