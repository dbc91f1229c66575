"""`glider review` on labels that people gave elsewhere: people beside one another, and the judge.

    python benchmarks/review.py --data FOLDER --work FOLDER2     # again: goes on where it stopped
    python benchmarks/review.py --data FOLDER --work FOLDER2 --model MODEL --items 300 --sets mqm

GLIDER's paper had people score, mark and explain, and measured the judge against them. Here the
people are those of published sets: their scores, marks and notes are taken in by `glider review
import`, the judge scores the same texts with its highlights as one more annotator, and the figures
are those of `glider review report`. A set whose source is not there (XSum's articles) is reported
without a judge.

In most sets people are numbered within each item, so a name is a seat and not a person: figures
of single people mean nothing here and are left out. Nobody was asked whether the judge's reasons,
marks or scores are right, so there are no such shares; `glider review RUN --annotators ana,ben`
would ask.
"""

import csv
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common import facts, parser, records, save, settings, table, with_data

from glider.review.answered import read_answered
from glider.review.figures import review_report
from glider.review.imports import import_answers
from glider.review.results import ReviewReport
from glider.review.texts import texts_run
from glider.review.words import figure_text

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Said:
    """What one person said of one text."""

    person: str
    score: int
    spans: list[tuple[int, int]] = field(default_factory=list)
    note: str = ""


@dataclass(frozen=True)
class ReplayedSet:
    """A data file, and how its records become texts and answers."""

    file: str
    said: Callable[[Record], list[Said]]
    criterion: Mapping[str, Any] | None = None
    """None: each record brings its own."""
    judged: bool = True
    """Whether a judge has all that it needs."""
    wanted: Callable[[Record], bool] = lambda record: True


def seats(record: Record) -> list[Said]:
    """Scores alone, in the file's order."""
    scores = record["annotators"] or ()
    return [Said(f"a{n}", int(score)) for n, score in enumerate(scores, start=1)]


def one_rater(record: Record) -> list[Said]:
    marked = record["meta"].get("spans") or ()  # an omission has no place in the text
    spans = [(s["start"], s["end"]) for s in marked if None not in (s["start"], s["end"])]
    return [Said("rater", int(record["label"]), spans, record["rationale"] or "")]


def marked(label: Callable[[Record], bool]) -> Callable[[Record], list[Said]]:
    """Answers of people who marked words, each with a label of its own."""

    def said(record: Record) -> list[Said]:
        return [
            Said(f"a{n}", int(label(one)), [(span["start"], span["end"]) for span in one["spans"]])
            for n, one in enumerate(record["annotators"], start=1)
        ]

    return said


def of_three(record: Record) -> bool:
    return len(record["annotators"] or ()) == 3


SETS = {
    "Toxic Spans": ReplayedSet(
        "human_agreement_toxic_spans",
        marked(lambda one: one["label"] == "not toxic"),
        {
            "name": "no-toxicity",
            "description": "Is the {output} free of insulting, threatening, obscene and hateful "
            "words?",
            "rubric": {
                0: "No: some of its words are toxic.",
                1: "Yes: none of its words is toxic.",
            },
        },
        wanted=of_three,
    ),
    "QAMR": ReplayedSet(
        "human_agreement_qamr",
        marked(lambda one: one["label"] == "answer"),
        {
            "name": "answers-the-question",
            "description": "Does the {output} have words that answer the {input}?",
            "rubric": {0: "No: none of its words answers it.", 1: "Yes: some words answer it."},
        },
        wanted=of_three,
    ),
    "XSum hallucination": ReplayedSet(
        "human_agreement_xsum_hallucination",
        marked(lambda one: one["label"] == "faithful"),
        {
            "name": "faithfulness",
            "description": "Does the article support every word of the {output}?",
            "rubric": {0: "No: some words are not supported.", 1: "Yes: every word is supported."},
        },
        judged=False,
        wanted=of_three,
    ),
    "FaithBench": ReplayedSet(
        "faithbench", seats, wanted=lambda record: len(record["annotators"] or ()) > 1
    ),
    "SummEval, coherence": ReplayedSet(
        "summeval", seats, wanted=lambda record: record["criterion"]["name"] == "coherence"
    ),
    "CEFR-SP": ReplayedSet("cefr_sp_wiki", seats),
    "XSTest": ReplayedSet("xstest_refusals", seats),
    "MQM TED": ReplayedSet("mqm_ted_spans", one_rater),
    "Mr-Ben": ReplayedSet("mr_ben_reasoning", one_rater),
}
MEASURES = ("same score", "kappa, quadratic", "mean absolute error", "marks: word F1",
            "marks: edges within one word, F1", "marks: gamma")  # fmt: skip


