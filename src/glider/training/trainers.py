"""TRL's trainers, told to do things our way. Needs torch and trl: imported inside functions only.

What is theirs: the optimizer, the schedule, FSDP and DDP, the preference losses, resuming. What is
ours: which examples make an update and which passes it is made of, the supervised loss, what is
measured, where metrics go, and checkpoints that are whole or not there.

One batch of the data loader is one update: a list of passes. So `gradient_accumulation_steps` is
always 1 for the trainer, and an update is the same however it is cut.
"""

import json
import math
import os
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from torch.utils.data import DataLoader, Dataset
from transformers import PrinterCallback, ProgressCallback, Trainer, TrainerCallback
from trl import DPOTrainer, SFTTrainer

from glider.core.errors import CannotSave, NotFinite
from glider.training import preference, sft
from glider.training.batches import Updates
from glider.training.benched import Bench
from glider.training.recipe import PreferenceStage, SftStage
from glider.training.tokens import Encoded, EncodedPair

_Sft: Any = SFTTrainer
_Dpo: Any = DPOTrainer
_Trainer: Any = Trainer
_Callback: Any = TrainerCallback
_Passes: Any = Dataset

_PART = ".part"
"""Folder in which a checkpoint grows."""
_UNNEEDED = ("training_args.bin", "README.md")
"""Written by the trainers; the manifest says it better, and without this machine's paths."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """One stage of a run, as its trainer needs to know it."""

    name: str
    """As in metrics and folders: `1-sft`."""
    folder: Path
    base: str
    """Name of the model that is trained."""
    stage: Any
    """SftStage or PreferenceStage."""
    train: Sequence[Any]
    """Encoded examples or pairs."""
    dev: Sequence[Any]
    """Empty where nothing is measured."""
    bench: Bench | None = None
    """What the bench would ask of `dev`, where its figure decides."""
    updates: Updates
    dev_updates: Updates
    pad_id: int
    record: Callable[[dict[str, Any]], None]
    """Takes a line of metrics; called in the first process only."""


class _AtTheEnd(_Callback):  # type: ignore[misc]
    """Measure and save after the last update, wherever it falls."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_others: Any) -> None:
        if state.global_step >= state.max_steps:
            control.should_save = True
            control.should_evaluate = args.eval_strategy != "no"


class _UpdateSet(_Passes):  # type: ignore[misc]
    """Update number to its passes, collated when asked for."""

    def __init__(self, work: Work, updates: Updates, collate: Callable[[int], Any]) -> None:
        self._updates, self._collate = updates, collate

    def __len__(self) -> int:
        return len(self._updates)

    def __getitem__(self, update: int) -> Any:
        return self._collate(update)


def _only(items: list[Any]) -> Any:
    (item,) = items
    return item


