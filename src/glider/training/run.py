"""A training run is a folder; killed at any moment, it goes on where its last checkpoint stands.

    manifest.json          recipe, base model, hashes of data and code, versions; written once
    metrics.jsonl          one line per update, per measurement and per event; only ever grows
    1-sft/checkpoint-200/  weights, optimizer, schedule, random states
    1-sft/model/           what the stage ended with: adapter or weights, with the tokenizer
    result.json            written last: where the trained model is, and how it measured

Going on under another manifest is refused. After a resume `metrics.jsonl` has the updates since the
checkpoint twice; `curve` gives each once.

In several processes: `accelerate launch ... -m glider.training.run RECIPE --data DIR --out DIR`.
"""

import argparse
import hashlib
import json
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from glider._version import __version__
from glider.backends.catalog import FORM
from glider.backends.quiet import quietly
from glider.core.errors import (
    DataError,
    EmptySplit,
    GliderError,
    OutOfMemory,
    RunError,
    SetupError,
)
from glider.store.atomic import new_folder, replacing, write_json
from glider.store.folder import kept_folder
from glider.store.journal import append_only, append_to, cut_broken_tail
from glider.store.manifest import AnyManifest, installed, read_manifest
from glider.training.base_model import (
    BaseModel,
    adapter_settings,
    computes_in_bf16,
    find_base,
    folder_hash,
    freeze_lowest,
    load_to_train,
    load_tokenizer,
    needs_torch,
)
from glider.training.batches import Updates
from glider.training.examples import form_of, read_examples, read_preferences
from glider.training.recipe import PreferenceStage, Recipe, SftStage, load_recipe
from glider.training.tokens import Coder

_CODE = (
    "text/chat.py",
    "text/defuse.py",
    "training/attention.py",
    "training/base_model.py",
    "training/batches.py",
    "training/examples.py",
    "training/preference.py",
    "training/run.py",
    "training/sft.py",
    "training/tokens.py",
    "training/trainers.py",
)
"""Source that decides what a training does; other commands may change meanwhile."""
_LIBRARIES = ("torch", "transformers", "tokenizers", "trl", "peft", "accelerate", "numpy")
_WHEN = {"run_id", "created_at", "python"}
_HOW_FAST = {"threads", "batch_tokens", "recompute_activations"}
"""Settings that change how an update is computed, and not what it is."""

Watch = Callable[[dict[str, Any]], None]
"""Called with every line of metrics."""

Folders = Path | Sequence[Path]
"""One folder of examples, or several: a stage's files are in the first that has its `train`."""


class TrainingManifest(AnyManifest):
    """Everything that decides a training's curve, and when it was made."""

    version: int = 1
    run_id: str
    created_at: str
    glider: str
    code_sha256: str
    """Hash of the source that trains."""
    recipe: dict[str, Any]
    """Resolved: every default filled in."""
    base: dict[str, str]
    """Name and revision of the model that is trained."""
    start: str | None
    """Hash of the adapter that is trained on."""
    data: dict[str, dict[str, Any]]
    """File name to SHA-256 and number of examples."""
    processes: int
    python: str
    libraries: dict[str, str]

    def _decisive(self) -> dict[str, Any]:
        decisive = {key: value for key, value in self.model_dump().items() if key not in _WHEN}
        recipe = {k: v for k, v in self.recipe.items() if k not in _HOW_FAST}
        stages = [{k: v for k, v in one.items() if k not in _HOW_FAST} for one in recipe["stages"]]
        return {**decisive, "recipe": {**recipe, "stages": dict(enumerate(stages, start=1))}}


@dataclass(frozen=True, slots=True)
class Result:
    """What a finished training leaves."""

    folder: Path
    """An adapter (adapter_config.json in it) or a whole model."""
    kind: str
    """`adapter` or `model`."""
    base: str
    metrics: dict[str, float]
    """The last stage's figures at the update that was kept; empty without a development part."""


@dataclass(frozen=True, slots=True)
class Split:
    """One file's examples as tokens, and what was left out."""

    folder: Path
    file: str
    kept: list[Any]
    too_long: int
    """Of those looked at: all of them, or as many as it took to draw `limit`."""


