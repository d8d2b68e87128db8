"""What a terminal shows of tables and texts."""

from __future__ import annotations

import io

from rich.console import Console, RenderableType


def printed(*parts: RenderableType, width: int = 80) -> str:
    """Return texts and tables as lines of so many columns."""
    stream = io.StringIO()
    console = Console(file=stream, width=width)
    for part in parts:
        console.print(part)
    return stream.getvalue()
