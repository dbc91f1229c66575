"""`glider select` as a function: write a smaller folder of chosen examples.

manifest.json      examples, model, what is measured; written once
measures.jsonl     what was measured, an example a line; a killed selection resumes with it
train.jsonl.gz     the chosen examples, in the order they were in
dev.jsonl.gz, tasks.jsonl.gz, held-out.json    as they were
selection.json, card.md    what was chosen; data-manifest.json, the record for a model's card
"""

import base64
import hashlib
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from glider.core.base import Frozen
from glider.core.errors import DataError, SetupError
from glider.corpus.data_card import DATA_RECORD, DataRecord, read_record, record_of_part
from glider.corpus.examples import (
    Example,
    hash_of,
    read_examples,
    read_tasks,
    required_format,
    write_lines,
)
from glider.models.resolve import TorchWeights
from glider.store.atomic import replacing, write_json, write_whole
from glider.store.folder import locked_folder, refuse_begun
from glider.store.journal import Journal
from glider.store.manifest import Manifest
from glider.studies.selecting.draws import (
    ChosenExamples,
    Floats,
    by_ifd,
    d3,
    dependability,
    ifd,
    random_selection,
    upd,
)
from glider.studies.selecting.settings import SelectionSettings
from glider.training.base_model import find_base

By = Literal["ifd", "d3", "random"]
_WAYS = get_args(By)

_AT_ONCE = 64
"""Number of examples measured between two checks of the clock."""
_AS_THEY_WERE = ("dev.jsonl.gz", "tasks.jsonl.gz", "held-out.json")


class Measure(Frozen):
    """A model's measurement of one example."""

    id: str
    value: float | None
    """IFD or D3's difficulty; None if undefined."""
    embedding: str = ""
    """Embedding of the prompt for D3, as base64-encoded half floats."""


class Selection(Frozen):
    """Statistics of a selection."""

    version: int = 1
    by: By
    model: str
    """Name and revision of the measuring model; empty for a random selection."""
    size: int
    examples: int
    """Number of examples to choose from."""
    dropped: dict[str, int]
    """Number of examples excluded from selection, by reason."""
    by_set: dict[str, tuple[int, int]]
    """Number of examples chosen and available, by set."""
    labels: dict[str, tuple[int, int]]
    """Number of examples chosen and available, by level."""
    characters: tuple[float, float]
    """Mean length in characters of the chosen prompts and of all prompts."""


def select(
    data: Path,
    out: Path,
    settings: SelectionSettings,
    *,
    resume: bool = False,
    notify: Callable[[str], None] = lambda _text: None,
) -> Selection:
    """Choose training examples from the folder `data` and write them to the folder `out`.

    With `resume`, another size may be chosen from the same measurements.

    Args:
        notify: called regularly with a progress message.

    Raises:
        DataError: `data` is not a folder of examples, or is damaged.
        SetupError: unknown selection rule, or there are not more than `size` examples.
        RunError, ManifestMismatch: as `locked_folder`; or the disk is full.
        MissingExtra, ModelFileError: the model cannot be loaded.
    """
    if settings.by not in _WAYS:
        raise SetupError(f"--by is one of {', '.join(_WAYS)}; got {settings.by!r}")
    by: By = settings.by  # type: ignore[assignment]
    size, seed = settings.size, settings.seed
    if not resume:
        refuse_begun(out)
    asked = required_format(data)
    examples = list(read_examples(data / "train.jsonl.gz"))
    if size >= len(examples):
        raise SetupError(f"{size} examples cannot be chosen of {len(examples)}: there are no more")
    base = None if by == "random" else find_base(settings.model)
    name = f"{base.name}@{base.revision}" if base else ""
    manifest = Manifest.of(
        judge=name,
        settings={**asked, "by": by, **({"seed": seed} if base is None else {})},
        criteria={},
        input_path=data.resolve().name,
        input_sha256=hash_of(data),
    )
    with locked_folder(out, manifest, resume=resume, kind="selection"):
        if base is None:
            drawn = random_selection(examples, size, seed=seed)
        else:
            drawn = _drawn(_measures(examples, base, out, by, notify), examples, by, size)
        if len(drawn.chosen) < size:
            notify(f"only {len(drawn.chosen)} of {size} are worth drawing")
        chosen = [examples[number] for number in sorted(drawn.chosen)]
        found = _counted(chosen, examples, drawn, by, name)
        for file in _AS_THEY_WERE:
            if (data / file).is_file():
                with (data / file).open("rb") as old, replacing(out / file) as new:
                    shutil.copyfileobj(old, new)
        write_lines(out / "train.jsonl.gz", chosen)
        if (whole := _record(data)) is not None:
            train = hashlib.sha256((out / "train.jsonl.gz").read_bytes()).hexdigest()
            part = record_of_part(whole, chosen, read_tasks(out / "tasks.jsonl.gz"), train)
            write_json(out / DATA_RECORD, part.model_dump(mode="json"))
        write_json(out / "selection.json", found.model_dump(mode="json"))
        above = data / "card.md"
        write_whole(
            out / "card.md", card(found, above.read_text("utf-8") if above.exists() else "")
        )
    return found


