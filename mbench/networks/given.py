"""What a user gives to a command or to Python as networks → variants: names, grids, files, functions, `Network`s."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from mbench.core import dtypes
from mbench.core.errors import CollisionError, UsageError, shown
from mbench.core.quantized import QuantizationSettings
from mbench.core.records import Variant
from mbench.networks import variants
from mbench.networks.importers import front_ends
from mbench.networks.importing import TIMEOUT_S, ImportPlan
from mbench.networks.network import Network, reading

AnyNetwork = str | Network
"""A name, a grid of names, a file, a function, or a network that was imported."""
_OTHER_FILES = (".tflite", ".pb", ".h5", ".keras", ".pt", ".pth", ".safetensors", ".mlmodel", ".pdmodel")
_BY_DEFAULT = QuantizationSettings()
_DIGITS = 8
"""Of a digest, where two networks have one name."""


def each(networks: AnyNetwork | Iterable[AnyNetwork]) -> tuple[AnyNetwork, ...]:
    """Return one network, or several, as a tuple: a text is one network, not its letters."""
    return (networks,) if isinstance(networks, str | Network) else tuple(networks)


class HowToImport(msgspec.Struct, frozen=True, kw_only=True):
    """Options for files and functions."""

    input_shapes: tuple[str, ...] = ()
    """As `NAME=1,3,224,224`."""
    inputs: Path | None = None
    """An .npz with values of inputs, by name."""
    timeout_s: float = TIMEOUT_S


class GivenNetworks:
    """What was given, in order; files are imported now, functions run.

    `notes` say what the user should know of it.
    """

    def __init__(self, given: Iterable[AnyNetwork], how: HowToImport, batches: Sequence[int | None] = (None,)) -> None:
        """Expand grids, and import.

        Args:
            given: in the user's order.
            how: to import.
            batches: that each is wanted at; None: 1, or a file's own. Where there are several, names have them.

        Raises:
            UsageError: a name is not a network's, or a file or a function cannot be imported.
        """
        self.notes: tuple[str, ...] = ()
        self._batches = batches
        self._items: list[AnyNetwork] = []
        sources = self._sorted(given)
        shapes = dict(map(_shape, how.input_shapes))
        if (shapes or how.inputs is not None) and len(sources) != 1:
            option = "--input-shape" if shapes else "--input"
            raise CollisionError(
                f"{option} is of one file or function, and {len(sources) or 'none'} "
                f"{'are' if sources else 'is'} given; run each alone",
                *(option, "NETWORK", "--candidates"),
            )
        imported = dict[str, Network]()
        for source in sources:
            plan = ImportPlan(source=source, shapes=shapes, inputs=how.inputs)
            imported[source] = Network(reading(plan, how.timeout_s), batches[0])
            if (said := front_ends.runs(source)) is not None:
                often = "once for each batch" if len(batches) > 1 else "once"
                self.notes += (f"{source}: {said}; it is done {often}, in a process of its own",)
        self._items = [imported.get(item, item) if isinstance(item, str) else item for item in self._items]
        self.notes += tuple(
            f"{item.name}: it computes in {' and '.join(types)}; it is measured in the type of the run"
            for item in self._items
            if isinstance(item, Network) and (types := item.other_types)
        )
        self._names = _distinct([item for item in self._items if isinstance(item, Network)])
        self.files = {source: self._names[network] for source, network in imported.items()}
        """What each file or function is called, by the text that was given for it."""
        self.notes += tuple(
            f"{source} is called {name} here: another network has the name {imported[source].name}"
            for source, name in self.files.items()
            if name != imported[source].name
        )

    def _sorted(self, given: Iterable[AnyNetwork]) -> list[str]:
        """Keep what was given, grids expanded; return the files and functions among it, each once."""
        sources = list[str]()
        names = list[str]()

        def expand() -> None:
            other = next((name for name in names if name.lower().endswith(_OTHER_FILES)), None)
            if other is not None:
                raise _not_read(other)
            try:
                self._items += variants.expand(names)
            except UsageError as error:
                raise _of_a_file(names, error) or error from None
            names.clear()

        for item in given:
            if isinstance(item, str) and not front_ends.is_source(item):
                names.append(item)
                continue
            expand()
            if not isinstance(item, str | Network):
                raise UsageError(f"got {shown(item)}; expected names of networks, files, or mbench.Network")
            self._items.append(item)
            if isinstance(item, str) and item not in sources:
                sources.append(item)
        expand()
        return sources

    def variants(
        self, types: Sequence[str | None] = (None,), quantization: QuantizationSettings = _BY_DEFAULT
    ) -> tuple[Variant, ...]:
        """Return the networks at each batch and in each type, each once.

        Args:
            types: that each is wanted in; None: the one that its name or its file says, or float32. Of several, a
                quantised file has its own alone.
            quantization: how those of `int8` are made.

        Raises:
            UsageError: a name has a batch or another type already, or a file cannot have one of these.
        """
        found: dict[str, Variant] = {}
        for batch in self._batches:
            for item in self._items:
                for dtype in _types_of(item, types):
                    variant = self._one(item, batch, dtype)
                    if variant.quantization is not None:
                        variant = msgspec.structs.replace(variant, quantization=quantization)
                    found.setdefault(variant.name, variant)
        variants.refuse_too_many(found)
        return tuple(found.values())

    def _one(self, item: AnyNetwork, batch: int | None, dtype: str | None) -> Variant:
        named = f"_b{batch}" if len(self._batches) > 1 else ""
        if isinstance(item, str):
            own = variants.parse(item)
            if batch is not None and (said := variants.batch_suffix(own)) and (named or own.batch != batch):
                raise CollisionError(
                    f"variant {item!r} has batch {own.batch} by its name, and --batch asks for "
                    f"{', '.join(map(str, self._batches))}; leave {said} or --batch out",
                    *("--batch", "NETWORK"),
                )
            return variants.parse(f"{item}{named}", batch=batch or 1, dtype=dtype)
        variant, name = item.at(batch), self._names[item]
        variant = msgspec.structs.replace(variant, name=f"{name}{named}", family=name)
        if dtype in (None, variant.dtype):
            return variant
        if variant.dtype != dtypes.DEFAULT:
            raise CollisionError(
                f"{name}: its file is quantised, so that it runs in {variant.dtype}; for {dtype}, give mbench the file "
                "from before quantisation",
                *("--dtype", "NETWORK"),
            )
        return variants.of_type(variant, str(dtype))


def _types_of(item: AnyNetwork, types: Sequence[str | None]) -> Sequence[str | None]:
    """Return the types that a network is wanted in: of several, a quantised file has its own."""
    own = item.dtype if isinstance(item, Network) else dtypes.DEFAULT
    return (own,) if own != dtypes.DEFAULT and own in types else types


def _distinct(networks: Sequence[Network]) -> dict[Network, str]:
    """Return a name for each imported network that no other has, nor its standard twin, nor it in another type."""
    names = [network.name for network in networks]
    made = {f"{name}{ending}" for name in names for ending in variants.endings()}
    digests = {name: {each.digest for each in networks if each.name == name} for name in names}
    return {
        network: f"{network.name}-{network.digest[:_DIGITS]}"
        if len(digests[network.name]) > 1 or network.name in made or _is_built_in(network.name)
        else network.name
        for network in networks
    }


def _is_built_in(name: str) -> bool:
    try:
        return variants.parse(name).name == name
    except UsageError:
        return False


def _not_read(name: str) -> UsageError:
    return UsageError(
        f"{name}: mbench does not read such files; expected FILE.onnx, FILE.pt2 of torch.export, or "
        "package.module:function, which returns a torch module and an example input"
    )


def _of_a_file(names: Iterable[str], error: UsageError) -> UsageError | None:
    """Return what to say of a file that was taken for a network's name; None: the error is of no such name."""
    for name in names:
        path, _, function = name.partition(":")
        if path.endswith(".py"):
            meant = f"{Path(path).stem}:{function or 'FUNCTION'}"
            return UsageError(
                f"{name}: expected a module and its function, '{meant}', in the folder of {Path(path).name}"
            )
        if repr(name) in str(error) and Path(name).is_file():
            return _not_read(name)
    return None


