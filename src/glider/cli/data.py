"""`glider data`: make training files from labelled sets and your own labels."""

from dataclasses import fields, replace
from pathlib import Path

import typer

from glider.cli.flags import from_flags
from glider.cli.options import interrupted, interrupted_whole
from glider.cli.show import downloading, print_json, say
from glider.cli.teach import TeachingProgress, show_taught
from glider.core.errors import SetupError
from glider.corpus.settings import DataSettings
from glider.studies.teaching.settings import (
    DataTeacherSettings,
    TeacherSettings,
    TeachingSettings,
)

_OUT = "Output"
_OF_PREFERENCES = ("format", "order", "dev", "seed", "data")
"""Settings that go with --preferences."""


@from_flags
def data(
    recipe: Path = typer.Argument(
        None,
        metavar="RECIPE",
        help="YAML file with the settings of the mixture; flags override it.",
    ),
    preferences: Path = typer.Option(
        None,
        metavar="FILE",
        help="Your own pairs of answers (prompt, chosen, rejected) instead "
        "of labels. Allowed with it: "
        "--format, --order, --dev and --seed.",
        rich_help_panel="Data",
    ),
    *,
    settings: DataSettings,
    teacher: DataTeacherSettings,
    teaching: TeachingSettings,
    out: Path = typer.Option(..., "--out", "-o", help="Folder to create.", rich_help_panel=_OUT),
    resume: bool = typer.Option(
        False,
        "--resume",
        help="With a teacher: keep what is there and go on.",
        rich_help_panel=_OUT,
    ),
    as_json: bool = typer.Option(
        False, "--json", help="Print the manifest as JSON.", rich_help_panel=_OUT
    ),
) -> None:
    """Make files to train a judge on, with a card that describes them.

    Writes train.jsonl.gz, dev.jsonl.gz, tasks.jsonl.gz (the prompts for `glider rationalize`),
    held-out.json (the items for `glider bench --held-out`), card.md and manifest.json.
    Benchmark sets are excluded. From --preferences it writes preferences-train.jsonl.gz and,
    from the chosen answers, train.jsonl.gz; both have a development part. With --teacher a model
    explains the scores that people left unexplained; see `glider teach`.
    """
    chosen = replace(settings, recipe=recipe)
    named = teacher.teacher()
    if named is None:
        if resume or teaching != TeachingSettings(seed=teaching.seed):
            raise SetupError("--resume, --limit and --temperature go with --teacher")
        if preferences is None and chosen.mixture().rationales == "teacher":
            raise SetupError(
                f"{recipe}: `rationales: teacher` needs a model", hint="name it with --teacher"
            )
    try:
        if preferences is not None:
            _preferences(preferences, recipe, settings, out, as_json=as_json)
        elif named is not None:
            _taught(chosen, named, teaching, out, resume=resume, as_json=as_json)
        else:
            _examples(chosen, out, as_json=as_json)
    except KeyboardInterrupt:
        if named is not None:
            raise interrupted(out, "finished reasons are kept. To resume:") from None
        raise interrupted_whole(out) from None


def _taught(
    settings: DataSettings, teacher: TeacherSettings, teaching: TeachingSettings, out: Path, *,
    resume: bool, as_json: bool,
) -> None:  # fmt: skip
    from glider.studies import make_taught

    with downloading() as download:
        made = make_taught(
            replace(settings, rationales="teacher"), out, teacher, teaching, resume=resume,
            notify=lambda text: say("", text), progress=TeachingProgress(), fetching=download,
        )  # fmt: skip
    if as_json:
        print_json(made.figures.model_dump(mode="json"), indent=1)
    show_taught(made)


def _examples(settings: DataSettings, out: Path, *, as_json: bool) -> None:
    from glider.corpus.make import make_data

    made = make_data(settings, out, notify=lambda text: say("", text))
    if as_json:
        print_json(made.record.model_dump(mode="json"), indent=1)
    train, development = made.record.train, made.record.dev
    say(
        "[bold]made[/]",
        f"{train.examples} examples to train on ({train.explained} with a reason) and "
        f"{development.examples} for development",
    )
    say("card:", str(out / "card.md"))


def _preferences(
    path: Path, recipe: Path | None, settings: DataSettings, out: Path, *, as_json: bool
) -> None:
    from glider.corpus.own_preferences import make_preferences

    others = [one.name for one in fields(settings) if one.name not in _OF_PREFERENCES]
    if recipe or any(getattr(settings, name) not in (None, ()) for name in others):
        raise SetupError(
            "--preferences makes a folder of its own; only --format, --order, --dev and --seed go "
            "with it",
            hint="make two folders; `glider train` takes --data twice",
        )
    made = make_preferences(
        path,
        out,
        format=settings.format,
        order=settings.order,
        dev=0.1 if settings.dev is None else settings.dev,
        seed=settings.seed or 0,
    )
    if as_json:
        print_json(made.manifest, indent=1)
    if "format" not in made.manifest["settings"]:
        say("[yellow]no format given[/]:", "give the format of the prompts with --format")
    for why, n in made.left_out.items():
        say("[yellow]left out[/]", f"{n} records: {why}")
    train, development = (made.manifest[split]["pairs"] for split in ("train", "dev"))
    say("[bold]made[/]", f"{train} pairs to train on and {development} for development")
    say("card:", str(out / "card.md"))
