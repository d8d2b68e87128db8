"""A small runner of GitHub's workflows: shell steps run as they are written, actions by what stands for them here.

It knows what the workflows of docs/ci.md use. A condition, an expression or an action that it does not know is an
error, so that no step is left out unseen.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

SHELL = ("bash", "-e")
"""What GitHub runs a step with, where it names no shell."""
NOT_NEEDED = ("apt-get",)
"""Programs that stand for the machine's own set-up."""
OWN = ("mbench", "mobilenet_bench")
AUTHOR = ("-c", "user.name=A developer", "-c", "user.email=developer@example.com")


@dataclasses.dataclass(frozen=True)
class Done:
    """A step that ran."""

    text: str
    code: int
    said: str


class Workflow:
    """What a hosted runner has: a checkout, programs, an environment, and what outlives a job.

    Args:
        place: an empty folder for all of it.
        upstream: the bare repository of the user's project.
        edits: what to write in place of a text of the steps, such as a smaller network.
    """

    def __init__(self, place: Path, upstream: Path, edits: dict[str, str]) -> None:
        self.place, self._upstream, self._edits = place, upstream, edits
        self._programs = programs(place / "programs")
        self.kept = place / "kept"
        self.settings = place / "gitconfig"
        self._environment = {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("GITHUB_", "PYTHON", "PIP_", "MBENCH_"))
            },
            "PATH": os.pathsep.join((str(self._programs), os.environ["PATH"])),
            "MBENCH_CACHE_DIR": str(place / "cache"),
            "GIT_CONFIG_GLOBAL": str(self.settings),
            "KEPT": str(self.kept),
        }
        self.secrets: dict[str, str] = {}

    def run(self, document: Any, event: str = "push") -> list[Done]:
        """Run the jobs of a workflow that an event starts, each in a new checkout; return the shell steps that ran."""
        done: list[Done] = []
        for job in document["jobs"].values():
            if "if" in job and not holds(job["if"], {}, event):
                continue
            workspace = self.place / f"job{len(list(self.place.glob('job*')))}" / "workspace"
            workspace.mkdir(parents=True)
            done += self._job(document, job, workspace, event)
        return done

    def command(self, *words: str) -> str:
        """Run a program as a step would; return its standard output."""
        done = subprocess.run(words, env=self._environment, text=True, stdout=subprocess.PIPE, check=True)
        return done.stdout

    def _job(self, document: Any, job: Any, workspace: Path, event: str) -> list[Done]:
        outputs: dict[str, str] = {}
        done: list[Done] = []
        caches: list[str] = []
        for step in job["steps"]:
            condition = step.get("if", "")
            if any(each.code for each in done) and "cancelled()" not in condition:
                continue
            if condition and not holds(condition, outputs, event):
                continue
            if "uses" in step:
                self._use(step, workspace, caches)
                continue
            variables = {**document.get("env", {}), **job.get("env", {}), **step.get("env", {})}
            done.append(self._shell(step, workspace, variables, outputs, document["name"]))
        if not any(each.code for each in done):
            for folder in caches:
                shutil.copytree(workspace / folder, self.kept / "caches" / folder, dirs_exist_ok=True)
        return done

    def _use(self, step: Any, workspace: Path, caches: list[str]) -> None:
        """Do what an action does."""
        action, given = step["uses"].partition("@")[0], step.get("with", {})
        if action == "actions/checkout":
            ref = ("--branch", given["ref"]) if "ref" in given else ()
            command = ["git", "clone", "-q", *ref, f"file://{self._upstream}", given.get("path", ".")]
            subprocess.run(command, cwd=workspace, check=True, env=self._environment)
        elif action == "actions/cache":
            caches.append(given["path"])
            if (before := self.kept / "caches" / given["path"]).is_dir():
                shutil.copytree(before, workspace / given["path"])
        elif action in ("actions/upload-artifact", "actions/upload-pages-artifact"):
            for name in given["path"].split():
                found = workspace / name
                assert found.exists(), f"{action}: {name} is not there"
                target = self.kept / given.get("name", "pages") / name
                if found.is_dir():
                    shutil.copytree(found, target, dirs_exist_ok=True)
                else:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(found, target)
        else:
            assert action in ("actions/setup-python", "actions/deploy-pages"), f"{action} is not known"

    def _shell(self, step: Any, workspace: Path, variables: dict[str, str], outputs: dict[str, str], name: str) -> Done:
        values = {"github.token": "a token", "github.run_id": "1", **outputs}
        values |= {f"secrets.{key}": value for key, value in self.secrets.items()}
        text = _filled(step["run"], values)
        for before, after in self._edits.items():
            text = text.replace(before, after)
        written = workspace.parent / "outputs"
        written.write_text("", encoding="utf-8")
        environment = {
            **self._environment,
            "GITHUB_ACTIONS": "true",
            "GITHUB_SHA": _head(workspace),
            "GITHUB_REF_NAME": "main",
            "GITHUB_BASE_REF": "main",
            "GITHUB_REPOSITORY": "owner/project",
            "GITHUB_WORKFLOW": name,
            "GITHUB_OUTPUT": str(written),
            "GITHUB_STEP_SUMMARY": str(workspace.parent / "summary.md"),
            **{key: _filled(value, values) for key, value in variables.items()},
        }
        ran = subprocess.run(
            [*SHELL, "-c", text], cwd=workspace / step.get("working-directory", "."), env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        for line in written.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition("=")
            outputs[f"steps.{step['id']}.outputs.{key}"] = value
        return Done(text, ran.returncode, ran.stdout)


def holds(condition: str, outputs: dict[str, str], event: str) -> bool:
    """Return whether a condition holds: one comparison with a text, or that nobody cancelled the run."""
    text = condition.removeprefix("${{").removesuffix("}}").strip()
    if text == "!cancelled()":
        return True
    left, compared, right = re.split(r"\s*(==|!=)\s*", text)
    values = {"github.event_name": event, "steps.cache.outputs.cache-hit": "", **outputs}
    return (values[left] == right.strip("'")) == (compared == "==")


def _filled(text: str, values: dict[str, str]) -> str:
    return re.sub(r"\$\{\{\s*(.*?)\s*\}\}", lambda found: values[found[1]], text)


def _head(workspace: Path) -> str:
    words = ["git", "-C", str(workspace), "rev-parse", "HEAD"]
    return subprocess.run(words, check=True, text=True, stdout=subprocess.PIPE).stdout.strip()


def programs(folder: Path) -> Path:
    """Make the programs that a runner has; return their folder.

    `python` and `pip` are those of a new environment that sees the packages of this one; so do those that it makes.
    """
    folder.mkdir(parents=True)
    environment = folder.parent / "environment"
    make = folder / "make-environment"
    packages = folder.parent / "packages"
    packages.mkdir()
    for item in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if not item.name.startswith(OWN):  # what a recipe installs is not there already
            (packages / item.name).symlink_to(item)
    _script(
        make,
        f'"{sys.executable}" -m venv --without-pip "$1"\n'
        f'echo "{packages}" > "$(echo "$1"/lib/python*/site-packages)/those_of_the_tests.pth"\n'
        f'printf \'#!/bin/sh\\n{_OFFLINE} exec "%s/bin/python" -m pip "$@"\\n\' "$(realpath "$1")" > "$1/bin/pip"\n'
        'chmod +x "$1/bin/pip"',
    )
    subprocess.run([str(make), str(environment)], check=True)
    python = environment / "bin" / "python"
    _script(folder / "python", f'[ "$1 $2" = "-m venv" ] && exec "{make}" "$3"\nexec "{python}" "$@"')
    _script(folder / "pip", f'exec "{environment}/bin/pip" "$@"')
    _script(folder / "mbench", f'exec "{environment}/bin/mbench" "$@"')
    _script(folder / "sudo", 'exec "$@"')
    _script(folder / "gh", _GH)
    for name in NOT_NEEDED:
        _script(folder / name, "exit 0")
    return folder


_OFFLINE = "PIP_NO_INDEX=1 PIP_NO_BUILD_ISOLATION=0 PIP_DISABLE_PIP_VERSION_CHECK=1"
"""For pip alone: what is installed here is enough. In the environment 0 means that builds are not isolated."""
_GH = """case "$1 $2" in
"api repos/owner/project/actions/artifacts"*) [ ! -d "$KEPT/history" ] || echo 7 ;;
"run download") [ "$3 $4 $5" = "7 --name history" ] && cp -R "$KEPT/history/." . ;;
*) echo "gh $*: not known here" >&2; exit 2 ;;
esac"""
"""GitHub's own program, as far as the workflows use it: which run kept an artifact, and its files."""


def _script(file: Path, text: str) -> None:
    file.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    file.chmod(0o755)
