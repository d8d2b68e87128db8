"""Tables of text, for a terminal or for Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def table(heading: Sequence[str], rows: Sequence[Sequence[str]], *, words: int = 1, markdown: bool = False) -> str:
    """Return a table whose first `words` columns are words, aligned to the left, and whose others are numbers."""
    lines = [list(heading), *map(list, rows)]
    if markdown:
        lines.insert(1, ["---" if column < words else "---:" for column in range(len(heading))])
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = (
        [
            cell.ljust(width) if column < words else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        for line in lines
    )
    return "\n".join("  ".join(cells).rstrip() for cells in padded)
