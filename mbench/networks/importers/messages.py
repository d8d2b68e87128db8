"""What libraries say of a file, as a line for people: no tuples as Python writes them."""

from __future__ import annotations

import re

from mbench.core.errors import shortened

_LONGEST = 300
_TUPLE = re.compile(r"[(\[]((?:\d+, ?)*\d+),?[)\]]")


def plain(text: str) -> str:
    """Return a message with shapes such as (1, 3, 224, 224) as `1x3x224x224`, in one line."""
    return shortened(_TUPLE.sub(lambda found: re.sub(r", ?", "x", found[1]), text), _LONGEST)