def _shape(text: str) -> tuple[str, tuple[int, ...]]:
    """Return the name and the shape that `--input-shape` gives: `image=1,3,224,224`."""
    name, _, sides = text.rpartition("=")
    if not name or not re.fullmatch(r"[0-9]{1,9}(,[0-9]{1,9})*", sides) or "0" in sides.split(","):
        raise UsageError(f"--input-shape {shown(text)}: expected NAME=N,N,…, such as image=1,3,224,224")
    return name, tuple(map(int, sides.split(",")))


def with_twins(networks: Iterable[Variant]) -> tuple[tuple[Variant, ...], dict[str, str]]:
    """Return networks, each followed by its standard twin, each once; and why some have none, by name.

    Raises:
        UsageError: there are too many.
    """
    found: dict[str, Variant] = {}
    without: dict[str, str] = {}
    for variant in networks:
        found.setdefault(variant.name, variant)
        if variant.convolution is None:
            without[variant.name.removesuffix(variants.batch_suffix(variant))] = "it has no depthwise convolution"
        elif variant.quantised_file:
            without[variant.name.removesuffix(variants.batch_suffix(variant))] = "its file is quantised"
        elif variant.convolution == "depthwise_separable" and (twin := variants.paired_with(variant)):
            found.setdefault(twin.name, twin)
    variants.refuse_too_many(found)
    return tuple(found.values()), without
