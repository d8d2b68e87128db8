"""Dask clusters on this machine, for `scale.py`: a scheduler and workers in processes and networks of their own."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import psutil

_START_S = 60.0
_TROUBLE = Path(__file__).with_name("scale_worker")


class Network(Protocol):
    """Where the processes of a cluster are."""

    name: str

    def place(self, number: int) -> tuple[str, Sequence[str]]:
        """Return the address of a place, and what to write before a command that runs there."""
        ...


class Loopback:
    """All processes share the network of this machine."""

    name = "loopback"

    def place(self, number: int) -> tuple[str, Sequence[str]]:
        """Return an address; see `Network`."""
        return "127.0.0.1", ()


class Namespaces:
    """Network namespaces, each with an address of its own, joined by a bridge that this process reaches."""

    name = "namespaces"

    def __init__(self) -> None:
        """Make the bridge; RFC 2544 sets these addresses apart for benchmarks.

        Raises:
            OSError: this process may not.
        """
        self._id, self._places = f"mbs{os.getpid() % 100_000}", dict[int, str]()
        self._subnet = f"198.18.{os.getpid() % 256}"
        self._ip("link", "add", self._id, "type", "bridge")
        self._ip("addr", "add", f"{self._subnet}.254/24", "dev", self._id)
        self._ip("link", "set", self._id, "up")

    def _ip(self, *arguments: str, prefix: Sequence[str] = ()) -> None:
        done = subprocess.run([*prefix, "ip", *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")

    def place(self, number: int) -> tuple[str, Sequence[str]]:
        """Return the address of a namespace, which is made; see `Network`."""
        name, address = f"{self._id}-{number}", f"{self._subnet}.{number + 1}"
        prefix = ("ip", "netns", "exec", name)
        if number not in self._places:
            outside, inside = f"{self._id}o{number}", f"{self._id}i{number}"
            self._ip("netns", "add", name)
            self._places[number] = name
            self._ip("link", "add", outside, "type", "veth", "peer", "name", inside)
            self._ip("link", "set", outside, "master", self._id, "up")
            self._ip("link", "set", inside, "netns", name)
            self._ip("addr", "add", f"{address}/24", "dev", inside, prefix=prefix)
            self._ip("link", "set", inside, "up", prefix=prefix)
            self._ip("link", "set", "lo", "up", prefix=prefix)
        return address, prefix

    def close(self) -> None:
        """Remove all of it."""
        for name in self._places.values():
            self._ip("netns", "del", name)
        self._ip("link", "del", self._id)


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """Yield namespaces; where they cannot be had, loopback, with the reason printed."""
    try:
        made = Namespaces()
    except OSError as error:
        print(f"no network namespaces, all on loopback instead: {error}")
        yield Loopback()
        return
    try:
        yield made
    finally:
        made.close()


class Cluster:
    """A scheduler and workers of one thread, each with a cache of its own."""

    def __init__(self, folder: Path, where: Network, **environ: str) -> None:
        """Take a folder; `environ` goes to the workers, see `scale_worker`."""
        self._folder, self._started, self._where, self._environ = folder, 0, where, environ
        self._all: list[subprocess.Popen[bytes]] = []
        self.log = folder / "log"
        self.log.mkdir()

    def start(self, workers: int) -> None:
        """Start all of it."""
        self.scheduler = self._process("dask_scheduler", "--port", "0", name="scheduler", place=0)
        self.address = self._said("scheduler", "Scheduler at:")
        self.url = f"dask://{self.address.partition('://')[2]}"
        self.workers = [self._begin(place) for place in range(workers)]
        for number in range(workers):
            self._said(f"worker{number + 1}", "Registered to:")

    def _process(self, module: str, *arguments: str, name: str, place: int, **environ: str) -> subprocess.Popen[bytes]:
        host, prefix = self._where.place(place)
        command = [
            *prefix, sys.executable, "-m", f"distributed.cli.{module}", "--no-dashboard", "--host", host, *arguments,
        ]  # fmt: skip
        environment = {**os.environ, "MBENCH_CACHE_DIR": str(self._folder / f"worker-cache{place}"), **environ}
        with (self._folder / f"{name}.log").open("wb") as log:
            started = subprocess.Popen(command, env=environment, cwd=self._folder, stdout=log, stderr=log)
        self._all.append(started)
        return started

    def _said(self, name: str, before: str) -> str:
        ends_s = time.monotonic() + _START_S
        while time.monotonic() < ends_s:
            for line in (self._folder / f"{name}.log").read_text(errors="replace").splitlines():
                if before in line:
                    return line.partition(before)[2].strip()
            time.sleep(0.05)
        raise SystemExit(f"{name} did not start; see {self._folder}/{name}.log")

    def _begin(self, place: int) -> subprocess.Popen[bytes]:
        self._started += 1
        options = ("--nthreads", "1", "--no-nanny")
        path = os.pathsep.join((str(_TROUBLE), os.environ.get("PYTHONPATH", "")))
        return self._process(
            "dask_worker", self.address, *options, name=f"worker{self._started}", place=place + 1, PYTHONPATH=path,
            SCALE_LOG=str(self.log), **self._environ,
        )  # fmt: skip

    def worker(self, place: int) -> subprocess.Popen[bytes]:
        """Start the worker of a place anew; return its process once it is part of the cluster."""
        started = self._begin(place)
        self._said(f"worker{self._started}", "Registered to:")
        return started

    def kill(self, place: int) -> None:
        """Kill a worker; `worker` starts it anew."""
        self.workers[place].kill()
        self.workers[place].wait()

    def forget(self) -> None:
        """Empty the caches of all workers, and what they wrote of their work."""
        for each in self._folder.glob("worker-cache*/artifacts"):
            shutil.rmtree(each)
        for log in self.log.iterdir():
            log.unlink()

    def work(self) -> list[tuple[float, float, str]]:
        """Return what workers built and counted since they last forgot: from when, until when, and the network."""
        lines = [line.split() for log in self.log.glob("*.work") for line in log.read_text().splitlines()]
        return sorted((float(start), float(end), name) for start, end, name in lines)

    def cpu_s(self) -> dict[str, float]:
        """Return the processor time so far of the scheduler, of all workers and what they started, and of this one."""
        workers = [process for worker in self.workers for process in with_children(worker.pid)]
        return {
            "main process": time.process_time(),
            "scheduler": cpu_s(psutil.Process(self.scheduler.pid)),
            "workers": sum(map(cpu_s, workers)),
        }

    def close(self) -> None:
        """End all of it."""
        for each in reversed(self._all):
            each.kill()
            each.wait()


def with_children(pid: int) -> list[psutil.Process]:
    """Return a process and all that it started."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def cpu_s(process: psutil.Process) -> float:
    """Return the processor time so far of a process."""
    taken = process.cpu_times()
    return float(taken.user + taken.system)


@contextlib.contextmanager
def cluster(workers: int, where: Network | None = None, **environ: str) -> Iterator[Cluster]:
    """Yield a cluster of so many workers; it is gone afterwards. This process gets an empty cache, too."""
    before = os.environ.get("MBENCH_CACHE_DIR")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ["MBENCH_CACHE_DIR"] = str(Path(folder) / "own")
        made = Cluster(Path(folder), where or Loopback(), **environ)
        try:
            made.start(workers)
            yield made
        finally:
            made.close()
            if before is not None:
                os.environ["MBENCH_CACHE_DIR"] = before
