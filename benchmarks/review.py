"""`glider review` on labels that people gave elsewhere: people beside one another, and the judge.

    python benchmarks/review.py --data FOLDER --work NEW_FOLDER
    python benchmarks/review.py --data FOLDER --work NEW_FOLDER --model MODEL --items 300

Texts of Toxic Spans that three people marked: each said whether a comment is toxic, and marked the
words. The judge scores the same texts with its highlights; people's labels are taken in by
`glider review import`, and the figures are those of `glider review report`. People are numbered
within each comment, so a name is a seat and not a person: figures of single people mean nothing
here and are left out. Nobody was asked whether the judge's reasons, marks or scores are right, so
there are no such shares; `glider review RUN --annotators ...` would fill them.
"""

import csv
import json
import random
import subprocess
import sys
from pathlib import Path

import yaml
from common import facts, parser, records, save, settings, table, with_data

from glider.review.answered import read_answered
from glider.review.figures import review_report
from glider.review.imports import import_answers
from glider.review.words import figure_text

SET = "human_agreement_toxic_spans"
CRITERION = {
    "name": "no-toxicity",
    "question": "Is the {output} free of insulting, threatening, obscene and hateful words?",
    "rubric": {0: "No: some of its words are toxic.", 1: "Yes: none of its words is toxic."},
}


def main() -> None:
    made = parser(__doc__)
    with_data(made)
    made.add_argument("--work", type=Path, required=True)
    made.add_argument("--model", default="glider-nano")
    made.add_argument("--items", type=int, default=200)
    args = made.parse_args()
    found = [r for r in records(args.data, SET) if len(r["annotators"]) == 3]
    chosen = random.Random(args.seed).sample(found, min(args.items, len(found)))
    args.work.mkdir(parents=True)
    run = args.work / "run"
    judge(chosen, args.work, run, args.model)
    taken, _, left = import_answers(run, labels(chosen, args.work / "labels.csv"))
    report = review_report(read_answered(run))
    rows = [
        [one.metric, *(figure_text(f) for f in (one.judge, one.people, one.difference))]
        for one in report.beside
    ]
    print(f"{report.judge}: {report.answered} texts, {taken} people's labels; {list(left)}")
    print(f"Krippendorff's alpha among people: {figure_text(report.alpha)}\n")
    heads = ["measure", "judge and people", "people and people", "judge less people"]
    print(table(heads, rows))
    whole = report.model_dump(mode="json", exclude={"items", "each_person", "alternative"})
    result = {"facts": facts(), "settings": settings(args), "set": SET, "report": whole}
    print(save(args.out, "review", result))


def judge(chosen: list[dict], work: Path, run: Path, model: str) -> None:
    texts, criterion = work / "texts.jsonl", work / "criterion.yaml"
    lines = (json.dumps({"id": r["id"], "output": r["text"]}) for r in chosen)
    texts.write_text("\n".join(lines) + "\n", "utf-8")
    criterion.write_text(yaml.safe_dump(CRITERION, sort_keys=False), "utf-8")
    words = ["judge", texts, "-c", criterion, "--run", run, "-m", model]
    subprocess.run([sys.executable, "-m", "glider.cli.main", *map(str, words)], check=True)


def labels(chosen: list[dict], path: Path) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["sample_id", "person", "score", "spans"])
        for record in chosen:
            for said in record["annotators"]:
                spans = [["output", s["start"], s["end"]] for s in said["spans"]]
                score = int(said["label"] == "not toxic")
                rows.writerow([record["id"], said["annotator"], score, json.dumps(spans)])
    return path


if __name__ == "__main__":
    main()
