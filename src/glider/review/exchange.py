"""Export and import answers in common formats.

`records` are Glider's labelled records: `glider bench`, `tune`, `data` and `calibrate --labels`
read them. `csv` has one line for each own answer. `label-studio` is the JSON that Label Studio
imports and exports; it counts UTF-16 units, everything here counts code points. `w3c` are Web
Annotations, one a line. `inspect` are the records of inspect-ai's `precomputed_scores`.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from glider.core.base import content_hash
from glider.core.errors import DataError, SetupError, UnknownName
from glider.core.judgments import Span
from glider.review.answered import Answered, AnsweredItem, read_answered
from glider.review.answers import Answer, AnswerBook, Person, answer_files, answers_in, misfit
from glider.review.begin import Review, begin, load_review
from glider.review.items import ReviewItem
from glider.review.plan import FOLDER, Question, load_plan, save_plan
from glider.review.records import labelled_records
from glider.review.settings import ReviewSettings
from glider.store.atomic import write_json, write_json_lines, write_whole

_QUOTE = 32
"""Code points of context before and after a quote in a Web Annotation."""
_COLUMNS = ("item", "sample_id", "criterion", "person", "stage", "score", "preferred", "spans",
            "note", "seconds", "at")  # fmt: skip


# ---- export


def _rows(answered: Answered) -> Iterator[dict[str, Any]]:
    for item, name, answer in answered.own():
        yield {
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
    writer.writerows(_rows(answered))
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
                ],
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
            said = answer.preferred if answer.preferred is not None else answer.score
            yield {
                **shared,
                "id": f"urn:glider:answer:{answer.id}",
                "motivation": "assessing",
                "body": [
                    {"type": "TextualBody", "purpose": "assessing", "value": str(said)},
                    *([{"type": "TextualBody", "purpose": "commenting", "value": answer.note}]
                      if answer.note else []),
                    *([{"type": "TextualBody", "purpose": "classifying", "value": "adjudicated"}]
                      if answer.stage == "adjudicated" else []),
                ],
                "target": source,
            }  # fmt: skip
            for number, span in enumerate(answer.spans):
                text = item.item.sample[span.field]
                yield {
                    **shared,
                    "id": f"urn:glider:answer:{answer.id}:{number}",
                    "motivation": "highlighting",
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
                {"scores": {}, "notes": [], "by": {}, "adjudicated": []},
            )
            name = item.item.criterion.name
            found["scores"][name] = item.label
            found["by"][name] = {who: item.value(a) for who, a in item.blind.items()}
            if item.settled is not None:
                found["adjudicated"].append(name)
            found["notes"] += item.notes
    several = len({item.item.criterion.name for item in answered.items}) > 1
    write_json_lines(
        path,
        (
            {
                "id": sample,
                "value": found["scores"] if several else next(iter(found["scores"].values())),
                "explanation": "\n".join(found["notes"]),
                "metadata": {"people": found["by"], "adjudicated": found["adjudicated"]},
            }
            for sample, found in by_sample.items()
        ),
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
}
"""File name and writer of each format."""


def export_answers(run: Path, to: str, out: Path | None = None) -> Path:
    """Export a review's blind answers in another tool's format.

    Returns:
        The file: `out`, or one in the run's `review` folder.

    Raises:
        UnknownName: no such format.
        RunError, DataError: as `read_answered`; or it cannot be written.
    """
    if to not in _FORMATS:
        raise UnknownName("format of answers", to, list(_FORMATS))
    name, write = _FORMATS[to]
    path = out or run / FOLDER / name
    write(read_answered(run), path)
    return path


# ---- import


def import_answers(run: Path, file: Path) -> tuple[int, int, tuple[str, ...]]:
    """Import answers given elsewhere: a CSV of `export_answers`, Label Studio, or a checklist.

    A checklist is JSONL with `item`, `person` and `verdicts` (question to answer), as
    `glider synth export` writes it with blanks; lines without a verdict are skipped. This starts
    a review if there is none. Importing a file again adds nothing. A row of a CSV needs the item
    (`item`, or `sample_id` and, with several criteria, `criterion`), the person,
    and a score or the better output.

    Returns:
        Answers imported, answers already present, and what was left out.

    Raises:
        DataError: the file cannot be read, or none of it fits the run.
        RunError: the review is being served, or it cannot be written.
    """
    given = list(_given(file))
    review = _review_for(run, given)
    find = _finder(review)
    taken = known = 0
    left: Counter[str] = Counter()
    with AnswerBook(run, review.plan.everybody) as book:
        for row in given:
            item = find(row)
            answer = (
                _answer(row, item, review.plan.questions)
                if item is not None
                else "no such item in the run"
            )
            if isinstance(answer, str):
                left[answer] += 1
            elif _is_known(book.people[answer.person], answer):
                known += 1
            elif book.add(answer):
                taken += 1
            else:
                known += 1
    if not taken and not known:
        raise DataError(f"no answer fits the run: {', '.join(left) or 'there are none'}",
                        path=str(file))  # fmt: skip
    return taken, known, tuple(f"{n} left out: {why}" for why, n in left.most_common())


def merge_answers(run: Path, other: Path) -> tuple[int, tuple[str, ...]]:
    """Merge the answers of the same review from another machine's copy of the run.

    Returns:
        Answers merged; and conflicts: visits that one person answered differently on both. Both
        answers are kept, and the one with the later timestamp counts.

    Raises:
        SetupError: `other` is a different review.
        RunError, DataError: one of the two cannot be read, or this one is being served.
    """
    here, there = load_review(run).plan, load_review(other).plan
    if (here.salt, here.mode) != (there.salt, there.mode):
        raise SetupError(f"{other} has another review: its plan was drawn apart",
                         hint="begin the review once, then copy the run folder")  # fmt: skip
    theirs = {name: list(answers_in(path)) for name, path in answer_files(other).items()}
    people = tuple(dict.fromkeys((*here.people, *there.people)))
    settlers = dict.fromkeys((*here.adjudicators, *there.adjudicators))
    joined = {"people": people, "adjudicators": tuple(n for n in settlers if n not in people)}
    if joined != here.model_dump(include={*joined}):
        save_plan(run, here.model_copy(update=joined))
    taken, conflicts = 0, []
    with AnswerBook(run, sorted({*people, *settlers, *theirs})) as book:
        for name, answers in theirs.items():
            mine = book.people[name]
            shared = {answer.id for answer in answers}
            stood = {key: a for key, a in mine.current.items() if a.id not in shared}
            for answer in answers:
                taken += book.add(answer)
            for key, before in stood.items():
                now = mine.current[key]
                if now.id != before.id:
                    conflicts.append(f"{name}, {before.visit}, {before.stage}")
                    if before.at > now.at:  # the last one written counts
                        again = content_hash([before.id, now.id])
                        book.add(before.model_copy(update={"id": again}))
    return taken, tuple(conflicts)


def _given(file: Path) -> Iterator[dict[str, Any]]:
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        raise DataError(f"cannot be read: {exc}", path=str(file)) from exc
    if text.lstrip()[:1] in ("[", "{"):
        try:
            tasks = json.loads(text)
        except ValueError as exc:
            if "verdicts" not in text:
                raise DataError(f"no JSON: {exc}", path=str(file)) from exc
            tasks = {"verdicts": {}}
        if isinstance(tasks, dict) and "verdicts" in tasks:
            yield from _from_checklist(text, file)
            return
        yield from _from_label_studio(tasks if isinstance(tasks, list) else [tasks], file)
        return
    rows = csv.DictReader(io.StringIO(text, newline=""))
    if not {"person"} <= {*(rows.fieldnames or ())}:
        raise DataError(
            f"no column 'person'; there are {', '.join(rows.fieldnames or ())}", path=str(file),
            hint="columns: item or sample_id, person, score or preferred; spans, note",
        )  # fmt: skip
    for row in rows:
        found: dict[str, Any] = {key: value for key, value in row.items() if key and value}
        if "spans" in found:
            try:
                found["spans"] = [(str(f), int(a), int(b)) for f, a, b in json.loads(row["spans"])]
            except (ValueError, TypeError) as exc:
                raise DataError("spans are no [[field, start, end], ...]", path=str(file),
                                line=rows.line_num) from exc  # fmt: skip
        if "person" in found:
            found["person"] = _name(found["person"])
            yield found


def _from_checklist(text: str, file: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            said = {key: str(word).strip().lower() for key, word in row["verdicts"].items() if word}
            item, person = str(row["item"]), row.get("person")
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise DataError("no line of a checklist", path=str(file), line=number) from exc
        if said and not person:
            raise DataError("verdicts, and no `person` who gave them", path=str(file), line=number)
        if said:
            note = str(row.get("note") or "")
            yield {"item": item, "person": _name(str(person)), "questions": said, "note": note}


def _from_label_studio(tasks: list[Any], file: Path) -> Iterator[dict[str, Any]]:
    try:
        for task in tasks:
            data = task["data"]
            for annotation in task.get("annotations", ()):
                row = {
                    "item": data.get("item"), "sample_id": data.get("sample_id", data.get("id")),
                    "criterion": data.get("criterion"), "at": annotation.get("created_at"),
                    "person": _name(_completed_by(annotation.get("completed_by"))),
                    "seconds": annotation.get("lead_time"),
                    "stage": "adjudicated" if annotation.get("ground_truth") else "blind",
                }  # fmt: skip
                spans = []
                for part in annotation.get("result", ()):
                    value = part["value"]
                    if part["type"] == "labels":
                        text = str(data[part["to_name"]])
                        start, end = (from_utf16(text, int(value[k])) for k in ("start", "end"))
                        spans.append((part["to_name"], start, end))
                    elif part["type"] in ("number", "rating"):
                        row["score"] = value[part["type"]]
                    elif part["type"] == "choices" and part["from_name"] == "preferred":
                        row["preferred"] = value["choices"][0]
                    elif part["type"] == "textarea":
                        row["note"] = "\n".join(value["text"])
                yield {**{k: v for k, v in row.items() if v is not None}, "spans": spans}
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as exc:
        raise DataError(f"no Label Studio export: {exc!r}", path=str(file)) from exc


def _completed_by(who: Any) -> str:
    if isinstance(who, Mapping):
        who = who.get("first_name") or who.get("username") or who.get("email") or who.get("id")
    return str(who if who is not None else "someone")


def _name(written: str) -> str:
    """Turn a name into a valid one: drop everything from @, replace other characters by dashes."""
    plain = written.strip().partition("@")[0]
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in plain)[:40] or "someone"


def _review_for(run: Path, given: list[dict[str, Any]]) -> Review:
    people = sorted({row["person"] for row in given if row.get("stage") != "adjudicated"})
    settlers = sorted({row["person"] for row in given} - {*people})
    if not people and not settlers:
        raise DataError("it names no person", path=str(run))
    if not (run / FOLDER / "manifest.json").exists():
        mode = "compare" if any("preferred" in row for row in given) else "label"
        if any("questions" in row for row in given):
            mode = "synth"
        named = ReviewSettings(annotators=tuple(people), adjudicators=tuple(settlers), mode=mode)
        return begin(run, named)
    plan = load_plan(run)
    return begin(
        run,
        ReviewSettings(
            annotators=tuple(
                dict.fromkeys((*plan.people, *(n for n in people if n not in plan.adjudicators)))
            ),
            adjudicators=tuple(
                dict.fromkeys((*plan.adjudicators, *(n for n in settlers if n not in plan.people)))
            ),
        ),
    )


def _finder(review: Review) -> Callable[[Mapping[str, Any]], ReviewItem | None]:
    by_sample: dict[tuple[str, str], ReviewItem | None] = {}
    for item in review.items.values():
        for key in ((item.sample.id, item.criterion.name), (item.sample.id, "")):
            by_sample[key] = None if key in by_sample else item  # several: none is meant

    def find(row: Mapping[str, Any]) -> ReviewItem | None:
        if row.get("item"):
            return review.items.get(str(row["item"]))
        name = str(row.get("sample_id", row.get("id", "")))
        return by_sample.get((name, str(row.get("criterion") or "")))

    return find


def _answer(
    row: Mapping[str, Any], item: ReviewItem, questions: Sequence[Question]
) -> Answer | str:
    """Return an answer, or the reason why there is none."""
    said: dict[str, Any] = {}
    if "questions" in row:
        choices = {question.key: question.choices for question in questions}
        for key, word in row["questions"].items():
            if key not in choices:
                return f"a question that this review does not ask: {key}"
            if word not in choices[key]:
                return f"{word!r}, which is none of {', '.join(choices[key])}"
        said["questions"] = row["questions"]
    elif item.is_pair:
        preferred = row.get("preferred")
        if preferred is None:
            return "names no output"
        said["preferred"] = "" if preferred == "neither" else preferred
    else:
        try:
            score = float(row["score"])
        except (KeyError, ValueError, TypeError):
            return "no score"
        if not score.is_integer():
            return "a score that the rubric does not have"
        said["score"] = int(score)
    spans = tuple(Span(field=f, start=a, end=b) for f, a, b in row.get("spans") or ())
    said |= {"spans": spans, "note": str(row.get("note", ""))}
    stage = "adjudicated" if row.get("stage") == "adjudicated" else "blind"
    plain = [item.id, row["person"], {**said, "spans": [s.model_dump() for s in spans]}]
    if stage == "adjudicated":
        plain.append(stage)
    try:
        answer = Answer(
            id="import-" + content_hash(plain), person=row["person"], visit=item.id, item=item.id,
            content=item.content, stage=stage, at=str(row.get("at") or ""),
            seconds=float(row.get("seconds") or 0), **said,
        )  # fmt: skip
    except (ValidationError, ValueError):
        return "what is no answer"
    return misfit(answer, item) or answer


def _is_known(person: Person, answer: Answer) -> bool:
    keys = ("content", "score", "preferred", "spans", "note", "questions")
    before = person.current.get((answer.visit, answer.stage))
    return before is not None and all(getattr(before, k) == getattr(answer, k) for k in keys)


def to_utf16(text: str, point: int) -> int:
    """Return the number of UTF-16 units before a code point."""
    return point + sum(char > "\uffff" for char in text[:point])


def from_utf16(text: str, unit: int) -> int:
    """Return the code point that begins at, or contains, a UTF-16 unit."""
    units = 0
    for point, char in enumerate(text):
        if units >= unit:
            return point
        units += 2 if char > "\uffff" else 1
    return len(text)
