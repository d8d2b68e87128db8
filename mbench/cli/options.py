"""Options that several commands have, each written once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from mbench.cli import completing
from mbench.cli.arguments import NEW_FILE, PATH
from mbench.core.errors import UsageError

_Command = TypeVar("_Command", bound=Callable[..., Any])

MOST_TIMEOUT_S = 86_400

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
target_dirs = click.option(
    "--targets", "target_dirs", type=PATH, multiple=True, metavar="DIR", help="More folders of target folders."
)
target = click.option(
    "--target", type=completing.TARGET, default="host", metavar="NAME", help="Hardware target.  [default: host]"
)
threads = click.option(
    "--threads",
    type=int,
    default=None,
    metavar="N",
    help="Threads.  [default: one per core, within the processor quota]",
)
dtype = click.option(
    "--dtype",
    type=completing.TYPES,
    default=None,
    metavar="T[,T...]",
    help="float32, int8, bfloat16 (newer x86), float16 (GPUs, newer Arm); or several.  [default: float32]",
)


def _batches(value: str | tuple[int, ...]) -> tuple[int, ...]:
    """Return one batch size or several: `8`, or `1,8,64`."""
    from mbench.networks import variants

    return value if isinstance(value, tuple) else variants.batches(value)


_BATCHES = click.types.FuncParamType(_batches)
batch = click.option(
    "--batch", type=_BATCHES, default=None, metavar="N[,N...]", help="Images a run, or several sizes.  [default: 1]"
)
batch_of_all = click.option(
    "--batch", type=_BATCHES, default=None, metavar="N", help="Images a run, one size for all.  [default: 1]"
)


def one_batch(sizes: tuple[int, ...] | None) -> int:
    """Return the batch size that a search has, by default 1.

    Raises:
        UsageError: several were given.
    """
    if sizes is not None and len(sizes) > 1:
        text = ",".join(map(str, sizes))
        raise UsageError(f"--batch {text}: networks are compared at one size; give one of them")
    return sizes[0] if sizes else 1


build_timeout = click.option(
    "--build-timeout",
    "build_timeout_s",
    type=click.IntRange(1, MOST_TIMEOUT_S),
    default=600,
    show_default=True,
    help="Seconds after which the build of a network is given up.",
)
executor = click.option(
    "--executor", default="local", metavar="URL",
    help="Who builds: local, local:N for N builds side by side, or dask://HOST:PORT.  [default: local]",
)  # fmt: skip
input_shapes = click.option(
    "--input-shape", "input_shapes", multiple=True, metavar="NAME=N,N,...",
    help="Shape of a file's input, where it is open.",
)  # fmt: skip
inputs = click.option(
    "--input", "inputs", type=PATH, default=None, metavar="FILE.npz", help="What a file is checked on, by input."
)
_QUANTIZATION = (
    click.option(
        "--calibration", type=PATH, default=None, metavar="FILE.npz|DIR",
        help="int8: images that ranges are seen on.  [default: drawn ones]",
    ),
    click.option(
        "--percentile", type=float, default=100.0, metavar="P",
        help="int8: ranges leave out 100 - P % of numbers at each end.  [default: 100]",
    ),
    click.option("--keep-float", multiple=True, metavar="PATTERN", help="int8: layers that stay float."),
    click.option(
        "--weight-bits", type=click.Choice(["7", "8"]), callback=lambda _context, _option, text: int(text), default="8",
        help="int8: 7 is quicker without dot products.  [default: 8]",
    ),
    click.option(
        "--activations", "activation_type", type=click.Choice(["uint8", "int8"]), default="uint8",
        help="int8: type of activations.  [default: uint8]",
    ),
    click.option(
        "--evaluate", type=PATH, default=None, metavar="FILE.npz|DIR",
        help="int8: images and labels; counts top-1 of your own network.",
    ),
    click.option(
        "--preprocessing", type=click.Choice(["torchvision", "tensorflow", "unit"]), default=None,
        help="int8: what becomes of pictures.  [default: torchvision]",
    ),
)  # fmt: skip


def quantization(command: _Command) -> _Command:
    """Add the options that say how networks of `int8` are made."""
    for option in reversed(_QUANTIZATION):
        command = option(command)
    return command


allowed = click.option(
    "--allow-different", "allowed", multiple=True, metavar="KEY", help="Compare although KEY differs."
)


def _duration(option: str) -> Callable[[str], float]:
    """Return what reads the time that an option takes."""

    def read(text: str) -> float:
        from mbench.core import durations

        return durations.parse(text, option)

    return read


sustain = click.option(
    "--sustain", "sustain_s", type=_duration("--sustain"), default=None, metavar="TIME",
    help="Then run each network without a pause, such as 60s or 2min: does the device grow hot and slow?",
)  # fmt: skip


def device(text: str, usual: str = "local, else emulated") -> Callable[[_Command], _Command]:
    """Return the option `--device`; `text` says what is done there, `usual` where, unless it is given."""
    return click.option(
        "--device", type=completing.DEVICE, default=None, metavar="D", help=f"{text}  [default: {usual}]"
    )


def file(name: str, text: str) -> Callable[[_Command], _Command]:
    """Return an option that names a file."""
    return click.option(name, type=PATH, default=None, metavar="FILE", help=text)


def new_file(name: str, text: str) -> Callable[[_Command], _Command]:
    """Return an option that names a file to write, which is refused at once where it cannot be."""
    return click.option(name, type=NEW_FILE, default=None, metavar="FILE", help=text)


def timeout(text: str, **settings: Any) -> Callable[[_Command], _Command]:
    """Return the option `--timeout`, which takes seconds."""
    return click.option("--timeout", "timeout_s", type=click.IntRange(1, MOST_TIMEOUT_S), help=text, **settings)
