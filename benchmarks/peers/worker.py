"""The form of a subject: read tasks, judge them, write what it took. Standard library only.

    python peers/NAME.py --tasks FILE --out FILE [--base-url URL] [--concurrency N]

`done` gets the scores, one a task, None where there is none. Processor time is that of this
process with all its threads; children are not counted, and no subject has any.
"""

import argparse
import json
import resource
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any


def arguments(doc: str | None) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=doc)
    made.add_argument("--tasks", type=Path)
    made.add_argument("--out", type=Path, required=True)
    made.add_argument("--base-url", default="")
    made.add_argument("--concurrency", type=int, default=256)
    made.add_argument("--max-tokens", type=int, help="longest answer, where it can be said")
    made.add_argument("--timeout", type=float, default=600.0, help="seconds for one answer")
    return made


def read_tasks(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def given(task: dict[str, Any]) -> str:
    """Everything that was given to the writer of the output, in one text."""
    parts = [task.get("input", ""), task.get("context", "")]
    return "\n\n".join(part for part in parts if part)


class Meter:
    """Clock and processor time from construction to `done`."""

    def __init__(self) -> None:
        self._cpu = time.process_time()
        self._wall = time.perf_counter()

    def done(self, out: Path, scores: Sequence[float | None], package: str, **more: Any) -> None:
        wall = time.perf_counter() - self._wall
        cpu = time.process_time() - self._cpu
        result = {
            "n": len(scores),
            "judged": sum(score is not None for score in scores),
            "seconds": wall,
            "cpu_seconds": cpu,
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "version": version(package),
            "scores": list(scores),
        }
        out.write_text(json.dumps(result | more), "utf-8")
