"""Starts real runs, ends each at a random moment of its life by a signal, and checks what is left.

What must hold, whenever it is ended:

- a record or a file of choices is whole or absent, and has lost nothing that was there before;
- no process is left behind, nothing is left in the way after a signal that can be caught, and after any other the next
  start removes it;
- `--resume` finishes the record, with its page;
- the exit code is that of the signal.

By hand, a hundred: `python tests/integration/many_kills.py --kills 100 --seed 1`. The seed draws what is started,
how and when it is ended; how far the run is then depends on the machine.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from running_mbench import PAIR, TARGET, Running, finished, running, warm_cache

from mbench.core import artifact, record_files
from mbench.core.records import Result
from mbench.tuning import choice_files

OPTIONS = ("--target", TARGET, "--repeat", "5", "--no-tuned")
"""Of runs: what is tuned between an unfinished run and its end would forbid to go on with it, as it should."""
MEASURED = (*OPTIONS, "--sessions", "2")
"""Of runs that measure: one can be ended between its sessions."""
QUICK = ("run", "build", "keep", "resume")
"""What is started in CI."""
ALL = (*QUICK, "calibrate", "tune", "gate")
LIFE_S = {"run": 10.0, "build": 10.0, "keep": 10.0, "resume": 10.0, "calibrate": 15.0, "tune": 40.0, "gate": 30.0}
"""How long each takes, more or less; what is seen of lives shortens and prolongs it."""
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
_OTHERS = ("torchinductor_",)
"""Beginnings of names that torch keeps among temporary files."""


class Kill(NamedTuple):
    """What was done to a run, and what came of it."""

    kind: str
    number: signal.Signals
    group: bool
    """Whether all processes of the run got it, as from a terminal, or the first alone."""
    moment_s: float
    stage: str
    """What it was doing then, as far as it had said."""
    code: int

    def __str__(self) -> str:
        to = "all" if self.group else "one"
        return f"{self.kind:9} {self.number.name:7} {to} {self.moment_s:6.2f} s {self.stage:16} exit {self.code}"


class World:
    """Folders for runs that are ended, and the checks of what lies there."""

    def __init__(self, folder: Path, cache: Path, draw: random.Random, kinds: Sequence[str]) -> None:
        self.draw, self.kinds = draw, kinds
        self.folder, self.out = folder, folder / "out"
        self.cache, self.temporary, self.tuned = folder / "cache", folder / "temporary", folder / "tuned"
        for made in (self.out, self.temporary, self.tuned):
            made.mkdir(parents=True)
        shutil.copytree(cache, self.cache)
        self.life_s = dict(LIFE_S)
        self.given = [self._measured(name) for name in ("base", "head")] if "gate" in kinds else []

    def _measured(self, name: str) -> Path:
        """Return a finished record with its artifact, for the gate."""
        arguments = ("run", PAIR[0], *MEASURED, "--keep-artifacts", "--output", name)
        code, started = finished(*arguments, **self._places())
        assert code == 0, started.err
        [file] = (self.folder / name).glob("*.json")
        return file

    def _places(self) -> dict[str, Path]:
        return {"cache": self.cache, "cwd": self.folder, "temporary": self.temporary, "tuned": self.tuned}

    def records(self) -> list[Path]:
        """Return the records that runs have left."""
        return sorted(self.out.glob("*.json"))

    def unfinished(self) -> list[Path]:
        """Return those that are not done, or have no page."""
        return [
            file
            for file in self.records()
            if record_files.read(file).unfinished() or not file.with_suffix(".html").exists()
        ]

    # ------------------------------------------------------------------------------------------------------------ kill
    def kill(self) -> Kill:
        """Start something, end it, and check what is left at once."""
        kind = self.draw.choice(self.kinds)
        left = self.unfinished()
        if kind == "resume" and not left:
            kind = "run"
        number, group = self.draw.choice(SIGNALS), self.draw.random() < 0.5
        moment_s = self.draw.uniform(0.0, 1.05 * self.life_s[kind])
        if kind == "build":
            shutil.rmtree(self.cache / "artifacts", ignore_errors=True)
        if kind == "calibrate":
            shutil.rmtree(self.cache / "calibrations", ignore_errors=True)
        before, given, lay_about = self._held(), self._fingerprint(), self._strays()
        with running(*self._arguments(kind, left), **self._places()) as started:
            ended = self._end(started, number, group=group, moment_s=moment_s)
            code = started.end()
            self._learn(kind, moment_s, ended=ended)
            done = Kill(kind, number, group, moment_s, "ended before" if ended else _stage(started), code)
            try:
                started.assert_nobody_left()
                self._check_code(done, started)
                self._check_lost(before)
                assert self._fingerprint() == given, "what the gate reads was changed"
                if code >= 0:
                    self._check_strays(lay_about)
            except AssertionError as error:
                raise AssertionError(f"after {done}:\n{started.err}\n{error}") from error
        return done

    def _arguments(self, kind: str, left: Sequence[Path]) -> tuple[str | Path, ...]:
        if kind == "resume":
            return ("run", "--resume", self.draw.choice(left))
        if kind == "tune":
            return ("tune", PAIR[0], "--target", TARGET, "--tries", "1", "--again")
        if kind == "gate":
            return ("gate", "--paired", *self.given, "--html", self.out / "gate.html")
        how = (*OPTIONS, "--compile-only") if kind == "build" else MEASURED
        kept = ("--keep-artifacts",) if kind == "keep" else ()
        return ("run", *PAIR, *how, *kept, "--output", self.out)

    @staticmethod
    def _end(started: Running, number: signal.Signals, *, group: bool, moment_s: float) -> bool:
        """Send the signal at its moment; return whether all was over before."""
        try:
            started.process.wait(moment_s)
        except subprocess.TimeoutExpired:
            started.send(number, group=group)
            return False
        return True

    def _learn(self, kind: str, moment_s: float, *, ended: bool) -> None:
        """Let moments be drawn from whole lives, on a quick machine and on a busy one."""
        if ended:
            self.life_s[kind] *= 0.9
        elif moment_s > 0.8 * self.life_s[kind]:
            self.life_s[kind] *= 1.2

    def _check_code(self, done: Kill, started: Running) -> None:
        normal = {0, 1, 3} if done.kind == "gate" else {0}
        if done.stage == "ended before":
            expected = normal
        elif done.number == signal.SIGKILL:
            expected = {-signal.SIGKILL, *normal}
        elif done.stage == "starting" or done.number == signal.SIGHUP:
            expected = {130, -done.number, *normal}
        else:
            expected = {130, *normal}
            assert "Traceback" not in started.err
        assert done.code in expected, f"exit code {done.code}, expected one of {sorted(expected)}"

    # ----------------------------------------------------------------------------------------------------- what is left
    def _held(self) -> dict[Path, dict[str, Result]]:
        return {
            file: {result.variant.name: result for result in record_files.read(file).results} for file in self.records()
        }

    def _check_lost(self, before: dict[Path, dict[str, Result]]) -> None:
        """Fail unless every record is whole, and holds what it held."""
        after = self._held()
        for file, results in before.items():
            assert file in after, f"{file} is gone"
            for name, result in results.items():
                found = after[file].get(name)
                anew = found is not None and len(found.sessions) >= len(result.sessions)
                assert anew or found == result, f"{file}: {name} is lost"
        for file in self.tuned.glob("*.toml"):
            choice_files.read(file)
        for file in self.records():
            for kept in artifact.beside(file).glob("[!.]*"):
                artifact.load(kept)

    def _fingerprint(self) -> dict[str, str]:
        """Return the hash of each file that the gate reads."""
        folders = [file.parent for file in self.given]
        files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
        return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}

    def _check_strays(self, known: Collection[str] = ()) -> None:
        left = sorted(self._strays() - set(known))
        assert not left, f"left lying about: {', '.join(left)}"

    def _strays(self) -> set[str]:
        """Return what lies about that is no result: what is hidden, and all among temporary files."""
        hidden = [path for path in self.folder.rglob(".*") if path != self.temporary]
        others = [path for path in self.temporary.iterdir() if not path.name.startswith(_OTHERS)]
        known = {".json", ".html", artifact.BESIDE}
        strange = [path for path in self.out.glob("*") if path.suffix not in known]
        return {str(path) for path in {*hidden, *others, *strange}}

    # ---------------------------------------------------------------------------------------------------------- go on
    def go_on(self) -> int:
        """Finish every record that is not done, or start anew if there is none; then nothing lies about."""
        left = self.unfinished()
        for file in left:
            before = self._held()
            code, started = finished("run", "--resume", file, **self._places())
            assert code == 0, f"--resume {file} ended with {code}:\n{started.err}"
            self._check_lost(before)
            record = record_files.read(file)
            assert (record.unfinished(), record.failures) == ((), ())
            assert file.with_suffix(".html").exists()
            if artifact.beside(file).exists():
                assert {path.name for path in artifact.beside(file).iterdir()} == set(record.settings.variants)
        if not left:
            arguments = ("run", PAIR[0], "--target", TARGET, "--compile-only", "--output", self.out)
            code, started = finished(*arguments, **self._places())
            assert code == 0, f"ended with {code}:\n{started.err}"
        self._check_strays()
        assert self.unfinished() == []
        return len(left)


def _stage(started: Running) -> str:
    """Return what a run said last that it was doing."""
    for line in reversed(started.lines):
        if found := re.search(r"^(?!mbench: ).*: ([a-z ]+?)( \d+/\d+)?$", line):
            return found[1]
    return "starting"


def kill_many(folder: Path, cache: Path, *, kills: int, seed: int, kinds: Sequence[str], go_on: float) -> list[Kill]:
    """End so many runs; go on with what they left after a share of them, and at the end."""
    draw = random.Random(seed)
    world = World(folder, cache, draw, kinds)
    done = []
    for number in range(1, kills + 1):
        begun = time.monotonic()
        done.append(world.kill())
        finished_now = world.go_on() if draw.random() < go_on or number == kills else 0
        said = f"; {finished_now} finished" if finished_now else ""
        print(f"[{number}/{kills}] {done[-1]} ({time.monotonic() - begun:.0f} s{said})", flush=True)
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--only", choices=ALL, action="append")
    parser.add_argument("--go-on", type=float, default=0.2, help="after which share of the kills all is finished")
    given = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGHUP):  # a shell lets what is in its background ignore them
        signal.signal(number, signal.default_int_handler)
    print(f"seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        cache = warm_cache(Path(name))
        kinds = tuple(given.only or ALL)
        done = kill_many(
            Path(name) / "world", cache, kills=given.kills, seed=given.seed, kinds=kinds, go_on=given.go_on
        )
    for title, of in (("by kind", 0), ("by signal", 1), ("by stage", 4), ("by exit code", 5)):
        counted = collections.Counter(str(kill[of]) for kill in done)
        print(f"{title}: {', '.join(f'{what} {count}' for what, count in counted.most_common())}")


if __name__ == "__main__":
    main()
