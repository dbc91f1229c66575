"""Adapt TRL's trainers. Needs torch and trl, which are imported inside functions only.

TRL and transformers provide the optimizer, the schedule, FSDP and DDP, the preference losses and
resuming. This module provides the choice of an update's examples and passes, the supervised loss,
evaluation, the metrics file and atomic checkpoints.

One batch of the data loader is one update: a list of passes. `gradient_accumulation_steps` is
therefore always 1 for the trainer, and an update's result does not depend on how it is split.
"""

import math
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset
from transformers import PrinterCallback, ProgressCallback, Trainer, TrainerCallback

from glider.core.errors import CannotSave, NotFinite
from glider.training.batches import BatchRow, Updates
from glider.training.benched import Bench
from glider.training.checkpoints import (
    best_step,
    checkpoints,
    is_disk_error,
    said,
    tidy,
    to_disk,
)
from glider.training.machine import peak_mb
from glider.training.stages.base import Stage

_Trainer: Any = Trainer
_Callback: Any = TrainerCallback
_Dataset: Any = Dataset

_PART = ".part"
"""Suffix of a checkpoint folder that is being written."""


@dataclass(frozen=True, kw_only=True)
class StageWork:
    """The trainer's view of one stage of a run."""

    name: str
    """Name in metrics and folders, such as `1-sft`."""
    folder: Path
    base: str
    """Name of the base model."""
    stage: Stage
    train: Sequence[Any]
    """The stage's encoded training examples."""
    dev: Sequence[Any]
    """The encoded development examples; empty if nothing is measured."""
    bench: Bench | None = None
    """The bench items of `dev`, if the bench figure is the metric."""
    updates: Updates
    dev_updates: Updates
    pad_id: int
    record: Callable[[dict[str, Any]], None]
    """Records a line of metrics; called in the first process only."""


