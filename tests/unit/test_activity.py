import subprocess
import sys
import time

from mbench.measure import activity


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
    watch = activity.Watch()
    code = "import time\nwhile time.process_time() < 1: pass"
    subprocess.run([sys.executable, "-c", code], check=True)
    _, others = watch.read_s()
    assert others >= 0.9
