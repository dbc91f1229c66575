"""`glider data`: labelled sets and a person's own labels to files to train on."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from glider.cli.show import say
from glider.core.errors import DataError, MissingExtra, SetupError

if TYPE_CHECKING:
    from glider.corpus.mixture import Mixture, Source, Tokens
    from glider.gold.sets import LabelledSet

_FROM, _MADE, _OUT = "Data", "What is made", "Output"


def data(
    recipe: Path = typer.Argument(
        None, metavar="RECIPE", help="Settings of the mixture; flags go before them."
    ),
    folder: Path = typer.Option(
        None, "--data", help="Folder of the sets' data [$GLIDER_DATA].", rich_help_panel=_FROM
    ),
    sets: list[str] = typer.Option(
        None,
        "--set",
        help="A set, or a file of your own labels; may be given again [every set that may be "
        "trained on].",
        rich_help_panel=_FROM,
    ),
    preferences: Path = typer.Option(
        None,
        metavar="FILE",
        help="Pairs of answers you have (prompt, chosen, rejected) instead of labels; with "
        "--format, --order, --dev and --seed alone.",
        rich_help_panel=_FROM,
    ),
    preset: str = typer.Option(
        None,
        help="Columns of your own files: judgements, prometheus, ultrafeedback, helpsteer [told by "
        "their columns].",
        rich_help_panel=_FROM,
    ),
    criterion: str = typer.Option(
        None,
        "--criterion",
        "-c",
        help="What is asked of your own labels, if their records do not say.",
        rich_help_panel=_FROM,
    ),
    allow: list[str] = typer.Option(
        None,
        help="A set that is kept out of training, taken on your own word.",
        rich_help_panel=_FROM,
    ),
    format: str = typer.Option(
        None, help="nano, glider, prometheus, flow-judge, chat-json [nano].", rich_help_panel=_MADE
    ),
    order: str = typer.Option(
        None, help="score-first or reason-first (nano).", rich_help_panel=_MADE
    ),
    size: int = typer.Option(None, min=1, help="Training items in all.", rich_help_panel=_MADE),
    max_prompt_tokens: int = typer.Option(
        None, min=64, help="Longest prompt.", rich_help_panel=_MADE
    ),
    tokenizer: Path = typer.Option(
        None,
        help="tokenizer.json, its folder or a model, to count tokens with [estimated from the "
        "letters].",
        rich_help_panel=_MADE,
    ),
    dev: float = typer.Option(
        None, min=0.0, max=0.9, help="Share for development [0.1].", rich_help_panel=_MADE
    ),
    seed: int = typer.Option(None, help="Of every draw [0].", rich_help_panel=_MADE),
    out: Path = typer.Option(..., "--out", "-o", help="Folder to make.", rich_help_panel=_OUT),
    as_json: bool = typer.Option(
        False, "--json", help="Print the manifest as JSON.", rich_help_panel=_OUT
    ),
) -> None:
    """Make files to train a judge on, and a card that says what is in them.

    Writes train.jsonl.gz, dev.jsonl.gz, tasks.jsonl.gz (what `glider rationalize` asks anew),
    held-out.json (what `glider bench --held-out` measures on), card.md and manifest.json.
    Benchmarks stay out of them. Of --preferences it writes preferences-train.jsonl.gz and, of what
    was chosen, train.jsonl.gz; both also for development.
    """
    from glider.corpus.mixture import benchmarks, mix, sources
    from glider.store.atomic import refuse_filled

    refuse_filled(out)
    if folder is None and "GLIDER_DATA" in os.environ:
        folder = Path(os.environ["GLIDER_DATA"])
    if preferences is not None:
        other = (recipe, sets, preset, criterion, allow, size, max_prompt_tokens, tokenizer)
        if any(other):
            raise SetupError(
                "--preferences makes a folder of its own; only --format, --order, --dev and --seed "
                "go with it",
                hint="make two folders; `glider train` takes --data twice",
            )
        form = {"format": format or (order and "nano"), "order": order}
        told = {key: value for key, value in form.items() if value is not None}
        _own_preferences(
            preferences, out, told, dev=0.1 if dev is None else dev, seed=seed or 0, as_json=as_json
        )
        return
    flags = {
        "format": format,
        "order": order,
        "size": size,
        "max_prompt_tokens": max_prompt_tokens,
        "dev": dev,
        "seed": seed,
    }
    settings = _settings(recipe, {key: value for key, value in flags.items() if value is not None})
    own, named = _own(sets or (), settings, recipe, preset, criterion)
    settings = settings.model_copy(
        update={"sets": named, "allow": (*settings.allow, *(allow or ()))}
    )
    chosen = sources(settings, folder, own)
    against = benchmarks(chosen, folder)
    if not against:
        say("[yellow]no benchmark[/]", "is there to compare with; give its folder with --data")
    mixed = mix(
        chosen,
        against,
        settings,
        tokens=_tokens(tokenizer) if tokenizer else None,
        say=lambda what: say("", what),
    )
    record = save(out, mixed, [source.labelled for source in chosen], settings)
    if as_json:
        print(json.dumps(record, indent=1, ensure_ascii=False))
    train, development = record["train"], record["dev"]
    say(
        "[bold]made[/]",
        f"{train['examples']} examples to train on ({train['explained']} with a reason) and "
        f"{development['examples']} for development",
    )
    say("card:", str(out / "card.md"))


def _own_preferences(
    path: Path, out: Path, form: dict[str, str], *, dev: float, seed: int, as_json: bool
) -> None:
    from glider.corpus.mixture import Mixture, form_for
    from glider.training.own_preferences import own_preferences, save_preferences

    form_for(Mixture.model_validate(form))
    made = own_preferences(path, dev=dev, seed=seed)
    record = save_preferences(out, made, {**form, "dev": dev, "seed": seed})
    if as_json:
        print(json.dumps(record, indent=1, ensure_ascii=False))
    if not form:
        say("[yellow]no form told[/]:", "name the one the prompts are in with --format")
    for why, n in made.left_out.items():
        say("[yellow]left out[/]", f"{n} records: {why}")
    train, development = (len(made.preferences[split]) for split in ("train", "dev"))
    say("[bold]made[/]", f"{train} pairs to train on and {development} for development")
    say("card:", str(out / "card.md"))


def _settings(recipe: Path | None, flags: dict[str, Any]) -> "Mixture":
    from pydantic import ValidationError

    from glider.corpus.mixture import Mixture
    from glider.data.yaml_files import mapping, read_text

    written = mapping(read_text(recipe), str(recipe)) if recipe else {}
    try:
        return Mixture.model_validate({**written, **flags})
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise SetupError(f"{recipe or 'flags'}: {where}: {first['msg']}") from exc


def _own(
    words: "list[str] | tuple[()]",
    settings: "Mixture",
    recipe: Path | None,
    preset: str | None,
    criterion: str | None,
) -> "tuple[list[Source], dict[str, Any]]":
    """The user's own files as sets, and every set by the name it goes by."""
    from glider.corpus.mixture import Share, Source

    own: list[Source] = []
    named: dict[str, Any] = {}
    shares = {word: settings.sets.get(word, Share()) for word in words} if words else settings.sets
    for word, share in shares.items():
        path = Path(word)
        if recipe is not None and word in settings.sets and not path.is_absolute():
            path = recipe.parent / path
        if not _is_data(path):
            named[word] = share
            continue
        labelled = own_labels(path, preset, criterion)
        if labelled.name in named:
            raise SetupError(f"two sets are called {labelled.name!r}", hint="rename one file")
        named[labelled.name] = share
        own.append(Source(labelled, path.parent, own=True))
    return own, named


