"""Who gets which task of a farm: each has it alone, tries are bounded, and nothing waits for ever."""

from __future__ import annotations

import threading

import farm_fakes as fakes

from mbench.devices.farm_tasks import FarmTask, FarmTasks


class Given:
    def __init__(self, *names: str, devices: tuple[str, ...] = ("a", "b"), tries: int = 3) -> None:
        self.lost: list[FarmTask] = []
        self.all = [fakes.task(name) for name in names]
        self.tasks = FarmTasks(self.all, devices, most_tries=tries, lost=self.lost.append)

    def take(self, device: str) -> FarmTask:
        found = self.tasks.take(device)
        assert found is not None
        return found


def test_tasks_go_out_in_order_and_each_once() -> None:
    given = Given("one", "two")
    assert [given.take("a").name, given.take("b").name] == ["one", "two"]
    assert not given.tasks.over


def test_what_is_measured_is_settled_when_its_device_was_right() -> None:
    given = Given("one")
    given.tasks.done(given.take("a"), "a")
    assert not given.tasks.over
    assert given.tasks.take("a") is None  # a check comes first
    given.tasks.confirm("a")
    assert given.tasks.over
    assert given.lost == []


def test_a_doubted_task_goes_to_another_device() -> None:
    given = Given("one", "two")
    task = given.take("a")
    given.tasks.done(task, "a")
    assert given.tasks.doubt("a", "it drifts") == (task,)
    assert given.take("a").name == "two"
    assert given.take("b") is task


def test_who_waits_is_woken_when_a_task_comes_back() -> None:
    given, got = Given("one"), list[FarmTask | None]()
    task = given.take("a")
    thread = threading.Thread(target=lambda: got.append(given.tasks.take("b")))
    thread.start()
    given.tasks.failed(task, "a", "it died", its_own=False)
    thread.join(60)
    assert got == [task]
    assert task.tries == 1


def test_a_task_that_fails_everywhere_is_lost_with_its_last_reason() -> None:
    given = Given("one")
    task = given.take("a")
    given.tasks.failed(task, "a", "out of memory", its_own=True)
    assert given.take("b") is task
    given.tasks.failed(task, "b", "illegal instruction", its_own=True)
    assert given.lost == [task]
    assert (task.reason, task.tries) == ("illegal instruction", 2)
    assert given.tasks.over


def test_tries_are_bounded_where_devices_are_at_fault() -> None:
    given = Given("one", tries=2)
    for _ in range(2):
        given.tasks.failed(given.take("a"), "a", "it hangs", its_own=False)
    assert given.lost == given.all


def test_without_devices_what_is_left_is_lost_with_why_they_left() -> None:
    given = Given("one", "two")
    given.tasks.put_back(given.take("a"))
    given.tasks.leave("a", "nobody listens")
    assert given.lost == []
    given.tasks.leave("b", "it is x86_64")
    assert {task.reason for task in given.lost} == {"no device of the farm is left: a: nobody listens; b: it is x86_64"}
    assert given.tasks.over


def test_what_is_put_back_is_the_next_and_was_no_try() -> None:
    given = Given("one", "two")
    task = given.take("a")
    given.tasks.put_back(task)
    assert given.take("b") is task
    assert task.tries == 0


def test_after_a_stop_nobody_gets_anything() -> None:
    given = Given("one")
    given.tasks.stop()
    assert given.tasks.take("a") is None
    assert given.tasks.over


def test_what_a_device_had_when_it_left_goes_to_another() -> None:
    given = Given("one")
    task = given.take("a")
    given.tasks.leave("a", "no temporary folder can be made")
    assert (task.tries, task.reason) == (1, "a: no temporary folder can be made")
    assert given.take("b") is task


def test_what_the_last_device_had_when_it_left_is_lost() -> None:
    given = Given("one", devices=("a",))
    given.take("a")
    given.tasks.leave("a", "no temporary folder can be made")
    assert [task.reason for task in given.lost] == ["a: no temporary folder can be made"]
    assert given.tasks.over


def test_tries_are_bounded_where_devices_leave() -> None:
    given = Given("one", devices=("a", "b", "c"), tries=2)
    for tries, device in enumerate(("a", "b"), start=1):
        given.take(device)
        given.tasks.leave(device, "too many open files")
        assert given.all[0].tries == tries
    assert given.lost == given.all


def test_an_end_loses_no_task_and_keeps_what_is_unchecked() -> None:
    given = Given("one", "two", "three")
    given.tasks.done(given.take("a"), "a")
    given.take("b")
    given.tasks.stop()
    for device in ("a", "b"):
        given.tasks.leave(device, "the run has ended")
    assert given.lost == []
    assert given.tasks.unchecked == {"one": "a"}
