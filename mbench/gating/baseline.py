"""A baseline that moves: the head's record in the place of the base's, and the artifacts that are beside each.

Nothing is removed there but the record that gives way and artifacts that mbench kept beside it; other files stay.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mbench.core import artifact, record_files, scratch
from mbench.core.artifact import Artifact
from mbench.core.errors import OutputError, UsageError
from mbench.gating import sides
from mbench.gating.comparison import Verdict
from mbench.gating.sides import Given


class Renewal(NamedTuple):
    """What moving a baseline comes to, looked at before anything is measured or changed."""

    base: Given
    head: Given
    artifacts: tuple[tuple[Artifact, Path], ...]
    """The head's, each with its place beside the base."""
    stale: tuple[Path, ...]
    """Artifacts beside the base that the head does not replace."""


@contextlib.contextmanager
def planned(base: Given, head: Given) -> Iterator[Renewal]:
    """Yield what is to be written and removed if the head passes; meanwhile no other process changes the base.

    Raises:
        UsageError: an artifact of the head is missing, damaged or another one, where one belongs beside the base lies
            something that mbench did not write, or another process works on the base.
        OutputError: nothing can be written where the base lies.
    """
    found = _plan(base, head)  # what is refused leaves no trace, not even of a lock
    with scratch.only(base.path):
        if record_files.read(base.path) != base.record:
            raise UsageError(f"--update-baseline: {base.path} has changed meanwhile; start this again")
        yield found


def _plan(base: Given, head: Given) -> Renewal:
    if base.path.is_symlink():
        raise UsageError(f"--update-baseline: {base.path} is a link, and not followed; name the file that it leads to")
    kept, before = artifact.beside(head.path), artifact.beside(base.path)
    if os.path.islink(before):  # noqa: PTH114 - no error where the name is too long
        raise UsageError(f"--update-baseline: {before} is a link, and not followed; move it away")
    found = [sides.kept_artifact(head, result) for result in head.record.results] if artifact.is_folder(kept) else []
    places = [artifact.place(base.path, each.manifest.variant.name) for each in found]
    for place in places:
        alien = artifact.foreign(place)
        if alien is not None:
            raise UsageError(f"--update-baseline: {alien} is not mbench's, and is not replaced; move it away")
    inside = sorted(before.iterdir()) if artifact.is_folder(before) else []
    stale = tuple(folder for folder in inside if folder not in places and artifact.recognised(folder))
    return Renewal(base, head, tuple(zip(found, places, strict=True)), stale)


def renew(renewal: Renewal, judged: Verdict) -> str:
    """Put the head in the base's place, unless it is worse or could not be judged; return what was done.

    Raises:
        OutputError: something could not be written. Copies of all artifacts are made before one gives way, and the
            record is written last, so that a full disk leaves the base as it was.
    """
    base, head = renewal.base, renewal.head
    if judged.conclusion != "passed":
        return f"baseline {base.path} stays as it is: {judged.conclusion}"
    if base.path.resolve() == head.path.resolve():
        return f"baseline {base.path} is HEAD itself"
    _replace(renewal)
    record_files.write(base.path, head.record)
    return f"baseline {base.path} is now {head.record.run_id}"


def _replace(renewal: Renewal) -> None:
    before = artifact.beside(renewal.base.path)
    with contextlib.ExitStack() as stack:
        try:
            works = []
            for kept, place in renewal.artifacts:  # all copies are made before anything gives way: a disk may be full
                works.append((artifact.copied(kept, stack.enter_context(scratch.folder(before))), place))
            for work, place in works:
                artifact.discard(place)
                work.rename(place)
            for folder in renewal.stale:
                artifact.discard(folder)
            if artifact.is_folder(before) and not any(before.iterdir()):
                before.rmdir()
        except OSError as error:
            raise OutputError(f"{before}: cannot be written: {error.strerror or error}; make room there") from error