def _record(data: Path) -> DataRecord | None:
    """Return the source data's record; None if the folder lacks the information for one."""
    if not (data / "tasks.jsonl.gz").exists():
        return None
    try:
        return read_record(data)
    except DataError:
        return None


def _measures(
    examples: Sequence[Example],
    base: TorchWeights,
    out: Path,
    by: By,
    notify: Callable[[str], None],
) -> dict[str, Measure]:
    """Measure every example that is not yet in the journal, and return all measurements."""
    with Journal(out / "measures.jsonl", Measure) as journal:
        known = {measure.id: measure for measure in journal.before}
        missing = [example for example in examples if example.id not in known]
        measure = _measuring(base, by) if missing else None
        began, shown = time.monotonic(), 0.0
        for start in range(0, len(missing), _AT_ONCE):
            assert measure is not None
            for found in measure(missing[start : start + _AT_ONCE]):
                journal.add(found)
                known[found.id] = found
            done = min(start + _AT_ONCE, len(missing))
            now = time.monotonic() - began
            if now - shown > 10 or done == len(missing):
                shown = now
                rate = f"{60 * done / now:,.0f} a minute"
                notify(f"{done:,} of {len(missing):,} examples measured, {rate}")
    return known


def _measuring(base: TorchWeights, by: By) -> Callable[[Sequence[Example]], list[Measure]]:
    from glider.studies.selecting.losses import TorchLosses

    model = TorchLosses.of(base)

    def by_prompt(examples: Sequence[Example]) -> list[Measure]:
        values = ifd(model, examples)
        return [_measure(e, value) for e, value in zip(examples, values, strict=True)]

    def by_guess(examples: Sequence[Example]) -> list[Measure]:
        return [
            _measure(example, upd(losses, model.vocabulary), _written(losses.embedding))
            for example, losses in zip(examples, model(examples), strict=True)
        ]

    return by_prompt if by == "ifd" else by_guess


def _measure(example: Example, value: float, embedding: str = "") -> Measure:
    return Measure(id=example.id, value=value if np.isfinite(value) else None, embedding=embedding)


def _written(embedding: Floats | None) -> str:
    assert embedding is not None
    return base64.b64encode(embedding.astype("<f2").tobytes()).decode()


def _drawn(
    measures: dict[str, Measure], examples: Sequence[Example], by: By, size: int
) -> ChosenExamples:
    mine = [measures[example.id] for example in examples]
    values = [np.nan if one.value is None else one.value for one in mine]
    if by == "ifd":
        return by_ifd(examples, values, size)
    places = np.stack([np.frombuffer(base64.b64decode(one.embedding), "<f2") for one in mine])
    trust = [dependability(example) for example in examples]
    return d3(values, places.astype(np.float64), trust, size)


def _counted(
    chosen: Sequence[Example], every: Sequence[Example], drawn: ChosenExamples, by: By, model: str
) -> Selection:
    def beside(kind: Callable[[Example], str]) -> dict[str, tuple[int, int]]:
        taken, there = Counter(map(kind, chosen)), Counter(map(kind, every))
        return {name: (taken[name], n) for name, n in sorted(there.items())}

    def length(examples: Sequence[Example]) -> float:
        sizes = [sum(len(turn.content) for turn in one.messages) for one in examples]
        return round(sum(sizes) / max(1, len(sizes)), 1)

    return Selection(
        by=by,
        model=model,
        size=len(chosen),
        examples=len(every),
        dropped=dict(drawn.dropped.most_common()),
        by_set=beside(lambda example: example.set),
        labels=beside(lambda example: f"{example.score} of {_scale(example)}"),
        characters=(length(chosen), length(every)),
    )


def _scale(example: Example) -> str:
    return f"{example.labels[0]}-{example.labels[-1]}" if example.labels else "no scale"


def card(found: Selection, whole: str) -> str:
    """Describe the selection as Markdown, followed by the card of the source data."""
    how = {
        "ifd": "those of the highest IFD: the answer's loss with its prompt over that without",
        "d3": "difficult, far from one another, with a settled label (an approximation of D3)",
        "random": "drawn at random",
    }[found.by]
    lines = [
        "# A selection",
        "",
        f"{found.size:,} of {found.examples:,} examples, {how}"
        + (f", under {found.model}." if found.model else "."),
        f"Mean characters of a prompt: {found.characters[0]:,} of the chosen, "
        f"{found.characters[1]:,} of all.",
        "",
        *_dropped(found),
        *_table("set", found.by_set),
        *_table("level", found.labels),
        "What follows is the card of the whole.",
        "",
    ]
    return "\n".join(lines) + "\n" + whole


def _dropped(found: Selection) -> list[str]:
    rows = [f"- not in the draw: {n:,}, {why}" for why, n in found.dropped.items()]
    return [*rows, ""] if rows else []


def _table(what: str, counts: dict[str, tuple[int, int]]) -> list[str]:
    rows = [f"| {name} | {taken:,} | {n:,} |" for name, (taken, n) in counts.items()]
    return [f"| {what} | chosen | there |", "|---|---|---|", *rows, ""]
