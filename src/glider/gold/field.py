"""Read the field's benchmarks, in the columns of their data sets on the Hugging Face hub.

RewardBench, RewardBench 2 and M-RewardBench: `prompt`, `chosen` and `rejected` (in RewardBench 2
lists; each rejected text is paired with the first chosen one), `subset` or `category`.
JudgeBench: `question`, `response_A`, `response_B`, `label` (A>B or B>A). LLM-AggreFact: `doc`,
`claim`, `label` (1: supported). HaluBench: `passage`, `question`, `answer`, `label` (PASS or FAIL).

If the better text always comes first, a hash of the pair's id decides the order, so that a judge
does not profit from position bias.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glider.core.base import content_hash
from glider.core.errors import DataError
from glider.data.rows import BadRow, Row, open_rows
from glider.gold.items import LoadedSet
from glider.gold.records import read

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


def _read(
    labelled: "LabelledSet", path: Path, shape: Callable[[Mapping[str, Any]], list[Record]]
) -> LoadedSet:
    return read(labelled, path, shape=shape, rows=_rows(labelled, path))


def _rows(labelled: "LabelledSet", folder: Path) -> Iterable[Row | BadRow]:
    """Return the rows of all files of the set.

    Raises:
        DataError: none of the files exists.
    """
    files = sorted({file for pattern in labelled.files for file in folder.glob(pattern)})
    if not files:
        raise DataError(
            f"set {labelled.name!r}: the folder has no {' or '.join(labelled.files)}",
            path=str(folder),
        )
    return chain.from_iterable(map(open_rows, files))


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


_SHORT = {
    "arb": "ar", "ces": "cs", "deu": "de", "ell": "el", "eng": "en", "fra": "fr", "heb": "he",
    "hin": "hi", "ind": "id", "ita": "it", "jpn": "ja", "kor": "ko", "nld": "nl", "pes": "fa",
    "pol": "pl", "por": "pt", "ron": "ro", "rus": "ru", "spa": "es", "tur": "tr", "ukr": "uk",
    "vie": "vi", "zho": "zh",
}  # fmt: skip
"""Maps ISO 639-3 codes to two-letter ISO 639-1 codes."""
