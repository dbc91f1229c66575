"""This machine and process: rank, memory, and errors of running out of memory."""

import os
import sys
from typing import Any, Self

from glider.core.errors import GliderError, OutOfMemory


def place() -> tuple[int, int]:
    """This process's rank, and how many there are."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


class named_out_of_memory:
    """Inside it, running out of memory is an `OutOfMemory` that says what to change."""

    def __init__(self, name: str, batch_tokens: int) -> None:
        """A stage's name and its setting, for the message."""
        self._name, self._batch_tokens = name, batch_tokens
        self.trainer: Any = None
        """Once there is one: making it takes the model to the device."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, GliderError) or not _is_memory(error):
            return
        if self.trainer is None:
            raise OutOfMemory(
                "memory ran out before the first update: the model does not fit into it",
                step=0,
                hint="--dry-run tells what is needed; take a smaller base, or several cards "
                "(docs/training.md)",
            ) from error
        step = self.trainer.state.global_step + 1
        now = self._batch_tokens
        number = int(self._name.partition("-")[0]) - 1
        raise OutOfMemory(
            f"memory ran out in update {step}, with passes of {now} tokens",
            step=step,
            hint=f"continue with --resume and --set stages.{number}.batch_tokens="
            f"{max(64, now // 2)} (the result stays the same), or recompute_activations=true",
        ) from error


def _is_memory(error: BaseException) -> bool:
    import torch

    message = str(error)
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError)
        and ("can't allocate memory" in message or "not enough memory" in message)
    )


def peak_mb() -> int:
    """Most memory this process ever had: of the graphics card where there is one."""
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated() / 1e6)
    if sys.platform == "win32":
        return 0  # the system does not say
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak / 1e6 if sys.platform == "darwin" else peak / 1e3)
