"""A review's answers as labelled records, the format of `gold/records.py`.

One record for each item that somebody scored: the label, each person's rating, the words that at
least half of the people marked, and their notes. `glider bench`, `tune`, `data` and `calibrate`
read a reviewed run through `labelled_rows`, or the file that `glider review export` writes.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from glider.core.errors import DataError, RunError
from glider.data.rows import Row
from glider.review.answered import Answered, AnsweredItem, read_answered
from glider.review.answers import Answer
from glider.review.plan import FOLDER
from glider.store.run import load_manifest


def labelled_rows(run: Path) -> Iterator[Row]:
    """Yield the labelled records of a run's review, as rows of a file would be.

    Raises:
        RunError, DataError: nobody has reviewed the run, or as `read_answered`.
    """
    load_manifest(run)
    if not (run / FOLDER / "manifest.json").exists():
        raise RunError(
            f"{run} is a run, and nobody has labelled it",
            hint=f"glider review {run} --annotators ana,ben",
        )
    empty = True
    for number, record in enumerate(labelled_records(read_answered(run))):
        empty = False
        yield Row(number, number + 1, record, str(run / FOLDER))
    if empty:
        raise DataError("no answer of its review has a score", path=str(run))


def labelled_records(answered: Answered) -> Iterator[dict[str, Any]]:
    """Yield one labelled record for each item with an own answer that has a score.

    The label is `AnsweredItem.label`; `label_source` is `people` or `adjudicated`. Single ratings
    stay as they were given. Where items were drawn with unequal probabilities, `weight` is the
    number of items of the run that one stands for.

    An adjudicated item has the adjudicator's marks and note.
    """
    weights = [item.weight for item in answered.items]
    unequal = max(weights, default=1) - min(weights, default=1) > 1e-9
    for item in answered.items:
        record = _record(item)
        if record is not None:
            yield {**record, "weight": item.weight} if unequal else record


def _record(item: AnsweredItem) -> dict[str, Any] | None:
    sample, criterion = item.item.sample, item.item.criterion
    ratings = [v for v in map(item.value, item.blind.values()) if v == v]
    if item.label != item.label:
        return None
    label = int(item.label) if item.label.is_integer() else item.label
    record: dict[str, Any] = {"id": sample.id}
    record |= {field.name: field.text for field in sample.told}
    if item.item.pair is not None:
        record["outputs"] = [sample[name] for name in item.item.pair]
        record["label"], record["scale"] = label, [0, 1]
    else:
        (field,) = sample.judged
        record["output"], record["label"] = field.text, label
        record["scale"] = [criterion.rubric.low, criterion.rubric.high]
        marking = item.blind.values() if item.settled is None else [item.settled]
        places = _by_half(len(field.text), marking)
        record["meta"] = {"spans": [{"start": start, "end": end} for start, end in places]}
    record["criterion"] = {"name": criterion.name, "description": criterion.question}
    record["rubric"] = {str(score): text for score, text in criterion.rubric.levels.items()}
    if len(ratings) > 1:
        record["annotators"] = ratings
    record["label_source"] = "people" if item.settled is None else "adjudicated"
    notes = item.notes
    if notes:
        record["rationale"] = "\n".join(notes)
    return record


def _by_half(length: int, answers: Iterable[Answer]) -> list[tuple[int, int]]:
    """Return the spans that at least half of the people marked."""
    marked = [_covered(length, answer) for answer in answers]
    found: list[tuple[int, int]] = []
    start = None
    for n in range(length + 1):
        depth = sum(one[n] for one in marked) if n < length else 0
        on = depth > 0 and 2 * depth >= len(marked)
        if on and start is None:
            start = n
        elif not on and start is not None:
            found.append((start, n))
            start = None
    return found


def _covered(length: int, answer: Answer) -> list[bool]:
    covered = [False] * length
    for span in answer.spans:
        covered[span.start : span.end] = [True] * (span.end - span.start)
    return covered
