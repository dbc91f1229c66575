"""The labelled texts that the plan's adapted records start from: real.jsonl beside it.

    python real.py DATA EXAMPLES > real.jsonl

DATA is the folder of labelled sets, EXAMPLES what `glider data small-score` made of it: only texts
of its training part are taken, short English ones of four sets, at most fifteen of each label.
"""

import gzip
import json
import random
import sys
from pathlib import Path

SETS = ["esnli_explanations", "semeval2013_answers", "begin_attribution", "xstest_refusals"]
FIELDS = ["id", "input", "context", "output", "reference", "criterion", "rubric", "scale", "lang"]
LONGEST = {"output": 60, "context": 90, "input": 50, "reference": 50}
"""Words."""


def lines(path: Path):
    """Read a file of JSON lines."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def main() -> None:
    """Choose and print."""
    data, examples = map(Path, sys.argv[1:3])
    rng = random.Random(14)
    train = {one["id"] for one in lines(examples / "train.jsonl.gz")}
    tasks = lines(examples / "tasks.jsonl.gz")
    learnt = {one["sample"]["id"] for one in tasks if one["id"] in train}
    found = []
    for name in SETS:
        by_label: dict[float, list[dict]] = {}
        for one in lines(data / f"{name}.jsonl.gz"):
            length = {field: len((one.get(field) or "").split()) for field in LONGEST}
            short = all(length[field] <= most for field, most in LONGEST.items())
            known = str(one["label"]).removesuffix(".0") in (one["rubric"] or {})
            if (
                one["id"] in learnt
                and one["lang"] == "en"
                and length["output"] >= 5
                and short
                and known
            ):
                by_label.setdefault(one["label"], []).append(one)
        for group in by_label.values():
            rng.shuffle(group)
            for one in group[:15]:
                kept = {field: one[field] for field in FIELDS if one.get(field) is not None}
                found.append(kept | {"label": int(one["label"])})
    rng.shuffle(found)
    for one in found:
        print(json.dumps(one, ensure_ascii=False))


if __name__ == "__main__":
    main()
