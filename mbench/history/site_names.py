"""What the files of a site are called: readable, the same each time, and never a path, whatever a network is called."""

from __future__ import annotations

import hashlib
import re

INDEX, TARGETS = "index.html", "targets.html"
_READABLE, _DIGITS, _RECORD_DIGITS = 48, 12, 20


def place(network: str, target: str) -> str:
    """Return the name of the page of a network on a target."""
    return f"{_readable(network)}-on-{_readable(target)}-{_digest(network, target)[:_DIGITS]}.html"


def record(digest: str) -> str:
    """Return the name of a record's page."""
    known = digest if re.fullmatch(r"[0-9a-f]{64}", digest) else _digest(digest)
    return f"record-{known[:_RECORD_DIGITS]}.html"


def _readable(name: str) -> str:
    return re.sub(r"[^a-z0-9._]+", "-", name.lower())[:_READABLE].strip("-._") or "name"


def _digest(*parts: str) -> str:
    """Return a digest of texts, another one for each of their ways to be taken apart."""
    digests = (hashlib.sha256(part.encode("utf-8", "surrogatepass")).digest() for part in parts)
    return hashlib.sha256(b"".join(digests)).hexdigest()
