"""Checkpoints of a stage: list them, find the best one, and remove old ones.

Needs no torch.
"""

import json
import math
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from glider.models.dequantise import save_tokenizer
from glider.training.stages.base import Stage

_UNNEEDED = ("training_args.bin", "README.md")
"""Written by the trainers; the manifest says it better, and without this machine's paths."""


def checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """(update, folder) of the whole checkpoints of a stage, oldest first."""
    found = [
        (int(path.name.removeprefix("checkpoint-")), path) for path in folder.glob("checkpoint-*")
    ]
    return sorted(found)


def best_step(history: Sequence[dict[str, Any]], stage: Stage) -> int:
    """The update at which the figure asked for was best, the first of equals; -1 before any.

    What was measured before any update counts as no candidate: there is nothing to keep of it.
    """
    metric = stage.evaluate.metric
    sign = -1 if metric == "loss" else 1
    best, at = -math.inf, -1
    for line in history:
        value = line.get("eval", {}).get(metric)
        if value is not None and line["step"] > 0 and sign * value > best:
            best, at = sign * value, line["step"]
    return at


def tidy(folder: Path, base: str) -> None:
    """Take out of a checkpoint what only this machine knows; an adapter names its base."""
    for unneeded in _UNNEEDED:
        for file in folder.rglob(unneeded):
            file.unlink()
    for file in folder.rglob("adapter_config.json"):
        settings = json.loads(file.read_text("utf-8"))
        settings["base_model_name_or_path"] = base
        file.write_text(json.dumps(settings, indent=1, sort_keys=True) + "\n", "utf-8")


def to_disk(folder: Path) -> None:
    """Make sure that what was written to a folder outlives a power cut."""
    for path in [*folder.rglob("*"), folder]:
        if path.is_file() or os.name == "posix":
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def is_disk_error(error: Exception) -> bool:
    """A disk that takes no more, as the system, torch or safetensors put it."""
    message = f"{type(error).__name__} {error}"
    return isinstance(error, OSError) or any(
        sign in message for sign in ("PytorchStreamWriter", "SafetensorError", "file write failed")
    )


def said(error: Exception) -> str:
    """What the system says of it, in one line."""
    return str(getattr(error, "strerror", None) or error).split("\n")[0]


def copy_model(checkpoint: Path, folder: Path, tokenizer: Any) -> None:
    """What a checkpoint has learnt, with the tokenizer, which it is without, and nothing else.

    Raises:
        OSError: the disk is full or cannot be written.
    """
    for path in sorted(checkpoint.iterdir()):
        if path.name.startswith(("model", "adapter_")) or path.name in (
            "config.json",
            "generation_config.json",
        ):
            shutil.copyfile(path, folder / path.name)
    save_tokenizer(tokenizer, folder)
