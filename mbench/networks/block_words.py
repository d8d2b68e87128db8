"""A family's blocks as a few words, in timm's grammar.

| word | what it is |
|---|---|
| `cn_k3_s2_c32` | convolution, 3x3, stride 2, 32 output channels, BatchNorm, activation |
| `dsa_k3_s1_c64_r5` | depthwise-separable block of MobileNetV1: an activation after both convolutions; 5 times |
| `ds_k3_s1_c16` | the same without the second activation, and with a residual where shapes allow |
| `ir_k3_s2_e6_c24` | inverted residual: expand 6 times, depthwise, project to 24 channels |
| `er_k3_s2_e4_c48` | fused inverted residual: expand by a 3x3 convolution, project |
| `uir_a3_k5_s2_e4_c80` | universal inverted bottleneck: depthwise 3x3, expand, depthwise 5x5, project; 0: none |
| `mqa_k3_h4_v2_d64_c160` | attention: 4 heads of 64 channels, one key and value of every 2nd pixel (a depthwise 3x3) |
| `mha_h4_d40_c160` | attention: 4 heads, each with keys and values of its own |
| `pool` | global average |
| `fc_c1000` | fully connected |

| option | what it is |
|---|---|
| `r3` | the block three times, its stride the first time alone |
| `se0.25` | squeeze-excite, with a quarter of the channels inside |
| `nre`, `nr6`, `nhs`, `nsw`, `nge` | this block's activation: ReLU, ReLU6, hard-swish, SiLU (swish), GELU |
| `noskip` | no residual |
| `bias` | a bias in the place of BatchNorm |
| `fix`, `fix0.75` | channels that the width multiplier leaves as they are: at every width, or below 0.75 |

Channels are for width multiplier 1. The first word is a convolution, the stem; then come blocks, `pool`, pointwise
convolutions if there are any, and `fc`.

Source: timm, `timm/models/_efficientnet_builder.py`, `_decode_block_str`; `bias`, `fix`, `pool` and `fc` are mbench's,
where timm has arguments.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re

EXAMPLE = "cn_k3_s2_c32 dsa_k3_s1_c64 pool fc_c1000"
MOST = 500
"""Blocks of a network, those that repeat each time."""
ACTIVATIONS = {"re": "relu", "r6": "relu6", "hs": "hard_swish", "sw": "silu", "ge": "gelu"}
"""What an activation is called in a word, and in a graph."""

_COUNT, _SIZE, _FACTOR = r"[1-9]\d?", r"[1-9]\d{0,5}", r"(?=.*[1-9])\d{1,2}(\.\d{1,4})?"
_VALUES = {
    "k": rf"{_COUNT}|0", "a": rf"{_COUNT}|0", "s": r"[1-4]", "e": _FACTOR, "c": _SIZE, "r": _COUNT,
    "se": r"1|0\.(?=\d*[1-9])\d{1,4}", "n": "|".join(ACTIVATIONS), "h": _COUNT, "v": r"[1-8]", "d": r"[1-9]\d{0,3}",
    "noskip": "", "bias": "", "fix": rf"({_FACTOR})?",
}  # fmt: skip
_OPTION = re.compile("|".join(rf"(?P<{name}>{name}(?P<{name}_value>{value}))" for name, value in _VALUES.items()))
_NEEDED = {
    "cn": "k c", "dsa": "k c", "ds": "k c", "ir": "k e c", "er": "k e c", "uir": "a k e c",
    "mqa": "h d c", "mha": "h d c", "pool": "", "fc": "c",
}  # fmt: skip
_ALLOWED = {
    "cn": "s r n bias fix", "dsa": "s r n se fix", "ds": "s r n se noskip fix", "ir": "s r n se noskip fix",
    "er": "s r n se noskip fix", "uir": "s r n se noskip fix", "mqa": "k s v r noskip fix", "mha": "k s r noskip fix",
    "pool": "", "fc": "",
}  # fmt: skip
KINDS = tuple(_NEEDED)
"""The kinds of words."""


class BlockError(ValueError):
    """Words that are no blocks of a network; says which, and why."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Word:
    """A word: its kind, and its options."""

    text: str
    kind: str
    kernel: int = 1
    start_kernel: int = 0
    """Of the depthwise convolution before a universal inverted bottleneck's expansion; 0: there is none."""
    stride: int = 1
    channels: int = 0
    fixed_below: float = 0.0
    """The width multiplier below which its channels are as they are said; infinity: always."""
    expansion: float = 1.0
    squeeze: float = 0.0
    """The part of the channels that squeeze-excite has inside; 0: there is none."""
    activation: str | None = None
    """Where it is another than the family's."""
    skips: bool = True
    """Whether it may have a residual."""
    bias: bool = False
    heads: int = 0
    head_channels: int = 0
    key_stride: int = 1