@dataclass(frozen=True, slots=True)
class StageData:
    """What a stage trains on and measures on."""

    stage: SftStage | PreferenceStage
    name: str
    train: Split
    dev: Split | None


def train(
    recipe: Recipe,
    *,
    data: Folders,
    out: Path,
    form: Mapping[str, str] | None = None,
    resume: bool = False,
    watch: Watch | None = None,
) -> Result:
    """Run a recipe to its end.

    Args:
        data: folders of examples and pairs, as `glider data` and `glider rationalize` make them.
        out: folder of the run; new or empty, unless it is to go on.
        form: format, order and layout the examples ask in, to be kept with the weights; what the
            manifest beside a stage's examples says if not given.
        resume: go on with the run in `out`; one that is finished gives its result again.
        watch: sees every line of metrics as it is written.

    Raises:
        SetupError: recipe, model, data and machine do not fit together.
        DataError: a file of examples is missing, damaged or empty.
        ManifestMismatch: `out` is a run of something else.
        TrainingError: NaN, too little memory, a full disk; the last checkpoint is whole.
        RunError: `out` holds something, is in use or cannot be written.
    """
    needs_torch()
    from accelerate import PartialState

    rank, processes = _place()
    if recipe.processes > 1 and processes == 1:
        raise SetupError(
            f"the recipe {recipe.name} is for {recipe.processes} processes",
            hint="accelerate launch --config_file FILE -m glider.training.run RECIPE ... "
            "(docs/training.md), or --set processes=1",
        )
    base = find_base(recipe.base, recipe.revision)
    coder = Coder(load_tokenizer(base), model=base.name)
    stages = stage_data(recipe, data, coder)
    manifest = _manifest(recipe, base, stages, processes)
    main = rank == 0
    held = kept_folder(out, manifest, resume=resume, kind="training") if main else nullcontext()
    run = _Run(out, form, resume=resume, main=main, watch=watch)
    with held, run, quietly():
        before: Path | None = _adapter_of(recipe.start) if recipe.start else None
        for work in stages:
            before = _run_stage(run, recipe, base, coder, work, before)
        if before is None:
            raise AssertionError("a recipe has a stage")
        if main:
            run.keep_cards(stages)
            run.finish(before, base, stages[-1])
        PartialState().wait_for_everyone()
    return result(out)


def result(out: Path) -> Result:
    """The result of the finished run in `out`.

    Raises:
        RunError: there is none, or it is not finished.
    """
    try:
        found = json.loads((out / "result.json").read_text("utf-8"))
    except OSError as exc:
        raise RunError(
            f"{out} is no finished training", hint="go on with `glider train ... --resume`"
        ) from exc
    return Result(out / found["folder"], found["kind"], found["base"], found["metrics"])


def load_manifest(out: Path) -> TrainingManifest:
    """The manifest of the training in `out`.

    Raises:
        RunError: there is no training there.
    """
    return read_manifest(out, TrainingManifest, "training")


def curve(out: Path) -> Iterator[dict[str, Any]]:
    """The lines of `metrics.jsonl` that count: what a resume did again replaces what it was."""
    lines: list[dict[str, Any]] = []
    try:
        text = (out / "metrics.jsonl").read_text("utf-8")
    except OSError as exc:
        raise RunError(f"{out} has no metrics.jsonl") from exc
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        if not line.endswith("\n"):
            break  # being written
        try:
            found = json.loads(line)
        except ValueError as exc:
            raise DataError("damaged line", path="metrics.jsonl", line=number) from exc
        if found.get("event") == "resumed":
            lines = [
                one
                for one in lines
                if one["stage"] != found["stage"] or one["step"] <= found["step"]
            ]
            continue
        lines.append(found)
    yield from lines


# Data


