"""Object files: where the code in them may lie."""

from __future__ import annotations

import struct
from pathlib import Path

_LINE = 64
"""Bytes: a cache line, and a line of decoded instructions, of every processor that mbench has a target for."""
_ELF64_LITTLE = b"\x7fELF\x02\x01"
_EXECUTABLE = 0x4
_FLAGS, _ALIGNMENT = 0x08, 0x30
"""Bytes from the begin of a section header."""


def align_code(file: Path) -> None:
    """Let the linker place each section of code of an object file at the begin of a cache line.

    How long a loop takes depends on where it lies within lines. LLVM asks for 16 bytes, so that a change in one kernel
    would move the code of all that are linked behind it, and change their times by 2 % (benchmarks/RESULTS.md, "The
    gate"). Files other than 64-bit little-endian ELF are left as they are.

    Source: ELF-64 Object File Format 1.5: ELF Header, Sections.
    """
    data = bytearray(file.read_bytes())
    if not data.startswith(_ELF64_LITTLE):
        return
    (headers,) = struct.unpack_from("<Q", data, 0x28)
    size, count = struct.unpack_from("<HH", data, 0x3A)
    for header in range(headers, headers + size * count, size):
        (flags,) = struct.unpack_from("<Q", data, header + _FLAGS)
        (alignment,) = struct.unpack_from("<Q", data, header + _ALIGNMENT)
        if flags & _EXECUTABLE and alignment < _LINE:
            struct.pack_into("<Q", data, header + _ALIGNMENT, _LINE)
    file.write_bytes(data)
