"""The data card: what the files contain, what was left out and why, and the sources.

The card is generated from the finished data, never written by hand. The manifest has the same
figures in machine-readable form. The card contains no paths.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from glider.core.base import Frozen
from glider.core.errors import DataError
from glider.core.tasks import JudgeTask
from glider.corpus.examples import Example, ExampleTask
from glider.corpus.mixing import Mixed
from glider.corpus.mixture import Mixture, format_for
from glider.corpus.overlap import Overlap
from glider.formats.base import Format
from glider.gold.sets import OWN, LabelledSet


class SplitFigures(Frozen):
    """Statistics of one split."""

    examples: int
    explained: int
    quoted: int
    """Answers with at least one quote."""
    soft: int
    pairs: int
    by_set: Mapping[str, int]
    by_part: Mapping[str, int]
    by_label: Mapping[str, int]
    """Number of examples, keyed by set and `level of lowest-highest`."""
    by_language: Mapping[str, int]
    by_licence: Mapping[str, int]
    criteria: int
    """Number of distinct criteria; each wording and scale counts separately."""
    prompt_characters: tuple[int, int, int]
    """Length in characters of the shortest, the median and the longest prompt."""


class DataRecord(Frozen):
    """All the data shown on the card."""

    version: int = 1
    settings: Mapping[str, Any]
    files: Mapping[str, str]
    """File name to SHA-256."""
    train: SplitFigures
    dev: SplitFigures
    loaded: Mapping[str, int]
    left_out: Mapping[str, Mapping[str, int]]
    bare: Mapping[str, Mapping[str, int]]
    changed: Mapping[str, int]
    overlaps: tuple[Overlap, ...]
    notes: Mapping[str, tuple[str, ...]]
    titles: Mapping[str, str]
    """Set name to its title, its annotators and its licence."""
    own: Mapping[str, str] = Field(default_factory=dict)
    """Name of each of the user's own sets to its file name."""


DATA_RECORD = "data-manifest.json"
"""Record of a folder of selected examples; a folder of all examples uses its manifest."""


def record_file(folder: Path) -> Path:
    """Return the path of the record of a folder's examples, if there is one."""
    path = folder / DATA_RECORD
    return path if path.exists() else folder / "manifest.json"


def read_record(folder: Path) -> DataRecord:
    """Read the record of a folder's examples.

    Raises:
        DataError: the folder was made by neither `glider data` nor `glider select`.
    """
    path = record_file(folder)
    try:
        return DataRecord.model_validate_json(path.read_bytes())
    except OSError as exc:
        raise DataError(f"{folder} was not made by `glider data`: no manifest.json") from exc
    except ValidationError as exc:
        raise DataError(f"{path} is no record of `glider data`") from exc


