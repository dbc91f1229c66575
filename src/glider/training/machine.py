"""Query this machine and process: rank, peak memory, and out-of-memory errors."""

import os
import sys
from typing import Any, Self

from glider.core.errors import GliderError, OutOfMemory


def place() -> tuple[int, int]:
    """Return this process's rank and the number of processes."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


class named_out_of_memory:
    """Turn out-of-memory errors inside the context into `OutOfMemory`, which suggests a fix."""

    def __init__(self, name: str, batch_tokens: int) -> None:
        """Take the stage's name and its `batch_tokens`, for the message."""
        self._name, self._batch_tokens = name, batch_tokens
        self.trainer: Any = None
        """The trainer, once it exists; creating it moves the model to the device."""

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
    """Return the peak memory of this process in MB, on the GPU if there is one."""
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated() / 1e6)
    if sys.platform == "win32":
        return 0  # The system does not report it.
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak / 1e6 if sys.platform == "darwin" else peak / 1e3)
