"""What makes a small judge better? One short training for each answer, all read on the same items.

    python benchmarks/ablation.py --data FOLDER                  # every cell; hours on two cores
    python benchmarks/ablation.py --data FOLDER --only "hard labels" "LoRA 8"
    python benchmarks/ablation.py --data FOLDER --round d3 --only D3 "as glider-nano's first stage"
    python benchmarks/ablation.py --data FOLDER --round made --made EXPORT/labelled.jsonl.gz \
        --examples 300 --only "real labels" "made labels" "half of each" "no highlights"
    python benchmarks/ablation.py --page                         # the page of what is there

A cell is one change of what stands beside it: other examples, other settings, or another start.
Every cell sees as many examples, one process with one thread each, `--at-once` cells side by side.
It can be killed at any moment and started again. Then each judges the same held-out items as it
would serve them. The interval is about other items, not about other draws of a training: there is
one training a cell. Cells are compared within a round, which is one machine and one size.

Writes results/ablation.json, or results/ablation-ROUND.json, and docs/ablation.md of all rounds.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from common import HERE, facts, machine, save, settings, table, with_data

from glider import training
from glider.bench.metrics import METRICS, MetricOfScores
from glider.bench.scored import Scored, cluster_codes
from glider.core.judgments import Judgment
from glider.corpus import DataSettings, make_data
from glider.corpus.examples import read_examples, read_tasks, write_lines
from glider.gold.items import Item
from glider.judging.settings import JudgeSettings
from glider.stats.estimates import Undefined
from glider.stats.resampling import bootstrap, paired_difference
from glider.stats.statistic import mean_of
from glider.store.atomic import new_folder
from glider.studies import (
    AnswererSettings,
    RationalizationSettings,
    SelectionSettings,
    rationalize,
    select,
)
from glider.training import load_recipe

_MIXTURES = HERE.parent / "src" / "glider" / "corpus" / "mixtures"
_NANO = HERE.parent / "src" / "glider" / "nano"
_BASE_MODEL = "smollm2-135m-instruct"
REFERENCE, NANO, MORE = "as glider-nano's first stage", "glider-nano as it is", "the same again"
REASONED = "score first, where there is a reason"
REAL = "real labels"
_FOR_DEV = 14_000
"""Examples that the held-out items are cut from: which prompts are held out depends on the seed
alone, so that no cell has learnt one of them."""


@dataclass(frozen=True)
class Cell:
    """One training, or none."""

    question: str
    against: str = REFERENCE
    """The cell it is compared with; itself for the one that others are compared with."""
    mixture: Mapping[str, Any] = field(default_factory=dict)
    """Changes of how the examples are made."""
    settings: tuple[str, ...] = ()
    """Changes of the recipe, as `glider train --set` takes them."""
    start: str = ""
    """Adapter to go on from; empty for the base."""
    choose: str = ""
    """Draw the examples from twice as many: `ifd` or `d3`, as `glider select --by`."""
    made: float = 0.0
    """Share of the examples that come from `--made`, an export of `glider synth`."""
    reasoned: bool = False
    """Only examples with a reason, of which reason first can learn alone."""
    pairs: str = ""
    """`rationalize`: learn pairs of the judge's own answers instead of examples."""
    order: str = "score-first"
    trains: bool = True


def _of_made(question: str, made: float = 0.0, **mixture: Any) -> Cell:
    """A cell beside made labels: single texts, each with its reason if it has one, four times."""
    changes = {"pairs": 0.0, "explained": 1.0, **mixture}
    return Cell(question, REAL, mixture=changes, settings=("stages.0.epochs=4",), made=made)


