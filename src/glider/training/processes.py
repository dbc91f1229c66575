"""Train with several processes on CPU cores, each computing its part of an update.

Small matrices do not keep two cores busy: in one process with two threads, the second thread mostly
waits, while two processes with one thread each do nearly twice the work. The current process is the
first and starts the others. They end when it ends, and it stops if one of them fails.

Use this only on CPUs, for recipes that set the number of `threads` per process. On GPUs,
`accelerate launch` starts all processes.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import yaml

from glider.core.errors import GliderError, RunError
from glider.training.recipe import Recipe

_GRACE = 10.0
"""Seconds a process gets to exit: after one is lost, another's next exchange fails."""


def starts_others(recipe: Recipe) -> bool:
    """Whether to start the others: False for one process, or if they are already running."""
    return recipe.processes > 1 and recipe.threads is not None and "WORLD_SIZE" not in os.environ


@contextmanager
def started_others(
    recipe: Recipe, *, data: Path | Sequence[Path], out: Path, resume: bool
) -> Iterator[None]:
    """Run `others` if the recipe asks for more than one process; otherwise do nothing.

    Raises:
        RunError: as `others`.
    """
    if not starts_others(recipe):
        yield
        return
    with tempfile.TemporaryDirectory() as folder:
        resolved = Path(folder) / "recipe.yaml"
        resolved.write_text(yaml.safe_dump(recipe.model_dump(mode="json")), "utf-8")
        words = [str(resolved), "--out", str(out), *(["--resume"] if resume else [])]
        for each in [data] if isinstance(data, Path) else data:
            words += ["--data", str(each)]
        with others(recipe, words):
            yield


@contextmanager
def others(recipe: Recipe, words: Sequence[str]) -> Iterator[None]:
    """Start all processes but the first, which is this one, for the duration of the context.

    Args:
        words: arguments for `python -m glider.training.run`.

    Raises:
        RunError: a process ended before this one; the message includes the error it printed.
    """
    place = {
        "WORLD_SIZE": str(recipe.processes),
        "LOCAL_WORLD_SIZE": str(recipe.processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "ACCELERATE_USE_CPU": "true",
        "OMP_NUM_THREADS": str(recipe.threads),
    }
    command = [sys.executable, "-m", "glider.training.run", *words]
    with ExitStack() as stack:
        stack.enter_context(_environment(place | {"RANK": "0", "LOCAL_RANK": "0"}))
        started: list[tuple[subprocess.Popen[bytes], IO[bytes]]] = []
        for rank in map(str, range(1, recipe.processes)):
            log: IO[bytes] = stack.enter_context(tempfile.TemporaryFile())
            # Use a new session, so that Ctrl-C reaches only this process, which then ends the
            # others.
            process = subprocess.Popen(
                command,
                env=os.environ | {"RANK": rank, "LOCAL_RANK": rank},
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
            stack.callback(_end, process)
            started.append((process, log))
        try:
            yield
        except GliderError:
            raise
        except Exception as exc:
            for process, log in started:
                if _code(process) not in (None, 0):
                    raise RunError(
                        f"one of {recipe.processes} processes ended: {_error_of(log, process)}",
                        hint="--resume continues from the last checkpoint",
                    ) from exc
            raise


@contextmanager
def _environment(changes: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        port: int = asked.getsockname()[1]
        return port


def _code(process: subprocess.Popen[bytes]) -> int | None:
    """Return the exit code; None if the process outlives a failure noticed here."""
    try:
        return process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        return None


def _error_of(log: IO[bytes], process: subprocess.Popen[bytes]) -> str:
    """Return the error that `run.main` printed, or else the last line of the log."""
    if process.returncode < 0:
        return f"killed by {signal.Signals(-process.returncode).name}"
    log.seek(0)
    lines = [line for line in log.read().decode("utf-8", "replace").split("\n") if line.strip()]
    errors = [line for line in lines if line.startswith("error (")]
    return (errors or lines or [f"code {process.returncode}"])[-1]


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    if _code(process) is None:
        process.kill()
        process.wait()
