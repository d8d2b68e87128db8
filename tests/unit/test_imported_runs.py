"""Runs of imported networks: what their records say, and that they go on without the user's file."""

from __future__ import annotations

import shutil

import imported_networks as networks
import msgspec
import pytest
from run_world import NAMES, World, names, resumed

from mbench.analysis import pairs
from mbench.core import record_files
from mbench.core.errors import UsageError
from mbench.core.records import Record, Variant
from mbench.hardware import host
from mbench.networks import imported_store, variants
from mbench.pipeline import options, runner

pytest_plugins = ("run_fixtures",)


def run(world: World, *asked: Variant) -> Record:
    return world.run(settings={"variants": tuple(each.name for each in asked)}, networks=asked)


def test_a_record_describes_imported_networks_and_a_run_goes_on_without_their_files(world: World) -> None:
    own = networks.kept()
    twin = variants.paired_with(own)
    assert twin is not None
    asked = (variants.parse(NAMES[0]), own, twin)
    world.fails(twin.name, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        run(world, *asked)
    record = record_files.read(world.path)
    assert record.imported == (own, twin)
    assert names(record) == [NAMES[0], own.name]
    assert record.results[1].variant == msgspec.structs.replace(own, digest=record.results[1].variant.digest)
    world.device.behaviour.clear()
    whole = runner.run(resumed(world), world.progress)
    assert names(whole) == [NAMES[0], own.name, twin.name]
    [pair] = pairs.of_record(whole)
    assert (pair.separable.variant.name, pair.standard.variant.name) == (own.name, twin.name)
    assert pairs.unpaired(whole)[0][1].name == f"{NAMES[0]}_standard"


def test_a_run_whose_imported_network_is_gone_cannot_go_on(world: World) -> None:
    own = networks.kept()
    world.fails(own.name, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        run(world, own)
    shutil.rmtree(imported_store.folder())
    imported_store._read.cache_clear()
    with pytest.raises(UsageError, match=r"the record cannot be resumed: the imported network .* is not in the cache"):
        options.resumed_job(world.path, host.describe(), use_cache=True, build_timeout_s=60.0)
