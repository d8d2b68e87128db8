"""Names of files of a site."""

from __future__ import annotations

import re

from mbench.history import site_names

HOSTILE = (
    "../../etc/passwd",
    "/etc/passwd",
    "..",
    "",
    "\0",
    "CON",
    "a" * 5000,
    "MobileNet",
    "mobilenet",
    "\udcff",
    "☃",
)


def test_every_name_is_a_file_of_the_folder_and_no_two_are_the_same() -> None:
    names = [site_names.place(network, target) for network in HOSTILE for target in HOSTILE]
    names += [site_names.record(text) for text in (*HOSTILE, "a" * 64)]
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,200}\.html", name) for name in names)
    assert len(set(names)) == len(names)
    assert not {site_names.INDEX, site_names.TARGETS} & set(names)


def test_names_stay_the_same() -> None:
    assert site_names.place("mobilenet_v1_1.0_224", "arm64").startswith("mobilenet_v1_1.0_224-on-arm64-")
    assert site_names.place("a", "b") == site_names.place("a", "b")
    assert site_names.record("0123456789abcdef" * 4) == "record-0123456789abcdef0123.html"
