"""`glider doctor` as a function: check engines, cache, models, speed, and what is missing.

It measures speed by judging real texts with reasons for a few seconds, as `glider judge` would.
Nothing is fetched.
"""

import json
import os
import platform
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from itertools import cycle
from pathlib import Path
from typing import Any

from glider._version import __version__
from glider.backends.embedded import EmbeddedBackend
from glider.backends.in_flight import in_flight
from glider.core.base import Frozen
from glider.core.errors import GliderError
from glider.core.judgments import Judgment
from glider.core.samples import Sample
from glider.core.tasks import JudgeTask
from glider.data.library import load_criterion
from glider.judging.judge import Judge
from glider.models.catalog import DEFAULT, cache_dir
from glider.models.known import KnownModel, known_models

_EXTRAS = {
    "data": ("pyarrow", "Parquet files and dataset folders"),
    "bench": ("scipy", "bench, audit, calibrate, plan-labels, gate"),
    "torch": ("torch", "--model hf/... and fast/..."),
    "train": ("trl", "train, tune, select, tail-patch"),
    "hub": ("huggingface_hub", "bench --fetch, models of the hub"),
    "ray": ("ray", "judge, bench, audit, synth --on ray"),
    "vllm": ("vllm", "--model vllm/..."),
    "serve": ("prometheus-client", "/metrics of serve"),
    "otel": ("opentelemetry-distro", "serve --traces"),
}
"""Extra to a package that only it installs, and its purpose."""
_NEEDED_BYTES = 600e6
"""Approximate maximum disk space, in bytes, to fetch and prepare the default model."""
_FETCH = "glider judge --output 'Open at nine.' --criterion conciseness"


class Missing(Frozen):
    """Something missing, its purpose, and the command that fixes it."""

    what: str
    needed: bool
    """Whether the default judge needs it."""
    why: str
    mend: str


class Model(Frozen):
    """A model of the catalogue on this machine."""

    name: str
    state: str
    megabytes: float
    """Size on disk, or the size to fetch if the model is not here."""


class Speed(Frozen):
    """Judging speed, measured for a few seconds."""

    judge: str
    load_s: float
    seconds: float
    """Seconds from the first request to the end of the measurement."""
    finished: int
    """Judgments finished in that time."""
    read_tokens_per_s: float
    """Prompt tokens processed per second, cached ones not counted."""
    written_tokens_per_s: float
    judgments_per_minute: float
    """Expected rate for such texts: one paragraph, with quotes and a reason. Unfinished judgments
    count in proportion to what was generated."""


class Checkup(Frozen):
    """The results of the checks."""

    glider: str
    python: str
    system: str
    cores: int
    memory_free_gb: float | None
    engine: str | None
    """Version of the embedded engine; None if it cannot be loaded."""
    extras: dict[str, str | None]
    """Extra to the version of its main package."""
    cache: str
    cache_writable: bool
    cache_free_gb: float | None
    models: tuple[Model, ...]
    endpoint_key: bool
    """Whether OPENAI_API_KEY is set."""
    speed: Speed | None
    missing: tuple[Missing, ...]

    @property
    def is_well(self) -> bool:
        """Whether the default judge runs on this machine."""
        return not any(one.needed for one in self.missing)


