from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection

import pytest

from mbench.measure import layout


def places(pipe: Connection, alike: bool) -> None:
    """Take two copies' worth of memory, leave holes after each, and tell where they lay."""
    libc = layout._glibc()
    assert libc is not None
    heap = layout.Heap(room=8 << 20)
    seen = []
    for copy in range(3):
        if alike:
            heap.begin()
        pieces = [libc.malloc(size) for size in (300, 70_000, 4000, 1_500_000)]
        seen.append(pieces)
        for index in range(20 * copy):  # what loading leaves behind is not the same twice
            hole = libc.malloc(5000 + 64 * index)
            libc.malloc(100)
            libc.free(hole)
    pipe.send(seen)


def taken(alike: bool) -> list[list[int]]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=places, args=(theirs, alike))
    process.start()
    assert ours.poll(60)
    found: list[list[int]] = ours.recv()
    process.join()
    return found


def test_copies_begin_at_the_same_place_of_a_large_page_and_lie_alike_from_there() -> None:
    within = [[place % layout.LARGE_PAGE for place in copy] for copy in taken(alike=True)]
    assert within[0] == within[1] == within[2]
    assert within[0][0] == 0
    scattered = [[place % layout.LARGE_PAGE for place in copy] for copy in taken(alike=False)]
    assert scattered[0] != scattered[1]


def test_without_glibc_nothing_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.libc_ver", lambda: ("musl", "1.2"))
    layout.Heap(room=1 << 20).begin()
    assert layout._glibc() is None
