"""What all child processes have in common."""

from __future__ import annotations

import multiprocessing.spawn
import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from mbench.core import processes, signals

pytestmark = pytest.mark.usefixtures("handlers")


def test_an_interrupt_is_heard_once_the_child_is_started() -> None:
    done: list[str] = []

    def start() -> None:
        with processes.deaf_children():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)
            done.append("started")
        done.append("went on")

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            start()
        assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, before)
    assert done == ["started"]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_each_signal_that_came_while_a_process_was_started_is_raised() -> None:
    heard: list[int] = []
    for number in signals.HEARD:
        signal.signal(number, lambda number, _: heard.append(number))
    with processes.deaf_children():
        for number in signals.HEARD:
            os.kill(os.getpid(), number)
        assert heard == []
    assert sorted(heard) == sorted(signals.HEARD)


def test_a_script_is_hidden_from_processes_that_are_started() -> None:
    """`spawn` runs the file of `__main__` again in each child, where it knows one."""
    script = sys.modules["__main__"]
    with processes.without_script():
        assert not hasattr(sys.modules["__main__"], "__file__")
        assert "init_main_from_path" not in multiprocessing.spawn.get_preparation_data("child")
    assert sys.modules["__main__"] is script


def test_a_process_without_torch_finds_none_and_libraries_that_look_for_it_are_right() -> None:
    """As scikit-learn does, which XGBoost imports: it took a None among the modules for torch."""
    code = """
import importlib.util, sys
from mbench.core import processes
processes.without_torch()
processes.without_torch()
assert importlib.util.find_spec("json")
importlib.util.find_spec("torch")
for name in ("torch", "torch.nn"):
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        assert "torch" not in sys.modules, error
    else:
        raise AssertionError
print(len(sys.meta_path))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    plain = subprocess.run(
        [sys.executable, "-c", "import sys; from mbench.core import processes; print(len(sys.meta_path))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) == int(plain.stdout) + 1


def _child_of_a_daemon(answer: Any) -> None:
    processes.allow_children()
    child = multiprocessing.get_context("spawn").Process(target=answer.put, args=("a child",))
    child.start()
    child.join()


def test_a_process_that_ends_with_its_parent_may_have_children() -> None:
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    daemon = context.Process(target=_child_of_a_daemon, args=(answer,), daemon=True)
    daemon.start()
    assert answer.get(timeout=120) == "a child"
    daemon.join()