def stage_data(recipe: Recipe, data: Folders, coder: Coder) -> list[StageData]:
    """Every stage's examples as tokens.

    Raises:
        DataError, EmptySplit: a file is missing, damaged or has nothing that fits.
        NoLabelTokens: an example has no score where its labels are read.
        SetupError: a stage would stop on a figure its development part cannot give.
    """
    folders = [data] if isinstance(data, Path) else list(data)
    # What is missing is said before any of it is read.
    homes = [_folder_of(stage, n, folders) for n, stage in enumerate(recipe.stages, start=1)]
    found: list[StageData] = []
    for number, (stage, folder) in enumerate(zip(recipe.stages, homes, strict=True), start=1):
        name = f"{number}-{stage.kind}"
        train = _split(recipe, stage, folder, stage.train, coder, limit=stage.limit, split="train")
        dev = None
        if stage.dev is not None:
            limit = stage.evaluate.examples
            dev = _split(recipe, stage, folder, stage.dev, coder, limit=limit, split="dev")
            _check_metric(name, stage, dev.kept)
        found.append(StageData(stage, name, train, dev))
    return found


def _folder_of(stage: SftStage | PreferenceStage, number: int, folders: Sequence[Path]) -> Path:
    """The folder of a stage's files."""
    folder = next((one for one in folders if (one / stage.train).exists()), None)
    if folder is None:
        hint = "`glider data` makes it"
        if isinstance(stage, PreferenceStage):
            hint = (
                "`glider rationalize` makes it of a judge's own answers, `glider data "
                "--preferences` of pairs you have; give that folder with a further --data"
            )
        raise DataError(
            f"stage {number}-{stage.kind} has no {stage.train}",
            path=", ".join(map(str, folders)),
            hint=hint,
        )
    if stage.dev is not None and not (folder / stage.dev).exists():
        raise DataError(
            f"stage {number}-{stage.kind} has nothing to measure on",
            path=str(folder / stage.dev),
            hint=f"--set stages.{number - 1}.dev=null goes without",
        )
    return folder


def _split(
    recipe: Recipe,
    stage: SftStage | PreferenceStage,
    folder: Path,
    file: str,
    coder: Coder,
    *,
    limit: int | None,
    split: str,
) -> Split:
    import numpy as np

    path = folder / file
    made: list[Any]
    code: Callable[[Any], Any]
    if isinstance(stage, SftStage):
        made, soft = list(read_examples(path)), stage.soft
        code = lambda one: coder.example(one, soft=soft)  # noqa: E731
    else:
        made, code = list(read_preferences(path)), coder.preference
    if not made:
        raise EmptySplit(split, f"{file} has no examples", hint="make them with `glider data`")
    order = list(range(len(made)))
    if limit is not None and limit < len(made):
        order = np.random.default_rng([recipe.seed, 1]).permutation(len(made)).tolist()
    kept: dict[int, Any] = {}
    shortest, too_long = sys.maxsize, 0
    for index in order:
        if len(kept) == limit:
            break
        encoded = code(made[index])
        if len(encoded) <= recipe.max_tokens:
            kept[index] = encoded
        else:
            too_long += 1
            shortest = min(shortest, len(encoded))
    if not kept:
        raise EmptySplit(
            split,
            f"every example of {file} is longer than {recipe.max_tokens} tokens",
            hint=f"raise max_tokens; the shortest has {shortest}",
        )
    return Split(folder, file, [kept[index] for index in sorted(kept)], too_long)


def _check_metric(name: str, stage: SftStage | PreferenceStage, dev: Sequence[Any]) -> None:
    from collections import defaultdict
    from types import SimpleNamespace

    from glider.training.sft import correlates, mean_level

    if stage.evaluate.metric == "loss" or not isinstance(stage, SftStage):
        return
    sets: dict[str, list[Any]] = defaultdict(list)
    for one in dev:
        if one.score_first and one.score.label_ids:
            sets[one.set].append(SimpleNamespace(gold=mean_level(one.score.probs)))
    if not sets or (stage.evaluate.metric == "pearson" and not any(map(correlates, sets.values()))):
        raise SetupError(
            f"stage {name} is to keep the best {stage.evaluate.metric}, and its development part "
            "has no set with enough scores at the beginning of an answer",
            hint="set evaluate.metric to loss, or raise evaluate.examples",
        )


# The folder


