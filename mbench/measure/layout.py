"""Copies that lie alike in memory.

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
_PROBE = 64 << 20
"""Larger than any free piece: it is taken from the top of the heap."""
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_NEVER = 1 << 30
_HEADER = 16


class Heap:
    """The heap of this process, of which each copy takes the next part. What is set stays until the process ends."""

    def __init__(self, room: int) -> None:
        """Let everything come from the heap, which grows by at least `room` bytes: more than a copy takes."""
        self._libc = _glibc()
        if self._libc is not None:
            for option, value in ((_M_MMAP_MAX, 0), (_M_TOP_PAD, max(room, _PROBE)), (_M_TRIM_THRESHOLD, _NEVER)):
                self._libc.mallopt(option, value)

    def begin(self) -> None:
        """Let what is loaded next begin at the next boundary of a large page."""
        libc = self._libc
        if libc is None:
            return
        top = self._top()
        for size in _PIECES:  # what is given back by now is used up
            while (piece := libc.malloc(size)) < top:
                pass
            if size > _SMALL[0]:  # smaller ones would not go back to the top
                libc.free(piece)
        top = self._top()
        boundary = -(-(top + 2 * _HEADER) // LARGE_PAGE) * LARGE_PAGE
        libc.malloc(boundary - top - _HEADER)
        end = libc.sbrk(0)
        libc.madvise(boundary, (end - boundary) // mmap.PAGESIZE * mmap.PAGESIZE, mmap.MADV_HUGEPAGE)

    def _top(self) -> int:
        """Return where the next piece from the top of the heap would lie."""
        assert self._libc is not None
        probe = int(self._libc.malloc(_PROBE))
        self._libc.free(probe)
        return probe


def _glibc() -> ctypes.CDLL | None:
    if platform.libc_ver()[0] != "glibc":
        return None
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    libc.sbrk.restype, libc.sbrk.argtypes = ctypes.c_void_p, [ctypes.c_ssize_t]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return libc
