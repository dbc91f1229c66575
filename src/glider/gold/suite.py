"""The evaluation sets of the GLIDER paper: prompts in its wire format, each with a human score.

Their records have only `prompt` and `score` (docs/formats.md describes the format). The prompt is
parsed into fields, question and rubric, so that judges of any format can be evaluated. Each field
keeps the name of its tag, and rendering in the GLIDER format gives the same prompt again. Two
outputs in one prompt remain one task, because the question itself compares them.

Prompts that cannot be parsed, and scores that are not in their rubric (BiGGen has four scores of
-1), are left out and counted. Nothing is fetched unless `fetch` is called.

For `part`, `cluster` and `group`, a set may use a tag, `split` (the file's name in the hub's
layout), or `given`: all texts except the judged ones, which are shared by answers to one prompt.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from glider.core.base import first_problem
from glider.core.criteria import Criterion, LiteralCriterion, Rubric, names_a_field
from glider.core.errors import DataError, MissingExtra, RubricError, SetupError
from glider.core.samples import Field, Role, Sample
from glider.data.rows import BadRow, Row, open_rows
from glider.data.values import Unfit
from glider.gold.items import Item, LoadedSet, Notes
from glider.gold.records import group_at, key_at, number

if TYPE_CHECKING:
    from glider.gold.sets import LabelledSet

_DATA, _CRITERIA, _RUBRIC = "Data to evaluate:\n", "\n\nPass Criteria:\n", "\n\nRubric:\n"
_END = "\n\nYour output must "
_BLOCK = re.compile(r"\s*<([^<>/\n]{1,64})>\n?(.*?)\n?</\1>", re.DOTALL)
_LEVEL = re.compile(r"^\s*(?:Score\s+)?(-?\d{1,3})\s*:\s*", re.MULTILINE)
_ROLES: dict[str, Role] = {
    "USER INPUT": "input",
    "CONTEXT": "context",
    "GOLD ANSWER": "reference",
}
_JUDGED = re.compile(
    r"(?:MODEL |ASSISTANT |GENERATED |AI )?(?:OUTPUT|RESPONSE|ANSWER|COMPLETION|SUMMARY)"
    r"(?:[ _]?(?:\d|[AB]))?",
    re.IGNORECASE,
)
_SPLIT = re.compile(r"(.+?)(?:-\d+-of-\d+)?(?:\.(?:parquet|jsonl|json|arrow|csv|gz))+")
_SUFFIXES = (".parquet", ".jsonl", ".jsonl.gz", ".arrow", ".csv")


def read(labelled: "LabelledSet", path: Path) -> LoadedSet:
    """Read the items of a data set folder in the hub's layout, or of one of its files.

    Args:
        path: the folder; `folder::split` selects one split.

    Raises:
        DataError: there are no data files, or there is no such split.
    """
    notes = Notes()
    items: list[Item] = []
    seen: dict[str, int] = {}
    for split, file in _files(path):
        for row in open_rows(file):
            seen[split] = seen.get(split, 0) + 1
            if isinstance(row, BadRow):
                notes.add("left out, not readable", row.line)
                continue
            try:
                items.append(_item(row, labelled, split, f"{split}-{seen[split]}"))
            except Unfit as exc:
                notes.add(f"left out, {exc}", row.line)
    return LoadedSet(items, notes.sentences())


def fetch(labelled: "LabelledSet", folder: Path) -> Path:
    """Fetch a set's data from the Hugging Face hub into the data folder.

    Returns:
        Path of the data, where `LabelledSet.load` finds it.

    Raises:
        SetupError: the set has no hub data set.
        MissingExtra: `huggingface_hub` is not installed.
        DataError: the hub is unreachable or denies access.
    """
    if not labelled.hub:
        raise SetupError(f"set {labelled.name!r} names no data set of the hub")
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError
    except ImportError as exc:
        raise MissingExtra("fetching from the Hugging Face hub", "hub") from exc
    target = folder / labelled.data.partition("::")[0]
    try:
        snapshot_download(
            labelled.hub,
            repo_type="dataset",
            revision=labelled.revision or None,
            local_dir=target,
            allow_patterns=list(labelled.files) or None,
        )
    except (HfHubHTTPError, OSError) as exc:
        problem = str(exc).partition("\n")[0]
        raise DataError(f"{labelled.hub} cannot be fetched: {problem}") from exc
    return target


def taken_apart(prompt: str, *, sample_id: str, name: str) -> tuple[Sample, Criterion]:
    """Parse a prompt in GLIDER's wire format into sample and criterion.

    Args:
        sample_id: id of the sample.
        name: name of the criterion, which the format does not have.

    Raises:
        Unfit: the prompt is not in this format, or one of its parts cannot be used.
    """
    end = prompt.rfind(_END)
    rubric_at = prompt.rfind(_RUBRIC, 0, end)
    criteria_at = prompt.rfind(_CRITERIA, 0, rubric_at)
    data_at = prompt.find(_DATA)
    if not 0 <= data_at < criteria_at < rubric_at < end:
        raise Unfit("a prompt that is not in GLIDER's format")
    question = prompt[criteria_at + len(_CRITERIA) : rubric_at].strip()
    try:
        sample = Sample(
            id=sample_id, fields=tuple(_fields(prompt[data_at + len(_DATA) : criteria_at]))
        )
        levels = _levels(prompt[rubric_at + len(_RUBRIC) : end])
        criterion = LiteralCriterion(name=name, question=question, rubric=Rubric(levels=levels))
    except RubricError as exc:
        raise Unfit(f"a rubric that cannot be used: {exc.message}") from exc
    except ValidationError as exc:
        problem = first_problem(exc).what
        raise Unfit(f"fields or criteria that cannot be used: {problem:.80}") from exc
    if names_a_field(question):
        raise Unfit("pass criteria with braces that would be filled in")
    return sample, criterion


def _item(row: Row, labelled: "LabelledSet", split: str, sample_id: str) -> Item:
    gold = number(row.data.get("score"))
    prompt = _prompt(row.data.get("prompt"))
    sample, criterion = taken_apart(prompt, sample_id=sample_id, name=labelled.name)
    low, high = criterion.rubric.low, criterion.rubric.high
    if not low <= gold <= high:
        raise Unfit("a score outside its rubric")
    given = [field.text for field in sample.told]
    named = {field.name: field.text for field in sample.fields}
    named |= {"split": split, "given": "\n".join(given)}
    part = key_at(named, labelled.part) if labelled.part else labelled.name
    if part is None:
        raise Unfit(f"no {labelled.part} to tell its part")
    return Item(
        sample=sample,
        criterion=criterion.model_copy(update={"name": part}),
        gold=gold,
        scale=(float(low), float(high)),
        part=part,
        cluster=(key_at(named, labelled.cluster) if labelled.cluster else None) or sample.id,
        lang=labelled.languages[0],
        group=group_at(named, labelled),
        as_written=True,
    )


def _prompt(value: Any) -> str:
    """Return the prompt, or the single user message of a chat."""
    match value:
        case str():
            return value
        case [{"role": "user", "content": str(content)}]:
            return content
        case _:
            raise Unfit("no prompt")


def _fields(text: str) -> Iterator[Field]:
    place = 0
    while block := _BLOCK.match(text, place):
        tag, body = block[1], block[2]
        role: Role = "judged" if _JUDGED.fullmatch(tag) else "other"
        yield Field(name=tag, text=body, role=_ROLES.get(tag, role))
        place = block.end()
    if text[place:].strip():
        raise Unfit("data with text outside of tags")


def _levels(text: str) -> dict[int, str]:
    head, *rest = _LEVEL.split(text)
    if head.strip():
        raise Unfit("a rubric with text before its first level")
    levels = {int(score): what.strip() for score, what in zip(rest[::2], rest[1::2], strict=True)}
    if len(levels) * 2 != len(rest):
        raise Unfit("a rubric with a level twice")
    return dict(sorted(levels.items()))


def _files(path: Path) -> list[tuple[str, Path]]:
    """List splits and files: `data/test-00000-of-00001.parquet`, `test.jsonl`, `test/0.parquet`."""
    name, _, wanted = str(path).partition("::")
    folder = Path(name)
    if folder.is_file():
        return [(_split_of(folder), folder)]
    found = [
        (_split_of(file), file)
        for file in sorted(folder.rglob("*"))
        if file.name.endswith(_SUFFIXES)
        and file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    ]
    splits = sorted({split for split, _ in found})
    chosen = [(split, file) for split, file in found if wanted in ("", split)]
    if not chosen:
        held = f"the splits {', '.join(splits)}" if splits else "no data files"
        raise DataError(f"has no split {wanted!r}: it has {held}" if wanted else f"has {held}")
    return chosen


def _split_of(file: Path) -> str:
    match = _SPLIT.fullmatch(file.name)
    stem = match[1] if match else file.stem
    return file.parent.name if stem == "data" or stem.isdigit() else stem
