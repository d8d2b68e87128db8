"""Images that a user gives, to calibrate a network that is quantised or to evaluate it: a file of numpy's, or a folder.

| given | holds |
|---|---|
| FILE.npz | arrays of (images, …): one for each input, by name, or one for an only input; and `labels`, (images) |
| FOLDER | pictures, in it or below; to evaluate, in a folder for each class |

Labels are places in the network's output. Folders called by whole numbers are those; others are counted in the order of
their names. A picture is scaled so that its shorter side is 8/7 of the network's, and cropped to its middle; its
numbers, 0 to 255, become what `PREPROCESSING` says.
"""

from __future__ import annotations

import hashlib
import importlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from mbench.core import atomic_files, names, regular_files, resources, units
from mbench.core.errors import UsageError, shown, why
from mbench.networks import input_files
from mbench.networks.graph import Graph

_MEAN = np.array([0.485, 0.456, 0.406])
_DEVIATION = np.array([0.229, 0.224, 0.225])
PREPROCESSING: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "torchvision": lambda pixels: (pixels / 255 - _MEAN) / _DEVIATION,
    "tensorflow": lambda pixels: pixels / 127.5 - 1,
    "unit": lambda pixels: pixels / 255,
}
"""What becomes of a picture, (height, width, RGB) float64: without ImageNet's mean and deviation, -1 to 1, 0 to 1."""
DEFAULT = "torchvision"
LABELS = "labels"
_PICTURES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
_WIDER = ("I", "F")
"""How Pillow's modes begin whose numbers go beyond 255: those of 16 and 32 bits."""
_SCALED = 8 / 7
_CHANNELS = 3
_CHUNK = 1 << 20

Image = dict[str, np.ndarray]
"""What each input of a network reads, by name."""


class ImageSet:
    """A file or a folder of images; what it holds is found out now, and read when it is asked for.

    Raises:
        UsageError: it cannot be read, or holds no images.
    """

    def __init__(self, path: Path, option: str) -> None:
        """Look at what there is.

        Args:
            path: of the file or the folder.
            option: that it comes from, for messages.
        """
        self.path, self._said = path, f"{option} {path}"
        self._arrays: dict[str, np.ndarray] = {}
        self._pictures: tuple[Path, ...] = ()
        try:
            if path.is_dir():
                self._pictures = tuple(
                    sorted(file for file in path.rglob("*") if file.suffix.lower() in _PICTURES and file.is_file())
                )
            else:
                self._arrays = input_files.read(path, option)
        except OSError as error:
            raise UsageError(f"{self._said}: cannot be read: {why(error)}") from error
        if path.is_dir() and not self._pictures:
            raise UsageError(f"{self._said}: the folder has no pictures; expected files of {', '.join(_PICTURES)}")
        self._labels = self._arrays.pop(LABELS, None)
        if not path.is_dir():
            self._check_arrays()

    def _check_arrays(self) -> None:
        if not self._arrays:
            raise UsageError(f"{self._said}: it has no images; expected an array of (images, …)")
        counts = {name: len(value) if value.ndim else 0 for name, value in self._arrays.items()}
        if len(set(counts.values())) != 1 or not all(counts.values()):
            said = ", ".join(f"{shown(name)} {count}" for name, count in counts.items())
            raise UsageError(f"{self._said}: it has {said} images; expected as many of each, and at least one")
        if self._labels is not None and self._labels.shape != (len(self),):
            got = units.shape(self._labels.shape) or "one number"
            raise UsageError(f"{self._said}: {LABELS} is {got}; expected {len(self)}, one for each image")
        if self._labels is not None and self._labels.dtype.kind not in "iu":
            raise UsageError(f"{self._said}: {LABELS} holds {self._labels.dtype}; expected whole numbers")

    def __len__(self) -> int:
        """Return how many images there are."""
        return len(self._pictures) or len(next(iter(self._arrays.values())))

    def sha256(self) -> str:
        """Return the hash of all that is in it: names and numbers.

        Raises:
            UsageError: a file cannot be read.
        """
        hashed = hashlib.sha256()
        for file in self._pictures or (self.path,):
            name = file.relative_to(self.path).as_posix() if self._pictures else ""
            hashed.update(f"{name}\0".encode())
            try:
                with regular_files.opened(file) as opened:
                    while chunk := opened.read(_CHUNK):
                        hashed.update(chunk)
            except OSError as error:
                raise UsageError(f"{self._said}: {file} cannot be read: {why(error)}") from error
        return hashed.hexdigest()

    def images(self, graph: Graph, preprocessing: str = DEFAULT) -> Sequence[Image]:
        """Return what the network reads, batch by batch; the last image is repeated to fill its batch.

        A picture is read when its batch is asked for, so that a large folder needs no memory.

        Raises:
            UsageError: the images are not what the network reads; later, one cannot be read.
        """
        if self._pictures:
            name, size = self._picture_input(graph)
            return _ImageBatches(
                len(self), batch_of(graph), lambda place: {name: self._picture(place, size, preprocessing)}
            )
        given = self._fitting(graph)
        return _ImageBatches(
            len(self), batch_of(graph), lambda place: {name: value[place] for name, value in given.items()}
        )

    def labels(self, classes: int | None = None) -> np.ndarray:
        """Return the place that each image has in the network's output, (images) int64.

        Args:
            classes: how many places there are; None: as many as the labels have.

        Raises:
            UsageError: there are none, or one is beyond the output.
        """
        found = self._folders() if self._pictures else self._labels
        if found is None:
            raise UsageError(f"{self._said}: it has no array {LABELS!r}; expected one whole number for each image")
        low, high = int(found.min()), int(found.max())
        if low < 0:
            raise UsageError(f"{self._said}: a label is {low}; expected whole numbers from 0 on")
        if classes is not None and high >= classes:
            raise UsageError(
                f"{self._said}: its labels are {low} to {high}, and the network's output has {classes} places, "
                f"0 to {classes - 1}"
            )
        return found.astype(np.int64)

    def _folders(self) -> np.ndarray:
        folders = [file.relative_to(self.path).parts[:-1] for file in self._pictures]
        if not all(folders):
            raise UsageError(f"{self._said}: pictures lie in the folder itself; expected a folder for each class")
        known = sorted({parts[0] for parts in folders})
        if all(re.fullmatch("[0-9]{1,9}", name) for name in known):
            return np.array([int(parts[0]) for parts in folders])
        return np.array([known.index(parts[0]) for parts in folders])

    def _fitting(self, graph: Graph) -> Image:
        """Return an array for each input of a network."""
        single = len(graph.inputs) == 1 and len(self._arrays) == 1
        given = dict(zip(graph.inputs, self._arrays.values(), strict=True)) if single else self._arrays
        for name, known in graph.inputs.items():
            if name not in given:
                raise UsageError(f"{self._said}: it has no array {shown(name)}, which the network reads")
            got, expected = given[name].shape[1:], known.shape[1:]
            if got != expected:
                raise UsageError(
                    f"{self._said}: images of {shown(name)} are {units.shape(got) or 'single numbers'}; expected "
                    f"{units.shape(expected)}"
                )
        return {name: given[name].astype(known.dtype) for name, known in graph.inputs.items()}

    def _picture_input(self, graph: Graph) -> tuple[str, tuple[int, int]]:
        """Return the input that reads pictures, and its height and width."""
        (name, known), *others = graph.inputs.items()
        if others or len(known.shape) != 4 or known.shape[1] != _CHANNELS or "float" not in known.dtype:
            raise UsageError(
                f"{self._said}: pictures are for networks that read one image of three channels, as floats; expected "
                "an .npz"
            )
        return name, (known.shape[2], known.shape[3])

    def _picture(self, place: int, size: tuple[int, int], preprocessing: str) -> np.ndarray:
        file, (height, width) = self._pictures[place], size
        library = _pillow(self._said)
        try:
            with library.open(file) as opened:
                if opened.mode.startswith(_WIDER):
                    raise UsageError(
                        f"{self._said}: {file} has pixels of mode {opened.mode}, which would be clipped; expected 8 "
                        "bits a channel"
                    )
                picture = opened.convert("RGB")
        except (OSError, ValueError, SyntaxError, library.DecompressionBombError) as error:
            raise UsageError(f"{self._said}: {file} is no picture that can be read: {why(error)}") from error
        scale = _SCALED * max(height / picture.height, width / picture.width)
        scaled = (max(width, round(picture.width * scale)), max(height, round(picture.height * scale)))
        picture = picture.resize(scaled, library.Resampling.BILINEAR)
        left, top = (scaled[0] - width) // 2, (scaled[1] - height) // 2
        pixels = np.asarray(picture.crop((left, top, left + width, top + height)), np.float64)
        return PREPROCESSING[preprocessing](pixels).astype(np.float32).transpose(2, 0, 1)


