"""NVML behind a recording: answers as `data/nvml/*.json` say, in place of the module pynvml, whose errors it raises."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pynvml

_FOLDER = Path(__file__).with_name("data") / "nvml"


class Recording:
    """Has pynvml's constants and errors, and the recording's answers for its functions."""

    def __init__(self, name: str, **changes: Any) -> None:
        """Play `data/nvml/NAME.json`; `changes` are answers in place of the file's."""
        self._answers = json.loads((_FOLDER / f"{name}.json").read_text()) | changes
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        original = getattr(pynvml, name)  # a function or constant that pynvml does not have is a mistake of the caller
        return self._player(name, original) if name.startswith("nvml") and callable(original) else original

    def _player(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def play(*arguments: Any) -> Any:
            taken = original.__wrapped__ if hasattr(original, "__wrapped__") else original
            assert len(arguments) <= taken.__code__.co_argcount, f"{name} takes other arguments"
            self.calls.append((name, *arguments))
            answers = self._answers[name]
            if isinstance(answers, dict):
                answer = answers[str(arguments[-1])]
            else:
                answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if isinstance(answer, dict) and "error" in answer:
                raise pynvml.NVMLError(getattr(pynvml, answer["error"]))
            return SimpleNamespace(**answer) if isinstance(answer, dict) else answer

        return play
