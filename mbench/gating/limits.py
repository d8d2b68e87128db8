"""How much change is tolerated, and how small a change must not be missed: by metric, network, and kind of layer.

A selector is `[VARIANT:][SCOPE.]METRIC`: a glob of variants, then `network` (the default), `layer`, one kind of layer
by its op, `role.ROLE` or `block.BLOCK`, where ROLE and BLOCK are globs. The last entry that fits counts; the command
line comes after `mbench.toml`, and that after the defaults.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, get_args

from mbench.analysis import labels
from mbench.core import project_file, toml_files
from mbench.core.errors import CollisionError, UsageError, did_you_mean
from mbench.core.field_types import ROLES
from mbench.gating.comparison import Metric
from mbench.gating.matching import LayerKind

CONFIG = project_file.CONFIG
METRICS: tuple[str, ...] = tuple(name for name in get_args(Metric) if name not in ("presence", "result"))
SCOPES = ("network", "layer", *labels.OPS)
_BY_ROLE, _BY_BLOCK = "role.", "block."
_COUNTED = ("instructions", "loads", "stores")
_SEEN_OF_NETWORK = 2.0
_SEEN_OF_LAYER = 5.0
"""How many times its threshold a slow-down must be not to be missed, unless a sensitivity is given."""


class Selector(NamedTuple):
    """What an entry is for."""

    variant: str
    scope: str
    metric: str

    def fits(self, variant: str, kind: LayerKind | None, metric: str) -> bool:
        """Return whether it is for a metric of a network (`kind` is None) or of a layer of that kind."""
        return self.metric == metric and self._covers(kind) and fnmatch.fnmatchcase(variant, self.variant)

    def _covers(self, kind: LayerKind | None) -> bool:
        if kind is None:
            return self.scope == "network"
        if self.scope.startswith(_BY_ROLE):
            return fnmatch.fnmatchcase(kind.role, self.scope.removeprefix(_BY_ROLE))
        if self.scope.startswith(_BY_BLOCK):
            return kind.block is not None and fnmatch.fnmatchcase(kind.block, self.scope.removeprefix(_BY_BLOCK))
        return self.scope in ("layer", kind.op)


Entries = tuple[tuple[Selector, float], ...]

DEFAULTS: Entries = (
    (Selector("*", "network", "latency"), 0.01),
    (Selector("*", "layer", "latency"), 0.02),
    (Selector("*", "network", "sustained_latency"), 0.05),
    (Selector("*", "network", "library_bytes"), 0.002),
    *((Selector("*", "network", name), 0.002) for name in _COUNTED),
    *((Selector("*", "layer", name), 0.005) for name in _COUNTED),
)
"""What no entry is for is exact: memory, weights, multiply-adds."""


class Limits(NamedTuple):
    """Thresholds and sensitivities, later entries before earlier ones."""

    thresholds: Entries = DEFAULTS
    sensitivities: Entries = ()

    def threshold(self, variant: str, kind: LayerKind | None, metric: str) -> float:
        """Return the change, as a fraction, that is tolerated in a network (`kind` is None) or a layer."""
        return _last(self.thresholds, variant, kind, metric) or 0.0

    def sensitivity(self, variant: str, kind: LayerKind | None, metric: str) -> float:
        """Return the change, as a fraction, that must not be missed.

        Raises:
            UsageError: it is not above what is tolerated.
        """
        tolerated = self.threshold(variant, kind, metric)
        asked = _last(self.sensitivities, variant, kind, metric)
        if asked is None:
            return tolerated * (_SEEN_OF_NETWORK if kind is None else _SEEN_OF_LAYER)
        if asked <= tolerated:
            scope = "network" if kind is None else kind.op
            raise CollisionError(
                f"sensitivity of {scope}.{metric} for {variant} is {asked:.3%}, expected more than its threshold of "
                f"{tolerated:.3%}; lower --threshold or raise --sensitivity",
                *("--sensitivity", "--threshold"),
            )
        return asked

    def asked_sensitivity(self, variant: str, kind: LayerKind | None, metric: str) -> float | None:
        """Return the sensitivity that somebody gave; None: nobody gave one.

        Raises:
            UsageError: it is not above what is tolerated.
        """
        if _last(self.sensitivities, variant, kind, metric) is None:
            return None
        return self.sensitivity(variant, kind, metric)


def _last(entries: Entries, variant: str, kind: LayerKind | None, metric: str) -> float | None:
    return next((value for selector, value in reversed(entries) if selector.fits(variant, kind, metric)), None)


def read(config: Path | None, thresholds: Iterable[str] = (), sensitivities: Iterable[str] = ()) -> Limits:
    """Return the limits of a file and of the command line (`SELECTOR=PERCENT` each).

    Args:
        config: the file; None: `mbench.toml` in this folder, if there is one.
        thresholds: later than those of the file.
        sensitivities: likewise.

    Raises:
        UsageError: the file cannot be read, or an entry is not one.
    """
    file = config or Path(CONFIG)
    gate = project_file.read(config).gate
    return Limits(
        (*DEFAULTS, *_of_file(gate.thresholds, "thresholds", file), *_of_options(thresholds, "--threshold")),
        (*_of_file(gate.sensitivity, "sensitivity", file), *_of_options(sensitivities, "--sensitivity")),
    )


def _of_file(entries: Mapping[str, str | int | float], name: str, file: Path) -> Entries:
    return tuple(_entry(key, value, f"{file}: [gate.{name}]") for key, value in entries.items())


def _of_options(options: Iterable[str], option: str) -> Entries:
    pairs = []
    for text in options:
        selector, equals, value = text.rpartition("=")
        if not equals:
            raise UsageError(f"{option} {text!r}: expected SELECTOR=PERCENT, such as latency=3%")
        pairs.append(_entry(selector, value, option))
    return tuple(pairs)


def _entry(selector: str, value: object, where: str) -> tuple[Selector, float]:
    return _selector(selector, where), percentage(value, f"{where} {selector}")


def _selector(text: str, where: str) -> Selector:
    variant, _, rest = text.rpartition(":")
    scope, _, metric = rest.rpartition(".")
    if metric not in METRICS:
        hint = did_you_mean(metric, METRICS) or f"; expected one of: {', '.join(METRICS)}"
        raise UsageError(f"{where}: metric {toml_files.shown(metric)} of {toml_files.shown(text)} is not known{hint}")
    _check_scope(scope, f"{where}: scope {toml_files.shown(scope)} of {toml_files.shown(text)}")
    return Selector(variant or "*", scope or "network", metric)


def _check_scope(scope: str, said: str) -> None:
    """Refuse a scope that no network and no layer can have."""
    role = scope.removeprefix(_BY_ROLE)
    if scope.startswith(_BY_ROLE):
        if not fnmatch.filter(ROLES, role):
            raise UsageError(f"{said} is not known{did_you_mean(role, ROLES) or f'; expected one of: {_all(ROLES)}'}")
    elif scope and scope not in SCOPES and not (scope.startswith(_BY_BLOCK) and scope != _BY_BLOCK):
        expected = f"; expected one of: {_all((*SCOPES, 'role.ROLE', 'block.BLOCK'))}"
        raise UsageError(f"{said} is not known{did_you_mean(scope, SCOPES) or expected}")


def _all(words: Iterable[str]) -> str:
    return ", ".join(words)


def percentage(value: object, where: str) -> float:
    """Return `3%` as 0.03.

    Raises:
        UsageError: it is not a percentage above 0 and up to 1000.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", value) if isinstance(value, str) else None
    share = float(match[1]) / 100 if match else 0.0
    if not 0 < share <= 10:
        raise UsageError(f"{where} is {toml_files.shown(value)}, expected a percentage above 0, such as '3%'")
    return share