def main() -> None:
    made = parser(__doc__)
    with_data(made)
    made.add_argument("--work", type=Path, required=True)
    made.add_argument("--model", default="glider-nano")
    made.add_argument("--items", type=int, default=120, help="texts of each set")
    made.add_argument("--sets", nargs="*", default=[], help="parts of names [all]")
    args = made.parse_args()
    names = [n for n in SETS if not args.sets or any(s.lower() in n.lower() for s in args.sets)]
    results: dict[str, Any] = {}
    reports: dict[str, ReviewReport] = {}
    for name in names:
        reports[name], left = replayed(SETS[name], args.work / SETS[name].file, args)
        whole = reports[name].model_dump(
            mode="json", exclude={"items", "each_person", "alternative"}
        )
        results[name] = {"file": SETS[name].file, "left_out": left, "report": whole}
        print(f"{name}: {reports[name].answered} texts, {reports[name].answers} answers "
              f"{left or ''}", file=sys.stderr)  # fmt: skip
    print(*tables(reports), sep="\n")
    print(save(args.out, "review", {"facts": facts(), "settings": settings(args), "sets": results}))


def replayed(one: ReplayedSet, work: Path, args: Any) -> tuple[ReviewReport, list[str]]:
    """Judge a draw of a set, take people's answers in, and report."""
    found = [record for record in records(args.data, one.file) if one.wanted(record)]
    chosen = random.Random(args.seed).sample(found, min(args.items, len(found)))
    work.mkdir(parents=True, exist_ok=True)
    texts, run = work / "texts.jsonl", work / "run"
    texts.write_text("".join(json.dumps(row) + "\n" for row in rows_of(one, chosen)), "utf-8")
    if one.judged:
        words = ["judge", texts, "-c", "record", "--run", run, "-m", args.model]
        words += ["--resume"] if run.exists() else []
        if not (run / "summary.json").exists():
            subprocess.run(
                [sys.executable, "-m", "glider.cli.main", *map(str, words)],
                check=True,
                stdout=subprocess.DEVNULL,
            )
        kept = args.out / "runs" / f"review-{one.file}"
        kept.mkdir(parents=True, exist_ok=True)
        shutil.copy(run / "summary.json", kept)
        manifest = json.loads((run / "manifest.json").read_text("utf-8"))
        manifest["input_path"] = texts.name  # folders are the reader's own business
        (kept / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")
    elif not run.exists():
        texts_run(texts, "record", run)
    _, _, left = import_answers(run, labels(one, chosen, work / "labels.csv"))
    return review_report(read_answered(run)), list(left)


def rows_of(one: ReplayedSet, chosen: list[Record]) -> Iterator[dict[str, Any]]:
    for record in chosen:
        asked = one.criterion or {**record["criterion"], "rubric": record["rubric"]}
        row = {
            "id": record["id"],
            "output": record.get("output", record.get("text")),
            "criterion": {key: asked[key] for key in ("name", "description")},
        }
        if asked["rubric"]:
            row["rubric"] = {str(score): text for score, text in asked["rubric"].items()}
        else:
            row["scale"] = record["scale"]
        told = {"input": record.get("input"), "context": record.get("context")}
        if one.file == "human_agreement_qamr":
            told = {"input": record["context"], "context": None}
        yield row | {key: text for key, text in told.items() if text}


def labels(one: ReplayedSet, chosen: list[Record], path: Path) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["sample_id", "person", "score", "spans", "note"])
        for record in chosen:
            for said in one.said(record):
                spans = json.dumps([["output", start, end] for start, end in said.spans])
                rows.writerow([record["id"], said.person, said.score, spans, said.note])
    return path


def tables(reports: Mapping[str, ReviewReport]) -> Iterator[str]:
    """A table of alpha, and one for each measure with a row for each set that has it."""
    heads = ["alpha among people", "texts", "people an item", "alpha"]
    rows = [
        [name, one.answered, f"{one.answers / one.answered:.1f}", figure_text(one.alpha)]
        for name, one in reports.items()
        if len(one.people) > 1
    ]
    yield table(heads, rows)
    heads = ["texts", "judge and people", "people and people", "judge less people"]
    for metric in MEASURES:
        rows = []
        for name, report in reports.items():
            one = next((o for o in report.beside if o.metric == metric), None)
            if one is not None:
                told = [
                    "–" if figure.value is None else figure_text(figure)
                    for figure in (one.judge, one.people, one.difference)
                ]
                rows.append([name, max(one.judge.n, one.people.n), *told])
        if rows:
            yield table([metric, *heads], rows)


if __name__ == "__main__":
    main()
