"""What the options of a run say of quantisation: settings for its networks of `int8`, or a clear refusal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mbench.core.errors import CollisionError
from mbench.core.quantized import QuantizationSettings
from mbench.core.records import Variant
from mbench.core.run_options import RunOptions, flag

_LARGEST_WEIGHTS = {7: 63, 8: 127}
_FIELDS = (
    *("calibration", "percentile", "keep_float", "weight_bits", "activation_type", "evaluate", "preprocessing"),
)  # fmt: skip
_DEFAULTS = RunOptions()


def settings(options: RunOptions) -> QuantizationSettings:
    """Return how networks of `int8` are made.

    Raises:
        UsageError: images that are given cannot be read.
        OutputError: the cache cannot be written.
    """
    given = (options.calibration, options.evaluate)
    return QuantizationSettings(
        activations=options.activation_type,
        largest_weight=_LARGEST_WEIGHTS[options.weight_bits],
        percentile=options.percentile,
        calibration_sha256=_remembered(options.calibration, flag("calibration")),
        evaluation_sha256=_remembered(options.evaluate, flag("evaluate"), labelled=True),
        preprocessing=_preprocessing(options) if any(path and path.is_dir() for path in given) else None,
        keep_float=options.keep_float,
    )


def _preprocessing(options: RunOptions) -> str:
    from mbench.networks import image_sets

    return options.preprocessing or image_sets.DEFAULT


def _remembered(path: Path | None, option: str, *, labelled: bool = False) -> str | None:
    if path is None:
        return None
    from mbench.networks import image_sets

    images = image_sets.ImageSet(path, option)
    if labelled:
        images.labels()
    return image_sets.remember(images)


def check(networks: Sequence[Variant], options: RunOptions) -> None:
    """Refuse options of quantisation that no network has a use for.

    Raises:
        CollisionError: there is one.
    """
    given = [field for field in _FIELDS if getattr(options, field) != getattr(_DEFAULTS, field)]
    quantised = [network for network in networks if network.quantization is not None]
    if given and not quantised:
        files = next((network for network in networks if network.quantised_file), None)
        instead = f"the file of {files.name} is quantised already" if files else "add --dtype int8"
        said = f"{flag(given[0])} is for networks that mbench quantises; {instead}"
        raise CollisionError(said, flag(given[0]), "--dtype", "NETWORK")
    pictures = any(path is not None and path.is_dir() for path in (options.calibration, options.evaluate))
    if options.preprocessing is not None and not pictures:
        raise CollisionError(
            f"--preprocessing {options.preprocessing} is for folders of pictures, and none is given; give one with "
            "--calibration or --evaluate (what an .npz holds is read as it is)",
            *("--preprocessing", "--calibration", "--evaluate"),
        )
    drawn = next((network for network in quantised if not network.imported), None)
    if options.evaluate is not None and drawn is not None:
        raise CollisionError(
            f"--evaluate {options.evaluate}: the weights of {drawn.name} are drawn, so that it has no accuracy; give "
            "mbench a network of your own",
            *("--evaluate", "NETWORK"),
        )
