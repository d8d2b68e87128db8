"""`package.module:function`: a function of the user's that returns a torch module and an input for it.

The module `package.module` is imported and the function is called, with all that their code does, with the rights of
the process. Nothing else of this package runs code of the user's.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mbench.core.errors import UsageError, shortened, why
from mbench.core.no_gc import not_collected
from mbench.networks.importers import programs
from mbench.networks.importers.imported import Imported
from mbench.networks.importers.messages import plain

_EXPECTED = "expected (network, example), a torch.nn.Module and its input: a tensor, or a tuple of several"
_LONGEST = 300


def runs(text: str) -> str:
    """Return, for people, what is executed when `package.module:function` is read."""
    module, _, function = text.partition(":")
    return f"imports the module {module} and calls {function}(): their code runs with your rights"


def read(text: str, *, shapes: Mapping[str, tuple[int, ...]], batch: int | None) -> Imported:
    """Return the network that a function returns. Its code is run.

    Args:
        text: `package.module:function`; modules of the current folder are found too.
        shapes: of inputs by the names that the network's `forward` has for them, in the place of the example's.
        batch: the first side of the inputs, in the place of the example's.

    Raises:
        UsageError: the function cannot be found or called, returns something else, or its network cannot be read.
    """
    network, example = _called(text)
    return of_module(network, example, name=text.rpartition(":")[2], where=text, shapes=shapes, batch=batch)


def of_module(
    network: Any, example: Any, *, name: str, where: str, shapes: Mapping[str, tuple[int, ...]], batch: int | None
) -> Imported:
    """Return the network of a torch module.

    Args:
        network: in evaluation mode.
        example: its input, a tensor or a tuple of several.
        name: what to call it.
        where: what the user knows it by, for messages.
        shapes: see `read`.
        batch: see `read`.

    Raises:
        UsageError: it is none, or cannot be read.
    """
    import torch

    network, arguments = _checked(where, network, example)
    arguments = _resized(where, network, arguments, shapes, batch)
    with not_collected(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with torch.no_grad():
                program = torch.export.export(network, arguments)
        except Exception as error:
            raise UsageError(f"{where}: torch cannot export its network: {plain(_said(error))}") from error
        return programs.imported(
            program, source="function", name=name, where=where,
            producer=f"torch {torch.__version__}", shapes=shapes, batch=batch,
        )  # fmt: skip


def plain_module(network: Any) -> Any:
    """Return the module that torch.compile wrapped, or the one that is given."""
    return getattr(network, "_orig_mod", network)


def _said(error: BaseException) -> str:
    kind = type(error).__name__
    try:
        return shortened(f"{kind}: {why(error)}", _LONGEST)
    except Exception:  # noqa: BLE001 - the user's own exception does not say what it is
        return kind


def _called(text: str) -> tuple[Any, Any]:
    """Return what the function returns."""
    module_name, _, path = text.partition(":")
    with _current_folder():
        try:
            found: Any = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            missing = error.name or module_name
            if module_name == missing or module_name.startswith(f"{missing}."):
                raise UsageError(
                    f"{text}: there is no module {missing!r}; expected one that is installed, or lies in this folder"
                ) from error
            raise UsageError(f"{text}: it needs the package {missing!r}, which is not installed") from error
        except BaseException as error:  # whatever the user's code raises
            raise UsageError(f"{text}: the module cannot be imported: {plain(_said(error))}") from error
        for part in path.split("."):
            if not hasattr(found, part):
                near = difflib.get_close_matches(part, dir(found), n=1)
                meant = f"; did you mean {near[0]!r}?" if near else "; expected the name of a function in it"
                raise UsageError(f"{text}: {module_name!r} has no {path!r}{meant}")
            found = getattr(found, part)
        if not callable(found):
            raise UsageError(f"{text}: it is a {type(found).__name__}; expected a function without arguments")
        try:
            made = found()
        except BaseException as error:  # whatever the user's code raises
            raise UsageError(f"{text}: the function failed: {plain(_said(error))}") from error
    if not isinstance(made, tuple) or len(made) != 2:
        count = f" of {len(made)}" if isinstance(made, tuple) else ""
        raise UsageError(f"{text}: it returned a {type(made).__name__}{count}; {_EXPECTED}")
    return made


@contextlib.contextmanager
def _current_folder() -> Iterator[None]:
    """Let modules of the current folder be found, as `python -m` does."""
    folder = str(Path.cwd())
    added = folder not in sys.path
    if added:
        sys.path.insert(0, folder)
    try:
        yield
    finally:
        if added and folder in sys.path:
            sys.path.remove(folder)


def _checked(text: str, network: Any, example: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return the network and its arguments."""
    import torch

    if not isinstance(network, torch.nn.Module):
        raise UsageError(f"{text}: its network is a {type(network).__name__}; {_EXPECTED}")
    if isinstance(network, torch.jit.ScriptModule):
        raise UsageError(f"{text}: its network is a TorchScript module; give the module that it was made from")
    network = plain_module(network)
    arguments = tuple(example) if isinstance(example, list | tuple) else (example,)
    other = next((each for each in arguments if not isinstance(each, torch.Tensor)), None)
    if not arguments or other is not None:
        raise UsageError(f"{text}: its example is a {type(other).__name__}; {_EXPECTED}")
    tensors = [*network.named_parameters(), *network.named_buffers()]
    empty = next((name for name, each in tensors if each.is_meta), None)
    if empty is not None:
        raise UsageError(f"{text}: {empty!r} lies on torch's device meta, without numbers; load the network's weights")
    training = next((name or "the network" for name, part in network.named_modules() if part.training), None)
    if training is not None:
        raise UsageError(
            f"{text}: {training} is in training mode, where dropout and BatchNorm differ; return network.eval()"
        )
    return network, arguments


def _argument_names(forward: Any) -> list[str]:
    """Return the names of what is given by place; annotations, which Python 3.14 evaluates here, stay unread."""
    import inspect

    if sys.version_info >= (3, 14):
        import annotationlib

        signature = inspect.signature(forward, annotation_format=annotationlib.Format.STRING)
    else:
        signature = inspect.signature(forward)
    return [name for name, each in signature.parameters.items() if each.kind != each.KEYWORD_ONLY]


def _resized(
    text: str, network: Any, arguments: tuple[Any, ...], shapes: Mapping[str, tuple[int, ...]], batch: int | None
) -> tuple[Any, ...]:
    """Return examples of the shapes that are asked for: their elements are those of the example, over and over."""
    names = _argument_names(network.forward)
    found = []
    for place, example in enumerate(arguments):
        name = names[place] if place < len(names) else ""
        shape = shapes.get(name)
        if shape is None and batch is not None and example.dim():
            shape = (batch, *example.shape[1:])
        if shape is None or tuple(shape) == tuple(example.shape):
            found.append(example)
            continue
        if len(shape) != example.dim():
            raise UsageError(f"{text}: input {name!r} has {example.dim()} sides; {len(shape)} are given")
        count = 1
        for side in shape:
            count *= side
        flat = example.reshape(-1)
        found.append(flat.repeat(-(-count // flat.numel()))[:count].reshape(shape))
    return tuple(found)