class _AtTheEnd(_Callback):  # type: ignore[misc]
    """Evaluate and save after the last update, whatever its number."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_others: Any) -> None:
        if state.global_step >= state.max_steps:
            control.should_save = True
            control.should_evaluate = args.eval_strategy != "no"


class _UpdateSet(_Dataset):  # type: ignore[misc]
    """Dataset that maps an update number to its passes, collated on access."""

    def __init__(self, updates: Updates, collate: Callable[[int], Any]) -> None:
        self._updates, self._collate = updates, collate

    def __len__(self) -> int:
        return len(self._updates)

    def __getitem__(self, update: int) -> Any:
        return self._collate(update)


def _only(items: list[Any]) -> Any:
    (item,) = items
    return item


class StageTrainer:
    """Mixin placed before TRL's trainer class; `Stage` has what is specific to a kind of stage."""

    work: StageWork
    parts: dict[str, float]
    """Metrics of the current update, accumulated by the stage over its passes."""
    # Attributes of TRL's preference trainer:
    loss_weights: Any
    compute_loss: Any
    # Attributes of the transformers trainer:
    model: Any
    model_wrapped: Any
    accelerator: Any
    args: Any
    state: Any
    control: Any
    callback_handler: Any
    is_fsdp_enabled: bool

    def __init__(self, *args: Any, work: StageWork, **options: Any) -> None:
        self.work = work
        super().__init__(*args, **options)
        inside = self.model.get_base_model() if hasattr(self.model, "peft_config") else self.model
        work.stage.prepare(inside)
        # Given a tokenizer, the trainer would write its end-of-text tokens into the model's
        # configuration and copy it into each checkpoint.
        self.processing_class = None
        for callback in (PrinterCallback, ProgressCallback):
            self.remove_callback(callback)  # type: ignore[attr-defined]
        self.add_callback(_AtTheEnd())  # type: ignore[attr-defined]
        self.parts = defaultdict(float)
        self._best: tuple[float, int] | None = None
        self._began = time.perf_counter()

    def create_accelerator_and_postprocess(self) -> None:
        super().create_accelerator_and_postprocess()  # type: ignore[misc]
        plugin: Any = getattr(self.accelerator.state, "fsdp_plugin", None)
        policy: Any = getattr(plugin, "mixed_precision_policy", None)
        if getattr(policy, "output_dtype", None) is not None:
            # accelerate rounds a sharded model's outputs to bf16: log-probabilities near 5 would be
            # known only to 0.03, and preferences are learned from their differences.
            plugin.mixed_precision_policy = replace(policy, output_dtype=None)

    def _prepare_dataset(self, dataset: Any, *_others: Any, **_options: Any) -> Any:
        return dataset  # The examples are already tokenized.

    def _send_telemetry(self) -> None:
        """Send no telemetry."""

    # Updates

    def get_train_dataloader(self) -> Any:
        updates = _UpdateSet(self.work.updates, self._update)
        return DataLoader(updates, batch_size=1, shuffle=False, collate_fn=_only)

    def _update(self, update: int) -> list[dict[str, Any]]:
        """Return the passes of an update as tensors."""
        work = self.work
        totals = work.stage.totals(work.train[n] for n in work.updates.examples(update))
        return [
            work.stage.collate(rows, work.train, totals, pad_id=work.pad_id)
            for rows in work.updates.passes(update)
        ]

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
        model.train()
        total = torch.zeros((), device=self.args.device)
        for number, one in enumerate(inputs):
            with self._no_sync(model, last=number == len(inputs) - 1):
                one = self._prepare_inputs(one)  # type: ignore[attr-defined]
                # Gradients are averaged over processes, but the loss is a sum over them.
                loss = self.work.stage.pass_loss(self, model, one)
                loss = loss * self.accelerator.num_processes
                self._check("loss", loss)
                self.accelerator.backward(loss)
            total += loss.detach()
        return total

    def _no_sync(self, model: Any, *, last: bool) -> AbstractContextManager[Any]:
        # Without a sync after each pass, sharded training would hold full gradients.
        if last or self.is_fsdp_enabled:
            return nullcontext()
        context: AbstractContextManager[Any] = self.accelerator.no_sync(model)
        return context

    def _check(self, what: str, value: Any) -> None:
        number = float(value.detach() if isinstance(value, torch.Tensor) else value)
        if not math.isfinite(number):
            raise NotFinite(what, number, step=self.state.global_step + 1)

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)  # type: ignore[misc]
        if norm is not None:
            self._check("gradient", norm)
        return norm

    def floating_point_ops(self, inputs: Any) -> int:
        """Return no count: the metrics report tokens per second instead."""
        return 0

    # Metrics

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Record a line of metrics; only update lines have a loss."""
        if "loss" not in logs:
            return
        step = self.state.global_step
        seconds, self._began = time.perf_counter() - self._began, time.perf_counter()
        examples = self.work.updates.examples(step - 1)
        tokens = sum(len(self.work.train[index]) for index in examples)
        line: dict[str, Any] = {"stage": self.work.name, "step": step}
        shown = ("loss", "learning_rate", "grad_norm")
        line |= {key: _plain(logs[key]) for key in shown if key in logs}
        line |= self._update_metrics()
        line |= {
            "tokens": tokens,
            "tokens_per_s": round(tokens / seconds, 1),
            "peak_mb": peak_mb(),
        }
        self._keep(line)
        self.control = self.callback_handler.on_log(self.args, self.state, self.control, logs)

    def _update_metrics(self) -> dict[str, float]:
        names = sorted(self.parts)
        values = torch.tensor([self.parts[name] for name in names], device=self.args.device)
        if self.accelerator.num_processes > 1:
            values = self.accelerator.reduce(values, reduction="sum")
        self.parts.clear()
        return {name: _plain(value) for name, value in zip(names, values.tolist(), strict=True)}

    def _keep(self, line: dict[str, Any]) -> None:
        self.state.log_history.append(line)
        if self.accelerator.is_main_process:
            self.work.record(line)

    # Measuring

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Evaluate on the development split and record the metrics."""
        began = time.perf_counter()
        model = self.model_wrapped
        model.eval()
        with torch.no_grad():
            found = self.work.stage.figures(self, model)
        model.train()
        line: dict[str, Any] = {"stage": self.work.name, "step": self.state.global_step}
        line["eval"] = {name: round(value, 6) for name, value in found.items()}
        line["eval_seconds"] = round(time.perf_counter() - began, 1)
        self._keep(line)
        self._began += time.perf_counter() - began
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, found)
        return found

    def development_passes(self, totals: Any) -> Iterator[tuple[list[BatchRow], dict[str, Any]]]:
        """Yield the rows of each pass over the development split, and the pass on the device."""
        work = self.work
        for update in range(len(work.dev_updates)):
            for rows in work.dev_updates.passes(update):
                one = work.stage.collate(rows, work.dev, totals, pad_id=work.pad_id)
                yield rows, self._prepare_inputs(one)  # type: ignore[attr-defined]

    def trl_metrics(self, split: str) -> dict[str, list[float]]:
        """Return the per-pass metrics of TRL's trainer, by name; `split` is train or eval."""
        found: dict[str, list[float]] = self._metrics[split]  # type: ignore[attr-defined]
        return found

    def _determine_best_metric(self, metrics: Any, trial: Any) -> bool:
        """Save a new best checkpoint; stop the stage when `patience` runs out."""
        best = best_step(self.state.log_history, self.work.stage)
        asked = self.work.stage.evaluate
        if best == self.state.global_step:
            self.control.should_save = True
        elif asked.patience and self.state.global_step - best >= asked.patience * asked.every:
            self.control.should_training_stop = self.control.should_save = True
            line = {"stage": self.work.name, "step": self.state.global_step}
            self._keep({**line, "event": "stopped", "best": best})
        return bool(best == self.state.global_step)

    # Checkpoints

    def _get_output_dir(self, trial: Any) -> str:
        return str(self.work.folder / _PART)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        step = self.state.global_step
        name, part = f"checkpoint-{step}", self.work.folder / _PART
        if (self.work.folder / name).exists():
            return
        main = self.accelerator.is_main_process
        try:
            if main:
                shutil.rmtree(part, ignore_errors=True)
                part.mkdir(parents=True)
            self.accelerator.wait_for_everyone()
            _Trainer._save_checkpoint(self, model, trial)
            self.accelerator.wait_for_everyone()
            if main:
                tidy(part / name, self.work.base)
                to_disk(part / name)
                (part / name).rename(self.work.folder / name)
        except Exception as exc:
            if not is_disk_error(exc):
                raise
            raise CannotSave(
                f"cannot save the checkpoint of step {step}: {said(exc)}",
                step=step,
                hint="the one before is untouched; free some space and continue with --resume",
            ) from exc
        finally:
            if main:
                shutil.rmtree(part, ignore_errors=True)
        if main:
            self._rotate()
        self.accelerator.wait_for_everyone()

    def _rotate(self) -> None:
        best = best_step(self.state.log_history, self.work.stage)
        for step, folder in checkpoints(self.work.folder)[: -self.work.stage.checkpoint.keep]:
            if step != best:
                shutil.rmtree(folder, ignore_errors=True)


def trainer_class(stage: Stage) -> type[StageTrainer]:
    """Return TRL's trainer class for a stage, combined with `StageTrainer`."""
    theirs: Any = stage.trl().trainer
    return type("StageTrainer", (StageTrainer, theirs), {})


def _plain(value: Any) -> float:
    number = float(value)
    return float(f"{number:.6g}")
