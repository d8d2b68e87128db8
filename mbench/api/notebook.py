"""How a record shows itself in a notebook: its table and its main figure, and as text where only text is shown."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from mbench.core import plain
from mbench.core.records import Record


def register() -> None:
    """Give records the two methods that notebooks ask for. They are no fields, and in no file."""
    Record._repr_html_ = _html  # type: ignore[attr-defined]
    Record._repr_mimebundle_ = _bundle  # type: ignore[attr-defined]


def _html(record: Record) -> str:
    """Return the record's table and figure as HTML without scripts."""
    from mbench.page import notebook

    return notebook.render(record)


def _bundle(record: Record, include: Container[str] | None = None, exclude: Container[str] = ()) -> dict[str, Any]:
    """Return the record as HTML and as text, as far as they are wanted."""
    makers = {"text/html": _html, "text/plain": _text}
    wanted = [kind for kind in makers if (include is None or kind in include) and kind not in (exclude or ())]
    return {kind: makers[kind](record) for kind in wanted}


def _text(record: Record) -> str:
    from rich.console import Console

    from mbench.terminal import record_tables

    console = Console(width=80, color_system=None, highlight=False, markup=False, emoji=False)
    with console.capture() as caught:
        for part in record_tables.record_tables(plain.cleaned(record)):
            console.print(part, soft_wrap=isinstance(part, str))
    return plain.visible(caught.get()).rstrip()
