"""The history of mbench's own networks: what earlier commits made of them, as records, a store and a site.

Run: python benchmarks/own_history.py measure [COMMIT...] [--run NAME] [--retry]
     python benchmarks/own_history.py site

`measure` unpacks each commit beside the repository, runs that commit's own mbench in a fresh process, and keeps its
record with the labels `commit`, `branch` and `committed_at`. Without COMMIT: those below, oldest first. A run whose
record is there is not repeated: end it at any time, and it goes on where it was. What a commit cannot run is printed
with the reason, and tried again with `--retry` alone.

`site` adds the records to a store, prints the changes that `mbench history check` finds, and publishes the pages.

Two runs a commit: counts for a Cortex-A72, in emulation, and latency with counts for x86-64-v3, on this machine. All of
it is measured now, with the dependencies that are installed now: changes of TVM or torch do not show.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import msgspec

from mbench.core import record_files
from mbench.core.errors import RecordError
from mbench.core.records import Record

REPOSITORY = Path(__file__).parents[1]
PARTS = ("mbench", "targets", "reports", "published")
"""What a commit's mbench is made of; the oldest ones have fewer."""
MOST_S = 1200
WRONG_USE = 2

COMMITS = (
    "f463960", "4416fd2", "89176b8", "fd4ab63", "af0ba11", "d8d00ff", "7da8c02", "005a4e1",  # November 22
    "082980b", "e093fd7", "552a9b8", "2f041d4", "114f942", "525818b",  # 26
    "d3e2c9e", "14e3538", "8d488cb", "e77f3ac", "1fd5b72", "a32cbb2", "c5e43ad", "a25a347", "42d71e6",  # 27
    "561c2d1", "11e1709",  # 28
    "b5e7f93", "4d3d9f4", "24a3d3a", "d8f430a", "dd57a10", "e5ce842", "f6f5626", "b80e976", "c4e3990", "be73afc",
    "cc7b97a", "9eebfb8", "90ebd26", "ee57b27",  # 29
    "764e217", "ce39c08", "0194b23", "7aff0e2", "2271b6d", "73df437",  # 30
)  # fmt: skip
"""Of the main branch: before and after what touched kernels, and some between."""

V1, V1_STANDARD, V1_LARGER = "mobilenet_v1_0.25_128", "mobilenet_v1_0.25_128_standard", "mobilenet_v1_0.5_160"
V2 = "mobilenet_v2_0.35_96"
_ARM = ("--target", "arm64_cortex_a72", "--device", "emulated", "--threads", "1")
_X86 = ("--target", "x86_64_v3", "--threads", "1")

RUNS = {
    "arm64": ((V1, V1_STANDARD, V2, *_ARM), (V1, V1_STANDARD, *_ARM)),
    "x86": ((V1, V1_LARGER, V2, *_X86, "--counts"), (V1, V1_LARGER, *_X86, "--counts"), (V1, V1_LARGER, *_X86)),
}
"""Arguments of `mbench run`, newest form first: the first form that a commit does not refuse is the one that counts."""


class Refused(Exception):
    """A commit's mbench does not know what it is asked for, or ended without a record that can be read."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Commit:
    """A commit of the repository."""

    hash: str
    at: datetime.datetime
    subject: str

    def file(self, run: str) -> str:
        """Return what the record of a run is called; names sort as commits do."""
        return f"{self.at:%Y%m%dT%H%M%SZ}-{self.hash[:10]}-{run}.json"

    def labels(self, branch: str) -> dict[str, str]:
        """Return the labels of its records."""
        return {"commit": self.hash, "branch": branch, "committed_at": f"{self.at:%Y-%m-%dT%H:%M:%SZ}"}


def commit(name: str) -> Commit:
    """Return the commit of a name that git knows."""
    said = _git("show", "--no-patch", "--format=%H%n%cI%n%s", f"{name}^{{commit}}").decode()
    full, at, subject = said.strip().split("\n", 2)
    return Commit(hash=full, at=datetime.datetime.fromisoformat(at).astimezone(datetime.UTC), subject=subject)


def unpack(which: Commit, folder: Path) -> None:
    """Write what a commit's mbench is made of to a folder."""
    there = _git("ls-tree", "--name-only", which.hash).decode().split()
    archive = _git("archive", which.hash, *(part for part in PARTS if part in there))
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")


def _git(*words: str) -> bytes:
    return subprocess.run(["git", "-C", str(REPOSITORY), *words], check=True, stdout=subprocess.PIPE).stdout