def examine(*, seconds: float = 5.0, model: str = DEFAULT) -> Checkup:
    """Check this machine, and judge for a few seconds if the model is here.

    Args:
        seconds: how long to judge; 0 skips the measurement.
        model: the judge: a model name that the embedded engine accepts.
    """
    missing: list[Missing] = []
    engine = _version("xllamacpp")
    if engine is None:
        missing.append(
            _missing("xllamacpp", "the embedded engine", "pip install xllamacpp", needed=True)
        )
    extras = {extra: _version(package) for extra, (package, _) in _EXTRAS.items()}
    for extra, found in extras.items():
        if found is None:
            install = f"pip install 'glider-judge[{extra}]'"
            missing.append(_missing(f"extra {extra}", _EXTRAS[extra][1], install))
    models = list(known_models())
    writable, free = _room(cache_dir())
    here = next((known for known in models if known.name == model), None)
    absent = here is not None and here.state != "here"
    if not writable:
        missing.append(
            _missing(
                f"a cache that can be written: {cache_dir()}",
                "models are kept there",
                "export GLIDER_CACHE=FOLDER",
                needed=absent,
            )
        )
    elif absent and free is not None and free < _NEEDED_BYTES:
        missing.append(
            _missing(
                f"{_NEEDED_BYTES / 1e6:.0f} MB of room in {cache_dir()}",
                "the model is prepared there",
                "export GLIDER_CACHE=FOLDER",
                needed=True,
            )
        )
    speed = None
    if absent:
        assert here is not None
        size = f"{here.size_bytes / 1e6:.0f} MB are fetched once"
        missing.append(_missing(f"model {model}", size, _FETCH, needed=True))
    elif engine is not None and seconds > 0:
        try:
            speed = measured(model, seconds)
        except GliderError as error:
            mend = error.hint or "glider models --verify"
            missing.append(_missing("a working judge", error.message, mend, needed=True))
    return Checkup(
        glider=__version__,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        cores=_cores(),
        memory_free_gb=_free_memory_gb(),
        engine=engine,
        extras=extras,
        cache=str(cache_dir()),
        cache_writable=writable,
        cache_free_gb=None if free is None else round(free / 1e9, 1),
        models=tuple(_shown(known) for known in models),
        endpoint_key=bool(os.environ.get("OPENAI_API_KEY")),
        speed=speed,
        missing=tuple(missing),
    )


def measured(model: str, seconds: float) -> Speed:
    """Judge the demo's texts for this long (at least one), as many at once as there are cores.

    Raises:
        GliderError: the model cannot be loaded, or a text cannot be judged.
    """
    began = time.monotonic()
    with EmbeddedBackend(model) as backend:
        load_s = time.monotonic() - began
        judge = Judge(backend)
        tokens: list[int] = []
        began = time.monotonic()
        for _, future in in_flight(_tasks(), judge.submit, room=_cores()):
            outcome = future.result().or_raise()
            assert isinstance(outcome, Judgment)
            tokens.append(outcome.usage.completion_tokens)
            taken = time.monotonic() - began
            if taken >= seconds:
                break
        read, written = backend.tokens
        each = sum(tokens) / len(tokens)
        return Speed(
            judge=judge.id,
            load_s=round(load_s, 2),
            seconds=round(taken, 2),
            finished=len(tokens),
            read_tokens_per_s=round(read / taken, 1),
            written_tokens_per_s=round(written / taken, 1),
            judgments_per_minute=round(60 * written / each / taken, 1),
        )


def _tasks() -> Iterator[JudgeTask]:
    criterion = load_criterion("faithfulness")
    text = (files("glider.demo") / "samples.jsonl").read_text("utf-8")
    rows: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
    for row in cycle(rows):
        told = {key: row[key] for key in ("output", "input", "context") if key in row}
        yield JudgeTask(Sample.of(**told), criterion)


def _missing(what: str, why: str, mend: str, *, needed: bool = False) -> Missing:
    return Missing(what=what, why=why, mend=mend, needed=needed)


def _shown(known: KnownModel) -> Model:
    return Model(name=known.name, state=known.state, megabytes=round(known.size_bytes / 1e6, 1))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _room(folder: Path) -> tuple[bool, float | None]:
    """Return whether the folder or its nearest parent is writable, and the free bytes."""
    for there in (folder, *folder.parents):
        if there.is_dir():
            with suppress(OSError):
                return os.access(there, os.W_OK), float(shutil.disk_usage(there).free)
            break
        if there.exists():
            break
    return False, None


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _free_memory_gb() -> float | None:
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        free = next(line for line in lines if line.startswith("MemAvailable:"))
        return round(int(free.split()[1]) / 1e6, 1)
    return None
