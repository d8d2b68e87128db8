"""Where artifacts are kept: a folder for each, called by the digest of all that decided what was built.

Nothing is ever half there: an artifact is made in a scratch folder and moved to its place, or it is not there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from mbench.core import artifact, resources, scratch
from mbench.core.artifact import Artifact, Manifest
from mbench.core.errors import BuildError

_DIGEST = re.compile("[0-9a-f]{32}")
"""What `build.digest` makes; a file may say anything."""


@dataclasses.dataclass(frozen=True)
class ArtifactStore:
    """Artifacts by digest, in a folder. Several processes may use one folder at once."""

    folder: Path

    @classmethod
    def of_user(cls) -> ArtifactStore:
        """Return the store in the user's cache folder."""
        return cls(resources.cache_dir() / "artifacts")

    def path(self, digest: str) -> Path:
        """Return the folder of an artifact, whether or not it is there."""
        return self.folder / digest

    def place(self, digest: str) -> Path | None:
        """Return the folder for a digest that a file names; None where no artifact has such a digest."""
        return self.path(digest) if _DIGEST.fullmatch(digest) else None

    def has(self, digest: str) -> bool:
        """Return whether something is kept under a digest; `get` says whether it is whole."""
        return self.path(digest).exists()

    def get(self, digest: str) -> Artifact:
        """Return an artifact, every file of it checked against its hash.

        Raises:
            BuildError: it is not there, or was damaged.
        """
        return artifact.load(self.path(digest))

    def put(self, manifest: Manifest, files: Path) -> Artifact:
        """Keep a finished build under its digest, whole or not at all; one that is there already stays.

        Args:
            manifest: without the hashes of files, which are added.
            files: a folder from `work` with the library and the reference; it is moved away.

        Raises:
            OSError: it cannot be written.
        """
        return artifact.store(manifest, files, self.path(manifest.digest))

    def receive(self, digest: str, files: Mapping[str, bytes]) -> Artifact:
        """Keep an artifact that was built elsewhere, checked against its own hashes; a sound one there already stays.

        Raises:
            BuildError: it was damaged on its way, or is another one.
            OSError: it cannot be written.
        """
        if files.keys() != set(artifact.FILES):
            raise BuildError(f"it consists of {', '.join(sorted(files))}; expected {', '.join(artifact.FILES)}")
        with self.work() as work:
            for name, data in files.items():
                (work / name).write_bytes(data)
            found = artifact.load(work).manifest
            if found.digest != digest:
                raise BuildError(f"it is the artifact {found.digest[:12]}; expected {digest[:12]}")
            try:
                work.rename(self.path(digest))
            except OSError:
                if self.sound(digest) is None:  # a damaged one lay there, and is gone now
                    work.rename(self.path(digest))
        return Artifact(self.path(digest), found)

    def discard(self, digest: str) -> None:
        """Remove an artifact; nothing happens where there is none.

        Raises:
            OutputError: its folder holds something that is no artifact's.
        """
        artifact.discard(self.path(digest))

    @contextlib.contextmanager
    def work(self) -> Iterator[Path]:
        """Yield a folder to build in, which `put` can move to its place; it is removed otherwise.

        Raises:
            OSError: it cannot be made.
        """
        with scratch.folder(self.folder) as folder:
            yield folder

    def sound(self, digest: str) -> Artifact | None:
        """Return an artifact if it is there and whole; what is damaged is removed."""
        if not self.has(digest):
            return None
        try:
            return self.get(digest)
        except BuildError:
            self.discard(digest)
            return None

    def sweep(self) -> None:
        """Remove what processes left that were stopped while they built."""
        scratch.sweep(self.folder)
