"""benchmarks/own_history.py on a small repository, whose mbench is a few lines that hand out a record."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import benchmark_scripts
import pytest
import record_factory as factory

from mbench.core import record_files
from mbench.history import changes
from mbench.history.filters import Filter
from mbench.history.store import open_store

ROOT = Path(__file__).parents[2]
REAL = Path(__file__).parents[1] / "data" / "own_history"
"""Records that the benchmark made: MobileNetV1 on a Cortex-A72, each network with its first layer alone."""

OLD, NEW = ("first", "--counts"), ("first", "second", "--counts")
PROGRAM = """
import pathlib, shutil, sys
words = sys.argv[1:]
with open({log!r}, "a") as log:
    print(*words[1:words.index("--output")], file=log)
if "second" in words and {old}:
    print("mbench: error: 'second' is not known", file=sys.stderr)
    sys.exit(2)
if {broken}:
    print("the linker failed", file=sys.stderr)
    sys.exit(4)
folder = pathlib.Path(words[words.index("--output") + 1])
folder.mkdir()
shutil.copy({record!r}, folder / "a.json")
"""


class World:
    """A repository with three commits: one knows the old form alone, one both, one is broken."""

    def __init__(self, place: Path) -> None:
        self.folder, self.repository, self.log = place / "history", place / "repository", place / "log"
        given = place / "given.json"
        record_files.write(given, factory.short(factory.record()))
        (self.repository / "mbench").mkdir(parents=True)
        (self.repository / "mbench" / "__init__.py").touch()
        self.git("init", "-q", "-b", "main")
        self.hashes = [
            self._commit(hour, PROGRAM.format(log=str(self.log), record=str(given), old=old, broken=broken))
            for hour, (old, broken) in enumerate(((True, False), (False, False), (False, True)))
        ]

    def _commit(self, hour: int, program: str) -> str:
        (self.repository / "mbench" / "__main__.py").write_text(program + f"# {hour}\n", encoding="utf-8")
        self.git("add", "-A")
        self.git("commit", "-q", "-m", f"At {hour}", "--date", f"2026-11-22T1{hour}:30:00+02:00")
        return self.git("rev-parse", "HEAD").strip()

    def git(self, *words: str) -> str:
        hour = words[-1][11:13] if "--date" in words else "10"
        environment = {
            "PATH": "/usr/bin:/bin",
            "GIT_COMMITTER_DATE": f"2026-11-22T{hour}:30:00+02:00",
            **{f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }
        command = ["git", "-C", str(self.repository), *words]
        return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, env=environment).stdout

    def runs(self) -> list[str]:
        return self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []

    def records(self) -> list[Path]:
        return sorted((self.folder / "records").glob("*.json"))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def own(world: World, monkeypatch: pytest.MonkeyPatch) -> Any:
    script = benchmark_scripts.script("own_history")
    monkeypatch.setattr(script, "REPOSITORY", world.repository)
    monkeypatch.setattr(script, "RUNS", {"arm64": (NEW, OLD)})
    return script


def measure(own: Any, world: World, *, retry: bool = False) -> None:
    own.measure(world.hashes, ["arm64"], world.folder, branch="main", retry=retry)


def test_each_commit_runs_its_own_code_and_its_record_has_its_labels(own: Any, world: World) -> None:
    measure(own, world)
    first, second = world.records()
    assert world.runs() == ["first second --counts", "first --counts", "first second --counts", "first second --counts"]
    labels = record_files.read(first).labels
    assert labels == {"commit": world.hashes[0], "branch": "main", "committed_at": "2026-11-22T08:30:00Z"}
    assert record_files.read(second).labels["committed_at"] == "2026-11-22T09:30:00Z"
    assert record_files.read(first).created_at_utc == factory.record().created_at_utc


def test_what_is_there_is_not_measured_again(own: Any, world: World) -> None:
    measure(own, world)
    before = world.runs()
    measure(own, world)
    assert world.runs() == before
    world.records()[1].unlink()
    measure(own, world)
    assert world.runs() == [*before, "first second --counts"]


def test_what_a_commit_cannot_run_is_left_out_with_the_reason(
    own: Any, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    measure(own, world)
    [(name, reason)] = json.loads((world.folder / "left_out.json").read_text(encoding="utf-8")).items()
    assert name.startswith(f"20261122T103000Z-{world.hashes[2][:10]}")
    assert reason == "exit code 4: the linker failed"
    assert f"{world.hashes[2][:10]} arm64: left out: exit code 4" in capsys.readouterr().out
    before = len(world.runs())
    measure(own, world, retry=True)
    assert len(world.runs()) == before + 1


def test_a_record_that_cannot_be_read_is_left_out(own: Any, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text('{"format_version": 9}', encoding="utf-8")
    with pytest.raises(own.Refused, match="its record: format_version is 9"):
        own._read(file)


def test_its_own_history_has_the_change_that_the_changelog_explains(tmp_path: Path) -> None:
    """Winograd for strides of 2 gives the standard twin larger weights and fewer instructions, once and for good."""
    with open_store(tmp_path / "store.db", create=True) as store:
        store.add(map(record_files.read, REAL.glob("*.json")))
        series = store.series(Filter(networks=("*_standard",)), ["weight_bytes", "instructions"])
    at = {each.quantity.name: [point.labels["commit"][:7] for point in each.points] for each in series}
    order = ["2f041d4", "114f942", "525818b", "1fd5b72", "a25a347", "9994502"]  # git log, not the runs' own dates
    assert at == {"weight_bytes": order, "instructions": order}
    found = changes.found(series)
    last = {each.quantity.name: found[each.id][-1] for each in series}
    for change in last.values():
        assert tuple((commit or "")[:7] for commit in change.commits) == ("1fd5b72", "a25a347")
    assert (last["weight_bytes"].before, last["weight_bytes"].after) == (10_959_456, 11_483_744)
    assert (last["instructions"].before, last["instructions"].after) == (18_963_101, 18_730_249)
    log = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "Winograd for 3x3\n  convolutions of stride 1 and 2" in log


def test_the_page_has_the_figures_of_its_own_history() -> None:
    page = (ROOT / "docs" / "history.md").read_text(encoding="utf-8")
    row = next(line for line in page.splitlines() if "`1fd5b72..a25a347`" in line)
    assert "10.96 MB → 11.48 MB" in row
    assert "18.96 M → 18.73 M" in row
