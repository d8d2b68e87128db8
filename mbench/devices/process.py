"""What devices share that do their work in a worker process, so that its death is a failure and not ours.

One run at a time measures on a device: a lock on a file keeps others of this machine waiting, and the system lets go of
it whatever happens.
"""

from __future__ import annotations

import contextlib
import fcntl
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from mbench.core import processes, system_limits
from mbench.core.errors import MeasureError
from mbench.core.progress import Note, Report
from mbench.devices import worker

_JOIN_S = 5.0
_DETAIL_CHARACTERS = 2000


class WorkerDied(MeasureError):
    """The worker process ended, or was ended, without an answer. `stage` is what it was doing."""

    def __init__(self, message: str, *, stage: str, detail: str = "") -> None:
        super().__init__(message)
        self.stage = stage
        self.detail = detail


class WorkerDevice:
    """Runs jobs (see `mbench.devices.worker`), each in a fresh process."""

    def __init__(
        self,
        file: str,
        *,
        where: str,
        lock_dir: Path,
        timeout_s: float,
        waiting: Note = lambda _: None,
    ) -> None:
        """Wait until no other run measures here.

        Args:
            file: the name of the lock in `lock_dir`, without its ending; the log lies beside it.
            where: what is held, in words, for those who wait: `on this machine`.
            lock_dir: the folder of locks and logs.
            timeout_s: bounds each silence of the worker.
            waiting: called with a line when another run holds the lock.
        """
        self._timeout_s = timeout_s
        self.files = (lock_dir / f"{file}.lock", lock_dir / f"{file}.log")
        self._lock = _hold(self.files[0], where, waiting)
        self._log = self.files[1]  # who holds the lock holds the log
        self._process: Any = None
        self.interrupted = False
        """Whether nothing more is to run here."""

    def close(self) -> None:
        """Let other runs measure."""
        self._lock.close()

    def wait_at_most(self, silence_s: float) -> None:
        """Take a longer silence for a hang, from the next job on."""
        self._timeout_s = silence_s

    def interrupt(self) -> None:
        """End what runs, is being started, or will be, from another thread; whoever waits for it has a WorkerDied."""
        self.interrupted = True  # first: `run` looks for it after it has set the process
        process = self._process
        if process is not None:
            with contextlib.suppress(ValueError):  # it has just ended by itself
                process.kill()

    def run(
        self,
        job: Callable[..., Any],
        arguments: tuple[Any, ...],
        threads: int,
        report: Report,
        *,
        silence_s: float | None = None,
    ) -> Any:
        """Run a job in a fresh process; return its answer.

        Raises:
            WorkerDied: the job failed, or its process crashed, was killed, or hung; or all was interrupted.
        """
        self._refuse_interrupted()
        process, pipe = self._started(threads, job, arguments)
        self._process = process
        with pipe:
            try:
                self._refuse_interrupted()
                return self._listen(process, pipe, report, silence_s or self._timeout_s)
            finally:
                self._process = None
                _end(process)

    def _refuse_interrupted(self) -> None:
        if self.interrupted:
            raise WorkerDied("the run has ended", stage="starting")

    def _started(self, threads: int, job: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, Any]:
        """Return a fresh process that runs a job, and the pipe that it answers through.

        Raises:
            WorkerDied: the system lets us have none.
        """
        context = multiprocessing.get_context("spawn")
        try:
            ours, theirs = context.Pipe(duplex=False)
            with theirs, contextlib.ExitStack() as stack:
                stack.callback(ours.close)
                self._log.write_bytes(b"")
                process = context.Process(
                    target=worker.main, args=(theirs, str(self._log), threads, job, arguments), daemon=True
                )
                with processes.deaf_children(), processes.without_script():
                    process.start()
                    stack.callback(_end, process)  # a signal that came meanwhile is raised when this block is left
                stack.pop_all()
        except OSError as error:
            said = f"the worker process could not be started: {system_limits.why(error)}"
            raise WorkerDied(said, stage="starting") from error
        return process, ours

    def _listen(self, process: Any, pipe: Any, report: Report, silence_s: float) -> Any:
        stage = "starting"
        while True:
            if not pipe.poll(silence_s):
                raise WorkerDied(self._silence(silence_s), stage=stage, detail=_tail(self._log))
            try:
                kind, *content = pipe.recv()
            except (EOFError, ConnectionResetError):
                process.join(_JOIN_S)
                raise WorkerDied(_cause(process.exitcode), stage=stage, detail=_tail(self._log)) from None
            if kind == "stage":
                stage = content[0]
                report(*content)
            elif kind == "error":
                raise WorkerDied(content[0], stage=stage, detail=_tail(self._log))
            else:
                return content[0]

    def _silence(self, silence_s: float) -> str:
        """Return the message of a worker that said nothing for too long."""
        return f"the worker process was silent for {silence_s:g} s and was stopped"


def _hold(path: Path, where: str, waiting: Note) -> IO[str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip()
        waiting(f"another run measures {where} (process {holder or 'unknown'}); waiting until it is done")
        fcntl.flock(file, fcntl.LOCK_EX)
    with contextlib.suppress(OSError):  # a full disk: those who wait will not know for whom
        os.truncate(path, 0)
        os.write(file.fileno(), str(os.getpid()).encode())
    return file


def _cause(exit_code: int | None) -> str:
    if exit_code is None:
        return "the worker process closed its line and did not end"
    if exit_code >= 0:
        return f"the worker process exited with status {exit_code}"
    with contextlib.suppress(ValueError):
        name = signal.Signals(-exit_code).name
        hint = "; out of memory?" if name == "SIGKILL" else ""
        hint += system_limits.memory_hint()
        return f"the worker process was ended by {name}{hint}"
    return f"the worker process was ended by signal {-exit_code}"


def _tail(log: Path) -> str:
    """Return the end of what the worker wrote to its standard output and error."""
    with contextlib.suppress(OSError):
        return log.read_text(errors="replace")[-_DETAIL_CHARACTERS:].strip()
    return ""


def _end(process: Any) -> None:
    if process.is_alive():
        process.kill()
    process.join()
