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
"""Files that the trainers write. The manifest records the same facts without this machine's
paths."""


def checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """Return (update, folder) of a stage's complete checkpoints, oldest first."""
    found = [
        (int(path.name.removeprefix("checkpoint-")), path) for path in folder.glob("checkpoint-*")
    ]
    return sorted(found)


def best_step(history: Sequence[dict[str, Any]], stage: Stage) -> int:
    """Return the update with the best value of the stage's metric, the first of equals; -1 if none.

    The measurement before the first update does not count, because it has no checkpoint.
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
    """Remove machine-specific data from a checkpoint, and name an adapter's base model."""
    for unneeded in _UNNEEDED:
        for file in folder.rglob(unneeded):
            file.unlink()
    for file in folder.rglob("adapter_config.json"):
        settings = json.loads(file.read_text("utf-8"))
        settings["base_model_name_or_path"] = base
        file.write_text(json.dumps(settings, indent=1, sort_keys=True) + "\n", "utf-8")


def to_disk(folder: Path) -> None:
    """Sync a folder's files to disk so that they survive a power cut."""
    for path in [*folder.rglob("*"), folder]:
        if path.is_file() or os.name == "posix":
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def is_disk_error(error: Exception) -> bool:
    """Whether an error from the system, torch or safetensors means that a disk write failed."""
    message = f"{type(error).__name__} {error}"
    return isinstance(error, OSError) or any(
        sign in message for sign in ("PytorchStreamWriter", "SafetensorError", "file write failed")
    )


def said(error: Exception) -> str:
    """Return the system's error message as one line."""
    return str(getattr(error, "strerror", None) or error).split("\n")[0]


def copy_model(checkpoint: Path, folder: Path, tokenizer: Any) -> None:
    """Copy only a checkpoint's trained weights, and add the tokenizer, which checkpoints lack.

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
