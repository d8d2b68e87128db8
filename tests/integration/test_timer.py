"""Where kernels are timed: a worker process, and what is known where it dies."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import require
from kernel_bench import Bench

from mbench.core.machine_types import Target
from mbench.devices.process import WorkerDied
from mbench.tuning import jobs, timer
from mbench.tuning.plans import Built, read_log

pytest_plugins = ("tune_fixtures",)
pytestmark = pytest.mark.slow


def test_a_library_that_crashes_is_named_in_the_log(bench: Bench, tmp_path: Path) -> None:
    default, _ = jobs.tiles(bench.task.function, bench.target, 1)
    good = bench.built(default, "good")
    code = "#include <signal.h>\nint __tvm_ffi_kernel(void) { return raise(SIGSEGV); }\n"
    (tmp_path / "crash.c").write_text(code)
    require(shutil.which("cc"), "a C compiler")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "crash.so", tmp_path / "crash.c"], check=True)
    bad = Built(candidate=default, library=str(tmp_path / "crash.so"))
    plan = bench.plan(bench.built(default, "default"), good, bad)
    with pytest.raises(WorkerDied, match=r"SIGSEGV|SIGKILL"):
        bench.time(plan)
    readings, begun = read_log(Path(plan.log))
    assert ([read.number for read in readings], begun) == ([0], 1)


def test_a_search_may_be_silent_for_longer_than_a_timing(target: Target) -> None:
    asked: list[tuple[Any, int, float | None]] = []

    class Device:
        def run(self, job: Any, _: Any, threads: int, _report: Any, *, silence_s: float | None = None) -> Any:
            asked.append((job, threads, silence_s))

    used = timer.LocalTimer(Device(), target)  # type: ignore[arg-type]
    used.time_kernel(SimpleNamespace(threads=3), print)  # type: ignore[arg-type]
    used.search_kernel(SimpleNamespace(threads=2), print)  # type: ignore[arg-type]
    (timed, threads, usual), (searched, others, patient) = asked
    assert (timed, threads, usual) == (timer.time_on_cpu, 3, None)
    assert (searched, others) == (timer.search, 2)
    assert patient is not None
    assert patient >= 1800
