"""Which default gives way: what the user types beats a default that it excludes, and a line says so.

A command that is refused because two of its options exclude each other is called once more without the one that is a
default, if the other was typed. Two defaults that exclude each other are refused, with the places where they are set.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import click
from click.core import ParameterSource

from mbench.cli import defaults
from mbench.cli.defaults import Default
from mbench.core.errors import CollisionError, MbenchError, UsageError

DEFAULTS = "mbench.defaults"
"""Where a context keeps the defaults of its command, by parameter."""
_OPTION = re.compile(r"--[a-z][a-z-]*")
_PLACE = ("--device", "--target")
"""Where a run measures, and for what: a default of these gives way to what says that alone."""
_MOVING = (*_PLACE, "--compile-only", "--resume", "--sweep")


class Collision(NamedTuple):
    """A default, and what was typed that excludes it."""

    default: click.Parameter
    typed: click.Parameter


# ------------------------------------------------------------------------------------------------------------- look-up
def of(context: click.Context) -> Mapping[str, Default]:
    """Return the defaults that a command has, by the names of its parameters."""
    found: Mapping[str, Default] = context.meta.get(DEFAULTS, {})
    return found


def collision(context: click.Context, error: CollisionError) -> Collision | None:
    """Return the first of the options that exclude each other which is a default; None where none of them was typed.

    Where a run measures never changes for how much is asked of it: the user would measure another machine.
    """
    found = [each for name in error.between if (each := _parameter(context, name)) is not None]
    typed = [each for each in found if _source(context, each) is ParameterSource.COMMANDLINE]
    default = [each for each in found if _source(context, each) is ParameterSource.DEFAULT_MAP]
    if not any(defaults.flag(each) in _MOVING for each in typed):
        default = [each for each in default if defaults.flag(each) not in _PLACE]
    return Collision(default[0], typed[0]) if default and typed else None


def moves(found: Collision) -> bool:
    """Return whether a default that is not used says where a run measures."""
    return defaults.flag(found.default) in _PLACE


def _parameter(context: click.Context, name: str) -> click.Parameter | None:
    """Return an option by its flag, or the networks that a command takes."""
    for each in context.command.params:
        if name in each.opts or (name == defaults.NETWORK and isinstance(each, click.Argument)):
            return each
    return None


def _source(context: click.Context, parameter: click.Parameter) -> ParameterSource | None:
    return context.get_parameter_source(parameter.name or "")


def check_place(context: click.Context) -> None:
    """Refuse a board that is the default beside a target that it cannot be: the default target is of another kind.

    Raises:
        CollisionError: it cannot.
    """
    device, target = (_parameter(context, name) for name in _PLACE)
    known = of(context)
    if device is None or target is None or not {"device", "target"} <= set(known):
        return
    if _source(context, device) is not ParameterSource.DEFAULT_MAP:
        return
    if _source(context, target) is not ParameterSource.COMMANDLINE or not _elsewhere(context.params["device"]):
        return
    own, typed = str(known["target"].value), str(context.params["target"])
    if own != typed and _differ(own, typed, tuple(context.params["target_dirs"])):
        raise CollisionError(f"device {context.params['device']!r} is for target {own!r}", *_PLACE)


def _elsewhere(device: str) -> bool:
    """Return whether a device is another machine, as far as its name says."""
    from mbench.devices import registry
    from mbench.hardware import device_kinds

    try:
        return device_kinds.of(registry.resolve(device).kind).remote
    except MbenchError:  # the command itself says what is wrong with it
        return False


def _differ(one: str, other: str, folders: tuple[object, ...]) -> bool:
    """Return whether no machine runs the code of both targets."""
    from mbench.api import listing

    try:
        found = [listing.target(name, target_dirs=map(str, folders)) for name in (one, other)]
    except MbenchError:
        return False
    kinds = {(each.family, str(each.tvm.get("mtriple", "")).partition("-")[0]) for each in found}
    return len(kinds) > 1


# --------------------------------------------------------------------------------------------------------------- words
def note(context: click.Context, found: Collision) -> str:
    """Return the line about a default that is not used."""
    default = of(context)[found.default.name or ""]
    value = "" if isinstance(default.value, bool) else f" {defaults.shown(default)!r}"
    file = default.origin.partition(": ")[0]
    whose = f"{file}'s {defaults.key(found.default)}" if default.typed else default.origin
    return f"{whose}{value} is not used: {_typed(context, found.typed)} given"


def _typed(context: click.Context, parameter: click.Parameter) -> str:
    """Return what was typed, with its verb: `--target x86_64_v3 was`."""
    value, flag = context.params.get(parameter.name or ""), defaults.flag(parameter)
    if isinstance(parameter, click.Argument):
        several = value if isinstance(value, tuple) else (value,)
        return f"{several[0]} was" if len(several) == 1 else f"{len(several)} networks were"
    if value is False:
        return f"{defaults.taken_back(context.command).get(parameter, flag)} was"  # type: ignore[call-overload]
    if isinstance(value, tuple) and not getattr(parameter, "multiple", False):
        value = ",".join(map(str, value))
    return f"{flag} {value} was" if isinstance(value, str | int) and value is not True else f"{flag} was"


def explained(context: click.Context, error: UsageError) -> UsageError:
    """Return an error that says where the options that it is about were set, if that was elsewhere."""
    between = error.between if isinstance(error, CollisionError) else ()
    said: dict[str, str] = {}
    for name in (*between, *_OPTION.findall(str(error))):
        parameter = _parameter(context, name)
        if parameter is not None and _source(context, parameter) is ParameterSource.DEFAULT_MAP:
            said[name] = f"{name} is from {of(context)[parameter.name or ''].origin}"
    return UsageError(f"{error} ({'; '.join(said.values())})") if said else error
