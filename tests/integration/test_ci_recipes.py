"""docs/ci.md as it is written: the shell steps of each workflow run against local git repositories.

The address of mbench's repository becomes a local one with this code, and networks become small ones. All else is run
as it stands.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.parse
from pathlib import Path
from typing import Any

import postgres_cluster
import pytest
import workflow_runner
from conftest import require
from postgres_cluster import Cluster
from ruamel.yaml import YAML
from workflow_runner import AUTHOR, Done, Workflow

from mbench.history.store import open_store

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
PACKAGE = ("mbench", "targets", "reports", "published", "pyproject.toml", "README.md", "LICENSE")
ADDRESS = "git+https://github.com/OWNER/mobilenet-bench"
SMALL = "mobilenet_v1_0.25_32"
NO_VERDICT = 3
pytest_plugins = ("store_fixtures",)
pytestmark = pytest.mark.slow


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


RECIPES: dict[str, Any] = {}
for text in blocks("yaml"):
    document = YAML(typ="safe", pure=True).load(text)
    RECIPES[document["name"]] = document


def git(folder: Path, *words: str) -> str:
    command = ["git", *AUTHOR, "-C", str(folder), *words]
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the address of a git repository with this mbench."""
    require((ROOT / "pyproject.toml").is_file(), "the project's files beside the tests")
    folder = tmp_path_factory.mktemp("mobilenet-bench")
    for name in PACKAGE:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "mbench")
    return f"git+file://{folder}"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the user's own project, a bare repository; the branch of records is made as the page says."""
    folder = tmp_path_factory.mktemp("project")
    bare, work = folder / "upstream", folder / "work"
    git(folder, "init", "-q", "--bare", "-b", "main", "upstream")
    git(folder, "clone", "-q", str(bare), "work")
    (work / "requirements.txt").write_text("apache-tvm==0.27.0.post1\n", encoding="utf-8")
    git(work, "checkout", "-q", "-b", "main")
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "Begin")
    git(work, "push", "-q", "origin", "main")
    [commands] = blocks("sh")
    for key, value in (("user.name", "A developer"), ("user.email", "developer@example.com")):
        git(work, "config", key, value)
    subprocess.run(["bash", "-e", "-c", commands], cwd=work, check=True, capture_output=True)
    git(work, "switch", "-q", "main")
    return bare


