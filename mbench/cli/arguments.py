"""Kinds of arguments that several commands take."""

from __future__ import annotations

from pathlib import Path

import click

from mbench.core import regular_files


class _PathType(click.Path):
    """A path that can be one: the system could look it up, whether or not something is there."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path; refuse one that is too long, or that goes round in circles."""
        path = Path(str(value))
        try:
            regular_files.check_possible(path)
        except OSError as error:
            self.fail(f"{path}: {error.strerror}", param, ctx)
        return path


PATH = _PathType()


def _source(text: str) -> str:
    """Return a path, or the URL of a store, as it was written: a path would join the slashes of a URL."""
    PATH.convert(text, None, None)
    return text


SOURCE = click.types.FuncParamType(_source)
