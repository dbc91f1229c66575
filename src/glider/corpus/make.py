"""The library function behind `glider data`: make examples from labelled sets and own labels."""

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
    """The contents, as in its manifest.json."""
    compared: bool
    """Whether there were benchmarks to compare with."""


def make_data(
    settings: DataSettings, out: Path, *, notify: Callable[[str], None] = lambda _text: None
) -> MadeData:
    """Write the folder `out` of examples atomically.

    Args:
        notify: called with each step, and with each reason for leaving items out and its count.

    Raises:
        RunError: the folder is not empty, or the disk is full or not writable.
        SetupError, UnknownName: the settings are invalid together.
        EmptySplit: a split has no items left.
        LeakedBenchmark: a user's file overlaps benchmarks entirely.
        DataError: a set's data is missing or empty.
        MissingExtra: a tokenizer is given, but the package that reads it is not installed.
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
    """Write the folder atomically.

    Raises:
        RunError: the folder is not empty, or the disk is full or not writable.
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
