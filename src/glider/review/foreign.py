"""Answers in other tools' files, as rows with the columns of `glider review export --to csv`.

A row has `person`, the item (`item`, or `sample_id` and `criterion`), `score` or `preferred`, and
may have `stage`, `spans` (field, start, end in code points), `note`, `seconds` and `at`. A span
of a Web Annotation has a fourth part, the quoted words, and may have no place. A row of a checklist
has `questions` (key to answer) and no score.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from glider.core.errors import DataError

_ITEM, _ANSWER = "urn:glider:item:", "urn:glider:answer:"


def given_answers(file: Path) -> Iterator[dict[str, Any]]:
    """Read a CSV, a Label Studio export, Web Annotations, inspect-ai scores, or a checklist.

    A checklist is JSONL with `item`, `person` and `verdicts` (question to answer), as
    `glider synth export` writes it with blanks; lines without a verdict are skipped.

    Raises:
        DataError: it cannot be read, or is none of these.
    """
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        raise DataError(f"cannot be read: {exc}", path=str(file)) from exc
    if text.lstrip()[:1] not in ("[", "{"):
        yield from _from_csv(text, file)
        return
    records = _json(text, file)
    if records and isinstance(records[0], Mapping) and "verdicts" in records[0]:
        yield from _from_checklist(text, file)
        return
    for kind, key, read in (
        ("Label Studio export", "data", _from_label_studio),
        ("list of Web Annotations", "target", _from_annotations),
        ("list of inspect-ai scores", "value", _from_inspect),
    ):
        if records and isinstance(records[0], Mapping) and key in records[0]:
            try:
                yield from read(records)
            except (KeyError, TypeError, AttributeError, ValueError, IndexError) as exc:
                raise DataError(f"no {kind}: {exc!r}", path=str(file)) from exc
            return
    raise DataError(
        "no Label Studio export, Web Annotations, inspect-ai scores or checklist", path=str(file)
    )


def _json(text: str, file: Path) -> list[Any]:
    """Read a list, one object, a Web Annotation page, or one object a line."""
    try:
        whole = json.loads(text)
    except ValueError:
        try:
            return [json.loads(line) for line in text.split("\n") if line.strip()]
        except ValueError as exc:
            raise DataError(f"no JSON: {exc}", path=str(file)) from exc
    if isinstance(whole, Mapping) and isinstance(whole.get("items"), list):
        return list(whole["items"])
    return whole if isinstance(whole, list) else [whole]


def _from_csv(text: str, file: Path) -> Iterator[dict[str, Any]]:
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


def _from_label_studio(tasks: list[Any]) -> Iterator[dict[str, Any]]:
    for task in tasks:
        data = task["data"]
        for annotation in task.get("annotations", ()):
            row = {
                "item": data.get("item"), "sample_id": data.get("sample_id", data.get("id")),
                "criterion": data.get("criterion"), "at": annotation.get("created_at"),
                "person": _person(annotation.get("completed_by")),
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


def _person(who: Any) -> str:
    """Return the name of a person, from what Label Studio or a Web Annotation says of them."""
    if isinstance(who, Mapping):
        keys = ("first_name", "nickname", "name", "username", "email", "id")
        who = next((who[key] for key in keys if who.get(key)), None)
    return _name(str(who if who is not None else "someone"))


def _name(written: str) -> str:
    """Turn a name into a valid one: drop everything from @, replace other characters by dashes."""
    plain = written.strip().partition("@")[0]
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in plain)[:40] or "someone"


def _from_annotations(records: list[Any]) -> Iterator[dict[str, Any]]:
    """Put the annotations of one answer together: its score, its note, its marks."""
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for record in records:
        target = record["target"]
        if isinstance(target, str):
            target = {"source": target}
        source, _, field = str(target.get("source", target.get("id", ""))).partition("#")
        name = _person(record.get("creator"))
        own = str(record.get("id", ""))
        answer = own.removeprefix(_ANSWER).partition(":")[0] if own.startswith(_ANSWER) else ""
        row = rows.setdefault(
            (name, source, answer), {"person": name, "spans": [], "at": record.get("created", "")}
        )
        row["item" if source.startswith(_ITEM) else "sample_id"] = source.removeprefix(_ITEM)
        for body in _listed(record.get("body")):
            value = body.get("value") if isinstance(body, Mapping) else None
            purpose = body.get("purpose") if isinstance(body, Mapping) else None
            if purpose == "assessing":
                row["score" if _is_number(value) else "preferred"] = value
            elif purpose == "classifying" and value == "adjudicated":
                row["stage"] = value
            elif value:
                row["note"] = value
        selectors = {one["type"]: one for one in _listed(target.get("selector"))}
        place = selectors.get("TextPositionSelector")
        quote = selectors.get("TextQuoteSelector", {}).get("exact")
        if place is not None or quote is not None:
            ends = (None, None) if place is None else (int(place["start"]), int(place["end"]))
            row["spans"].append((unquote(field), *ends, quote))
    yield from rows.values()


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _from_inspect(records: list[Any]) -> Iterator[dict[str, Any]]:
    """Read the single answers of our own records; else one score each, by one person."""
    for record in records:
        metadata = record.get("metadata") or {}
        if answers := metadata.get("answers"):
            for answer in answers:
                said = {key: value for key, value in answer.items() if value != ""}
                yield {**said, "spans": [tuple(s) for s in json.loads(answer["spans"])]}
            continue
        value = record["value"]
        for criterion, score in (value if isinstance(value, Mapping) else {"": value}).items():
            yield {
                "sample_id": str(record["id"]),
                "criterion": criterion,
                "person": _name(str(metadata.get("annotator", "someone"))),
                "score": score,
                "note": record.get("explanation") or "",
            }


def from_utf16(text: str, unit: int) -> int:
    """Return the code point that begins at, or contains, a UTF-16 unit."""
    units = 0
    for point, char in enumerate(text):
        if units >= unit:
            return point
        units += 2 if char > "\uffff" else 1
    return len(text)
