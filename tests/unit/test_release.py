"""What a release is made by: the workflow, valid by GitHub's schema and with no more rights than it needs, and tox."""

from __future__ import annotations

import configparser
import itertools
import json
import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SCHEMA = json.loads(
    resources.files("check_jsonschema").joinpath("builtin_schemas/vendor/github-workflows.json").read_text("utf-8")
)


def workflow(file: Path) -> Any:
    return YAML(typ="safe", pure=True).load(file)


JOBS: dict[str, Any] = workflow(ROOT / ".github" / "workflows" / "release.yml")["jobs"]


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda path: path.name)
def test_valid_by_githubs_schema(file: Path) -> None:
    jsonschema.Draft7Validator(SCHEMA).validate(workflow(file))


def test_only_what_publishes_may_ask_for_an_identity_and_nothing_has_a_password() -> None:
    assert {name for name, job in JOBS.items() if job.get("permissions")} == {"publish"}
    assert JOBS["publish"]["permissions"] == {"id-token": "write"}
    assert "secrets" not in (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")


def test_what_is_published_was_built_checked_and_tried_before() -> None:
    assert (JOBS["try"]["needs"], JOBS["publish"]["needs"]) == ("build", "try")
    [upload] = [step for step in JOBS["build"]["steps"] if "upload-artifact" in step.get("uses", "")]
    for job in ("try", "publish"):
        [download] = [step for step in JOBS[job]["steps"] if "download-artifact" in step.get("uses", "")]
        assert download["with"] == upload["with"]


def test_it_is_tried_on_every_python_that_the_package_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [text.rpartition(" ")[2] for text in project["classifiers"] if "Python :: 3." in text]
    assert JOBS["try"]["strategy"]["matrix"]["python"] == named


def test_the_environments_of_tox_have_the_floors_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    known = dict(map(_named, itertools.chain(project["dependencies"], *project["optional-dependencies"].values())))
    tox = configparser.ConfigParser(interpolation=None, strict=False)
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    deps = [_named(line) for name in tox.sections() for line in tox.get(name, "deps", fallback="").split("\n") if line]
    assert len([name for name, _ in deps if name in known]) > 20
    assert [(name, floor) for name, floor in deps if floor != known.get(name, floor)] == []


def _named(requirement: str) -> tuple[str, str]:
    """Return a requirement's name, and which versions it takes."""
    name = re.match(r"[\w.-]+", requirement)
    assert name, requirement
    return name[0], requirement.removeprefix(name[0])
