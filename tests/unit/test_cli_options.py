"""Options that several commands have: one name, one help text, one range."""

from __future__ import annotations

import collections
from pathlib import Path
from typing import Any

import click
import pytest

from mbench.api import run as run_api
from mbench.api import tune as tune_api
from mbench.cli import main, options
from mbench.cli.run import run
from mbench.cli.tune import tune
from mbench.core.errors import UsageError
from mbench.core.run_options import RunOptions, TuneOptions

OWN = {"-o", "--batch", "--device", "--html", "--markdown", "--timeout"}
"""Options that each command explains in its own words."""


@click.command()
@options.timeout("Seconds.", default=7)
@options.build_timeout
@options.target_dirs
def probe(**given: object) -> None:
    """Print what was given."""
    click.echo(sorted(given.items()))


def parsed(*words: str) -> dict[str, object]:
    return probe.make_context("probe", list(words)).params


def test_a_timeout_is_what_options_in_python_allow() -> None:
    assert parsed("--timeout", str(options.MOST_TIMEOUT_S))["timeout_s"] == options.MOST_TIMEOUT_S
    assert RunOptions(timeout_s=options.MOST_TIMEOUT_S).timeout_s == options.MOST_TIMEOUT_S
    for given in ("0", str(options.MOST_TIMEOUT_S + 1)):
        with pytest.raises(click.BadParameter):
            parsed("--timeout", given)
        with pytest.raises(click.BadParameter):
            parsed("--build-timeout", given)
        with pytest.raises(UsageError, match="--timeout"):
            RunOptions(timeout_s=int(given))


def test_folders_add_up() -> None:
    found = parsed("--targets", "a", "--targets", "b")["target_dirs"]
    assert [str(each) for each in found] == ["a", "b"]  # type: ignore[attr-defined]


def test_an_option_of_two_commands_reads_the_same() -> None:
    said = collections.defaultdict(set)
    for command in main.COMMANDS:
        for param in command.params:
            if isinstance(param, click.Option):
                said[param.opts[0]].add((param.help, param.default, str(param.type)))
    assert len(said["--json"]) == 1
    assert [option for option, texts in said.items() if len(texts) > 1 and option not in OWN] == []


@pytest.mark.parametrize(("text", "seconds"), [("60s", 60.0), ("90", 90.0), ("2min", 120.0), ("1h", 3600.0)])
def test_a_time_under_load_is_written_as_people_write_it(text: str, seconds: float) -> None:
    assert run.make_context("run", ["--sustain", text]).params["sustain_s"] == seconds


@pytest.mark.parametrize("text", ["0", "-5", "25h", "soon", ""])
def test_what_is_no_time_under_load_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--sustain .*: expected a time of more than 0 and up to a day"):
        run.make_context("run", ["--sustain", text])
    assert run.make_context("run", []).params["sustain_s"] is None


@pytest.mark.parametrize(
    ("command", "home", "kind"), [(run, run_api, RunOptions), (tune, tune_api, TuneOptions)], ids=["run", "tune"]
)
def test_how_a_file_is_imported_is_asked_of_the_api(
    command: click.Command, home: Any, kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def api(networks: Any, **how: Any) -> None:
        asked.append((networks, how["options"]))
        raise UsageError("enough")

    monkeypatch.setattr(home, command.name or "", api)
    words = ["net.onnx", "--input-shape", "image=1,3,8,8", "--input-shape", "mask=1,8", "--input", "in.npz"]
    with pytest.raises(UsageError, match="enough"):
        command.main(words, standalone_mode=False)
    [(networks, found)] = asked
    assert networks == ("net.onnx",)
    assert type(found) is kind
    assert (found.input_shapes, found.inputs) == (("image=1,3,8,8", "mask=1,8"), Path("in.npz"))
