"""Read the field's benchmarks, in the columns of their data sets on the Hugging Face hub.

RewardBench, RewardBench 2 and M-RewardBench: `prompt`, `chosen` and `rejected` (in RewardBench 2
lists; each rejected text is paired with the first chosen one), `subset` or `category`.
JudgeBench: `question`, `response_A`, `response_B`, `label` (A>B or B>A). LLM-AggreFact: `doc`,
`claim`, `label` (1: supported). HaluBench: `passage`, `question`, `answer`, `label` (PASS or FAIL).
HHH: `input`, `targets` with two `choices` and `labels` (1: the better). AlpacaFarm: `instruction`,
`input`, `output_1`, `output_2`, `preference` (1 or 2). Summaries with human feedback: `info` with a
`post` or an `article`, `summary` with `text` and `axes` (1 to 7 each), `worker`; one rating of one
person is one item.

If the better text always comes first, a hash of the pair's id decides the order, so that a judge
does not profit from position bias.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glider.core.base import content_hash
from glider.gold.items import LoadedSet
from glider.gold.records import read, rows_of_files

if TYPE_CHECKING:
    from glider.gold.sets import LabelledSet

Record = dict[str, Any]


def read_preferences(labelled: "LabelledSet", path: Path) -> LoadedSet:
    """Read pairs of a chosen and a rejected text."""
    return _read(labelled, path, partial(_preferences, labelled))


def read_judgebench(labelled: "LabelledSet", path: Path) -> LoadedSet:
    """Read JudgeBench's pairs."""
    return _read(labelled, path, _judgebench)


def read_aggrefact(labelled: "LabelledSet", path: Path) -> LoadedSet:
    """Read LLM-AggreFact's claims."""
    return _read(labelled, path, _aggrefact)


def read_halubench(labelled: "LabelledSet", path: Path) -> LoadedSet:
    """Read HaluBench's answers."""
    return _read(labelled, path, _halubench)


def read_hhh(labelled: "LabelledSet", path: Path) -> LoadedSet:
    """Read the pairs of HHH alignment."""
    return _read(labelled, path, _hhh)


def read_alpacafarm(labelled: "LabelledSet", path: Path) -> LoadedSet:
    """Read AlpacaFarm's pairs."""
    return _read(labelled, path, _alpacafarm)


def read_summary_axes(labelled: "LabelledSet", path: Path) -> LoadedSet:
    """Read the ratings of summaries with human feedback."""
    return _read(labelled, path, _summary_axes)


def _read(
    labelled: "LabelledSet", path: Path, shape: Callable[[Mapping[str, Any]], list[Record]]
) -> LoadedSet:
    return read(labelled, path, shape=shape, rows=rows_of_files(labelled, path))


def _preferences(labelled: "LabelledSet", row: Mapping[str, Any]) -> list[Record]:
    subset = str(row.get("subset") or row.get("category") or "")
    section = labelled.subset(subset)
    if subset in labelled.left_out or section in labelled.left_out:
        return []
    chosen, rejected = row.get("chosen"), row.get("rejected")
    better = chosen[0] if isinstance(chosen, list) and chosen else chosen
    worse = rejected if isinstance(rejected, list) else [rejected]
    language = row.get("language")
    records = []
    for number, text in enumerate(worse):
        parts = (language, subset, row.get("id"), number if len(worse) > 1 else None)
        name = "-".join(str(part) for part in parts if part not in (None, ""))
        record = _pair(name, row.get("prompt"), better, text)
        records.append(record | {"subset": subset, "section": section, "language": language})
        if isinstance(language, str):
            records[-1]["lang"] = _SHORT.get(language.partition("_")[0], language)
    return records


def _pair(name: str, prompt: Any, better: Any, worse: Any) -> Record:
    swapped = int(content_hash(name), 16) % 2
    outputs = [worse, better] if swapped else [better, worse]
    return {"id": name, "input": prompt, "outputs": outputs, "label": swapped}


def _judgebench(row: Mapping[str, Any]) -> list[Record]:
    label = {"A>B": 0, "B>A": 1}.get(str(row.get("label")).strip())
    return [
        {
            "id": row.get("pair_id"), "input": row.get("question"),
            "outputs": [row.get("response_A"), row.get("response_B")], "label": label,
            "subset": row.get("source"),
        }
    ]  # fmt: skip


def _aggrefact(row: Mapping[str, Any]) -> list[Record]:
    shown = {"context": row.get("doc"), "output": row.get("claim")}
    name = content_hash([row.get("dataset"), *shown.values()])
    return [{**shown, "id": name, "label": row.get("label"), "dataset": row.get("dataset")}]


def _halubench(row: Mapping[str, Any]) -> list[Record]:
    label = {"PASS": 1, "FAIL": 0}.get(str(row.get("label")).strip())
    return [
        {
            "id": row.get("id"), "input": row.get("question"), "context": row.get("passage"),
            "output": row.get("answer"), "label": label, "dataset": row.get("source_ds"),
        }
    ]  # fmt: skip


def _hhh(row: Mapping[str, Any]) -> list[Record]:
    targets = row.get("targets")
    match targets:
        case {"choices": [a, b], "labels": [1, 0]}:
            better, worse = a, b
        case {"choices": [a, b], "labels": [0, 1]}:
            better, worse = b, a
        case _:
            return []
    # The split that a row is of is told by its folder alone, and the texts are of one split.
    name = content_hash([row.get("input"), better, worse])
    return [_pair(name, row.get("input"), better, worse)]


def _alpacafarm(row: Mapping[str, Any]) -> list[Record]:
    asked = [str(row.get(key) or "").strip() for key in ("instruction", "input")]
    outputs = [row.get("output_1"), row.get("output_2")]
    label = {"1": 0, "2": 1}.get(str(row.get("preference")).strip())
    prompt = "\n\n".join(text for text in asked if text)
    return [
        {"id": content_hash([prompt, *outputs]), "input": prompt, "outputs": outputs,
         "label": label}
    ]  # fmt: skip


def _summary_axes(row: Mapping[str, Any]) -> list[Record]:
    info, summary = row.get("info") or {}, row.get("summary") or {}
    told = (info.get("title"), info.get("post") or info.get("article"))
    shown = {
        "context": "\n\n".join(text for text in told if text), "output": summary.get("text"),
    }  # fmt: skip
    name = content_hash([*shown.values(), row.get("worker")])
    return [
        {**shown, "id": name, "criterion": {"name": axis, "description": axis}, "label": label,
         "scale": [1, 7]}
        for axis, label in (summary.get("axes") or {}).items()
        if axis in _AXES and label is not None
    ]  # fmt: skip


_AXES = ("overall", "accuracy", "coverage", "coherence")
_SHORT = {
    "arb": "ar", "ces": "cs", "deu": "de", "ell": "el", "eng": "en", "fra": "fr", "heb": "he",
    "hin": "hi", "ind": "id", "ita": "it", "jpn": "ja", "kor": "ko", "nld": "nl", "pes": "fa",
    "pol": "pl", "por": "pt", "ron": "ro", "rus": "ru", "spa": "es", "tur": "tr", "ukr": "uk",
    "vie": "vi", "zho": "zh",
}  # fmt: skip
"""Maps ISO 639-3 codes to two-letter ISO 639-1 codes."""
