"""`glider teach`: let a model write reasons for scored examples, and keep the good ones."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from glider.cli.flags import from_flags
from glider.cli.options import interrupted
from glider.cli.show import downloading, print_json, say
from glider.studies.teaching.settings import TeacherSettings, TeachingSettings

if TYPE_CHECKING:
    from glider.studies.teaching.run import TaughtExamples

_OUT = "Output"


@from_flags
def teach(
    data: Path = typer.Argument(
        ..., metavar="EXAMPLES", help="Folder made by `glider data`.", show_default=False
    ),
    *,
    teacher: TeacherSettings,
    settings: TeachingSettings,
    out: Path = typer.Option(..., "--out", "-o", help="Folder to create.", rich_help_panel=_OUT),
    resume: bool = typer.Option(
        False,
        "--resume",
        help="Keep the reasons in --out and ask for the rest.",
        rich_help_panel=_OUT,
    ),
    as_json: bool = typer.Option(
        False, "--json", help="Print the figures as JSON.", rich_help_panel=_OUT
    ),
) -> None:
    """Let a model explain human scores, and keep the reasons that pass the checks.

    The model sees the score and writes quotes and a reason. A reason is kept if its quotes
    occur in the text, it mentions something specific to the text, and a second model call that
    does not see the score reads it as a score at most one level away. `glider train` reads the
    folder. If killed, continue with --resume.
    """
    from glider.studies import teach as explain

    try:
        with downloading() as download:
            made = explain(
                data, out, teacher, settings,
                resume=resume, progress=TeachingProgress(), fetching=download,
            )  # fmt: skip
    except KeyboardInterrupt:
        raise interrupted(out, "finished reasons are kept. To resume:") from None
    if as_json:
        print_json(made.figures.model_dump(mode="json"), indent=1)
    show_taught(made)


def show_taught(made: "TaughtExamples") -> None:
    """Print what came of a teacher's reasons."""
    figures = made.figures
    for why, n in figures.dropped.items():
        say("left out:", f"{n} {why}")
    if figures.missing:
        codes = ", ".join(f"{n} {code}" for code, n in made.lost.items())
        say("[yellow]missing[/]", f"{figures.missing} ({codes}); --resume asks for them")
    say("[bold]made[/]", f"{figures.kept} reasons for {figures.asked} examples")
    say("card:", str(made.folder / "card.md"))


class TeachingProgress:
    """Prints progress every few seconds."""

    def __init__(self) -> None:
        self._last = 0.0

    def __call__(self, what: str, done: int, every: int) -> None:
        now = time.monotonic()
        if now - self._last > 10 or done == every:
            self._last = now
            say("", f"{what}: {done} of {every}")
