"""Read labelled data in the columns of Prometheus, UltraFeedback and HelpSteer.

Prometheus (Feedback Collection, Preference Collection), with or without `orig_` before each name:
`instruction`, `response`, `reference_answer`, `criteria` and `score1_description` to
`score5_description` (or all in one `rubric` text), `score` 1 to 5, `feedback`. Pairs: `response_A`,
`response_B`, `preference` (A or B).

UltraFeedback: each of the `completions` of an `instruction` gives one record per aspect in its
`annotations` (`Rating` 1 to 5 and `Rationale`; "N/A" gives none), and one overall record:
`overall_score` 1 to 10 and `critique`.

HelpSteer and HelpSteer2: each `response` to a `prompt` gives one record each for helpfulness,
correctness, coherence, complexity and verbosity, 0 to 4. They have no reasons.

The criteria are in `foreign.yaml`; Prometheus records have their own. Users are responsible for
complying with the licences of this data.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from glider.core.base import content_hash
from glider.core.errors import DataError, UnknownName
from glider.data.rows import open_rows, peeked
from glider.gold.items import LoadedSet
from glider.gold.records import read, rows_of_files
from glider.gold.sets import OWN, LabelledSet, own_name

if TYPE_CHECKING:
    from glider.gold.records import Shape

FOREIGN = ("prometheus", "ultrafeedback", "helpsteer")
_ASPECTS = ("instruction_following", "honesty", "truthfulness", "helpfulness")
_ATTRIBUTES = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")
_LEVELS = range(1, 6)


def guess(columns: Iterable[str]) -> str | None:
    """Detect which project's columns these are; None for Glider's own records and others."""
    names = {name.removeprefix("orig_") for name in columns}
    if {"instruction", "completions"} <= names:
        return "ultrafeedback"
    if {"prompt", "response", "helpfulness"} <= names:
        return "helpsteer"
    if "instruction" in names and names & {"response", "response_A"}:
        return "prometheus"
    return None


def foreign_set(preset: str, path: Path) -> LabelledSet:
    """Make a set of a user's file in the columns of another project.

    Raises:
        UnknownName: there is no such preset.
        DataError: the file is missing or holds no record.
    """
    if preset not in FOREIGN:
        raise UnknownName("preset", preset, ["record", *FOREIGN])
    first, _ = peeked(open_rows(path))
    if first is None:
        raise DataError("no records", path=str(path))
    pairs = preset == "prometheus" and _value(first.data, "response_A") is not None
    return LabelledSet(
        name=own_name(path),
        title=f"{path.name} ({preset})",
        data=path.name,
        reader=preset,
        kind="pairs" if pairs else "graded",
        family=OWN,
        labels_by="not told",
        licence="not told",
        use="licence",
        metrics=("accuracy_averaged", "accuracy_both") if pairs else ("pearson", "spearman", "mae"),
        questions=_questions().get(preset, {}),
    )


@cache
def _questions() -> Mapping[str, Any]:
    text = files("glider").joinpath("gold", "foreign.yaml").read_text("utf-8")
    data: Mapping[str, Any] = yaml.safe_load(text)
    return data


def read_prometheus(labelled: LabelledSet, path: Path) -> LoadedSet:
    """Read the items of a file in Prometheus' columns."""
    return _read(labelled, path, _prometheus)


def read_ultrafeedback(labelled: LabelledSet, path: Path) -> LoadedSet:
    """Read the items of a file in UltraFeedback's columns."""
    return _read(labelled, path, lambda row: list(_ultrafeedback(row)))


def read_helpsteer(labelled: LabelledSet, path: Path) -> LoadedSet:
    """Read the items of a file in HelpSteer's columns."""
    return _read(labelled, path, _helpsteer)


def _read(labelled: LabelledSet, path: Path, shape: "Shape") -> LoadedSet:
    rows = rows_of_files(labelled, path) if labelled.files else None
    return read(labelled, path, shape=shape, rows=rows)


def _value(row: Mapping[str, Any], name: str) -> Any:
    return row.get(f"orig_{name}", row.get(name))


def _prometheus(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    of = partial(_value, row)
    rubric = of("rubric")
    question = of("criteria")
    levels = {n: of(f"score{n}_description") for n in _LEVELS}
    record: dict[str, Any] = {
        "input": of("instruction"),
        "reference": of("reference_answer"),
        "rationale": of("feedback"),
        "criterion": {"name": "instance rubric", "description": question},
        "rubric": levels,
    }
    if not all(levels.values()) or not question:
        record["rubric"] = rubric  # one text, from which the levels are parsed
    if of("response_A") is not None:
        winner = {"A": 0, "B": 1}.get(str(of("preference")).strip())
        record |= {"outputs": [of("response_A"), of("response_B")], "label": winner}
        reason = record["rationale"]
        if isinstance(reason, str):
            record["rationale"] = reason.replace("Response A", "Response 1").replace(
                "Response B", "Response 2"
            )
    else:
        record |= {"output": of("response"), "label": of("score"), "scale": [1, 5]}
    record["id"] = content_hash([record["input"], record.get("output"), record.get("outputs"),
                                 question or rubric])  # fmt: skip
    return [record]


def _ultrafeedback(row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for completion in row.get("completions") or ():
        shown = {"input": row.get("instruction"), "output": completion.get("response")}
        name = content_hash(shown)
        annotations = completion.get("annotations") or {}
        for aspect in _ASPECTS:
            given = annotations.get(aspect) or {}
            given = given[0] if isinstance(given, list) else given
            if str(given.get("Rating", "")).isdigit():
                yield {
                    **shown, "id": name, "criterion": {"name": aspect, "description": aspect},
                    "label": int(given["Rating"]), "scale": [1, 5],
                    "rationale": given.get("Rationale"),
                }  # fmt: skip
        if isinstance(completion.get("overall_score"), int | float):
            yield {
                **shown, "id": name, "criterion": {"name": "overall", "description": "overall"},
                "label": completion["overall_score"], "scale": [1, 10],
                "rationale": completion.get("critique"),
            }  # fmt: skip


def _helpsteer(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    shown = {"input": row.get("prompt"), "output": row.get("response")}
    return [
        {
            **shown, "id": content_hash(shown), "criterion": {"name": name, "description": name},
            "label": row[name], "scale": [0, 4],
        }
        for name in _ATTRIBUTES
        if row.get(name) is not None
    ]  # fmt: skip