class _ImageBatches(Sequence[Image]):
    """Batches of images, each read when it is asked for."""

    def __init__(self, count: int, batch: int, read: Callable[[int], Image]) -> None:
        self._count, self._batch, self._read = count, batch, read

    def __len__(self) -> int:
        return -(-self._count // self._batch)

    @overload
    def __getitem__(self, place: int) -> Image: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Image]: ...
    def __getitem__(self, place: int | slice) -> Image | Sequence[Image]:
        if isinstance(place, slice):
            return tuple(self[each] for each in range(len(self))[place])
        first = range(len(self))[place] * self._batch
        read = [self._read(min(first + offset, self._count - 1)) for offset in range(self._batch)]
        return {name: np.stack([each[name] for each in read]) for name in read[0]}


def batch_of(graph: Graph) -> int:
    """Return how many images a network takes at once."""
    return next(iter(graph.inputs.values())).shape[0]


def _pillow(said: str) -> Any:
    try:
        return importlib.import_module("PIL.Image")
    except ImportError as error:
        raise UsageError(
            f"{said}: reading pictures needs Pillow; install: pip install 'mobilenet-bench[pictures]'"
        ) from error


# What a run was given lies where the user has it; a build finds it by its hash.
def remember(images: ImageSet) -> str:
    """Note where a set of images lies; return its hash, by which `remembered` finds it.

    Raises:
        UsageError: it cannot be read.
        OutputError: the cache cannot be written.
    """
    digest = images.sha256()
    place = _note(digest)
    place.parent.mkdir(parents=True, exist_ok=True)
    atomic_files.write_atomically(place, f"{images.path.resolve()}\n".encode())
    return digest


def remembered(digest: str, option: str) -> ImageSet:
    """Return a set of images by its hash.

    Raises:
        UsageError: it is not where it was, or is another now.
    """
    try:
        path = Path(_note(digest).read_text(encoding="utf-8").removesuffix("\n"))
    except OSError as error:
        raise UsageError(f"the images {digest[:12]} of {option} are not known here; give {option} again") from error
    found = ImageSet(path, option)
    if found.sha256() != digest:
        raise UsageError(f"{option} {path}: its images are others than before; give {option} again")
    return found


def _note(digest: str) -> Path:
    return resources.cache_dir() / "images" / names.component(digest)
