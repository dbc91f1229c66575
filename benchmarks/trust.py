"""How far the untrained embedded model may be believed, on every local set, beside simple rules.

    python benchmarks/trust.py --data FOLDER            # about an hour and a half on two cores
    python benchmarks/trust.py --page                   # figures and page anew from the runs

It can be killed at any moment and started again: what was judged is kept in `--runs`. Systems are
measured one after another; those that write before they score are slow and see fewer items, which
are among those that the fast ones see. The draw is seeded and its item ids are in the results.

Writes docs/benchmarks.md and results/trust/: results.json, and the runs' manifests, one a line.
The runs themselves hold the texts of the data and stay where they are.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common import HERE, facts, with_data

from glider.bench.choose import choose
from glider.bench.collect import bench_runs, collect
from glider.bench.markdown import markdown
from glider.bench.results import Results
from glider.bench.table import Settings
from glider.cli.bench import judge_all
from glider.cli.settings import JudgeSettings

_SLOW, _SLOWEST = 8, 4
_INTRODUCTION = """\
The model that comes with Glider is small (135 million parameters) and **was not trained to judge**;
these are its figures before training, published as they are. A judge that does not beat the length
of a text has not read it.

{systems}

Systems that saw fewer items have wider intervals; they are compared with others on shared items.
What each set is, who labelled it and under which licence: `glider bench --list`.
"""
_SYSTEMS = {
    "score-first": "the score alone, one pass. *expected* is the mean over the levels' "
    "probabilities, *greedy* the likeliest level",
    "score-first +rules": "the same with LLMBar's rules in the question (arXiv 2310.07641)",
    "reason-first": "quotes and reason are written before the score",
    "reason-first K=4": "the mean of four such answers drawn at temperature 0.8",
}


@dataclass(frozen=True)
class System:
    """A judge, what it is called, and how many items of each set it sees."""

    name: str
    settings: JudgeSettings
    limit: int


def systems(args: argparse.Namespace) -> list[System]:
    """The fast ones first: a night cut short still has their figures."""
    bare = JudgeSettings(model=args.model, explain=False, truncate=True, seed=args.seed)
    rules = JudgeSettings(
        model=args.model, explain=False, truncate=True, seed=args.seed, strategies=("rules",)
    )
    reasoned = JudgeSettings(model="embedded", order="reason-first", truncate=True, seed=args.seed)
    four = JudgeSettings(
        model="embedded", order="reason-first", truncate=True, seed=args.seed, samples=4
    )
    return [
        System("score-first", bare, args.limit),
        System("score-first +rules", rules, args.rules_limit),
        System("reason-first", reasoned, args.slow_limit),
        System("reason-first K=4", four, args.slowest_limit),
    ]


def judge(args: argparse.Namespace) -> None:
    """Every system on every set; goes on with what is there."""
    chosen = [each for each in choose(args.sets, args.data) if each.is_there]
    if not chosen:
        sys.exit(f"no data of these sets in {args.data.name}: give --data")
    for system in systems(args):
        if args.only and system.name not in args.only:
            continue
        print(f"== {system.name}: {len(chosen)} sets, at most {system.limit} items each")
        judge_all(
            system.settings, system.name, chosen, args.runs,
            limit=system.limit, seed=args.seed, resume=True,
        )  # fmt: skip


def write(args: argparse.Namespace) -> Results:
    """Figures and page from the runs that are there."""
    results = collect(
        args.runs,
        settings=Settings(
            seed=args.seed, n_resamples=args.resamples, n_permutations=args.resamples
        ),
    )
    folder = args.out / "trust"
    folder.mkdir(parents=True, exist_ok=True)
    plain = {**results.model_dump(mode="json"), "made_by": facts()}
    # Read back by `Results`, which knows no other keys: where it was made stands in the settings.
    plain["settings"]["made_by"] = plain.pop("made_by")
    text = json.dumps(plain, indent=1, ensure_ascii=False) + "\n"
    (folder / "results.json").write_text(text, "utf-8")
    lines = [run.manifest.model_dump_json() + "\n" for run in bench_runs(args.runs)]
    (folder / "manifests.jsonl").write_text("".join(lines), "utf-8")
    made = Results.model_validate(plain)
    args.docs.write_text(page(made, args), "utf-8")
    return made


def page(results: Results, args: argparse.Namespace) -> str:
    """docs/benchmarks.md."""
    report = markdown(results, title="Benchmarks")
    head, _, rest = report.partition("\n\n")
    made = results.settings["made_by"]
    command = f"Made by `benchmarks/trust.py` on {made['cpu']}, {made['cores']} cores."
    limits = {system.name: system.limit for system in systems(args)}
    measured = {name.rpartition(", ")[0] or name for name in results.settings["systems"]}
    lines = [
        f"- **{name}**: {what}. At most {limits[name]} items of each set."
        if name in measured
        else f"- **{name}**: {what}. Not measured yet."
        for name, what in _SYSTEMS.items()
    ]
    words = _INTRODUCTION.format(systems="\n".join(lines))
    return f"{head}\n\n{words}\n{command}\n\n{rest}"


def main(argv: Sequence[str] | None = None) -> None:
    """Judge, then write."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    with_data(made)
    made.add_argument("--runs", type=Path, default=HERE.parent / "runs" / "trust")
    made.add_argument("--out", type=Path, default=HERE / "results", help="folder for the JSON")
    made.add_argument("--docs", type=Path, default=HERE.parent / "docs" / "benchmarks.md")
    made.add_argument("--sets", nargs="+", default=["all"], help="as in `glider bench`")
    made.add_argument("--only", nargs="+", help="names of systems")
    made.add_argument("--model", default="embedded", help="of score-first: embedded, or fast")
    made.add_argument("--limit", type=int, default=150)
    made.add_argument("--rules-limit", type=int, default=60)
    made.add_argument("--slow-limit", type=int, default=_SLOW)
    made.add_argument("--slowest-limit", type=int, default=_SLOWEST)
    made.add_argument("--resamples", type=int, default=999)
    made.add_argument("--seed", type=int, default=7)
    made.add_argument("--page", action="store_true", help="judge nothing")
    args = made.parse_args(argv)
    if not args.page:
        judge(args)
    results = write(args)
    print(f"{len(results.figures)} figures, {len(results.differences)} differences")


if __name__ == "__main__":
    main()
