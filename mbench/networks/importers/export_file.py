"""Files that `torch.export.save` writes, .pt2: opened without running what may lie in them, and read into a graph.

Such a file is an archive of JSON and numbers. torch runs some of what may lie in it: `export_archive` checks it first.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import logging
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mbench.core.errors import UsageError, why
from mbench.core.no_gc import not_collected
from mbench.networks.importers import export_archive, export_graph, programs, saved_program
from mbench.networks.importers.imported import Imported
from mbench.networks.importers.messages import plain


def read(path: Path, *, shapes: Mapping[str, tuple[int, ...]], batch: int | None) -> Imported:
    """Return the network of a .pt2 file.

    Args:
        path: the file.
        shapes: of inputs by name, where the program leaves sides open.
        batch: the first side of inputs that leave it open; 1 if it is not given.

    Raises:
        UsageError: the file is none, or holds what mbench cannot read; the message says what could be done.
    """
    with not_collected(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = _data(path)
        program, producer = _opened(path, data)
        found = programs.imported(
            program, source="export", name=path.stem, where=str(path), producer=producer, shapes=shapes, batch=batch
        )
        return dataclasses.replace(found, file_sha256=hashlib.sha256(data).hexdigest())


def _data(path: Path) -> bytes:
    """Return what a file holds. It is read once, so that what is loaded is what was checked."""
    try:
        if path.is_dir():
            raise UsageError(f"{path} is a folder; expected a file that torch.export.save wrote")
        if not path.stat().st_size:
            raise UsageError(f"{path} is empty; expected a file that torch.export.save wrote")
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {why(error)}") from error


def _opened(path: Path, data: bytes) -> tuple[Any, str | None]:
    """Return the program of a file, and what wrote it."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            export_archive.check(archive, path)
            producer = _producer(archive)
            plain_program = saved_program.read(archive)
    except (zipfile.BadZipFile, EOFError, OSError, AttributeError, RecursionError, ValueError) as error:
        raise UsageError(
            f"{path} is no file of torch.export.save, or only a part of one: {plain(why(error))}"
        ) from error
    if plain_program is not None and export_graph.is_functional(plain_program):
        return plain_program, producer
    import torch

    logging.getLogger("torch.export").setLevel(logging.ERROR)
    try:
        return torch.export.load(io.BytesIO(data)), producer
    except Exception as error:
        raise UsageError(
            f"{path} cannot be loaded by torch {torch.__version__}: {plain(why(error))}; export the network again with "
            "this version of torch"
        ) from error


def _producer(archive: zipfile.ZipFile) -> str | None:
    """Return the version of torch that wrote a file, where it says so."""
    models = [name for name in archive.namelist() if name.endswith(".json") and "/models/" in name]
    legacy = [name for name in archive.namelist() if name.endswith("serialized_exported_program.json")]
    for name in (*models, *legacy):
        version = json.loads(archive.read(name)).get("torch_version")
        if version and not str(version).startswith("<"):
            return f"torch {version}"
    return "torch" if models or legacy else None
