"""Names as parts of paths, and paths that others give: the one place that decides what a name becomes on a disk.

Networks, targets, processors and devices are named by people, records and servers that mbench does not know. Their
names are escaped, not refused: a network that is called `my/net` can be measured, and what was measured can be kept.
Only a path that a device claims to have is refused where it is none.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from mbench.core.errors import UsageError

LONGEST = 200
"""Characters of a name that stays as it is: a path's part has 255 bytes, and callers add endings and prefixes."""
_PLAIN = re.compile(r"[a-z0-9_][a-z0-9._+-]*")
_READABLE = 64
_DIGITS = 32


def is_plain(name: str) -> bool:
    """Return whether a name is a path's part as it is, and no other name is the same on any file system."""
    return len(name) <= LONGEST and _PLAIN.fullmatch(name) is not None


def component(name: str) -> str:
    """Return a name as one part of a path, another one for each name.

    Plain names (lower case, digits and `. _ + -`, as those of mbench's own networks and targets) stay as they are. Any
    other becomes what is readable of it, `~`, and 128 bits of its SHA-256: no `/` or NUL, no leading dot or dash, never
    `..`, never too long, and two names that differ in case or in how a letter is composed differ in all file systems.
    """
    if is_plain(name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
    readable = re.sub(r"[^a-z0-9._+-]+", "-", name.lower())[:_READABLE].strip("-._+")
    return f"{readable or 'name'}~{digest}"


def below(root: Path, path: str) -> Path:
    """Return an absolute path of another machine as a path below `root`.

    Raises:
        UsageError: it leads elsewhere, or no file can be called so.
    """
    parts = path.removeprefix("/").split("/")
    if any(
        part in ("", ".", "..") or "\0" in part or len(part.encode("utf-8", "surrogatepass")) > 255 for part in parts
    ):
        raise UsageError(f"{path!r} is not the path of a file; expected one such as '/proc/cpuinfo'")
    return root.joinpath(*parts)
