"""Kinds of arguments that several commands take."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click
from click.core import ParameterSource

from mbench.core import outputs, regular_files

WORDS = "mbench.words"
"""Where a context keeps the words of its command."""


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
RESULTS = Path("mbench-results")
"""Where runs are written unless something else is asked for."""
_LOOKED_AT, _NAMED = 5, 2
"""Files that a record is looked for in, the newest, and networks of it that are named."""


class RecordsType(_PathType):
    """A record, or a folder of records: what two runs are given as."""

    def get_missing_message(self, param: click.Parameter, ctx: click.Context | None) -> str:
        """Return what is expected of a run that was not given, and the newest one that there is."""
        said = "BASE is the run before a change, HEAD the one after it: a record, or a folder of records of one job"
        newest = _newest()
        return f"{said}; the newest here is {newest}" if newest else said


def _newest() -> str:
    """Return the newest record where runs are written by default, and what it is of; nothing where there is none."""
    from mbench.core import record_files
    from mbench.core.errors import MbenchError

    files = sorted(RESULTS.glob("*.json"), reverse=True)[:_LOOKED_AT] if RESULTS.is_dir() else []
    for file in files:
        with contextlib.suppress(MbenchError, OSError):
            found = record_files.read(file)
            named = f" of {', '.join(found.settings.variants[:_NAMED])}" + (
                f" and {len(found.settings.variants) - _NAMED} more" if len(found.settings.variants) > _NAMED else ""
            )
            commit = found.labels.get("commit", "")
            return f"{file}{named}" + (f" at commit {commit[:12]}" if commit else "")
    return ""


class OutputType(_PathType):
    """Where a result is to go: a place that it cannot go to is refused while the command line is read."""

    def __init__(self, *, folder: bool = False, parents: bool = False) -> None:
        """Take whether it is a folder, and whether the folders around that are made as well."""
        super().__init__(file_okay=not folder)
        self.folder, self._parents = folder, parents

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path; refuse one that nothing can be written to.

        Raises:
            UsageError: it is such a path.
        """
        path = super().convert(value, param, ctx)
        if ctx is None or param is None or not _is_wanted(ctx, param):
            return path
        option = max(param.opts, key=len)
        what = f"{option} {path}" if option.startswith("-") else str(path)
        if self.folder:
            outputs.check_folder(path, what, parents=self._parents)
        else:
            outputs.check_file(path, what)
        return path


def _is_wanted(ctx: click.Context, param: click.Parameter) -> bool:
    """Return whether something will be written there, as far as the command line says.

    A default is not needed with --resume and --sweep, and a file's not where the command line names another place.
    """
    source = ctx.get_parameter_source(param.name or "")
    if source is ParameterSource.COMMANDLINE:
        return True
    begin = {word.partition("=")[0] for word in ctx.meta.get(WORDS, ())}
    named = begin & {*param.opts, "--resume", "--sweep"}
    return source is not ParameterSource.DEFAULT and not named


RECORDS = RecordsType()
NEW_FILE = OutputType()
NEW_FOLDER = OutputType(folder=True)
NEW_FOLDERS = OutputType(folder=True, parents=True)


def _source(text: str) -> str:
    """Return a path, or the URL of a store, as it was written: a path would join the slashes of a URL."""
    PATH.convert(text, None, None)
    return text


SOURCE = click.types.FuncParamType(_source)