class _Ours:
    """What both trainers do our way; stands before TRL's class."""

    work: Work
    # Of the trainer:
    model: Any
    model_wrapped: Any
    accelerator: Any
    args: Any
    state: Any
    control: Any
    callback_handler: Any
    is_fsdp_enabled: bool

    def __init__(self, *args: Any, work: Work, **options: Any) -> None:
        self.work = work
        super().__init__(*args, **options)
        # With a tokenizer in hand the trainer writes its ends of text into the model's settings,
        # and a copy of it into each checkpoint.
        self.processing_class = None
        for callback in (PrinterCallback, ProgressCallback):
            self.remove_callback(callback)  # type: ignore[attr-defined]
        self.add_callback(_AtTheEnd())  # type: ignore[attr-defined]
        self._parts: dict[str, float] = defaultdict(float)
        self._best: tuple[float, int] | None = None
        self._began = time.perf_counter()

    def create_accelerator_and_postprocess(self) -> None:
        super().create_accelerator_and_postprocess()  # type: ignore[misc]
        plugin: Any = getattr(self.accelerator.state, "fsdp_plugin", None)
        policy: Any = getattr(plugin, "mixed_precision_policy", None)
        if getattr(policy, "output_dtype", None) is not None:
            # accelerate has what a sharded model answers rounded to bf16: log-probabilities of 5
            # would be known to 0.03 only, and preferences are learnt from their differences.
            plugin.mixed_precision_policy = replace(policy, output_dtype=None)

    def _send_telemetry(self) -> None:
        """Nothing is sent anywhere."""

    # Updates

    def get_train_dataloader(self) -> Any:
        updates = _UpdateSet(self.work, self.work.updates, self.collate_update)
        return DataLoader(updates, batch_size=1, shuffle=False, collate_fn=_only)

    def collate_update(self, update: int) -> list[dict[str, Any]]:
        raise NotImplementedError

    def pass_loss(self, model: Any, one: dict[str, Any]) -> Any:
        """This process's part of the update's loss, from one pass."""
        raise NotImplementedError

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
        model.train()
        total = torch.zeros((), device=self.args.device)
        for number, one in enumerate(inputs):
            with self._no_sync(model, last=number == len(inputs) - 1):
                one = self._prepare_inputs(one)  # type: ignore[attr-defined]
                # Gradients are averaged over processes, and the loss is a sum over them.
                loss = self.pass_loss(model, one) * self.accelerator.num_processes
                self._check("loss", loss)
                self.accelerator.backward(loss)
            total += loss.detach()
        return total

    def _no_sync(self, model: Any, *, last: bool) -> AbstractContextManager[Any]:
        # Without a sync after each pass, sharded training would hold whole gradients.
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
        """Not counted: metrics have tokens per second."""
        return 0

    # Metrics

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Keep a line of metrics; only updates have a loss."""
        if "loss" not in logs:
            return
        step = self.state.global_step
        seconds, self._began = time.perf_counter() - self._began, time.perf_counter()
        examples = self.work.updates.examples(step - 1)
        tokens = sum(len(self.work.train[index]) for index in examples)
        line: dict[str, Any] = {"stage": self.work.name, "step": step}
        told = ("loss", "learning_rate", "grad_norm")
        line |= {key: _plain(logs[key]) for key in told if key in logs}
        line |= self._update_metrics()
        line |= {
            "tokens": tokens,
            "tokens_per_s": round(tokens / seconds, 1),
            "peak_mb": _peak_mb(),
        }
        self._keep(line)
        self.control = self.callback_handler.on_log(self.args, self.state, self.control, logs)

    def _update_metrics(self) -> dict[str, float]:
        names = sorted(self._parts)
        values = torch.tensor([self._parts[name] for name in names], device=self.args.device)
        if self.accelerator.num_processes > 1:
            values = self.accelerator.reduce(values, reduction="sum")
        self._parts.clear()
        return {name: _plain(value) for name, value in zip(names, values.tolist(), strict=True)}

    def _keep(self, line: dict[str, Any]) -> None:
        self.state.log_history.append(line)
        if self.accelerator.is_main_process:
            self.work.record(line)

    # Measuring

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Measure on the development part; the figures go to the metrics."""
        began = time.perf_counter()
        model = self.model_wrapped
        model.eval()
        with torch.no_grad():
            found = self.figures(model)
        model.train()
        line: dict[str, Any] = {"stage": self.work.name, "step": self.state.global_step}
        line["eval"] = {name: round(value, 6) for name, value in found.items()}
        line["eval_seconds"] = round(time.perf_counter() - began, 1)
        self._keep(line)
        self._began += time.perf_counter() - began
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, found)
        return found

    def figures(self, model: Any) -> dict[str, float]:
        """Figures over the development part; the same in every process."""
        raise NotImplementedError

    def _determine_best_metric(self, metrics: Any, trial: Any) -> bool:
        """Save a new best; stop when there has been none for long enough."""
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
                _tidy(part / name, self.work.base)
                to_disk(part / name)
                (part / name).rename(self.work.folder / name)
        except Exception as exc:
            if not _no_room(exc):
                raise
            raise CannotSave(
                f"cannot save the checkpoint of step {step}: {_said(exc)}",
                step=step,
                hint="the one before is untouched; free some space and go on with --resume",
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


class ScoreTrainer(_Ours, _Sft):  # type: ignore[misc]
    """SFTTrainer with the loss of `sft`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        inside = self.model.get_base_model() if hasattr(self.model, "peft_config") else self.model
        sft.read_only_learnt(inside)

    def collate_update(self, update: int) -> list[dict[str, Any]]:
        work, updates = self.work, self.work.updates
        examples: Sequence[Encoded] = work.train
        totals = sft.Totals.of((examples[index] for index in updates.examples(update)), work.stage)
        return [
            sft.collate(rows, examples, work.stage, totals, pad_id=work.pad_id)
            for rows in updates.passes(update)
        ]

    def pass_loss(self, model: Any, one: dict[str, Any]) -> Any:
        losses = sft.cross_entropies(model(**one["model"]), one) * one["share"]
        loss = losses.sum()
        weight = self.work.stage.score_weight
        if weight:
            self._parts["score_loss"] += float(losses[one["scored"]].detach().sum()) / weight
        return loss

    def figures(self, model: Any) -> dict[str, float]:
        work, updates = self.work, self.work.dev_updates
        examples: Sequence[Encoded] = work.dev
        measured: list[sft.Measured] = []
        for update in range(len(updates)):
            for rows in updates.passes(update):
                one = sft.collate(rows, examples, work.stage, sft.Totals(1, 1), pad_id=work.pad_id)
                one = self._prepare_inputs(one)
                measured += sft.measure(one, model(**one["model"]), rows, examples)
        return sft.figures(gather_object(measured), work.stage, work.bench)


class PairTrainer(_Ours, _Dpo):  # type: ignore[misc]
    """DPOTrainer on pairs that are tokens already."""

    def _prepare_dataset(self, dataset: Any, *_others: Any) -> Any:
        return dataset

    def collate_update(self, update: int) -> list[dict[str, Any]]:
        work, updates = self.work, self.work.updates
        pairs: Sequence[EncodedPair] = work.train
        totals = preference.Totals.of(pairs[index] for index in updates.examples(update))
        return [
            preference.collate(rows, pairs, totals, pad_id=work.pad_id)
            for rows in updates.passes(update)
        ]

    def pass_loss(self, model: Any, one: dict[str, Any]) -> Any:
        share = one["share"]
        loss = self._counted_loss(model, one)
        # Of each pass the trainer keeps the mean; what counts nothing is not kept either.
        for name, kept in (("accuracy", "rewards/accuracies"), ("margin", "rewards/margins")):
            values = self._metrics["train"].pop(kept, None)
            if values:
                # Theirs is the mean over processes already.
                self._parts[name] += values[-1] * share
        self._metrics["train"].clear()
        return loss

    def _counted_loss(self, model: Any, one: dict[str, Any]) -> Any:
        """The trainer's loss of a pass, each of its terms times what the pass counts in it."""
        share, stage = one["share"], self.work.stage
        by_tokens = one["sft_share"] / share if share else 0.0
        self.loss_weights = [
            weight * by_tokens if loss == "sft" else weight
            for loss, weight in zip(stage.loss, stage.loss_weights, strict=True)
        ]
        return self.compute_loss(model, one["model"]) * share

    def figures(self, model: Any) -> dict[str, float]:
        work, updates = self.work, self.work.dev_updates
        totals = preference.Totals.of(work.dev)
        found = dict.fromkeys(("loss", "accuracy", "margin"), 0.0)
        self._metrics["eval"].clear()
        for update in range(len(updates)):
            for rows in updates.passes(update):
                one = preference.collate(rows, work.dev, totals, pad_id=work.pad_id)
                one = self._prepare_inputs(one)
                told = self._metrics["eval"]
                found["loss"] += float(self._counted_loss(model, one))
                found["accuracy"] += told["rewards/accuracies"][-1] * one["share"]
                found["margin"] += told["rewards/margins"][-1] * one["share"]
        sums = torch.tensor(list(found.values()), device=self.args.device)
        if self.accelerator.num_processes > 1:
            sums = self.accelerator.reduce(sums, reduction="sum")
        return {"examples": totals.pairs, **dict(zip(found, sums.tolist(), strict=True))}


def checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """(update, folder) of the whole checkpoints of a stage, oldest first."""
    found = [
        (int(path.name.removeprefix("checkpoint-")), path) for path in folder.glob("checkpoint-*")
    ]
    return sorted(found)


def best_step(history: Sequence[dict[str, Any]], stage: SftStage | PreferenceStage) -> int:
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


def _tidy(folder: Path, base: str) -> None:
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


def _no_room(error: Exception) -> bool:
    """A disk that takes no more, as the system, torch or safetensors put it."""
    told = f"{type(error).__name__} {error}"
    return isinstance(error, OSError) or any(
        sign in told for sign in ("PytorchStreamWriter", "SafetensorError", "file write failed")
    )


def _said(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).split("\n")[0]


def _plain(value: Any) -> float:
    number = float(value)
    return float(f"{number:.6g}")


def _peak_mb() -> int:
    """Most memory this process ever had: of the graphics card where there is one."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated() / 1e6)
    if sys.platform == "win32":
        return 0  # the system does not say
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak / 1e6 if sys.platform == "darwin" else peak / 1e3)
