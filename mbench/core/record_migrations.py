"""Older records as documents of today's format: pure functions from a JSON document to a JSON document.

A migration renames and adds; it judges nothing. What has the wrong form is left as it is, so that the types of
`core.records` refuse it. A field that only a later version has is refused here: an older file with it is misspelt.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from mbench.core import network_digest
from mbench.core.records import FORMAT_MINOR
from mbench.core.strict_json import MisfitError

Document = dict[str, Any]

_PLACE = re.compile(r"(?P<block>block\d+)\.(?P<part>dw|pw|conv)")
_ROLES = {"dw": "depthwise", "pw": "pointwise", "conv": "standard"}
_HEAD = {"pool": "pool", "fc": "classifier"}
_STEM = re.compile(r"conv\d+")


def migrated(document: Document, version: int) -> Document:
    """Return a document of an older version, a key of `MIGRATIONS`, in today's format; the one given stays as it is.

    Raises:
        MisfitError: it has a field that its version does not know.
    """
    while version in MIGRATIONS:
        document, version = MIGRATIONS[version](document), version + 1
    return document


def from_version_1(document: Document) -> Document:
    """Return a record of version 1 as one of version 2.

    Version 1 knew MobileNetV1 alone: a network's width and resolution were fields of their own, and a layer's place in
    the network was to be read from its name.

    Raises:
        MisfitError: it has a field of version 2.
    """
    known = {key: value for key, value in document.items() if key != "format_version"}
    whole = {"format_version": 2, **_with(known, "$", format_minor=FORMAT_MINOR, labels={})}
    for key, change in (("settings", _settings), ("results", _results), ("failures", _failures)):
        if key in whole:
            whole[key] = change(whole[key])
    return whole


MIGRATIONS: dict[int, Callable[[Document], Document]] = {1: from_version_1}
"""By the version that they begin with; each leads to the next."""


def network_of_version_1(variant: Document) -> Document:
    """Return how version 2 describes a network: with parameters instead of MobileNetV1's fields."""
    parameters = {key: variant[key] for key in ("width_multiplier", "resolution") if key in variant}
    rest = {key: value for key, value in variant.items() if key not in parameters}
    return _with(rest, "$.network", source="family", parameters=parameters)


def layers_of_version_1(layers: Any, path: str = "$.layers") -> Any:
    """Return layers with their block, role and inputs, which version 1 left to their names; each reads the one before.

    Raises:
        MisfitError: one has such a field already.
    """
    if not isinstance(layers, list):
        return layers
    placed: list[Any] = []
    before: list[Any] = []
    for layer in layers:
        name = layer.get("name") if isinstance(layer, dict) else None
        if isinstance(layer, dict):
            block, role = _place(name)
            layer = _with(layer, path, block=block, role=role, inputs=before, source_names=[])
        placed.append(layer)
        before = [name]
    return placed


def _place(name: Any) -> tuple[str | None, str]:
    """Return the block and the role that a layer's name meant in version 1."""
    found = _PLACE.fullmatch(name) if isinstance(name, str) else None
    if found:
        return found["block"], _ROLES[found["part"]]
    if isinstance(name, str) and _STEM.fullmatch(name):
        return "stem", "stem"
    return ("head", _HEAD[name]) if isinstance(name, str) and name in _HEAD else (None, "other")


def _settings(settings: Any) -> Any:
    if not isinstance(settings, dict):
        return settings
    no_tuned = False if settings.get("tuned") else None
    asked = settings.get("measure_max_s") is None
    renamed = _renamed(settings, "variants", "networks", "$.settings")
    return _with(renamed, "$.settings", no_tuned=no_tuned, prefer="latency", repeat_asked=asked, target_folders=[])


def _failures(failures: Any) -> Any:
    return _each(failures, lambda failure: _renamed(failure, "variant", "network", "$.failures"))


def _results(results: Any) -> Any:
    return _each(results, _result)


def _result(result: Document) -> Document:
    result = _renamed(result, "variant", "network", "$.results")
    result = _renamed(result, "books", "time_balance", "$.results")
    network, layers = result.get("network"), layers_of_version_1(result.get("layers"), "$.results[].layers")
    changed: Document = {}
    if isinstance(network, dict):
        changed["network"] = _with(network_of_version_1(network), "$.results[].network", digest=_digest(layers))
    if "layers" in result:
        changed["layers"] = layers
    if isinstance(result.get("artifact"), dict):
        changed["artifact"] = _artifact(result["artifact"])
    if isinstance(result.get("missing"), dict):
        changed["missing"] = {
            re.sub(r"^books(?=\.|$)", "time_balance", key): why for key, why in result["missing"].items()
        }
    return {**result, **changed}


def _artifact(artifact: Document) -> Document:
    return _with(artifact, "$.results[].artifact", rules=rules_of_version_1(artifact))


def rules_of_version_1(artifact: Document) -> dict[str, str]:
    """Return the rule of each kernel that a rule took: the first word of its description."""
    schedules, fallbacks = artifact.get("schedules"), artifact.get("fallbacks", {})
    if not isinstance(schedules, dict) or not isinstance(fallbacks, dict):
        return {}
    return {
        kernel: description.split(" ")[0]
        for kernel, description in schedules.items()
        if isinstance(description, str) and kernel not in fallbacks
    }


def _digest(layers: Any) -> str | None:
    try:
        return network_digest.of_documents(layers)
    except (KeyError, TypeError, ValueError, RecursionError):  # no layers; the types refuse them
        return None


def _each(items: Any, change: Callable[[Document], Document]) -> Any:
    if not isinstance(items, list):
        return items
    return [change(item) if isinstance(item, dict) else item for item in items]


def _renamed(document: Document, old: str, new: str, path: str) -> Document:
    _refuse(document, path, new)
    return {new if key == old else key: value for key, value in document.items()}


def _with(document: Document, path: str, **added: Any) -> Document:
    _refuse(document, path, *added)
    return {**document, **added}


def _refuse(document: Document, path: str, *names: str) -> None:
    for name in names:
        if name in document:
            raise MisfitError(f"Object contains unknown field `{name}` - at `{path}`")
