"""Kinds of arguments that several commands take."""

from __future__ import annotations

import errno
from pathlib import Path

import click


class _PathType(click.Path):
    """A path that can be one: the system could look it up, whether or not something is there."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path; refuse one that is too long, or that goes round in circles."""
        path = Path(str(value))
        try:
            path.stat()
        except OSError as error:
            if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
                self.fail(f"{path}: {error.strerror}", param, ctx)
        return path


PATH = _PathType()
