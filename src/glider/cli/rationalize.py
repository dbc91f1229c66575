"""`glider rationalize`: pairs to train on, made of a judge's own right and wrong answers."""

import time
from pathlib import Path

import typer

from glider.cli.flags import from_flags
from glider.cli.options import interrupted
from glider.cli.show import downloading, print_json, say
from glider.studies.rationalizing.settings import AnswererSettings, RationalizationSettings

_OUT = "Output"


@from_flags
def rationalize(
    data: Path = typer.Argument(
        ..., metavar="EXAMPLES", help="Folder that `glider data` made.", show_default=False
    ),
    *,
    answerer: AnswererSettings,
    settings: RationalizationSettings,
    out: Path = typer.Option(..., "--out", "-o", help="Folder to make.", rich_help_panel=_OUT),
    resume: bool = typer.Option(
        False,
        "--resume",
        help="Keep the answers in --out, ask for what is missing, make the pairs anew.",
        rich_help_panel=_OUT,
    ),
    as_json: bool = typer.Option(
        False, "--json", help="Print the figures as JSON.", rich_help_panel=_OUT
    ),
) -> None:
    """Let a judge answer its training prompts several times, and pair right with wrong answers.

    Writes preferences-train.jsonl.gz (and -dev), which a preference stage of `glider train` reads,
    card.md and result.json. Killed at any moment, it continues with --resume; over the same answers
    --choose, --margin and --pairs may then be others, --samples and --limit larger.
    """
    from glider.studies import rationalize as make_pairs

    try:
        with downloading() as download:
            made = make_pairs(
                data,
                out,
                answerer,
                settings,
                resume=resume,
                notify=lambda text: say("", text),
                progress=_Progress(),
                fetching=download,
            )
    except KeyboardInterrupt:
        raise interrupted(out, "what was answered is kept. To go on:") from None
    if as_json:
        print_json(made.figures.model_dump(mode="json"), indent=1)
    splits = made.figures.splits
    train = splits["train"]
    if settings.limit is not None and settings.limit > train.there:
        say("[yellow]fewer prompts[/]", f"than asked for: {train.there} of {settings.limit}")
    if train.missing:
        codes = ", ".join(f"{n} {code}" for code, n in made.lost.items())
        say("[yellow]missing[/]", f"{train.missing} answers ({codes}); --resume asks for them")
    if train.unconstrained:
        say("[yellow]not held to the grammar[/]:", f"{train.unconstrained} answers")
    say(
        "[bold]made[/]",
        f"{train.pairs} pairs of {train.prompts} prompts; {train.readable} of {train.asked} "
        f"answers read, {train.right} of them right",
    )
    if "dev" not in splits or not splits["dev"].pairs:
        say("[yellow]no pairs to measure on[/]:", "train with --set stages.0.dev=null")
    say("card:", str(out / "card.md"))


class _Progress:
    """Says now and then how far it is."""

    def __init__(self) -> None:
        self._began = self._last = time.monotonic()

    def __call__(self, done: int, missing: int) -> None:
        now = time.monotonic()
        if now - self._last > 10 or done == missing:
            self._last = now
            rate = 60 * done / max(now - self._began, 1e-9)
            say("", f"{done} of {missing} answers, {rate:.0f} a minute")
