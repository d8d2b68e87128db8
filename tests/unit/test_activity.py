import subprocess
import sys
import time

from mbench.measure import activity

BURN = [sys.executable, "-c", "import time\nwhile time.process_time() < 1: pass"]


def burn(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_own_work_is_not_counted_as_that_of_others() -> None:
    before = activity.busy_s(), activity.own_s()
    burn(0.5)
    assert activity.own_s() - before[1] >= 0.5
    assert activity.busy_s() - before[0] >= 0.4  # the kernel counts in ticks of 10 ms
    watch = activity.Watch()
    watch._others = activity.busy_s() - activity.own_s()
    burn(0.5)
    wall, others = watch.read_s()
    assert wall >= 0.5
    assert others < wall * 8  # bounded by the machine, whatever else runs on it


def test_the_work_of_others_is_seen() -> None:
    with subprocess.Popen(BURN, stdout=subprocess.PIPE) as other:
        watch = activity.Watch()
        assert other.stdout is not None
        other.stdout.read()  # it has ended, and is not one of ours before it is waited for
        _, others = watch.read_s()
    assert others >= 0.9


def test_the_work_of_a_process_that_was_started_and_waited_for_is_own() -> None:
    before = activity.own_s()
    subprocess.run(BURN, check=True)  # as nvcc is, which compiles while the ceilings of a GPU are measured
    assert activity.own_s() - before >= 0.9