class _Run:
    """The run while it is written; only the first process writes."""

    def __init__(
        self,
        out: Path,
        form: Mapping[str, str] | None,
        *,
        resume: bool,
        main: bool,
        watch: Watch | None,
    ) -> None:
        self.out, self.form = out, form
        self.main, self.resume, self._watch = main, resume, watch
        self._metrics = -1

    def record(self, line: dict[str, Any]) -> None:
        """Write a line of metrics."""
        try:
            append_to(self._metrics, line)
        except OSError as exc:
            raise RunError(
                f"cannot write to {self.out}: {exc.strerror}",
                hint="the last checkpoint is whole; free some space and go on with --resume",
            ) from exc
        if self._watch is not None:
            self._watch(line)

    def keep_cards(self, stages: Sequence[StageData]) -> None:
        """Keep the cards of the data, with their licences, beside what was trained on it."""
        cards = dict.fromkeys(work.train.folder / "card.md" for work in stages)
        there = [card.read_bytes() for card in cards if card.is_file()]
        if there:
            with replacing(self.out / "data-card.md") as file:
                file.write(b"\n".join(there))

    def finish(self, model: Path, base: BaseModel, last: StageData) -> None:
        """Say where the result is; nothing comes after it."""
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

    def __enter__(self) -> "_Run":
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


def _manifest(
    recipe: Recipe, base: BaseModel, stages: Sequence[StageData], processes: int
) -> TrainingManifest:
    now = datetime.now(UTC)
    files: dict[str, dict[str, Any]] = {}
    for work in stages:
        for split in filter(None, (work.train, work.dev)):
            with (split.folder / split.file).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            files[split.file] = {
                "sha256": digest,
                "examples": len(split.kept),
                "too_long": split.too_long,
            }
    source = hashlib.sha256()
    package = Path(__file__).resolve().parent.parent
    for name in _CODE:
        source.update(name.encode() + (package / name).read_bytes())
    settings = recipe.model_dump(mode="json")
    # Where it is says nothing of what it is; the hash does.
    start = folder_hash(_adapter_of(recipe.start)) if recipe.start else None
    settings.update(base=base.name, start=None)
    return TrainingManifest(
        run_id=now.strftime("%Y%m%d-%H%M%S"),
        created_at=now.isoformat(timespec="seconds"),
        glider=__version__,
        code_sha256=source.hexdigest()[:12],
        recipe=settings,
        base={"name": base.name, "revision": base.revision},
        start=start,
        data=files,
        processes=processes,
        python=platform.python_version(),
        libraries=installed(_LIBRARIES),
    )


def _adapter_of(start: str) -> Path:
    """The adapter folder that `start` names: itself, or the result of a run.

    Raises:
        SetupError: there is no adapter.
    """
    folder = Path(start).expanduser()
    if (folder / "result.json").exists():
        folder = result(folder).folder
    if not (folder / "adapter_config.json").exists():
        raise SetupError(f"start: {start} has no adapter", hint="base takes a whole model")
    return folder


# Stages


def _run_stage(
    run: _Run,
    recipe: Recipe,
    base: BaseModel,
    coder: Coder,
    data: StageData,
    before: Path | None,
) -> Path:
    """Train one stage, or find it done; the folder of what it ended with."""
    from accelerate import PartialState

    folder = run.out / data.name
    model = folder / "model"
    if model.exists():
        return model
    checkpoint = _last_checkpoint(folder)
    state = _state(checkpoint)
    if not _is_over(state, data, recipe):
        if run.main and run.resume:
            run.record({"stage": data.name, "step": state["global_step"], "event": "resumed"})
        trainer = _trainer(run, recipe, base, coder, data, before, resuming=checkpoint is not None)
        with _named_errors(trainer):
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        trainer.accelerator.wait_for_everyone()
        state = {"log_history": trainer.state.log_history}
        trainer.accelerator.free_memory()
        del trainer
    if run.main:
        _keep_model(run, model, data, coder, state["log_history"])
    PartialState().wait_for_everyone()
    return model


def _last_checkpoint(folder: Path) -> Path | None:
    from glider.training.trainers import checkpoints

    found = checkpoints(folder)
    return found[-1][1] if found else None


