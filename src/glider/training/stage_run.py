"""Run one training stage: build its trainer, run its updates and keep its result."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from glider.corpus.examples import format_of
from glider.models.catalog import FORMAT_FILE
from glider.models.resolve import TorchWeights
from glider.store.atomic import new_folder, write_json
from glider.training.base_model import (
    adapter_settings,
    computes_in_bf16,
    freeze_lowest,
    load_to_train,
)
from glider.training.batches import Updates
from glider.training.checkpoints import best_step, checkpoints, copy_model
from glider.training.folder import TrainingFolder
from glider.training.machine import named_out_of_memory, place
from glider.training.recipe import Recipe
from glider.training.stage_data import StageData
from glider.training.tokens import Coder


def run_stage(
    run: TrainingFolder,
    recipe: Recipe,
    base: TorchWeights,
    coder: Coder,
    data: StageData,
    before: Path | None,
) -> Path:
    """Train one stage, or find it finished; return the folder of its result."""
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
        with named_out_of_memory(data.name, data.stage.batch_tokens) as named:
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
    """Plan a stage's updates, or the passes over its development split."""
    rank, processes = place()
    stage = data.stage
    split = data.dev if dev and data.dev else data.train
    return Updates(
        [len(one) for one in split.kept],
        together=[stage.share_a_pass(one) for one in split.kept],
        batch=max(processes, 256) if dev else stage.batch,
        batch_tokens=max(1, stage.batch_tokens // stage.sequences),
        epochs=1.0 if dev else stage.epochs,
        seed=recipe.seed,
        shuffle=not dev,
        rank=rank,
        processes=processes,
    )


def _trainer(
    run: TrainingFolder,
    recipe: Recipe,
    base: TorchWeights,
    coder: Coder,
    data: StageData,
    before: Path | None,
    *,
    resuming: bool,
) -> Any:
    """Build the stage's trainer with the model it starts from."""
    import torch
    from datasets import Dataset

    from glider.training.trainer import StageWork, trainer_class

    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    bf16 = computes_in_bf16() if recipe.precision == "auto" else recipe.precision == "bf16"
    is_adapter = before is not None and (before / "adapter_config.json").exists()
    if before is not None and not is_adapter:
        base = TorchWeights(str(before), base.name, base.revision)
    # The trainer sets its seed too late for an adapter created here.
    torch.manual_seed(recipe.seed)
    model = load_to_train(base, recipe, bf16=bf16)
    adapter = None
    if is_adapter:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, str(before), is_trainable=True)
        # PEFT looks up the base's configuration under this name when it saves the adapter.
        model.peft_config["default"].base_model_name_or_path = base.source
        freeze_lowest(model.get_base_model(), recipe)
    elif recipe.lora is not None:
        adapter = adapter_settings(model, recipe)
    folder = run.out / data.name
    if run.main:
        folder.mkdir(exist_ok=True)
    pad = coder.tokenizer.pad_token_id
    work = StageWork(
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
    # The trainers require a dataset of their own type; the real examples come from `StageWork`.
    named = Dataset.from_dict({"id": list(range(len(data.train.kept)))})
    return trainer_class(data.stage)(
        args=_arguments(recipe, data, folder, bf16=bf16, resuming=resuming),
        model=model,
        train_dataset=named,
        eval_dataset=named if data.dev else None,
        processing_class=coder.tokenizer,
        data_collator=list,
        peft_config=adapter,
        work=work,
    )


def _arguments(recipe: Recipe, data: StageData, folder: Path, *, bf16: bool, resuming: bool) -> Any:
    import torch

    stage = data.stage
    trl = stage.trl()
    # transformers 5.2x renamed this argument and warns about the old name.
    new_name = "activation_checkpointing"
    known = trl.config.__dataclass_fields__
    recompute = new_name if new_name in known else "gradient_checkpointing"
    sharded = os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true"
    if sharded and recipe.lora is not None:
        # accelerate (1.15) does not reproduce the same dropout on recomputation, and wraps layers
        # so that PEFT (0.21) saves an adapter without weights.
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
        # For a sharded model without an adapter, accelerate handles this in its own configuration
        # file.
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
    return trl.config(**options, **trl.options)


def _keep_model(
    run: TrainingFolder,
    model: Path,
    data: StageData,
    coder: Coder,
    history: Sequence[dict[str, Any]],
) -> None:
    """Create `model/` from the best checkpoint, or from the last if nothing was measured."""
    folder = model.parent
    there = dict(checkpoints(folder))
    best = best_step(history, data.stage)
    step = best if best in there else max(there)
    figures = [line["eval"] for line in history if "eval" in line and line["step"] == step]
    write_json(folder / "kept.json", {"step": step, "metrics": figures[-1] if figures else {}})
    with new_folder(model) as new:
        copy_model(there[step], new, coder.tokenizer)
        asked = run.format or format_of(data.train.folder)
        if asked:
            write_json(new / FORMAT_FILE, dict(asked))
