"""Where programs lie in memory: copies that lie alike, and a heap that begins somewhere else in each process.

Which arrays of a program get in each other's way in a cache depends on the low bits of their addresses, and a layer
takes some per cent more or less by it. Two copies of one program in one process differ by that luck alone; here each
begins at the same place within a large page, in memory that nothing was taken from before, so that the same program
comes to lie the same way. Linux with glibc; elsewhere copies lie as they happen to.
"""

from __future__ import annotations

import ctypes
import mmap
import platform

LARGE_PAGE = 2 << 20
_SMALL = range(1040, 0, -16)
"""Of these sizes glibc keeps what is freed apart, in bytes."""
_PIECES = (*(1 << power for power in range(25, 10, -1)), *_SMALL)
_LEAST_ROOM = 64 << 20
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_NEVER = 1 << 30
_HEADER = 16
"""Of a piece, in bytes, before its address."""


class _Mallinfo(ctypes.Structure):
    """See mallinfo2(3)."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    )  # fmt: skip


class Heap:
    """The heap of this process, of which each copy takes the next part. What is set stays until the process ends."""

    def __init__(self, room: int) -> None:
        """Let everything come from the heap, which grows by at least `room` bytes: about what a copy takes."""
        self._libc = _glibc()
        if self._libc is not None:
            for option, value in ((_M_MMAP_MAX, 0), (_M_TOP_PAD, max(room, _LEAST_ROOM)), (_M_TRIM_THRESHOLD, _NEVER)):
                self._libc.mallopt(option, value)

    def begin(self) -> None:
        """Let what is loaded next begin at the next boundary of a large page.

        What was given back until now is used up, and lies idle without memory behind it.
        """
        libc = self._libc
        if libc is None:
            return
        top = self._top()
        for size in _PIECES:
            while (piece := libc.malloc(size)) and piece < top:
                _discard(libc, piece, size)
            if size > _SMALL[0]:  # smaller ones would not go back to the top
                libc.free(piece)
        top = self._top()
        boundary = -(-(top + 2 * _HEADER) // LARGE_PAGE) * LARGE_PAGE
        libc.malloc(boundary - top - _HEADER)
        libc.free(libc.malloc(_LEAST_ROOM))  # the heap grows, if it is short
        _advise(libc, boundary, libc.sbrk(0), mmap.MADV_HUGEPAGE)

    def _top(self) -> int:
        """Return where the next piece from the top of the heap would lie."""
        assert self._libc is not None
        return int(self._libc.sbrk(0)) - int(self._libc.mallinfo2().keepcost) + _HEADER


def _discard(libc: ctypes.CDLL, piece: int, size: int) -> None:
    _advise(libc, piece + mmap.PAGESIZE, piece + size, mmap.MADV_DONTNEED)


def _advise(libc: ctypes.CDLL, begin: int, end: int, advice: int) -> None:
    """Give advice on the whole pages between two addresses."""
    first = -(-begin // mmap.PAGESIZE) * mmap.PAGESIZE
    if end - first >= mmap.PAGESIZE:
        libc.madvise(first, (end - first) // mmap.PAGESIZE * mmap.PAGESIZE, advice)


def move_heap(offset: int) -> int | None:
    """Let what is loaded next lie `offset` bytes further on the heap; return that, or None where it cannot be done.

    What is large comes from pages of its own, which the system places at random.
    """
    libc = _glibc()
    if libc is None:
        return None
    libc.malloc(max(offset, 1))
    return offset


def _glibc() -> ctypes.CDLL | None:
    if platform.libc_ver()[0] != "glibc":
        return None
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):  # glibc before 2.33
        return None
    libc.mallinfo2.restype = _Mallinfo
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    libc.sbrk.restype, libc.sbrk.argtypes = ctypes.c_void_p, [ctypes.c_ssize_t]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return libc