@functools.lru_cache(maxsize=256)
def read(text: str) -> tuple[Word, ...]:
    """Return the words of a network one by one, those that repeat as often as they say.

    Raises:
        BlockError: it is no network.
    """
    found: list[Word] = []
    for each in text.split():
        word, repeats = _word(each)
        found += [word, *[dataclasses.replace(word, stride=1)] * (repeats - 1)]
        if len(found) > MOST:
            raise BlockError(f"there are more than {MOST} blocks")
    _check_order([word.kind for word in found], found)
    return tuple(found)


def _word(text: str) -> tuple[Word, int]:
    kind, *options = text.split("_")
    if kind not in _NEEDED:
        raise BlockError(f"{text!r} is no block: {kind!r} is not known; expected one of: {', '.join(_NEEDED)}")
    given: dict[str, str] = {}
    needed, allowed = _NEEDED[kind].split(), _ALLOWED[kind].split()
    for option in options:
        match = _OPTION.fullmatch(option)
        name = match.lastgroup.removesuffix("_value") if match and match.lastgroup else ""
        if match is None or name not in (*needed, *allowed):
            raise BlockError(f"{text!r} is no block: {option!r} is no option of {kind!r}; {_options(needed, allowed)}")
        if name in given:
            raise BlockError(f"{text!r} is no block: option {name!r} is there twice")
        given[name] = match[f"{name}_value"]
    lacking = [name for name in needed if name not in given]
    if lacking:
        raise BlockError(f"{text!r} is no block: option {lacking[0]!r} is missing; {_options(needed, allowed)}")
    return _made(text, kind, given), int(given.get("r", 1))


def _options(needed: list[str], allowed: list[str]) -> str:
    if not (needed or allowed):
        return "it has no options"
    return f"it needs {', '.join(needed)}" + (f", and may have {', '.join(allowed)}" if allowed else "")


def _made(text: str, kind: str, given: dict[str, str]) -> Word:
    word = Word(
        text=text,
        kind=kind,
        kernel=int(given.get("k", 1)),
        start_kernel=int(given.get("a", 0)),
        stride=int(given.get("s", 1)),
        channels=int(given.get("c", 0)),
        fixed_below=float(given["fix"] or math.inf) if "fix" in given else 0.0,
        expansion=float(given.get("e", 1)),
        squeeze=float(given.get("se", 0)),
        activation=ACTIVATIONS[given["n"]] if "n" in given else None,
        skips="noskip" not in given,
        bias="bias" in given,
        heads=int(given.get("h", 0)),
        head_channels=int(given.get("d", 0)),
        key_stride=int(given.get("v", 1)),
    )
    if not word.kernel and (kind != "uir" or (word.stride > 1 and not word.start_kernel)):
        raise BlockError(f"{text!r} is no block: it has no kernel")
    if kind in ("mqa", "mha") and word.stride > 1:
        raise BlockError(f"{text!r} is no block: attention has stride 1")
    return word


def _check_order(kinds: list[str], words: list[Word]) -> None:
    pool = kinds.index("pool") if "pool" in kinds else 0
    if len(words) < 3 or kinds[0] != "cn" or kinds[-1] != "fc" or not pool:  # stem, pool, fc
        raise BlockError(f"they begin with 'cn', have 'pool', and end with 'fc', as in {EXAMPLE!r}")
    once = next((kind for kind in ("pool", "fc") if kinds.count(kind) > 1), None)
    if once:
        raise BlockError(f"{once!r} comes once, as in {EXAMPLE!r}")
    strange = next(
        (word for word in words[pool + 1 : -1] if word.kind != "cn" or word.kernel > 1 or word.stride > 1), None
    )
    if strange:
        raise BlockError(
            f"{strange.text!r} stands between 'pool' and 'fc'; expected pointwise convolutions there alone"
        )
