"""The folder of a training run; a killed run resumes from its last checkpoint.

    manifest.json          recipe, base model, hashes of data and code, versions; written once
    metrics.jsonl          one line per update, per measurement and per event; only ever grows
    1-sft/checkpoint-200/  weights, optimizer, schedule, random states
    1-sft/model/           what the stage ended with: adapter or weights, with the tokenizer
    result.json            written last: where the trained model is, and how it measured

A run cannot be resumed with a different manifest. After a resume, `metrics.jsonl` has the updates
since the checkpoint twice; `curve` yields each once.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from glider.core.errors import DataError, RunError
from glider.models.resolve import TorchWeights
from glider.store.atomic import replacing, write_json
from glider.store.journal import append_only, append_to, cut_broken_tail
from glider.store.manifest import AnyManifest, read_manifest
from glider.training.stage_data import StageData

_WHEN = {"run_id", "created_at", "python"}
_HOW_FAST = {"threads", "batch_tokens", "recompute_activations"}
"""Settings that affect how an update is computed but not its result."""

Progress = Callable[[dict[str, Any]], None]
"""Called with each line of metrics."""


class TrainingManifest(AnyManifest):
    """Everything that determines a training's curve, and when the run was created."""

    version: int = 1
    run_id: str
    created_at: str
    glider: str
    code_sha256: str
    """Hash of the source code that determines a training."""
    recipe: dict[str, Any]
    """The resolved recipe, with every default filled in."""
    base: dict[str, str]
    """Name and revision of the base model."""
    start: str | None
    """Hash of the adapter that the training starts from."""
    data: dict[str, dict[str, Any]]
    """SHA-256 and number of examples by file name."""
    processes: int
    python: str
    libraries: dict[str, str]

    def _decisive(self) -> dict[str, Any]:
        decisive = {key: value for key, value in self.model_dump().items() if key not in _WHEN}
        recipe = {k: v for k, v in self.recipe.items() if k not in _HOW_FAST}
        stages = [{k: v for k, v in one.items() if k not in _HOW_FAST} for one in recipe["stages"]]
        return {**decisive, "recipe": {**recipe, "stages": dict(enumerate(stages, start=1))}}


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The result of a finished training."""

    folder: Path
    """Folder of an adapter (with adapter_config.json) or of a full model."""
    kind: str
    """`adapter` or `model`."""
    base: str
    metrics: dict[str, float]
    """The last stage's metrics at the update that was kept; empty without a development split."""


def result(out: Path) -> TrainingResult:
    """Return the result of the finished run in `out`.

    Raises:
        RunError: there is no run, it is not finished, or its result.json is damaged.
    """
    file = out / "result.json"
    try:
        found = json.loads(file.read_text("utf-8"))
        return TrainingResult(out / found["folder"], found["kind"], found["base"], found["metrics"])
    except OSError as exc:
        raise RunError(
            f"{out} is no finished training", hint="continue with `glider train ... --resume`"
        ) from exc
    except ValueError as exc:
        raise RunError(f"{file} is damaged: {exc}") from exc
    except (KeyError, TypeError) as exc:
        raise RunError(f"{out} is no training: its result.json is another one") from exc


def load_manifest(out: Path) -> TrainingManifest:
    """Return the manifest of the training in `out`.

    Raises:
        RunError: `out` contains no training.
    """
    return read_manifest(out, TrainingManifest, "training")


def curve(out: Path) -> Iterator[dict[str, Any]]:
    """Yield the valid lines of `metrics.jsonl`; lines repeated after a resume replace old ones."""
    lines: list[dict[str, Any]] = []
    try:
        text = (out / "metrics.jsonl").read_text("utf-8")
    except OSError as exc:
        raise RunError(f"{out} has no metrics.jsonl") from exc
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        if not line.endswith("\n"):
            break  # The last line is still being written.
        try:
            found = json.loads(line)
        except ValueError as exc:
            raise DataError("damaged line", path="metrics.jsonl", line=number) from exc
        if found.get("event") == "resumed":
            lines = [
                one
                for one in lines
                # A resume at 0 repeats everything, including the measurement before the first
                # update.
                if one["stage"] != found["stage"] or one["step"] <= found["step"] > 0
            ]
            continue
        lines.append(found)
    yield from lines


class TrainingFolder:
    """A run folder during training; only the first process writes to it."""

    def __init__(
        self,
        out: Path,
        format: Mapping[str, str] | None,
        *,
        resume: bool,
        main: bool,
        progress: Progress | None,
    ) -> None:
        self.out, self.format = out, format
        self.main, self.resume, self._progress = main, resume, progress
        self._metrics = -1

    def record(self, line: dict[str, Any]) -> None:
        """Append a line of metrics."""
        try:
            append_to(self._metrics, line)
        except OSError as exc:
            raise RunError(
                f"cannot write to {self.out}: {exc.strerror}",
                hint="the last checkpoint is whole; free some space and continue with --resume",
            ) from exc
        if self._progress is not None:
            self._progress(line)

    def keep_cards(self, stages: Sequence[StageData]) -> None:
        """Copy the data cards, with their licences, into the run folder."""
        cards = dict.fromkeys(work.train.folder / "card.md" for work in stages)
        there = [card.read_bytes() for card in cards if card.is_file()]
        if there:
            with replacing(self.out / "data-card.md") as file:
                file.write(b"\n".join(there))

    def finish(self, model: Path, base: TorchWeights, last: StageData) -> None:
        """Write the result; this is the last write of a run."""
        if (self.out / "result.json").exists():
            return
        kept = json.loads((model.parent / "kept.json").read_text("utf-8"))
        kind = "adapter" if (model / "adapter_config.json").exists() else "model"
        found = {
            "folder": model.relative_to(self.out).as_posix(),
            "kind": kind,
            "base": base.name,
            "stage": last.name,
            **kept,
        }
        write_json(self.out / "result.json", found)

    def __enter__(self) -> Self:
        if self.main:
            try:
                cut_broken_tail(self.out / "metrics.jsonl")
                self._metrics = append_only(self.out / "metrics.jsonl")
            except OSError as exc:
                raise RunError(f"cannot write {self.out}: {exc.strerror or exc}") from exc
        return self

    def __exit__(self, *_error: object) -> None:
        if self._metrics >= 0:
            os.close(self._metrics)
