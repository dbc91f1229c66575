"""A training: its stages one after another, each from what the one before ended with.

In several processes: `accelerate launch ... -m glider.training.run RECIPE --data DIR --out DIR`.
"""

import argparse
import hashlib
import json
import os
import platform
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from glider._version import __version__
from glider.core.errors import (
    GliderError,
    OutOfMemory,
    SetupError,
)
from glider.corpus.examples import form_of
from glider.models.catalog import FORM
from glider.models.dequantise import save_tokenizer
from glider.models.quiet import quietly
from glider.store.atomic import new_folder, write_json
from glider.store.folder import kept_folder
from glider.store.manifest import installed
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
from glider.training.recipe import PreferenceStage, Recipe, SftStage, load_recipe
from glider.training.run_folder import Result, RunFolder, TrainingManifest, Watch, result
from glider.training.stage_data import Folders, StageData, stage_data
from glider.training.start import going_on
from glider.training.tokens import Coder

_CODE = (
    "corpus/examples.py",
    "text/chat.py",
    "text/defuse.py",
    "training/attention.py",
    "training/base_model.py",
    "training/batches.py",
    "training/preference.py",
    "training/run.py",
    "training/sft.py",
    "training/stage_data.py",
    "training/start.py",
    "training/tokens.py",
    "training/trainers.py",
)
"""Source that decides what a training does; other commands may change meanwhile."""
_LIBRARIES = ("torch", "transformers", "tokenizers", "trl", "peft", "accelerate", "numpy")


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
    recipe, before = going_on(recipe, base)
    coder = Coder(load_tokenizer(base), model=base.name)
    stages = stage_data(recipe, data, coder)
    manifest = _manifest(recipe, base, before, stages, processes)
    main = rank == 0
    held = kept_folder(out, manifest, resume=resume, kind="training") if main else nullcontext()
    run = RunFolder(out, form, resume=resume, main=main, watch=watch)
    with held, run, quietly():
        for work in stages:
            before = _run_stage(run, recipe, base, coder, work, before)
        if before is None:
            raise AssertionError("a recipe has a stage")
        if main:
            run.keep_cards(stages)
            run.finish(before, base, stages[-1])
        PartialState().wait_for_everyone()
    return result(out)


def _manifest(
    recipe: Recipe,
    base: BaseModel,
    start: Path | None,
    stages: Sequence[StageData],
    processes: int,
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
    # Where they are says nothing of what they are; the hash does.
    settings.update(base=base.name, start=None)
    return TrainingManifest(
        run_id=now.strftime("%Y%m%d-%H%M%S"),
        created_at=now.isoformat(timespec="seconds"),
        glider=__version__,
        code_sha256=source.hexdigest()[:12],
        recipe=settings,
        base={"name": base.name, "revision": base.revision},
        start=folder_hash(start) if start else None,
        data=files,
        processes=processes,
        python=platform.python_version(),
        libraries=installed(_LIBRARIES),
    )


# Stages


def _run_stage(
    run: RunFolder,
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
        if run.main and folder.exists():
            run.record({"stage": data.name, "step": state["global_step"], "event": "resumed"})
        resuming = checkpoint is not None
        with _named_errors(data) as named:
            trainer = _trainer(run, recipe, base, coder, data, before, resuming=resuming)
            named.trainer = trainer
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        trainer.accelerator.wait_for_everyone()
        state = {"log_history": trainer.state.log_history}
        trainer.accelerator.free_memory()
        del trainer, named
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
    run: RunFolder,
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
        bench=data.bench,
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
    if sharded and recipe.lora is not None:
        # accelerate (1.15) does not draw the same dropout again, and wraps layers in a way that has
        # PEFT (0.21) save an adapter without a weight in it.
        os.environ["FSDP_ACTIVATION_CHECKPOINTING"] = "false"
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
        # Of a sharded model without an adapter it is accelerate's business, and in its own file.
        recompute: recipe.recompute_activations and (recipe.lora is not None or not sharded),
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
    run: RunFolder,
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
        copy_model(there[step], new, coder.tokenizer)
        form = run.form or form_of(data.train.folder)
        if form:
            write_json(new / FORM, dict(form))


def copy_model(checkpoint: Path, folder: Path, tokenizer: Any) -> None:
    """What a checkpoint has learnt, with the tokenizer, which it is without, and nothing else.

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


# The machine


def _place() -> tuple[int, int]:
    """This process's rank, and how many there are."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


class _named_errors:
    """Too little memory, under its name."""

    def __init__(self, data: StageData) -> None:
        self._data = data
        self.trainer: Any = None
        """Once there is one: making it takes the model to the device."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, GliderError) or not _is_memory(error):
            return
        if self.trainer is None:
            raise OutOfMemory(
                "memory ran out before the first update: it does not hold the model",
                step=0,
                hint="--dry-run tells what is needed; take a smaller base, or several cards "
                "(docs/training.md)",
            ) from error
        step = self.trainer.state.global_step + 1
        now = self._data.stage.batch_tokens
        number = int(self._data.name.partition("-")[0]) - 1
        raise OutOfMemory(
            f"memory ran out in update {step}, with passes of {now} tokens",
            step=step,
            hint=f"go on with --resume and --set stages.{number}.batch_tokens="
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
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