def _state(checkpoint: Path | None) -> dict[str, Any]:
    if checkpoint is None:
        return {"global_step": 0, "log_history": []}
    found: dict[str, Any] = json.loads((checkpoint / "trainer_state.json").read_text("utf-8"))
    return found


def _is_over(state: dict[str, Any], data: StageData, recipe: Recipe) -> bool:
    stopped = any(line.get("event") == "stopped" for line in state["log_history"])
    return stopped or state["global_step"] >= len(updates_of(recipe, data))


def updates_of(recipe: Recipe, data: StageData, *, dev: bool = False) -> Updates:
    """The plan of a stage's updates, or of measuring on its development part."""
    rank, processes = _place()
    stage = data.stage
    split = data.dev if dev and data.dev else data.train
    # A pair is two rows of its length.
    each = 2 if isinstance(stage, PreferenceStage) else 1
    return Updates(
        [len(one) for one in split.kept],
        batch=max(processes, 256) if dev else stage.batch,
        batch_tokens=max(1, stage.batch_tokens // each),
        epochs=1.0 if dev else stage.epochs,
        seed=recipe.seed,
        shuffle=not dev,
        rank=rank,
        processes=processes,
    )


def _trainer(
    run: _Run,
    recipe: Recipe,
    base: BaseModel,
    coder: Coder,
    data: StageData,
    before: Path | None,
    *,
    resuming: bool,
) -> Any:
    """The stage's trainer, with the model it starts from."""
    import torch
    from datasets import Dataset

    from glider.training.preference import read_only_answers
    from glider.training.trainers import PairTrainer, ScoreTrainer, Work

    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    bf16 = computes_in_bf16() if recipe.precision == "auto" else recipe.precision == "bf16"
    is_adapter = before is not None and (before / "adapter_config.json").exists()
    if before is not None and not is_adapter:
        base = BaseModel(str(before), base.name, base.revision)
    # The seed of the trainer comes too late for a new adapter made of what is there.
    torch.manual_seed(recipe.seed)
    model = load_to_train(base, recipe, bf16=bf16)
    adapter = None
    if is_adapter:
        if recipe.lora is None:
            raise SetupError("start names an adapter, and the recipe has no lora")
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, str(before), is_trainable=True)
        # The adapter names its base; saving looks for the base's settings where this says.
        model.peft_config["default"].base_model_name_or_path = base.source
        freeze_lowest(model.get_base_model(), recipe)
    elif recipe.lora is not None:
        adapter = adapter_settings(model, recipe)
    folder = run.out / data.name
    if run.main:
        folder.mkdir(exist_ok=True)
    pad = coder.tokenizer.pad_token_id
    work = Work(
        name=data.name,
        folder=folder,
        base=base.name,
        stage=data.stage,
        train=data.train.kept,
        dev=data.dev.kept if data.dev else [],
        updates=updates_of(recipe, data),
        dev_updates=updates_of(recipe, data, dev=True),
        pad_id=coder.end_of_turn if pad is None else pad,
        record=run.record,
    )
    # The trainers ask for a data set of their own kind; what they train on comes from `Work`.
    named = Dataset.from_dict({"id": [one.id for one in data.train.kept]})
    options: dict[str, Any] = {
        "model": model,
        "train_dataset": named,
        "eval_dataset": named if data.dev else None,
        "processing_class": coder.tokenizer,
        "data_collator": list,
        "peft_config": adapter,
        "work": work,
    }
    arguments = _arguments(recipe, data, folder, bf16=bf16, resuming=resuming)
    if isinstance(data.stage, SftStage):
        return ScoreTrainer(args=arguments, **options)
    read_only_answers()
    return PairTrainer(args=arguments, **options)


