"""`glider data` as a function: make a folder of examples from labelled sets and own labels."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glider.corpus.data_card import DataRecord, card, record
from glider.corpus.examples import write_lines
from glider.corpus.lengths import tokens_of
from glider.corpus.mixing import Mixed, mix
from glider.corpus.mixture import Mixture
from glider.corpus.settings import DataSettings
from glider.corpus.sources import benchmarks, own_sources, sources
from glider.gold.sets import LabelledSet
from glider.models.fetch import sha256_of
from glider.store.atomic import new_folder, refuse_filled, write_json, write_whole


@dataclass(frozen=True, slots=True)
class MadeData:
    """A folder of examples."""

    folder: Path
    record: DataRecord
    """What is in it, as its manifest.json has it."""
    compared: bool
    """There were benchmarks to compare with."""


def make_data(
    settings: DataSettings, out: Path, *, notify: Callable[[str], None] = lambda _text: None
) -> MadeData:
    """Make the folder `out` of examples, whole or not at all.

    Args:
        notify: called with each step, and how much was left out for which reason.

    Raises:
        RunError: the folder is not empty, the disk is full or cannot be written.
        SetupError, UnknownName: settings that do not fit together.
        EmptySplit: nothing is left of one.
        LeakedBenchmark: a file of the user's is in benchmarks from end to end.
        DataError: a set's data is not there or holds nothing.
        MissingExtra: a tokenizer is named, and the package that reads it is not installed.
    """
    refuse_filled(out)
    mixture, folder = settings.mixture(), settings.folder()
    beside = settings.recipe.parent if settings.recipe is not None else None
    own, named = own_sources(
        settings.sets, mixture, beside=beside, preset=settings.preset, criterion=settings.criterion
    )
    allow = (*mixture.allow, *settings.allow)
    mixture = mixture.model_copy(update={"sets": named, "allow": allow})
    chosen = sources(mixture, folder, own)
    against = benchmarks(chosen, folder)
    if not against:
        notify("no benchmark is there to compare with; give its folder with --data")
    tokens = tokens_of(settings.tokenizer) if settings.tokenizer else None
    mixed = mix(chosen, against, mixture, tokens=tokens, notify=notify)
    made = save(out, mixed, [source.labelled for source in chosen], mixture)
    return MadeData(out, made, bool(against))


def save(out: Path, mixed: Mixed, sets: list[LabelledSet], settings: Mixture) -> DataRecord:
    """Write the folder, whole or not at all.

    Raises:
        RunError: the folder is not empty, the disk is full or cannot be written.
    """
    with new_folder(out) as new:
        for name, examples in (("train", mixed.train), ("dev", mixed.dev)):
            write_lines(new / f"{name}.jsonl.gz", examples)
        write_lines(new / "tasks.jsonl.gz", mixed.tasks)
        held_out = json.dumps(mixed.held_out, indent=1)
        write_whole(new / "held-out.json", held_out + "\n")
        hashes = {file.name: sha256_of(file) for file in sorted(new.iterdir())}
        made = record(mixed, sets, settings=settings, files=hashes)
        write_whole(new / "card.md", card(made))
        manifest: dict[str, Any] = made.model_dump(mode="json")
        write_json(new / "manifest.json", manifest)
    return made
