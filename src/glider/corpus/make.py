"""Labelled sets and a person's own labels to a folder of examples: what `glider data` does."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import ValidationError

from glider.core.errors import SetupError
from glider.core.settings import Flag
from glider.corpus.data_card import DataRecord, card, record
from glider.corpus.examples import write_lines
from glider.corpus.lengths import tokens_of
from glider.corpus.mixing import Mixed, mix
from glider.corpus.mixture import Mixture
from glider.corpus.sources import benchmarks, own_sources, sources
from glider.data.yaml_files import mapping, read_text
from glider.gold.sets import LabelledSet
from glider.models.fetch import sha256_of
from glider.store.atomic import new_folder, refuse_filled, write_json, write_whole

_FROM, _MADE = "Data", "What is made"


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Which labels become which examples; None is what the recipe says, else the default."""

    recipe: Path | None = None
    """A YAML file of a `Mixture`; what is given here goes before it."""
    data: Annotated[
        Path | None, Flag("Folder of the sets' data [$GLIDER_DATA].", _FROM, ("--data",))
    ] = None
    sets: Annotated[
        tuple[str, ...],
        Flag(
            "A set, or a file of your own labels; may be given again [every set that may be "
            "trained on].",
            _FROM,
            ("--set",),
        ),
    ] = ()
    preset: Annotated[
        str | None,
        Flag(
            "Columns of your own files: judgements, prometheus, ultrafeedback, helpsteer [told by "
            "their columns].",
            _FROM,
        ),
    ] = None
    criterion: Annotated[
        str | None,
        Flag(
            "What is asked of your own labels, if their records do not say.",
            _FROM,
            ("--criterion", "-c"),
        ),
    ] = None
    allow: Annotated[
        tuple[str, ...],
        Flag("A set that is kept out of training, taken on your own word.", _FROM),
    ] = ()
    format: Annotated[
        str | None, Flag("nano, glider, prometheus, flow-judge, chat-json [nano].", _MADE)
    ] = None
    order: Annotated[str | None, Flag("score-first or reason-first (nano).", _MADE)] = None
    size: Annotated[int | None, Flag("Training items in all.", _MADE, min=1)] = None
    max_prompt_tokens: Annotated[int | None, Flag("Longest prompt.", _MADE, min=64)] = None
    tokenizer: Annotated[
        Path | None,
        Flag(
            "tokenizer.json, its folder or a model, to count tokens with [estimated from the "
            "letters].",
            _MADE,
        ),
    ] = None
    dev: Annotated[float | None, Flag("Share for development [0.1].", _MADE, min=0.0, max=0.9)] = (
        None
    )
    seed: Annotated[int | None, Flag("Of every draw [0].", _MADE)] = None

    def mixture(self) -> Mixture:
        """The recipe with these settings before its own; own files still under their paths.

        Raises:
            DataError: the recipe is not there or no YAML.
            SetupError: a setting that is unknown or not of its kind.
        """
        recipe = self.recipe
        written = mapping(read_text(recipe), str(recipe)) if recipe else {}
        keys = ("format", "order", "size", "max_prompt_tokens", "dev", "seed")
        given = {key: getattr(self, key) for key in keys if getattr(self, key) is not None}
        try:
            return Mixture.model_validate({**written, **given})
        except ValidationError as exc:
            first = exc.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise SetupError(f"{recipe or 'flags'}: {where}: {first['msg']}") from exc

    def folder(self) -> Path | None:
        """Where the sets' data lies: as given, else $GLIDER_DATA."""
        found = os.environ.get("GLIDER_DATA")
        return self.data or (Path(found) if found is not None else None)


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
        notify: told each step, and how much was left out for which reason.

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
