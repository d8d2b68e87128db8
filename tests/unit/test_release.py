"""The workflow that publishes a release: valid by GitHub's schema, with no more rights than it needs."""

from __future__ import annotations

import json
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
