"""mbench: what a small convolutional network costs on a piece of hardware, layer by layer.

run, resume    measure networks on a target; the options are `RunOptions`
Network        a network of your own: from ONNX, torch.export, or a torch module
fit, predict   the network that fits a device's limits; what networks would cost there; `FitOptions`, `FitRecord`
sweep          many networks at many places, resumable: what `mbench run --sweep` does; `sweep_status`, `SweepRecord`
tune           find quicker ways to make their kernels; `TuneOptions`
read, load     a record, or many as a pandas table
open_store     a `Store` of a team's records, and its series; `Filter`
check_history  whether its series became worse of late; `CheckOptions`, `HistoryVerdict`
publish        its series and changes as a site of static pages
report         a page of records
compare, gate  two runs against each other; `GateOptions`, `Comparison`, `Verdict`
variants, layers, targets, target, doctor, schema                what there is, and what this machine can do
published_counts                                                 multiply-adds and parameters, beside mbench's own
named_devices, add_device, remove_device, pack_server            boards

Every error that is raised on purpose is an `MbenchError`. Times are in seconds, sizes in bytes, energies in joules.
"""

from __future__ import annotations

import importlib

from mbench.core.version import VERSION as __version__  # noqa: N811 - the name that Python gives it

TYPE_CHECKING = False  # what type checkers take for true; importing typing takes longer than all the rest
if TYPE_CHECKING:
    from mbench.api.changes import CheckOptions, check_history
    from mbench.api.fit import FitInterrupted, fit, predict
    from mbench.api.gate import VerdictUnwritten, compare, gate
    from mbench.api.history import load, open_store
    from mbench.api.history_site import publish
    from mbench.api.listing import (
        PlannedLayer,
        add_device,
        doctor,
        layers,
        named_devices,
        pack_server,
        published_counts,
        remove_device,
        schema,
        target,
        targets,
        variants,
    )
    from mbench.api.report import report
    from mbench.api.run import RunInterrupted, resume, run
    from mbench.api.sweep import SweepInterrupted, SweepOutcome, sweep, sweep_status
    from mbench.api.tune import TuningInterrupted, tune
    from mbench.core.errors import MbenchError
    from mbench.core.fit_options import FitOptions
    from mbench.core.fit_records import FitRecord
    from mbench.core.machine_types import Target
    from mbench.core.progress import Progress
    from mbench.core.record_files import read
    from mbench.core.records import Failure, Layer, Record, Result
    from mbench.core.run_options import RunOptions, TuneOptions
    from mbench.core.sweep_records import SweepRecord
    from mbench.devices.registry import NamedDevice
    from mbench.gating.comparison import Comparison, Finding, Verdict
    from mbench.gating.options import GateOptions
    from mbench.history.check import HistoryVerdict
    from mbench.history.filters import Filter
    from mbench.history.store import Store
    from mbench.networks.network import Network
    from mbench.tuning.tuning_result import TuningResult

__all__ = [
    "CheckOptions",
    "Comparison",
    "Failure",
    "Filter",
    "Finding",
    "FitInterrupted",
    "FitOptions",
    "FitRecord",
    "GateOptions",
    "HistoryVerdict",
    "Layer",
    "MbenchError",
    "NamedDevice",
    "Network",
    "PlannedLayer",
    "Progress",
    "Record",
    "Result",
    "RunInterrupted",
    "RunOptions",
    "Store",
    "SweepInterrupted",
    "SweepOutcome",
    "SweepRecord",
    "Target",
    "TuneOptions",
    "TuningInterrupted",
    "TuningResult",
    "Verdict",
    "VerdictUnwritten",
    "__version__",
    "add_device",
    "check_history",
    "compare",
    "doctor",
    "fit",
    "gate",
    "layers",
    "load",
    "named_devices",
    "open_store",
    "pack_server",
    "predict",
    "publish",
    "published_counts",
    "read",
    "remove_device",
    "report",
    "resume",
    "run",
    "schema",
    "sweep",
    "sweep_status",
    "target",
    "targets",
    "tune",
    "variants",
]

_HOMES = {
    **dict.fromkeys(("compare", "gate", "VerdictUnwritten"), "api.gate"),
    **dict.fromkeys(("fit", "predict", "FitInterrupted"), "api.fit"), "FitOptions": "core.fit_options",
    "FitRecord": "core.fit_records", "read": "core.record_files",
    **dict.fromkeys(("load", "open_store"), "api.history"), "publish": "api.history_site",
    **dict.fromkeys(("check_history", "CheckOptions"), "api.changes"), "HistoryVerdict": "history.check",
    **dict.fromkeys(("sweep", "sweep_status", "SweepInterrupted", "SweepOutcome"), "api.sweep"),
    "SweepRecord": "core.sweep_records",
    "report": "api.report", "resume": "api.run", "run": "api.run", "tune": "api.tune",
    **dict.fromkeys(("PlannedLayer", "variants", "layers", "targets", "target", "doctor", "schema"), "api.listing"),
    **dict.fromkeys(("named_devices", "add_device", "remove_device", "pack_server", "published_counts"), "api.listing"),
    **dict.fromkeys(("Record", "Result", "Layer", "Failure"), "core.records"), "Progress": "core.progress",
    "Target": "core.machine_types", "NamedDevice": "devices.registry", "TuningResult": "tuning.tuning_result",
    "RunInterrupted": "api.run", "TuningInterrupted": "api.tune", "MbenchError": "core.errors",
    "RunOptions": "core.run_options", "TuneOptions": "core.run_options",
    **dict.fromkeys(("Comparison", "Finding", "Verdict"), "gating.comparison"), "GateOptions": "gating.options",
    "Network": "networks.network", "Filter": "history.filters", "Store": "history.store",
}  # fmt: skip
"""Where each public name is written."""


if not TYPE_CHECKING:  # where a name that is not there shall be an error

    def __getattr__(name: str) -> object:
        """Import a public name when it is first asked for, so that `import mbench` stays light."""
        if name not in _HOMES:
            raise AttributeError(f"module 'mbench' has no attribute {name!r}")
        importlib.import_module("mbench.api")
        found = getattr(importlib.import_module(f"mbench.{_HOMES[name]}"), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
