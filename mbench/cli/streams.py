"""Standard output and standard error, whatever they are: closed, full, read-only, a pipe that nobody reads, ASCII.

Inside `guarded`, writing to either never raises. What could not be written to standard output is kept as `trouble`,
which decides the exit status; what standard error does not take is lost. A reader that goes away, as `head` does, is no
trouble; one that is slow is waited for. Imports nothing heavy: it must be there before anything else.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import select
import sys
from collections.abc import Iterator
from typing import Any, TextIO

CLOSED = "it is closed"
_LETTERS = {
    0xB5: "u", 0x3BC: "u", 0xD7: "x", 0x2026: "...", 0x2013: "-", 0x2014: "-", 0x2212: "-", 0x2265: ">=", 0x2264: "<=",
    0xB1: "+-", 0x2192: "->", 0xB7: ".", 0xB0: " deg", 0xB2: "2", 0x2248: "~",
}  # fmt: skip
"""What stands for a character where an encoding lacks it, as ASCII does; for any other stands `?`."""


def _lettered(error: UnicodeError) -> tuple[str, int]:
    """Return what is written instead of characters that an encoding lacks, and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_LETTERS.get(ord(char), "?") for char in error.object[error.start : error.end]), error.end


codecs.register_error("mbench.letters", _lettered)


class Sink(io.RawIOBase):
    """Takes bytes to a stream at once, or, once that has failed, nowhere."""

    def __init__(self, stream: TextIO | None, descriptor: int) -> None:
        """Guard a stream; None: there is none, and `descriptor` was closed when the process began."""
        self._stream = stream
        self._descriptor: int | None = descriptor
        self._gone = stream is None
        self.trouble = ""
        """Why something could not be written; empty: all was, or its reader went away."""
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.flush()
            try:
                self._descriptor = stream.fileno()
            except OSError:  # a test's
                self._descriptor = None

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the stream's file descriptor."""
        if self._descriptor is None:
            raise io.UnsupportedOperation("fileno")
        return self._descriptor

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        return self._stream is not None and self._stream.isatty()

    def write(self, data: Any) -> int:
        """Write all of it, or keep why not."""
        if self._stream is None and len(data):
            self.trouble = CLOSED
        if not self._gone:
            try:
                self._write(data)
            except BrokenPipeError:
                self._gone = True
            except OSError as error:
                self._gone, self.trouble = True, error.strerror or str(error)
        return len(data)

    def _write(self, data: Any) -> None:
        if self._descriptor is None:
            buffer = self._stream.buffer  # type: ignore[union-attr]
            buffer.write(data)
            buffer.flush()
            return
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._descriptor, left) :]
            except BlockingIOError:  # a pipe that another process made so
                select.select([], [self._descriptor], [])


class _GuardedText(io.TextIOWrapper):
    """A guarded stream of text, in which no CI finds a command that mbench did not write."""

    _at_start = True

    def write(self, text: str) -> int:
        """Write it at once."""
        from mbench.core import plain

        shown = plain.harmless(text, at_start=self._at_start)
        if text:
            last = text.rpartition("\n")[2]
            self._at_start = not last.strip() and (self._at_start or "\n" in text)
        super().write(shown)
        return len(text)


@contextlib.contextmanager
def guarded() -> Iterator[Sink]:
    """Guard both streams inside; yield standard output's."""
    for descriptor in range(3):
        _occupy(descriptor)
    before = sys.stdout, sys.stderr
    out, err = Sink(sys.stdout, 1), Sink(sys.stderr, 2)
    sys.stdout, sys.stderr = _text(out, sys.stdout), _text(err, sys.stderr)
    try:
        yield out
    finally:
        sys.stdout, sys.stderr = before


def say(message: str) -> None:
    """Print one line on standard error, whatever is in it."""
    from mbench.core import plain

    sys.stderr.write(f"mbench: {plain.line(message)}\n")


def print_commands(lines: str) -> None:
    """Print lines that a CI is to obey."""
    sys.stdout.flush()
    sys.stdout.buffer.write(lines.encode())


def _text(sink: Sink, stream: TextIO | None) -> TextIO:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return _GuardedText(sink, encoding=encoding, errors="mbench.letters", write_through=True)  # type: ignore[arg-type]


def _occupy(descriptor: int) -> None:
    """Have /dev/null in the place of a descriptor that is closed, lest a record's file gets it and is written into."""
    try:
        os.fstat(descriptor)
    except OSError:
        opened = os.open(os.devnull, os.O_RDWR)
        if opened == descriptor:
            os.set_inheritable(opened, True)
        else:
            os.dup2(opened, descriptor)
            os.close(opened)
