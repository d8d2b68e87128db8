"""Lets `mbench` stop itself where a test wants to meet it: Python imports this when its folder is on PYTHONPATH.

The process stops when a variant enters the stage that `MBENCH_TEST_STOP` names, and goes on when it is sent SIGCONT. So
a signal that is sent meanwhile finds it at that stage, however fast or busy the machine is. With
`MBENCH_TEST_STOP_WORKERS`, the processes that work for it are stopped before.
"""

import multiprocessing
import os
import signal

WANTED = os.environ.get("MBENCH_TEST_STOP")
if WANTED:
    from mbench.terminal import progress, time_left

    _stage, _last = progress.RunLines.stage, dict[str, str]()

    def _stop_after(self: progress.RunLines, variant: str, stage: str, fraction: float) -> None:
        before, name = _last.get(variant), time_left.read(stage).name
        _last[variant] = name = "compiled" if (name, fraction) == ("compiling", 1.0) else name
        _stage(self, variant, stage, fraction)
        if name == WANTED != before and not os.environ.get("MBENCH_TEST_STOPPED"):
            os.environ["MBENCH_TEST_STOPPED"] = "once"
            self.note(f"stopped: {WANTED}")
            for child in multiprocessing.active_children() if os.environ.get("MBENCH_TEST_STOP_WORKERS") else ():
                os.kill(child.pid or 0, signal.SIGSTOP)
            os.kill(os.getpid(), signal.SIGSTOP)

    progress.RunLines.stage = _stop_after  # type: ignore[method-assign]