CELLS: dict[str, Cell] = {
    "the base, not trained": Cell("does it learn at all?", trains=False),
    REFERENCE: Cell("does it learn at all?"),
    "hard labels": Cell("soft labels or hard?", settings=("stages.0.soft=false",)),
    "bare scores only": Cell(
        "with quotes and reasons?", mixture={"explained": 0.0, "marks": False}
    ),
    "every reason there is": Cell("with quotes and reasons?", mixture={"explained": 1.0}),
    REASONED: Cell(
        "score first or reason first?", REASONED, mixture={"explained": 1.0, "marks": False},
        reasoned=True,
    ),
    "reason first": Cell(
        "score first or reason first?", REASONED, reasoned=True,
        mixture={"order": "reason-first", "explained": 1.0, "marks": False},
        order="reason-first",
    ),
    "LoRA 8": Cell("how much to train?", settings=("lora.rank=8", "lora.alpha=16")),
    "LoRA 32, all layers": Cell("how much to train?", settings=("frozen_layers=0",)),
    "full, lower half frozen": Cell(
        "how much to train?", settings=("lora=null", "stages.0.learning_rate=1e-4")
    ),
    "every set alike": Cell("how to mix the sets?", mixture={"cap": 150}),
    "no other wordings and scales": Cell(
        "how to mix the sets?", mixture={"augment": {"paraphrase": 0, "names": 0, "scale": 0}}
    ),
    "IFD": Cell("which examples?", choose="ifd"),
    "D3": Cell("which examples?", choose="d3"),
    REAL: _of_made("are made labels worth anything?"),
    "made labels": _of_made("are made labels worth anything?", 1.0),
    "half of each": _of_made("are made labels worth anything?", 0.5),
    "no highlights": _of_made("what are highlights worth?", highlights=False),
    NANO: Cell("what after supervised training?", NANO, start="nano", trains=False),
    MORE: Cell(
        "what after supervised training?", NANO, start="nano",
        settings=("stages.0.learning_rate=3e-4",),
    ),
    "self-rationalization, DPO": Cell(
        "what after supervised training?", NANO, start="nano", pairs="rationalize"
    ),
    "self-rationalization, APO-zero + SFT": Cell(
        "what after supervised training?", NANO, start="nano", pairs="rationalize",
        settings=("stages.0.loss=[apo_zero,sft]", "stages.0.loss_weights=[1.0,1.0]"),
    ),
}  # fmt: skip


def slug(name: str) -> str:
    """A folder's name."""
    return "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split())


# ---- one cell, in a process of its own


def run_cell(args: argparse.Namespace, name: str) -> None:
    """Train what is to be trained, judge the held-out items, write `cell.json`."""
    from glider.training.folder import result

    cell, folder = CELLS[name], args.runs / slug(name)
    folder.mkdir(parents=True, exist_ok=True)
    adapter = str(args.nano) if cell.start else ""
    told: dict[str, Any] = {"name": name}
    if cell.trains:
        if cell.pairs:
            data = pairs_of(args)
        else:
            data = examples_of(args, cell)
            kept = {(name, item.cluster) for item, _, name in held_out(args)}
            learnt = {(one.set, one.cluster) for one in read_examples(data / "train.jsonl.gz")}
            assert not kept & learnt, "a held-out prompt is among the examples"
        train(args, cell, data, folder / "run")
        told |= trained(folder / "run")
        adapter = str(result(folder / "run").folder)
    began = time.perf_counter()
    told["answers"] = answers(args, cell, adapter)
    told["judging_s"] = round(time.perf_counter() - began, 1)
    (folder / "cell.json").write_text(json.dumps(told) + "\n", "utf-8")


def examples_of(args: argparse.Namespace, cell: Cell) -> Path:
    """The folder of a cell's examples; made once for all cells that share it."""
    if cell.made:
        return _partly_made(args, cell)
    changes = {**cell.mixture, **({"size": 2 * args.examples} if cell.choose else {})}
    name = slug(json.dumps(changes, sort_keys=True)) or "reference"
    folder: Path = args.runs / "examples" / name
    if not folder.is_dir():
        plan = yaml.safe_load((_MIXTURES / "nano-score.yaml").read_text("utf-8"))
        plan |= {"size": args.examples, "max_prompt_tokens": args.prompt_tokens, **changes}
        folder.parent.mkdir(parents=True, exist_ok=True)
        recipe = folder.with_suffix(".yaml")
        recipe.write_text(yaml.safe_dump(plan), "utf-8")
        make_data(DataSettings(recipe=recipe, data=args.data), folder)
    if cell.reasoned and not (told := folder.with_name(f"{name}-reasoned")).is_dir():
        with new_folder(told) as new:
            whole = (one for one in read_examples(folder / "train.jsonl.gz") if one.whole)
            write_lines(new / "train.jsonl.gz", whole)
    if not cell.choose:
        return folder.with_name(f"{name}-reasoned") if cell.reasoned else folder
    chosen = folder.with_name(f"{name}-{cell.choose}")
    if not (chosen / "selection.json").exists():
        wanted = SelectionSettings(by=cell.choose, size=args.examples)
        select(folder, chosen, wanted, resume=chosen.exists())
    return chosen