def figures(
    examples: Sequence[Example], tasks: Mapping[str, JudgeTask], format: Format
) -> SplitFigures:
    """Compute the statistics of one split.

    Args:
        tasks: task of each example, by example id.
        format: format that the examples are written in.
    """
    lengths = sorted(sum(len(turn.content) for turn in e.messages) for e in examples) or [0]
    return SplitFigures(
        examples=len(examples),
        explained=sum(e.whole for e in examples),
        quoted=sum(_has_quote(e, tasks[e.id], format) for e in examples),
        soft=sum(e.soft is not None for e in examples),
        pairs=sum(len(tasks[e.id].sample.judged) == 2 for e in examples),
        by_set=_counted(e.set for e in examples),
        by_part=_counted(f"{e.set} / {e.part}" for e in examples),
        by_label=_counted(f"{e.set}: {_label(e)}" for e in examples),
        by_language=_counted(e.lang for e in examples),
        by_licence=_counted(e.licence for e in examples),
        criteria=len({e.criterion for e in examples}),
        prompt_characters=(lengths[0], lengths[len(lengths) // 2], lengths[-1]),
    )


def _has_quote(example: Example, task: JudgeTask, format: Format) -> bool:
    if example.completion in (example.labels or ()):
        return False  # a bare score
    # An answer left open before its reason can only be parsed with a reason appended.
    answer = example.opening + example.completion + ("" if example.whole else " open")
    return bool(format.read(answer, task).phrases)


def _label(example: Example) -> str:
    scale = f" of {example.labels[0]}-{example.labels[-1]}" if example.labels else ""
    return f"{example.score}{scale}"


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def record_of_part(
    whole: DataRecord, chosen: Sequence[Example], every: Iterable[ExampleTask], train: str
) -> DataRecord:
    """Make the record of a selection of the training examples.

    Args:
        every: the tasks of all examples.
        train: SHA-256 of the file of selected examples.
    """
    format = format_for(Mixture.model_validate(whole.settings))
    wanted = {example.id for example in chosen}
    tasks = {one.id: one.task for one in every if one.id in wanted}
    return whole.model_copy(
        update={
            "files": {**whole.files, "train.jsonl.gz": train},
            "train": figures(chosen, tasks, format),
        }
    )


def record(
    mixed: Mixed,
    sets: Sequence[LabelledSet],
    *,
    settings: Mixture,
    files: Mapping[str, str],
) -> DataRecord:
    """Summarise the finished mixture as a record."""
    counts = mixed.counts
    format = format_for(settings)
    tasks = {one.id: one.task for one in mixed.tasks}
    return DataRecord(
        settings=settings.model_dump(mode="json"),
        files=files,
        train=figures(mixed.train, tasks, format),
        dev=figures(mixed.dev, tasks, format),
        loaded=dict(counts.loaded),
        left_out={name: dict(why) for name, why in counts.left_out.items()},
        bare={name: dict(why) for name, why in counts.bare.items()},
        changed=dict(counts.changed),
        overlaps=tuple(mixed.overlaps),
        notes={name: notes for name, notes in mixed.notes.items() if notes},
        titles={s.name: _title(s) for s in sets},
        own={s.name: s.data for s in sets if s.family == OWN},
    )


def _title(labelled: LabelledSet) -> str:
    if labelled.labels_by == labelled.licence == "not told":
        return f"{labelled.title}; who labelled it and its licence are not given"
    return f"{labelled.title}; labels by {labelled.labels_by}; {labelled.licence}"


def card(data: DataRecord) -> str:
    """Render the card as Markdown."""
    train, dev = data.train, data.dev
    lines = [
        "# Training data",
        "",
        f"{train.examples} examples to train on, {dev.examples} for development; no prompt is in "
        "both.",
        "",
        *_table(
            ("", "train", "dev"),
            [
                ("examples", train.examples, dev.examples),
                ("with a reason", train.explained, dev.explained),
                ("with quotes", train.quoted, dev.quoted),
                ("label as a distribution", train.soft, dev.soft),
                ("pairs (each order counted)", train.pairs, dev.pairs),
                ("criteria, wordings and scales apart", train.criteria, dev.criteria),
                ("characters of the middle prompt", train.prompt_characters[1],
                 dev.prompt_characters[1]),
            ],
        ),
        "## Sets",
        "",
        *_table(
            ("set", "items", "train", "dev", "what it is"),
            [
                (n, data.loaded[n], train.by_set.get(n, 0), dev.by_set.get(n, 0), data.titles[n])
                for n in sorted(data.loaded)
            ],
        ),
        "## Parts",
        "",
        *_beside(train.by_part, dev.by_part, "set / part"),
        "## Labels",
        "",
        *_beside(train.by_label, dev.by_label, "set: level of scale"),
        "## Languages",
        "",
        *_beside(train.by_language, dev.by_language, "language"),
        "## Licences",
        "",
        *_beside(train.by_licence, dev.by_licence, "licence"),
        "## Left out",
        "",
        "Items that are in neither split, by set and reason.",
        "",
        *_reasons(data.left_out),
        "## Reasons not used",
        "",
        "Items whose answer is a bare score though somebody wrote a reason.",
        "",
        *_reasons(data.bare),
        "## Changed wordings",
        "",
        *_table(("change", "items"), sorted(data.changed.items())),
        "## In a benchmark too",
        "",
        "Items of a training set that are in a set kept for measuring. `prompt`: an input or "
        "context; `answer`: a judged text; near: at least half of the runs of eight words are "
        "shared. All that are in an unseen set are left out; of the others those with the same "
        "judged text.",
        "",
        *_table(
            ("training set", "benchmark", "place", "how", "items"),
            [(o.train, o.benchmark, o.place, o.kind, o.items) for o in data.overlaps],
        ),
        "## Odd records",
        "",
        *[f"- {name}: {'; '.join(notes)}" for name, notes in data.notes.items()],
        "",
        "## Settings and files",
        "",
        *_table(("setting", "value"), [(k, f"`{v}`") for k, v in data.settings.items()]),
        *_table(("file", "SHA-256"), list(data.files.items())),
    ]  # fmt: skip
    return "\n".join(lines).rstrip() + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    listed = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    if not listed:
        return ["None.", ""]
    return [
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *["| " + " | ".join(row) + " |" for row in listed],
        "",
    ]


def _beside(train: Mapping[str, int], dev: Mapping[str, int], what: str) -> list[str]:
    names = sorted({*train, *dev})
    return _table((what, "train", "dev"), [(n, train.get(n, 0), dev.get(n, 0)) for n in names])


def _reasons(counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    rows = [(name, why, n) for name in sorted(counts) for why, n in counts[name].items()]
    return _table(("set", "why", "items"), rows)
