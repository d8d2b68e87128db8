"""What child processes of mbench have in common: they leave Ctrl-C to their parent, and end when it does."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import types
from collections.abc import Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from multiprocessing import parent_process

from mbench.core import signals

_STARTING = threading.Lock()


@contextlib.contextmanager
def without_script() -> Iterator[None]:
    """Processes that are started inside do not run the user's script again, as `spawn` does by default.

    What they run is mbench's and needs nothing of it; a script without `if __name__ == "__main__"` would start itself.
    """
    with _STARTING:
        script = sys.modules["__main__"]
        sys.modules["__main__"] = types.ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = script


@contextlib.contextmanager
def deaf_children() -> Iterator[None]:
    """Processes that are started inside hear neither Ctrl-C nor SIGHUP, not even before they have become quiet.

    This process hears them, and SIGTERM, when they are started: half started, a child would complain and live on.
    """
    if threading.current_thread() is not threading.main_thread():  # which hears nothing, and may not change handlers
        yield
        return
    caught: list[int] = []
    handlers = {number: signal.signal(number, lambda number, _: caught.append(number)) for number in signals.HEARD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})  # children inherit this
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        with contextlib.ExitStack() as stack:  # each is raised, also where the one before ends in an exception
            for each in reversed(caught):
                stack.callback(signal.raise_signal, each)


def become_quiet_child(log: str = os.devnull) -> None:
    """Leave Ctrl-C and SIGHUP to the parent, write to `log`, and end when the parent does, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def allow_children() -> None:
    """Let this process have children although it ends with its parent ("daemonic"), as the workers of Dask do.

    Python refuses such children, since they would outlive the process. Those that become quiet (see above) do not.
    """
    config = getattr(multiprocessing.current_process(), "_config", {})
    if config.get("daemon"):
        config["daemon"] = False


def without_torch() -> None:
    """Let TVM, imported after this, find no torch, which it would import: seconds and memory for nothing.

    Libraries look for torch among the modules that are loaded, and would take a None there for it.
    """
    if "torch" not in sys.modules and not any(isinstance(each, _NoTorch) for each in sys.meta_path):
        sys.meta_path.insert(0, _NoTorch())


def with_torch() -> None:
    """Take `without_torch` back, in a process that has imported TVM by now and computes with torch besides."""
    sys.meta_path[:] = [each for each in sys.meta_path if not isinstance(each, _NoTorch)]


class _NoTorch(MetaPathFinder, Loader):
    """Finds torch, and fails to import it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a specification of torch alone."""
        return ModuleSpec(fullname, self) if fullname == "torch" else None

    def exec_module(self, module: types.ModuleType) -> None:
        """Refuse to import it, as if it were not installed."""
        raise ModuleNotFoundError("torch is left out of this process", name=module.__name__)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
