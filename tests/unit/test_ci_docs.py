"""The workflows of docs/ci.md: short, valid by GitHub's schema, and every command in them is one that mbench takes.

The schema is the one that check-jsonschema carries (schemastore's github-workflow.json).
"""

from __future__ import annotations

import datetime
import json
import re
import shlex
from importlib import resources
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
import verdict_factory as make
from ruamel.yaml import YAML

from mbench.analysis import labels
from mbench.cli import main
from mbench.core.errors import UsageError
from mbench.gating import acceptance, limits
from mbench.gating.matching import LayerKind

PAGE = (Path(__file__).parents[2] / "docs" / "ci.md").read_text(encoding="utf-8")
MOST_LINES = 30


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def workflow(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


WORKFLOWS = {workflow(text)["name"]: text for text in blocks("yaml")}
SCHEMA = json.loads(
    resources.files("check_jsonschema").joinpath("builtin_schemas/vendor/github-workflows.json").read_text("utf-8")
)


def steps(text: str) -> list[dict[str, Any]]:
    return [step for job in workflow(text)["jobs"].values() for step in job["steps"]]


def command_lines(text: str) -> list[list[str]]:
    """Return the arguments of each `mbench …` in the steps' scripts, as the shell would split them."""
    lines = [line for step in steps(text) for line in step.get("run", "").splitlines()]
    split = [shlex.split(line) for line in lines if re.search(r"(^|[\s/])mbench\s", line)]
    return [words[next(i for i, word in enumerate(words) if word.split("/")[-1] == "mbench") + 1 :] for words in split]


def parse(arguments: list[str]) -> None:
    """Parse as click does, without running anything."""
    name, *rest = arguments
    command = main.main.commands[name]
    context = click.Context(main.main, **main.main.context_settings)  # as `mbench` does it
    while isinstance(command, click.Group):
        context = click.Context(command, parent=context, info_name=name)
        name, *rest = rest
        command = command.commands[name]
    command.make_context(name, rest, parent=context)


def test_all_are_there() -> None:
    commands = {
        name: [" ".join(words[: 1 + (words[0] == "history")]) for words in command_lines(text)]
        for name, text in WORKFLOWS.items()
    }
    assert commands == {
        "counts": ["run", "gate"],
        "paired": ["run", "run", "gate"],
        "nightly": ["run", "gate"],
        "record": ["run"],
        "site": ["history add", "history publish", "history check"],
        "postgresql": ["run", "history publish", "history check"],
        "artifact": ["run", "history check"],
    }


@pytest.mark.parametrize("name", WORKFLOWS)
def test_short(name: str) -> None:
    assert len(WORKFLOWS[name].splitlines()) < MOST_LINES


@pytest.mark.parametrize("name", WORKFLOWS)
def test_valid_by_githubs_schema(name: str) -> None:
    jsonschema.Draft7Validator(SCHEMA).validate(workflow(WORKFLOWS[name]))


@pytest.mark.parametrize(("right", "wrong"), [("runs-on:", "runs_on:"), ("uses:", "use:"), ("on: pull", "at: pull")])
def test_the_schema_refuses_a_broken_workflow(right: str, wrong: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(SCHEMA).validate(workflow(WORKFLOWS["counts"].replace(right, wrong)))


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_command_is_one_that_mbench_takes(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("history").mkdir()  # a step before has made it
    for arguments in command_lines(WORKFLOWS[name]):
        parse(arguments)


@pytest.mark.parametrize(
    "arguments", [["run", "--no-such-option"], ["run", "--repeat", "many"], ["history", "check", "--no-such-option"]]
)
def test_a_wrong_command_would_be_seen(arguments: list[str]) -> None:
    with pytest.raises(click.UsageError):
        parse(arguments)


def test_the_thresholds_are_ones_that_the_gate_takes(tmp_path: Path) -> None:
    config = tmp_path / "mbench.toml"
    config.write_text(blocks("toml")[0], encoding="utf-8")
    read = limits.read(config)
    for variant in ("mobilenet_v1_0.25_128", "mobilenet_v1_1.0_224"):
        for kind in (None, *map(LayerKind, labels.OPS)):
            assert read.threshold(variant, kind, "latency") < read.sensitivity(variant, kind, "latency")
    assert read.threshold("mobilenet_v1_1.0_224", LayerKind("depthwise_conv2d"), "latency") == 0.1


def test_the_acceptance_is_one_that_the_gate_takes(tmp_path: Path) -> None:
    file = tmp_path / "mbench-accepted.toml"
    file.write_text(blocks("toml")[1], encoding="utf-8")
    (accepted,) = acceptance.read(file, datetime.date(2026, 1, 1))
    assert accepted.covers(make.counted("block3.dw", ratio=1.04))
    assert not accepted.covers(make.counted("block3.dw", ratio=1.06))
    with pytest.raises(UsageError, match="expired on 2026-12-31"):
        acceptance.read(file, datetime.date(2027, 1, 1))
