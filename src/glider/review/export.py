"""Export answers for other tools.

`records` are Glider's labelled records, as `glider bench`, `tune`, `data` and `calibrate` read them
from the run; `dataset` is the same as a Hugging Face data set folder. `csv` has one line for each
own or adjudicated answer. `label-studio` is the JSON that Label Studio imports and exports; it
counts UTF-16 units, everything here counts code points. `w3c` are Web Annotations, one a line.
`inspect` are the records of inspect-ai's `precomputed_scores`.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from glider.core.base import content_hash
from glider.core.errors import MissingExtra, RunError, UnknownName
from glider.core.judgments import Span
from glider.review.answered import Answered, AnsweredItem, read_answered
from glider.review.answers import Answer
from glider.review.plan import FOLDER
from glider.review.records import labelled_records
from glider.store.atomic import replacing, write_json, write_json_lines, write_whole

_QUOTE = 32
"""Code points of context before and after a quote in a Web Annotation."""
_COLUMNS = ("item", "sample_id", "criterion", "person", "stage", "score", "preferred", "spans",
            "note", "seconds", "at")  # fmt: skip


def _row(item: AnsweredItem, name: str, answer: Answer) -> dict[str, Any]:
    return {
        "item": item.id,
        "sample_id": item.item.sample.id,
        "criterion": item.item.criterion.name,
        "person": name,
        "stage": answer.stage,
        "score": "" if answer.score is None else answer.score,
        "preferred": "" if answer.preferred is None else answer.preferred or "neither",
        "spans": json.dumps([[s.field, s.start, s.end] for s in answer.spans]),
        "note": answer.note,
        "seconds": answer.seconds,
        "at": answer.at,
    }


def _csv(answered: Answered, path: Path) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(_row(*answer) for answer in answered.own())
    write_whole(path, text.getvalue())


def _label_studio(answered: Answered, path: Path) -> None:
    tasks = []
    names = list(answered.people)
    for number, item in enumerate(answered.items, start=1):
        sample = item.item.sample
        said = {"score": item.judge_value} if not item.item.is_pair else {}
        tasks.append(
            {
                "id": number,
                "data": {
                    "item": item.id,
                    "sample_id": sample.id,
                    "criterion": item.item.criterion.name,
                    "question": item.item.criterion.question,
                    **{field.name: field.text for field in sample.fields},
                },
                "predictions": [
                    {"model_version": item.item.outcome.judge, **said,
                     "result": _ls_marks(item, item.judge_spans)}
                ] if item.item.outcome is not None else [],
                "annotations": [
                    {
                        "completed_by": {"id": names.index(name) + 1, "first_name": name},
                        "ground_truth": answer.stage == "adjudicated",
                        "lead_time": answer.seconds,
                        "created_at": answer.at,
                        "result": _ls_result(item, answer),
                    }
                    for name, answer in (*item.blind.items(), *item.adjudicated.items())
                ],
            }
        )  # fmt: skip
    write_json(path, tasks)


def _ls_marks(item: AnsweredItem, spans: Iterable[Span]) -> list[dict[str, Any]]:
    return [
        {
            "id": content_hash([span.field, span.start, span.end], length=10),
            "from_name": "marks",
            "to_name": span.field,
            "type": "labels",
            "value": {
                "start": to_utf16(item.item.sample[span.field], span.start),
                "end": to_utf16(item.item.sample[span.field], span.end),
                "text": item.item.sample[span.field][span.start : span.end],
                "labels": ["mark"],
            },
        }
        for span in spans
    ]


def _ls_result(item: AnsweredItem, answer: Answer) -> list[dict[str, Any]]:
    to_name = item.item.sample.judged[0].name
    result = _ls_marks(item, answer.spans)

    def add(name: str, kind: str, value: dict[str, Any]) -> None:
        result.append({"from_name": name, "to_name": to_name, "type": kind, "value": value})

    if answer.score is not None:
        add("score", "number", {"number": answer.score})
    if answer.preferred is not None:
        add("preferred", "choices", {"choices": [answer.preferred or "neither"]})
    if answer.note:
        add("note", "textarea", {"text": [answer.note]})
    return result


def _w3c(answered: Answered, path: Path) -> None:
    def annotations() -> Iterator[dict[str, Any]]:
        for item, name, answer in answered.own():
            source = f"urn:glider:item:{item.id}"
            shared = {
                "@context": "http://www.w3.org/ns/anno.jsonld",
                "type": "Annotation",
                "creator": {"type": "Person", "nickname": name},
                "created": answer.at,
            }
            settled = [
                {"type": "TextualBody", "purpose": "classifying", "value": answer.stage}
                for _ in range(answer.stage == "adjudicated")
            ]
            said = answer.score if answer.preferred is None else answer.preferred or "neither"
            yield {
                **shared,
                "id": f"urn:glider:answer:{answer.id}",
                "motivation": "assessing",
                "body": [
                    {"type": "TextualBody", "purpose": "assessing", "value": str(said)},
                    *([{"type": "TextualBody", "purpose": "commenting", "value": answer.note}]
                      if answer.note else []),
                    *settled,
                ],
                "target": source,
            }  # fmt: skip
            for number, span in enumerate(answer.spans):
                text = item.item.sample[span.field]
                yield {
                    **shared,
                    "id": f"urn:glider:answer:{answer.id}:{number}",
                    "motivation": "highlighting",
                    **({"body": settled} if settled else {}),
                    "target": {
                        "source": f"{source}#{span.field.replace(' ', '%20')}",
                        "selector": [
                            {"type": "TextPositionSelector", "start": span.start, "end": span.end},
                            {
                                "type": "TextQuoteSelector",
                                "exact": text[span.start : span.end],
                                "prefix": text[max(0, span.start - _QUOTE) : span.start],
                                "suffix": text[span.end : span.end + _QUOTE],
                            },
                        ],
                    },
                }

    write_json_lines(path, annotations())


def _inspect(answered: Answered, path: Path) -> None:
    """Write one score per sample, or one per criterion if there are several."""
    by_sample: dict[str, dict[str, Any]] = {}
    for item in answered.items:
        if item.label == item.label:
            found = by_sample.setdefault(
                item.item.sample.id,
                {"scores": {}, "notes": [], "by": {}, "answers": []},
            )
            name = item.item.criterion.name
            found["scores"][name] = item.label
            found["by"][name] = {who: item.value(a) for who, a in item.blind.items()}
            found["answers"] += [_row(*answer) for answer in item.own()]
            found["notes"] += item.notes
    several = len({item.item.criterion.name for item in answered.items}) > 1
    write_json_lines(
        path,
        (
            {
                "id": sample,
                "value": found["scores"] if several else next(iter(found["scores"].values())),
                "explanation": "\n".join(found["notes"]),
                "metadata": {"people": found["by"], "answers": found["answers"]},
            }
            for sample, found in by_sample.items()
        ),
    )


def _dataset(answered: Answered, folder: Path) -> None:
    """Write a data set folder as `datasets.load_dataset` and the hub read it."""
    try:
        from pyarrow import Table, parquet
    except ImportError as exc:
        raise MissingExtra("glider review export --to dataset", "data") from exc

    table = Table.from_pylist(list(labelled_records(answered)))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise RunError(f"cannot write {folder}: {exc.strerror or exc}") from exc
    with replacing(folder / "train.parquet") as new:
        parquet.write_table(table, new)
    names = ", ".join(answered.names)
    write_whole(
        folder / "README.md",
        "---\nconfigs:\n- config_name: default\n  data_files: train.parquet\n---\n\n"
        f"{table.num_rows} items of run {answered.review.plan.run_id}, labelled by {names} with "
        "`glider review`.\n",
    )


_FORMATS: Mapping[str, tuple[str, Callable[[Answered, Path], None]]] = {
    "records": (
        "records.jsonl",
        lambda answered, path: write_json_lines(path, labelled_records(answered)),
    ),
    "csv": ("answers.csv", _csv),
    "label-studio": ("label-studio.json", _label_studio),
    "w3c": ("annotations.jsonl", _w3c),
    "inspect": ("inspect.jsonl", _inspect),
    "dataset": ("dataset", _dataset),
}
"""File name and writer of each format."""


def export_answers(run: Path, to: str, out: Path | None = None) -> Path:
    """Export a review's blind answers in another tool's format.

    Returns:
        The file (of `dataset` the folder): `out`, or one in the run's `review` folder.

    Raises:
        UnknownName: no such format.
        RunError, DataError: as `read_answered`; or it cannot be written.
        MissingExtra: `dataset` without pyarrow.
    """
    if to not in _FORMATS:
        raise UnknownName("format of answers", to, list(_FORMATS))
    name, write = _FORMATS[to]
    path = out or run / FOLDER / name
    write(read_answered(run), path)
    return path


def to_utf16(text: str, point: int) -> int:
    """Return the number of UTF-16 units before a code point."""
    return point + sum(char > "\uffff" for char in text[:point])
