"""What every command has: help with examples, and what was meant by a command that there is not."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import click
import pytest
from conftest import Mbench, assert_one_line

from mbench.cli import defaults, main, meant
from mbench.cli.command import Command, CommandGroup
from mbench.cli.examples import EXAMPLES
from mbench.core.errors import UsageError


def leaves() -> Iterator[tuple[str, click.Command]]:
    for words, each in defaults.commands(main.main):
        yield " ".join(words), each


@pytest.mark.parametrize("words", [words for words, _ in leaves()])
def test_every_command_has_examples_in_its_help(run: Mbench, words: str) -> None:
    shown = run(*words.split(), "--help").out
    assert EXAMPLES[words]
    for line in EXAMPLES[words]:
        assert f"\n  {line}\n" in shown


def test_every_command_is_one_of_ours() -> None:
    """A command by click's own decorator has no examples, no defaults and no flags that are taken back."""
    assert [words for words, each in leaves() if not isinstance(each, Command | CommandGroup)] == []


def test_examples_are_of_commands_that_there_are() -> None:
    assert set(EXAMPLES) == {"", *dict(leaves())}


def parsed(line: str) -> list[str]:
    """Parse an example as the command line does, without running it; return the words of its command."""
    program, *words = shlex.split(line.partition(" >")[0])
    assert program == "mbench"
    context = main.main.make_context("mbench", words, resilient_parsing=False)
    group: click.Command = main.main
    found, rest = [], words
    while isinstance(group, click.Group):
        name, group_or_command, rest = group.resolve_command(context, rest)
        assert name is not None
        assert group_or_command is not None
        group = group_or_command
        found.append(name)
        context = group.make_context(name, list(rest), parent=context)
        rest = [*context._protected_args, *context.args] if isinstance(group, click.Group) else []
    return found


@pytest.mark.parametrize(("words", "line"), [(words, line) for words, lines in EXAMPLES.items() for line in lines])
def test_examples_are_parsed(words: str, line: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(str(tmp_path))
    found = " ".join(parsed(line))
    if words and "run" not in found:
        assert found.startswith(words.split()[0])


def test_an_example_that_is_wrong_is_found() -> None:
    for wrong in ("mbench run --treads 2", "mbench history ad x", "mbench gate only-one.json"):
        with pytest.raises((click.UsageError, UsageError)):
            parsed(wrong)


MEANT = {
    "rnu": "did you mean 'mbench run'?",
    "bench": "did you mean 'mbench run'?",
    "models": "did you mean 'mbench variants'?",
    "devices": "did you mean 'mbench device",
    "diff": "did you mean 'mbench compare'?",
    "version": "did you mean 'mbench --version'?",
    "mobilenet_v2_0.5_160": "did you mean 'mbench run mobilenet_v2_0.5_160'?",
    "my net.onnx": "did you mean 'mbench run 'my net.onnx''?",
    "a.json": "did you mean 'mbench show a.json'?",
    "qqq": "see 'mbench --help'",
}


@pytest.mark.parametrize("word", MEANT)
def test_what_was_meant(run: Mbench, word: str) -> None:
    assert_one_line(run(word), f"No such command '{word}'", MEANT[word])


def test_commands_stand_in_the_order_of_their_use() -> None:
    assert isinstance(main.main, CommandGroup)
    names = main.main.list_commands(click.Context(main.main))
    assert names[:3] == ["run", "fit", "predict"]
    assert sorted(names) == sorted(main.main.commands)


def test_in_a_group_its_own_commands_are_near(run: Mbench) -> None:
    assert_one_line(run("history", "lst"), "No such command 'lst'; did you mean 'mbench history list'")
    assert_one_line(run("device", "models"), "see 'mbench device --help'")


def test_other_words_stand_for_commands_that_there_are() -> None:
    known = {"--version", *dict(leaves())}
    assert {words.partition(" --resume")[0] for words in meant.WORDS} <= known
    others = [word for words in meant.WORDS.values() for word in words.split()]
    assert len(others) == len(set(others))
    assert not set(others) & set(main.main.commands)


def test_help_as_a_word(run: Mbench) -> None:
    assert run("help", "history", "add").out == run("history", "add", "--help").out
    assert run("help").out == run("--help").out
    assert run("history", "help", "add").out == run("history", "add", "--help").out