@pytest.fixture(scope="module")
def runner(address: str, project: Path, tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    require(shutil.which("qemu-aarch64"), "qemu-aarch64 (Debian: qemu-user)")
    require(shutil.which("aarch64-linux-gnu-g++"), "aarch64-linux-gnu-g++ (Debian: g++-aarch64-linux-gnu)")
    edits = {
        ADDRESS: address,
        "mobilenet_v1_0.25_128": SMALL,
        "'mobilenet_v1_{0.25,0.5,1.0}_{128,224}'": SMALL,
        "--threads 2": "--threads 1 --quick --repeat 10",  # of the pair
    }
    return Workflow(tmp_path_factory.mktemp("hosted"), project, edits)


def passed(done: list[Done]) -> str:
    """Return what the steps of a workflow said, after each of them succeeded."""
    for step in done:
        assert step.code == 0, f"{step.text}\nended with {step.code}:\n{step.said}"
    said = "\n".join(step.said for step in done)
    assert "does not provide the extra" not in said
    return said


def commit(project: Path, tmp_path: Path, name: str, content: bytes) -> None:
    """Add a file to the user's project."""
    git(tmp_path, "clone", "-q", str(project), "edit")
    (tmp_path / "edit" / name).write_bytes(content)
    git(tmp_path / "edit", "add", name)
    git(tmp_path / "edit", "commit", "-q", "-m", f"Add {name}")
    git(tmp_path / "edit", "push", "-q", "origin", "main")


def files(project: Path, branch: str) -> list[str]:
    return git(project, "ls-tree", "-r", "--name-only", branch).split()


@pytest.fixture(scope="module")
def pushed(runner: Workflow, project: Path) -> Any:
    """Return the record that the recipe of the branch pushed."""
    passed(runner.run(RECIPES["record"]))
    [name] = files(project, "history")
    return json.loads(git(project, "show", f"history:{name}"))


def test_a_push_adds_a_record_to_the_branch(pushed: Any, project: Path) -> None:
    assert pushed["labels"]["commit"] == git(project, "rev-parse", "main").strip()
    assert pushed["labels"]["branch"] == "main"


@pytest.mark.usefixtures("pushed")
def test_a_record_that_another_run_pushed_first_is_kept(runner: Workflow, project: Path, tmp_path: Path) -> None:
    """The run finds the branch changed when it pushes: a hook of git's plays the other run."""
    before = files(project, "history")
    git(tmp_path, "clone", "-q", "-b", "history", str(project), "other")
    hook = tmp_path / "hooks" / "pre-push"
    hook.parent.mkdir()
    identity = " ".join(f"'{word}'" for word in AUTHOR)
    hook.write_text(
        f"#!/bin/sh\ncd {tmp_path}/other || exit 1\n[ -e other.json ] && exit 0\necho '{{}}' > other.json\n"
        f"unset GIT_DIR\ngit add other.json && git {identity} commit -q -m Other && git push -q --no-verify\n"
    )
    hook.chmod(0o755)
    runner.settings.write_text(f"[core]\n\thooksPath = {hook.parent}\n")
    try:
        said = passed(runner.run(RECIPES["record"]))
    finally:
        runner.settings.unlink()
    assert "rejected" in said
    assert len(set(files(project, "history")) - set(before)) == 2


def test_records_of_the_branch_become_a_site(runner: Workflow, project: Path) -> None:
    while len([name for name in files(project, "history") if name.startswith("records/")]) < 2:  # for a verdict
        passed(runner.run(RECIPES["record"]))
    passed(runner.run(RECIPES["site"], "schedule"))
    assert SMALL in (runner.kept / "pages" / "site" / "index.html").read_text(encoding="utf-8")


def test_a_history_begins_without_a_verdict_and_passes_then(runner: Workflow) -> None:
    """The artifact of the first night is what the second goes on with, though the first ended without a verdict."""
    *steps, check = runner.run(RECIPES["artifact"], "schedule")
    passed(steps)
    assert check.code == NO_VERDICT, check.said
    passed(runner.run(RECIPES["artifact"], "schedule"))
    with open_store(runner.kept / "history" / "history.db") as store:
        assert len(store.listed()) == 2


def test_runs_go_to_a_database_whose_password_nobody_sees(runner: Workflow, cluster: Cluster) -> None:
    url = cluster.url(cluster.new_database())
    runner.secrets["MBENCH_STORE"] = url
    *steps, check = runner.run(RECIPES["postgresql"], "push")
    passed(steps)
    assert check.code == NO_VERDICT, check.said
    said = passed(runner.run(RECIPES["postgresql"], "schedule"))
    password = urllib.parse.quote(postgres_cluster.PASSWORD, safe="")
    for text in (said, check.said, *(step.said for step in steps), *(step.text for step in steps)):
        assert postgres_cluster.PASSWORD not in text
        assert password not in text
    with open_store(url) as store:
        [instructions] = store.series(quantities=["instructions"])
    first, second = instructions.points
    assert first.value == second.value


def test_counts_are_compared_with_a_baseline(runner: Workflow, pushed: Any, project: Path, tmp_path: Path) -> None:
    commit(project, tmp_path, "baseline.json", json.dumps(pushed).encode())
    assert "Passed" in passed(runner.run(RECIPES["counts"], "pull_request"))


def test_a_pair_is_measured(runner: Workflow) -> None:
    *steps, gate = runner.run(RECIPES["paired"], "pull_request")
    passed(steps)
    assert gate.code in (0, 1, 3), gate.said  # which one depends on how busy the machine is
    assert "paired" in gate.said


def test_a_night_leaves_a_baseline(runner: Workflow) -> None:
    for _night in range(2):
        passed(runner.run(RECIPES["nightly"], "schedule"))
    assert (runner.kept / "caches" / "nightly" / "baseline.json").is_file()


def test_each_recipe_is_run() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert {name for name in RECIPES if f'RECIPES["{name}"]' in source} == set(RECIPES)


def test_each_recipe_installs_from_the_same_repository() -> None:
    setup = (ROOT / "docs" / "setup.md").read_text(encoding="utf-8")
    lines = [line for line in (PAGE + setup).splitlines() if re.search("pip install.*mobilenet-bench", line)]
    assert [line for line in lines if ADDRESS not in line] == []
    assert len(lines) >= len(RECIPES)


def test_what_the_runner_does_not_know_is_an_error(runner: Workflow) -> None:
    unknown = {"name": "x", "jobs": {"x": {"steps": [{"uses": "someone/something@v1"}]}}}
    with pytest.raises(AssertionError, match="someone/something is not known"):
        runner.run(unknown)
    wrong = {
        "name": "x",
        "jobs": {"x": {"steps": [{"uses": "actions/checkout@v4"}, {"run": "exit 7"}, {"run": "true"}]}},
    }
    [step] = runner.run(wrong)
    assert step.code == 7
    with pytest.raises(KeyError, match=r"github\.actor"):
        workflow_runner.holds("github.actor == 'x'", {}, "push")