def _is_data(path: Path) -> bool:
    from glider.bench.choose import DATA_SUFFIXES

    return path.name.removesuffix(".gz").endswith(DATA_SUFFIXES)


def own_labels(path: Path, preset: str | None, criterion: str | None) -> "LabelledSet":
    """A person's own file of labels as a set.

    Args:
        preset: whose columns it has; told by their names if not given.
        criterion: name or file of what was asked, where the records do not say.

    Raises:
        DataError: not there, not readable, or without records.
        SetupError: nothing says what was asked.
        UnknownName: no such preset, no such criterion.
    """
    from glider.bench.choose import own_set
    from glider.data.library import load_criterion
    from glider.data.rows import open_rows, peeked
    from glider.gold.foreign import foreign_set, guess

    first, _ = peeked(open_rows(path))
    if first is None:
        raise DataError("no records", path=str(path))
    columns = preset or guess(first.data) or "judgements"
    if columns == "judgements":
        return own_set(path, load_criterion(criterion) if criterion else None)
    return foreign_set(columns, path)


def _tokens(path: Path) -> "Tokens":
    try:
        from tokenizers import Tokenizer
    except ImportError as exc:
        raise MissingExtra("counting tokens with a tokenizer", "torch") from exc
    file = path / "tokenizer.json" if path.is_dir() else path
    if not file.is_file():
        from glider.models.resolve import resolve

        file = Path(resolve(path).torch().source) / "tokenizer.json"
    if not file.is_file():
        raise SetupError(f"{path}: no tokenizer.json there")
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as exc:  # it has no errors of its own
        raise SetupError(f"{file}: no tokenizer: {exc}") from exc
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def save(out: Path, mixed: Any, sets: list[Any], settings: "Mixture") -> dict[str, Any]:
    """Write the folder, whole or not at all.

    Returns:
        The manifest.

    Raises:
        RunError: the folder is not empty, the disk is full or cannot be written.
    """
    from glider.corpus.data_card import card, record
    from glider.corpus.examples import write_lines
    from glider.models.fetch import sha256_of
    from glider.store.atomic import new_folder

    with new_folder(out) as new:
        for name, examples in (("train", mixed.train), ("dev", mixed.dev)):
            write_lines(new / f"{name}.jsonl.gz", examples)
        write_lines(new / "tasks.jsonl.gz", mixed.posed)
        (new / "held-out.json").write_text(json.dumps(mixed.held_out, indent=1) + "\n", "utf-8")
        hashes = {f.name: sha256_of(f) for f in sorted(new.iterdir())}
        made = record(mixed, sets, settings=settings, files=hashes)
        (new / "card.md").write_text(card(made), "utf-8")
        manifest: dict[str, Any] = made.model_dump(mode="json")
        text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
        (new / "manifest.json").write_text(text, "utf-8")
    return manifest
