"""Speed and memory of training on a processor: TRL's defaults, each ingredient, all of ours.

    python benchmarks/training_speed.py --data FOLDER      # of train.jsonl.gz and dev.jsonl.gz

Every row is a process of its own on the same examples in the same order, so the loss beside the
speed tells whether the same was learnt. `trl` rows call SFTTrainer as its documentation does, with
the prompt masked; each adds one ingredient. `ours` rows are `glider train`. Tokens are those of the
examples, padding not counted; the first updates, in which shapes are new, are left out of the
speed. Threads wait asleep in every row. cpu tok/s counts processor seconds instead of the clock's:
what a busy machine leaves of it.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common import facts, ours_environment, parser, save, settings, table

TRL: dict[str, dict[str, Any]] = {
    "trl, fp32": {},
    "trl, bf16": {"bf16": True},
    "trl, fp32, activations kept": {"keep": True},
    "trl, fp32, learnt logits only": {"learnt": True},
    "trl, fp32, length groups": {"group": True},
    "trl, fp32, attention as products": {"attention": "eager"},
    "trl, fp32, lower half frozen": {"frozen": 15},
    "trl, fp32, LoRA 32": {"rank": 32},
    "trl, bf16, compiled": {"bf16": True, "compile": True},
}
OURS: dict[str, dict[str, Any]] = {
    "ours, all weights, fp32": {"precision": "fp32", "lora": None},
    "ours, all weights, bf16": {"lora": None},
    "ours, all weights, bf16, attention as products": {"lora": None, "attention": "eager"},
    "ours, all weights, lower half frozen": {"lora": None, "frozen_layers": 15},
    "ours, LoRA 8": {"lora": {"rank": 8, "alpha": 16}},
    "ours, LoRA 32": {"lora": {"rank": 32, "alpha": 64}},
    "ours, LoRA 64": {"lora": {"rank": 64, "alpha": 128}},
    "ours, LoRA 32, lower half frozen": {"lora": {"rank": 32, "alpha": 64}, "frozen_layers": 15},
}
_NOT_TIMED = 2
_ADAPTER_RATE = 10
"""An adapter learns as much at ten times the rate; at the same one losses could not be compared."""
_WAITING = {"OMP_WAIT_POLICY": "PASSIVE"}
"""For every row: threads that spin make the clock measure the neighbours (docs/training.md)."""


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--data", type=Path, required=True, help="folder of examples (glider data)")
    made.add_argument("--base", default="smollm2-135m-instruct")
    made.add_argument("--updates", type=int, default=10)
    made.add_argument("--batch", type=int, default=8)
    made.add_argument("--batch-tokens", type=int, default=1024)
    made.add_argument("--dev", type=int, default=64, help="examples the loss is measured on")
    made.add_argument("--threads", type=int, default=2)
    made.add_argument("--max-tokens", type=int, default=1024)
    made.add_argument("--rate", type=float, default=1e-4)
    made.add_argument("--only", action="append", help="a row, or a part of names")
    made.add_argument("--row", help="run one row in this process; used by the script itself")
    args = made.parse_args()
    every = (*TRL, *OURS)
    wanted = [n for p in args.only or [""] for n in every if (n == p if p in every else p in n)]
    names = [n for n in every if n in wanted]
    if args.row:
        print(
            json.dumps(
                _trl(args, TRL[args.row]) if args.row in TRL else _ours(args, OURS[args.row])
            )
        )
        return
    rows: dict[str, Any] = {}
    for name in names:
        rows[name] = _in_a_process(name)
        print(name, rows[name], file=sys.stderr, flush=True)
        result = {"facts": facts(), "settings": settings(args), "rows": rows, "table": _table(rows)}
        save(args.out, "training_speed", result)
    print(_table(rows))


def _in_a_process(name: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, *sys.argv[1:], "--row", name],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | ours_environment() | {"HF_HUB_OFFLINE": "1"} | _WAITING,
    )
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1][:200]}
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _table(rows: Mapping[str, Any]) -> str:
    first = next(iter(rows.values()))
    lines = []
    for name, row in rows.items():
        if "failed" in row:
            lines.append([name, row["failed"], "", "", "", ""])
            continue
        times = row["tokens_per_s"] / first["tokens_per_s"] if "tokens_per_s" in first else 0
        lines.append(
            [
                name,
                f"{row['tokens_per_s']:.0f}",
                f"{times:.2f}",
                f"{row['tokens_per_cpu_s']:.0f}",
                f"{row['peak_mb']:,}",
                f"{row['loss']:.3f}",
            ]
        )
    return table(["", "tok/s", "of the first", "cpu tok/s", "peak MB", "loss after"], lines)


# ---- in the row's own process


def _recipe(args: Any, **changes: Any) -> Any:
    from glider.training.recipe import parse_recipe

    rate = args.rate * (_ADAPTER_RATE if changes.get("lora") else 1)
    stage = {
        "kind": "sft", "learning_rate": rate, "batch": args.batch, "warmup": 0.0,
        "batch_tokens": args.batch_tokens, "score_weight": None, "soft": False,
        "schedule": "constant_with_warmup", "limit": args.updates * args.batch,
        "evaluate": {"every": 10**6, "examples": args.dev}, "checkpoint": {"every": 10**6},
    }  # fmt: skip
    top = {"base": args.base, "max_tokens": args.max_tokens, "threads": args.threads, **changes}
    return parse_recipe({**top, "stages": [stage]})


def _ours(args: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
    from glider.training.run import train

    lines: list[dict[str, Any]] = []
    marks: list[float] = []

    def progress(line: dict[str, Any]) -> None:
        if "loss" in line:
            lines.append(line)
            marks.append(time.process_time())

    with tempfile.TemporaryDirectory() as folder:
        found = train(
            _recipe(args, **changes), data=args.data, out=Path(folder) / "run", progress=progress
        )
    timed = lines[_NOT_TIMED:]
    tokens = sum(line["tokens"] for line in timed)
    return {
        "tokens_per_s": tokens / sum(line["tokens"] / line["tokens_per_s"] for line in timed),
        "tokens_per_cpu_s": tokens / (marks[-1] - marks[_NOT_TIMED - 1]),
        "peak_mb": max(line["peak_mb"] for line in lines),
        "loss": found.metrics["loss"],
        "updates": len(lines),
    }


def _trl(args: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    from glider.training.agreement import figures, measure
    from glider.training.base_model import find_base, load_tokenizer
    from glider.training.logits import read_only_learnt
    from glider.training.machine import peak_mb
    from glider.training.stage_data import stage_data
    from glider.training.stage_run import updates_of
    from glider.training.stages.preference import read_only_answers
    from glider.training.tokens import Coder

    torch.set_num_threads(args.threads)
    recipe = _recipe(args)
    base = find_base(recipe.base)
    tokenizer = load_tokenizer(base)
    (data,) = stage_data(recipe, args.data, Coder(tokenizer, model=base.name))
    plan = updates_of(recipe, data)
    order = [index for update in range(len(plan)) for index in plan.examples(update)]
    examples = [data.train.kept[index] for index in order]
    if changes.get("learnt"):
        read_only_answers()
    model = AutoModelForCausalLM.from_pretrained(
        base.source, dtype=torch.float32, attn_implementation=changes.get("attention", "sdpa")
    )
    if frozen := changes.get("frozen"):
        model.get_input_embeddings().requires_grad_(False)
        model.model.layers[:frozen].requires_grad_(False)
    times, processor = [], []

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *_args: Any, **_options: Any) -> None:
            times.append(time.perf_counter())
            processor.append(time.process_time())

    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(
            model=model,
            args=SFTConfig(
                output_dir=folder, use_cpu=True, bf16=changes.get("bf16", False), max_length=None,
                per_device_train_batch_size=8, gradient_accumulation_steps=args.batch // 8,
                learning_rate=args.rate * (_ADAPTER_RATE if "rank" in changes else 1),
                lr_scheduler_type="constant", num_train_epochs=1,
                report_to="none", disable_tqdm=True, save_strategy="no", logging_steps=10**6,
                torch_compile=changes.get("compile", False),
                train_sampling_strategy="group_by_length" if changes.get("group") else "sequential",
                **({"gradient_checkpointing": False} if changes.get("keep") else {}),
            ),
            train_dataset=Dataset.from_dict(
                {
                    "input_ids": [one.ids for one in examples],
                    "labels": [[-100] * one.n_prompt + one.ids[one.n_prompt :] for one in examples],
                }
            ),
            processing_class=tokenizer,
            callbacks=[Clock()],
            peft_config=LoraConfig(
                task_type="CAUSAL_LM", r=changes["rank"], lora_alpha=2 * changes["rank"],
                target_modules="all-linear",
            ) if "rank" in changes else None,
        )  # fmt: skip
        trainer.train()
    peak = peak_mb()
    tokens = sum(len(one) for one in examples[_NOT_TIMED * args.batch :])
    inside = trainer.model.get_base_model() if "rank" in changes else trainer.model
    read_only_learnt(inside)
    trainer.model.eval()
    dev, rows, measured = data.dev, updates_of(recipe, data, dev=True), []
    assert dev is not None
    with torch.no_grad():
        for update in range(len(rows)):
            for group in rows.passes(update):
                totals = data.stage.totals(dev.kept)
                one = data.stage.collate(group, dev.kept, totals, pad_id=0)
                measured += measure(one, trainer.model(**one["model"]), group, dev.kept)
    return {
        "tokens_per_s": tokens / (times[-1] - times[_NOT_TIMED - 1]),
        "tokens_per_cpu_s": tokens / (processor[-1] - processor[_NOT_TIMED - 1]),
        "peak_mb": peak,
        "loss": figures(measured, score_weight=0.0, text_weight=1.0)["loss"],
        "updates": len(times),
    }


if __name__ == "__main__":
    main()
