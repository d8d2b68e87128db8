"""Files that the gate writes: which forms there are, whether a file can be written, and writing it whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from mbench.core import atomic_files, regular_files
from mbench.core import outputs as written
from mbench.core.errors import OutputError, UsageError
from mbench.gating.comparison import Comparison, Verdict
from mbench.gating.outputs import forms


def check(outputs: Mapping[str, Path], inputs: Iterable[Path] = ()) -> None:
    """Notice before anything is measured that a file cannot be written, or is needed.

    Args:
        outputs: a file for each form.
        inputs: files that are read, and stay.

    Raises:
        UsageError: a form is not known, what lies at a path is no regular file, its folder is not there or cannot be
            written, or the path is an input's or another output's.
    """
    taken = {path.resolve(): f"is read: {path}" for path in inputs}
    for name, path in outputs.items():
        forms.find(name)
        what = f"--{name} {path}" if name in forms.FORMS else f"--output-file {name}={path}"
        written.check_file(path, what)
        place = path.resolve()
        if place in taken:
            raise UsageError(f"{what}: that file {taken[place]}; choose another")
        taken[place] = f"gets the form {name}, too"


def write(outputs: Mapping[str, Path], document: Verdict | Comparison) -> None:
    """Write a document in some forms, each file whole or not at all; Markdown is appended.

    Raises:
        OutputError: a file could not be written; the others are.
    """
    failed: list[OutputError] = []
    for name, path in outputs.items():
        try:
            rendered = forms.find(name)(document)
            data = rendered if isinstance(rendered, bytes) else rendered.encode()
            atomic_files.write_atomically(path, (_content(path) if name in forms.APPENDED else b"") + data)
        except OutputError as error:
            failed.append(error)
    if failed:
        raise failed[0]


def _content(path: Path) -> bytes:
    """Return what a file holds that is to be appended to."""
    try:
        return regular_files.read(path)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}; choose another file") from error
