"""Real schedulers and workers of Dask on loopback, each in a process of its own, for as long as a test needs them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import mbench

ROOT = Path(mbench.__file__).parent.parent
TROUBLED = Path(__file__).parent / "integration" / "troubled"
WAIT_S = 120.0
"""For what comes as soon as a busy machine lets it."""


def until(condition: Callable[[], Any], said: Callable[[], str] = lambda: "") -> Any:
    """Look again until something is so; end the test if it never is."""
    ends_s = time.monotonic() + WAIT_S
    while not (found := condition()) and time.monotonic() < ends_s:
        time.sleep(0.05)
    assert found, said()
    return found


class Process:
    """A scheduler or a worker, and what it wrote."""

    def __init__(self, module: str, *arguments: str, folder: Path, prefix: Sequence[str] = (), **environ: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.log = folder, folder / "log"
        environment = {
            **os.environ, "PYTHONPATH": os.pathsep.join((str(TROUBLED), str(ROOT))),
            "MBENCH_CACHE_DIR": str(folder / "cache"), **environ,
        }  # fmt: skip
        command = [*prefix, sys.executable, "-m", f"distributed.cli.{module}", "--no-dashboard", *arguments]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)

    @property
    def said(self) -> str:
        """What it wrote so far."""
        return self.log.read_text(errors="replace")

    def address(self, before: str) -> str:
        """Return the address that it wrote behind some words."""

        def found() -> str:
            assert self.process.poll() is None, self.said
            lines = [line.partition(before)[2].split() for line in self.said.splitlines() if before in line]
            return lines[0][0] if lines and lines[0] else ""

        return str(until(found, lambda: self.said))

    def end(self) -> None:
        """End it: what it started ends with it."""
        self.process.kill()
        self.process.wait()


class Cluster:
    """A scheduler, and the workers that a test gives it."""

    def __init__(self, folder: Path, *options: str, scheme: str = "dask", **environ: str) -> None:
        self.folder, self._options, self._environ = folder, options, environ
        self.workers: list[Process] = []
        self.scheduler = Process(
            "dask_scheduler", "--host", "127.0.0.1", "--port", "0", *options, folder=folder / "scheduler", **environ
        )
        self._address = self.scheduler.address("Scheduler at:")
        self.url = f"{scheme}://{self._address.partition('://')[2]}"

    def worker(
        self, *options: str, nanny: bool = False, prefix: Sequence[str] = (), cache: Path | None = None, **environ: str
    ) -> Process:
        """Start a worker; return it when it is one of the cluster."""
        folder = self.folder / f"worker{len(self.workers)}"
        if cache is not None:
            environ["MBENCH_CACHE_DIR"] = str(cache)
        started = Process(
            "dask_worker", self._address, "--nthreads", "1", "--nanny" if nanny else "--no-nanny", "--host",
            "127.0.0.1", *self._options, *options, folder=folder, prefix=prefix, **{**self._environ, **environ},
        )  # fmt: skip
        self.workers.append(started)
        return started

    def ready(self) -> list[str]:
        """Return the addresses of the workers, once all are part of the cluster."""
        for worker in self.workers:
            until(lambda worker=worker: "Registered to" in worker.said or worker.process.poll() is not None)  # type: ignore[misc]
            assert worker.process.poll() is None, worker.said
        return [worker.address("Start worker at:") for worker in self.workers]

    def close(self) -> None:
        """End all of it."""
        for process in (*self.workers, self.scheduler):
            process.end()


@contextlib.contextmanager
def cluster(folder: Path, *options: str, scheme: str = "dask", **environ: str) -> Iterator[Cluster]:
    """Yield a cluster without workers; whatever happens, nothing of it is left behind."""
    made = Cluster(folder, *options, scheme=scheme, **environ)
    try:
        yield made
    finally:
        made.close()
