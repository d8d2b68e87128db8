"""A place that a result cannot be written to is refused before the work, by all commands."""

from __future__ import annotations

import errno
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from conftest import Mbench, assert_one_line

from mbench.cli import defaults, main
from mbench.cli.arguments import OutputType
from mbench.core import outputs
from mbench.core.errors import UsageError

_WRITES = re.compile(r"(Write|Append|Where to write|The page|The folder to make)\b")


def places() -> Iterator[tuple[tuple[str, ...], click.Command, click.Parameter]]:
    """Yield each parameter of the command line that says where a result goes."""
    for words, command in defaults.commands(main.main):
        for param in command.params:
            if isinstance(param.type, OutputType):
                yield words, command, param


PLACES = {f"{' '.join(words)} {param.opts[-1]}": (words, command, param) for words, command, param in places()}


@pytest.mark.parametrize("name", PLACES)
def test_every_command_refuses_a_place_that_cannot_be_before_it_works(run: Mbench, name: str) -> None:
    words, command, param = PLACES[name]
    Path("plain").write_text("")
    others = ["x" for each in command.params if isinstance(each, click.Argument) and each is not param]
    needed = [
        word for each in command.params if isinstance(each, click.Option) and each.required and each is not param
        for word in (each.opts[-1], "x")
    ]  # fmt: skip
    wrong = "plain/x"
    given = [wrong] if isinstance(param, click.Argument) else [param.opts[-1], wrong]
    refused = run(*words, *others, *given, *needed)
    assert_one_line(refused, "plain/x: plain is a file, expected a folder; choose another")
    assert [each.name for each in Path.cwd().iterdir()] == ["plain"]


def test_what_an_option_writes_is_a_place_that_is_looked_at() -> None:
    unseen = [
        (words, param.opts)
        for words, command in defaults.commands(main.main)
        for param in command.params
        if isinstance(param, click.Option) and isinstance(param.type, click.Path) and _WRITES.match(param.help or "")
        if not isinstance(param.type, OutputType)
    ]
    assert unseen == []
    assert {"gate --html", "run --output", "fit --output", "report --output", "device serve --output"} <= set(PLACES)
    assert {"history export folder", "history publish folder", "compare --markdown"} <= set(PLACES)


def test_a_file(tmp_path: Path) -> None:
    outputs.check_file(tmp_path / "page.html", "--html page.html")
    with pytest.raises(UsageError, match=r"--html x: the folder .*none does not exist; make it first"):
        outputs.check_file(tmp_path / "none" / "x", "--html x")
    with pytest.raises(UsageError, match="--html x: it is a folder, expected a file"):
        outputs.check_file(tmp_path, "--html x")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="--html x: it is a named pipe"):
        outputs.check_file(tmp_path / "pipe", "--html x")


def test_a_folder(tmp_path: Path) -> None:
    outputs.check_folder(tmp_path, "-o x")
    outputs.check_folder(tmp_path / "new", "-o x")
    with pytest.raises(UsageError, match="does not exist; make it first"):
        outputs.check_folder(tmp_path / "a" / "b", "-o x")
    outputs.check_folder(tmp_path / "a" / "b", "-o x", parents=True)
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "b"):
        with pytest.raises(UsageError, match="is a file, expected a folder"):
            outputs.check_folder(path, "-o x", parents=True)


def test_a_place_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)  # root may write everywhere
    for check in (outputs.check_file, outputs.check_folder):
        with pytest.raises(UsageError, match=r"nothing can be written into the folder .*: Permission denied"):
            check(tmp_path / "x", "-o x")
    with pytest.raises(UsageError, match="-o x: nothing can be written there: Permission denied"):
        outputs.check_folder(tmp_path, "-o x")