def observed(code: Path, forms: tuple[tuple[str, ...], ...], kept: Path) -> Record:
    """Return the record that the mbench in `code` makes.

    Args:
        code: a folder with a commit's files.
        forms: arguments of `mbench run`, the preferred ones first.
        kept: a folder for the runtime that emulation needs, which is the same for all commits.

    Raises:
        Refused: no form gave a record with a result.
    """
    with tempfile.TemporaryDirectory(prefix="own-history-") as name:
        work = Path(name)
        runtime = work / "cache" / "runtime"
        if kept.is_dir():
            shutil.copytree(kept, runtime)
        refusals = []
        for number, form in enumerate(forms):
            output = work / f"output{number}"
            code_of_exit, said = _run(code, ("run", *form, "--output", str(output)), work)
            found = sorted(output.glob("*.json"))
            if found:
                record = _read(found[0])
                if runtime.is_dir() and not kept.is_dir():
                    shutil.copytree(runtime, kept)
                return record
            refusals.append(f"exit code {code_of_exit}: {_last_line(said)}")
            if code_of_exit != WRONG_USE:
                break
    raise Refused(refusals[-1])


def _run(code: Path, words: tuple[str, ...], work: Path) -> tuple[int, str]:
    """Run a commit's mbench; return the exit code and what it said on standard error."""
    own = {name: str(work / name.lower()) for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME")}
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MBENCH_")},
        **own,
        "PYTHONPATH": str(code),
        "PYTHONSAFEPATH": "1",
        "MBENCH_CACHE_DIR": str(work / "cache"),
    }
    try:
        done = subprocess.run(
            [sys.executable, "-m", "mbench", *words],
            cwd=work, env=environment, text=True, capture_output=True, check=False, timeout=MOST_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return -1, f"not done after {MOST_S} s"
    return done.returncode, done.stderr


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "nothing was said"


def _read(file: Path) -> Record:
    try:
        record = record_files.read(file)
    except RecordError as error:
        raise Refused(str(error).replace(str(file), "its record")) from error
    if not record.results:
        raise Refused("; ".join(f"{each.variant}: {each.reason}" for each in record.failures) or "no result")
    return record


def labelled(record: Record, labels: dict[str, str]) -> Record:
    """Return a record with more labels; its moment stays the run's."""
    return msgspec.structs.replace(record, labels={**record.labels, **labels})


def measure(names: list[str], runs: list[str], folder: Path, *, branch: str, retry: bool) -> None:
    """Make the records that are not there yet."""
    records = folder / "records"
    records.mkdir(parents=True, exist_ok=True)
    for which in sorted(map(commit, names), key=lambda each: each.at):
        missing = [run for run in runs if not (records / which.file(run)).exists()]
        known = {} if retry else _refusals(folder)
        wanted = [run for run in missing if which.file(run) not in known]
        if not wanted:
            continue
        with tempfile.TemporaryDirectory(prefix="own-history-") as name:
            unpack(which, Path(name))
            for run in wanted:
                try:
                    record = observed(Path(name), RUNS[run], folder / "runtime")
                except Refused as refusal:
                    print(f"{which.hash[:10]} {run}: left out: {refusal}", flush=True)
                    _keep_refusal(folder, which.file(run), str(refusal))
                    continue
                record_files.write(records / which.file(run), labelled(record, which.labels(branch)))
                print(f"{which.hash[:10]} {run}: {', '.join(each.variant.name for each in record.results)}", flush=True)


def _refusals(folder: Path) -> dict[str, str]:
    file = folder / "left_out.json"
    found: dict[str, str] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return found


def _keep_refusal(folder: Path, record: str, reason: str) -> None:
    text = json.dumps({**_refusals(folder), record: reason}, indent=1)
    (folder / "left_out.json").write_text(text + "\n", encoding="utf-8")


def site(folder: Path) -> int:
    """Add the records to a store, print its changes, and publish its pages; return the exit code."""
    store = ("--store", str(folder / "history.db"))
    commands = (
        ("add", str(folder / "records"), *store),
        ("check", *store),
        ("publish", str(folder / "site"), *store),
    )
    codes = [
        subprocess.run([sys.executable, "-m", "mbench", "history", *words], check=False).returncode
        for words in commands
    ]
    print(f"records: {len(list((folder / 'records').glob('*.json')))}, left out: {len(_refusals(folder))}")
    return max(codes[0], codes[2])


def main() -> int:
    """Do what the command line asks for; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("measure", "site"))
    parser.add_argument("commits", nargs="*", metavar="COMMIT")
    parser.add_argument("--run", action="append", choices=tuple(RUNS), help="one of a commit's runs; default: all")
    parser.add_argument("--branch", default="main", help="the label of the records")
    parser.add_argument("--retry", action="store_true", help="try again what was left out")
    parser.add_argument("--folder", type=Path, default=Path.home() / ".cache" / "mbench-own-history")
    arguments = parser.parse_args()
    if arguments.what == "site":
        return site(arguments.folder)
    names = arguments.commits or list(COMMITS)
    measure(names, arguments.run or list(RUNS), arguments.folder, branch=arguments.branch, retry=arguments.retry)
    return 0


if __name__ == "__main__":
    sys.exit(main())