def _arguments(recipe: Recipe, data: StageData, folder: Path, *, bf16: bool, resuming: bool) -> Any:
    import torch
    from trl import DPOConfig, SFTConfig

    stage = data.stage
    # transformers 5.2x calls it anew, and warns of the old name.
    new_name = "activation_checkpointing"
    known = SFTConfig.__dataclass_fields__
    recompute = new_name if new_name in known else "gradient_checkpointing"
    sharded = os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true"
    options: dict[str, Any] = {
        "output_dir": str(folder),
        "per_device_train_batch_size": 1,
        "gradient_accumulation_steps": 1,
        "num_train_epochs": 1,
        "learning_rate": stage.learning_rate,
        "lr_scheduler_type": stage.schedule,
        "warmup_steps": float(stage.warmup) if stage.warmup < 1 else 0.999999,
        "weight_decay": stage.weight_decay,
        "max_grad_norm": stage.max_grad_norm,
        "bf16": bf16,
        "use_cpu": not torch.accelerator.is_available(),
        # With sharding it is accelerate's business, and in its own file.
        recompute: recipe.recompute_activations and not sharded,
        "torch_compile": recipe.compile,
        "logging_strategy": "steps",
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "eval_strategy": "steps" if data.dev else "no",
        "eval_steps": stage.evaluate.every,
        "eval_on_start": data.dev is not None and not resuming,
        "save_strategy": "steps",
        "save_steps": stage.checkpoint.every,
        "report_to": "none",
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "seed": recipe.seed,
        "max_length": None,
        "dataloader_pin_memory": False,
        "ddp_find_unused_parameters": False,
    }
    if isinstance(stage, SftStage):
        return SFTConfig(dataset_kwargs={"skip_prepare_dataset": True}, **options)
    return DPOConfig(
        loss_type=list(stage.loss),
        loss_weights=list(stage.loss_weights),
        beta=stage.beta,
        **options,
    )


def _keep_model(
    run: _Run,
    model: Path,
    data: StageData,
    coder: Coder,
    history: Sequence[dict[str, Any]],
) -> None:
    """Make `model/` of the best checkpoint, or of the last where nothing was measured."""
    from glider.training.trainers import best_step, checkpoints

    folder = model.parent
    there = dict(checkpoints(folder))
    best = best_step(history, data.stage)
    step = best if best in there else max(there)
    figures = [line["eval"] for line in history if "eval" in line and line["step"] == step]
    write_json(folder / "kept.json", {"step": step, "metrics": figures[-1] if figures else {}})
    with new_folder(model) as new:
        for path in sorted(there[step].iterdir()):
            if path.name.startswith(("model", "adapter_")) or path.name in (
                "config.json",
                "generation_config.json",
            ):
                shutil.copyfile(path, new / path.name)
        coder.tokenizer.save_pretrained(new)
        form = run.form or form_of(data.train.folder)
        if form:
            write_json(new / FORM, dict(form))


# The machine


def _place() -> tuple[int, int]:
    """This process's rank, and how many there are."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


class _named_errors:
    """Too little memory, under its name."""

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer

        self._number = int(trainer.work.name.partition("-")[0]) - 1

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, GliderError) or not _is_memory(error):
            return
        step = self._trainer.state.global_step + 1
        now = self._trainer.work.stage.batch_tokens
        raise OutOfMemory(
            f"memory ran out in update {step}, with passes of {now} tokens",
            step=step,
            hint=f"go on with --resume and --set stages.{self._number}.batch_tokens="
            f"{max(64, now // 2)} (the result stays the same), or recompute_activations=true",
        ) from error


def _is_memory(error: BaseException) -> bool:
    import torch

    told = str(error)
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError)
        and ("can't allocate memory" in told or "not enough memory" in told)
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """`accelerate launch ... -m glider.training.run`: every process runs this."""
    parser = argparse.ArgumentParser(prog="glider.training.run", description=__doc__.split("\n")[0])
    parser.add_argument("recipe", help="a YAML file, or the name of a shipped recipe")
    parser.add_argument(
        "--data",
        type=Path,
        action="append",
        required=True,
        help="folder of examples; given again, a file is taken from the first that has it",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--resume", action="store_true")
    given = parser.parse_args(arguments)
    main_process = _place()[0] == 0
    try:
        recipe = load_recipe(given.recipe, given.set)
        watch = (lambda line: print(json.dumps(line), flush=True)) if main_process else None
        train(recipe, data=given.data, out=given.out, resume=given.resume, watch=watch)
    except GliderError as error:
        print(f"error ({error.code}): {error}", file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