def _partly_made(args: argparse.Namespace, cell: Cell) -> Path:
    """The folder of examples some of which, or all, are made."""
    folder: Path = args.runs / "examples" / f"made-{cell.made:g}"
    if folder.is_dir():
        return folder
    if args.made is None:
        sys.exit("--made FILE: the labelled records of an export of `glider synth`")
    n = round(args.examples * cell.made)
    sets = {str(args.made.resolve()): {}}
    of_made = replace(cell, made=0.0, mixture={**cell.mixture, "sets": sets, "size": n, "dev": 0})
    parts = [examples_of(args, of_made)]
    if n < args.examples:
        real = {**cell.mixture, "size": args.examples - n}
        parts.append(examples_of(args, replace(cell, made=0.0, mixture=real)))
    with new_folder(folder) as new:
        read = (one for part in parts for one in read_examples(part / "train.jsonl.gz"))
        write_lines(new / "train.jsonl.gz", read)
    return folder


def pairs_of(args: argparse.Namespace) -> Path:
    """Pairs of glider-nano's own answers; made once."""
    folder: Path = args.runs / "examples" / "pairs"
    if not (folder / "result.json").exists():
        prompts = examples_of(args, CELLS[REFERENCE])
        rationalize(
            prompts,
            folder,
            AnswererSettings(model=f"embedded/{args.nano}"),
            RationalizationSettings(limit=args.asked, samples=4, margin=1),
            resume=folder.exists(),
        )
    return folder


def train(args: argparse.Namespace, cell: Cell, data: Path, out: Path) -> None:
    """A training, from the beginning or from its last checkpoint."""
    changes = ["processes=1", "threads=1", "stages.0.dev=null", *cell.settings]
    if cell.start:
        changes.append(f"start={args.nano}")
    if not cell.pairs:
        changes.append(f"stages.0.limit={args.examples}")
    recipe = "nano-self-rationalization" if cell.pairs else "nano"
    begun = (out / "manifest.json").exists()
    training.train(load_recipe(recipe, changes), data=data, out=out, resume=begun)


def trained(run: Path) -> dict[str, Any]:
    """What a training took, from its own record."""
    from glider.training.folder import curve, load_manifest

    steps = [line for line in curve(run) if "tokens" in line]
    (data,) = load_manifest(run).data.values()
    return {
        "examples": data["examples"],
        "tokens": sum(line["tokens"] for line in steps),
        "training_s": round(sum(line["tokens"] / line["tokens_per_s"] for line in steps), 1),
        "manifest": load_manifest(run).model_dump(mode="json"),
    }


def held_out(args: argparse.Namespace) -> list[tuple[Item, tuple[float, ...], str]]:
    """The items all cells judge: each with the gold distribution over its levels, and its set."""
    folder = examples_of(args, Cell("", mixture={"size": _FOR_DEV}))
    tasks = {one.id: one.task for one in read_tasks(folder / "tasks.jsonl.gz")}
    found = []
    for one in read_examples(folder / "dev.jsonl.gz"):
        if one.id not in tasks or one.labels is None:
            continue
        task, levels = tasks[one.id], [int(label) for label in one.labels]
        probs = one.soft or tuple(float(level == one.score) for level in levels)
        item = Item(
            sample=task.sample, criterion=task.criterion, part=one.set, cluster=one.cluster,
            gold=float(np.dot(levels, probs)), scale=(min(levels), max(levels)), as_written=True,
        )  # fmt: skip
        found.append((item, probs, one.set))
    order = np.random.default_rng(args.seed).permutation(len(found))
    return [found[n] for n in order[: args.held_out]]


def answers(args: argparse.Namespace, cell: Cell, adapter: str) -> list[dict[str, float] | None]:
    """The probability of each level, item by item; None of a failed judgment."""
    from glider.core.tasks import JudgeTask

    asked = held_out(args)
    if cell.order == "reason-first":
        asked = asked[: args.slow]
    engine = "fast" if cell.order == "score-first" else "embedded"
    model = f"{engine}/{adapter or _BASE_MODEL}"
    written = JudgeSettings(
        model=model, format="nano", order=cell.order, explain=cell.order == "reason-first"
    )
    tasks = [JudgeTask(item.sample, item.criterion) for item, _, _ in asked]
    with written.open() as judge:
        return [
            {str(level): p for level, p in (outcome.score_probs or {outcome.score: 1.0}).items()}
            if isinstance(outcome, Judgment)
            else None
            for outcome in judge.judge_many(tasks)
        ]


# ---- all cells


def run(args: argparse.Namespace) -> None:
    """The cells that are not there yet, a few side by side."""
    possible = [n for n in CELLS if args.made or CELLS[n].against != REAL]
    wanted = [n for n in CELLS if args.only and n in args.only] or possible
    waiting = [n for n in wanted if not (args.runs / slug(n) / "cell.json").exists()]
    held_out(args)
    for name in waiting:  # made one by one: several cells share one folder
        examples_of(args, CELLS[name])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    running: dict[str, subprocess.Popen[bytes]] = {}
    failed = []
    while waiting or running:
        shares = {n for n in running if CELLS[n].pairs}
        for name in list(waiting):
            if len(running) < args.at_once and not (shares and CELLS[name].pairs):
                waiting.remove(name)
                command = [sys.executable, *sys.argv, "--cell", name]
                running[name] = subprocess.Popen(command, env=environment)
                shares |= {name} if CELLS[name].pairs else set()
                print(f"begun: {name}", flush=True)
        time.sleep(1)
        for name, process in list(running.items()):
            if process.poll() is not None:
                del running[name]
                failed += [name] if process.returncode else []
                print(f"{'FAILED' if process.returncode else 'done'}: {name}", flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


# ---- figures


def figures(args: argparse.Namespace) -> dict[str, Any]:
    """Every cell's figures, and what it is ahead of the one beside it."""
    cells = {}
    for name in CELLS:
        path = args.runs / slug(name) / "cell.json"
        if path.exists():
            cells[name] = json.loads(path.read_text("utf-8"))
    asked = held_out(args)
    rows: dict[str, Any] = {}
    for name, told in cells.items():
        own = _measured(asked, told["answers"])
        against = CELLS[name].against
        row = {k: v for k, v in told.items() if k != "answers"} | {"n": len(told["answers"])}
        for metric, (statistic, clusters) in own.items():
            row[metric] = _plain(bootstrap(statistic, clusters, rng=_rng(args)))
        if against in cells and against != name:
            shared = min(len(told["answers"]), len(cells[against]["answers"]))
            one, other = (_measured(asked, cells[n]["answers"][:shared]) for n in (name, against))
            for metric, (statistic, clusters) in one.items():
                found = paired_difference(statistic, other[metric][0], clusters, rng=_rng(args))
                row[f"{metric} less"] = _plain(found)
        row["read"] = sum(answer is not None for answer in told["answers"])
        rows[name] = row
    return rows


def _rng(args: argparse.Namespace) -> np.random.Generator:
    return np.random.default_rng(args.seed)


def _measured(asked: Sequence[Any], told: Sequence[Mapping[str, float] | None]) -> dict[str, Any]:
    """Loss, accuracy and Pearson's r. A failed judgment knows nothing: all levels alike, wrong."""
    asked = asked[: len(told)]
    items = [item for item, _, _ in asked]
    clusters = cluster_codes(items)
    loss, right, expected = [], [], []
    for (item, gold, _), answer in zip(asked, told, strict=True):
        levels = item.criterion.rubric.scores
        given = [float((answer or {}).get(str(level), 0.0)) for level in levels]
        total = sum(given)
        probs = [p / total for p in given] if total > 0 else [1 / len(levels)] * len(levels)
        loss.append(-sum(g * math.log(max(p, 1e-6)) for g, p in zip(gold, probs, strict=True)))
        right.append(float(answer is not None and np.argmax(probs) == np.argmax(gold)))
        expected.append(float(np.dot(levels, probs)) if answer is not None else None)
    scored = Scored.of("dev", "cell", items, expected)
    return {
        "loss": (mean_of(np.array(loss)), clusters),
        "accuracy": (mean_of(np.array(right)), clusters),
        "pearson": (MetricOfScores(METRICS.get("pearson"), scored).statistic, clusters),
    }


def _plain(found: Any) -> dict[str, Any]:
    if isinstance(found, Undefined):
        return {"undefined": found.reason, "n": found.n}
    return {key: getattr(found, key) for key in ("value", "low", "high", "n", "method")}


_HEADS = (
    "cell", "examples", "tokens", "minutes", "items read", "score loss", "less", "accuracy",
    "less", "Pearson's r", "less",
)  # fmt: skip


def page(rounds: Sequence[Mapping[str, Any]]) -> str:
    """docs/ablation.md."""
    blocks = [
        "# What makes a small judge better?",
        "Made by `benchmarks/ablation.py` from `benchmarks/results/ablation*.json`, which hold "
        "each training's manifest.",
        "Each cell is one training of SmolLM2-135M, one thread, and judges the same held-out "
        "items as the others of its round. *less*: the cell less the one it is compared with, on "
        "the same items, with its 95 % interval over prompts; there is one training a cell, "
        "so the interval does not tell what another draw of the same training would give. A lower "
        "loss is better; "
        "Pearson's r is the mean over sets. *minutes*: wall time of the updates, whatever else the "
        "machine did. Where Pearson's r of a training is no better than the base's, it has learnt "
        "how often each level occurs and hardly more: then a difference between two such trainings "
        "says little of a longer one.",
    ]
    for number, result in enumerate(rounds, 1):
        about = result["settings"]
        blocks.append(
            f"## Round {number}: {about['examples']:,} examples\n\n"
            f"On {machine(result['facts'])}; prompts of at most {about['prompt_tokens']} tokens; "
            f"{about['held_out']} held-out items."
        )
        blocks += _questions(result["rows"])
    return "\n\n".join(blocks) + "\n"


def _questions(rows: Mapping[str, Any]) -> Iterator[str]:
    for question in dict.fromkeys(cell.question for cell in CELLS.values()):
        own = [n for n in rows if CELLS[n].question == question]
        against = CELLS[own[-1]].against if own else ""
        if not own or set(own) == {against} != set(rows):
            continue
        yield f"### {question[:1].upper()}{question[1:]}"
        yield f"Compared with: {against}."
        shown = ([against] if against in rows and against not in own else []) + own
        yield table(_HEADS, [_row(name, rows[name]) for name in shown]).strip()


def _row(name: str, row: Mapping[str, Any]) -> list[str]:
    cells = [
        name, f"{row['examples']:,}" if "examples" in row else "–",
        f"{row['tokens']:,}" if "tokens" in row else "–",
        f"{row['training_s'] / 60:.1f}" if "training_s" in row else "–",
        f"{row['read']} of {row['n']}",
    ]  # fmt: skip
    for metric in ("loss", "accuracy", "pearson"):
        cells += [_cell(row.get(metric)), _cell(row.get(f"{metric} less"), signed=True)]
    return cells


def _cell(found: Mapping[str, Any] | None, *, signed: bool = False) -> str:
    if not found or "value" not in found:
        return "–"
    shape = "+.2f" if signed else ".2f"
    return f"{found['value']:{shape}} [{found['low']:{shape}}, {found['high']:{shape}}]"


def main() -> None:
    """Train, judge, write."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    with_data(made)
    made.add_argument("--runs", type=Path, default=HERE.parent / "runs" / "ablation")
    made.add_argument("--out", type=Path, default=HERE / "results", help="folder for the JSON")
    made.add_argument("--docs", type=Path, default=HERE.parent / "docs" / "ablation.md")
    made.add_argument("--made", type=Path, help="labelled records of an export of `glider synth`")
    made.add_argument("--nano", type=Path, default=_NANO, help="adapter that some cells go on from")
    made.add_argument("--only", nargs="+", choices=CELLS, metavar="CELL")
    made.add_argument("--examples", type=int, default=2400, help="of each training")
    made.add_argument("--prompt-tokens", type=int, default=256)
    made.add_argument("--held-out", type=int, default=600, help="items that all judge")
    made.add_argument("--slow", type=int, default=150, help="of them, where reasons come first")
    made.add_argument("--asked", type=int, default=200, help="prompts answered several times")
    made.add_argument("--at-once", type=int, default=2)
    made.add_argument("--seed", type=int, default=7)
    made.add_argument("--round", default="", help="name of the results; the first has none")
    made.add_argument("--page", action="store_true", help="train nothing")
    made.add_argument("--cell", choices=CELLS, help="used by the script itself")
    args = made.parse_args()
    if args.cell:
        run_cell(args, args.cell)
        return
    if not args.page:
        run(args)
    name = f"ablation-{args.round}" if args.round else "ablation"
    if any(args.runs.glob("*/cell.json")):
        save(args.out, name, {"facts": facts(), "settings": settings(args), "rows": figures(args)})
    files = sorted(args.out.glob("ablation*.json"), key=lambda file: (len(file.name), file.name))
    if not files:
        sys.exit(f"no rounds in {args.out.name}: train first")
    args.docs.write_text(page([json.loads(file.read_text("utf-8")) for file in files]), "utf-8")


if __name__ == "__main__":
    main()
