"""`glider select`: a part of the examples, by what a model loses on them."""

from pathlib import Path

import typer

from glider.cli.flags import from_flags
from glider.cli.options import interrupted
from glider.cli.show import print_json, say
from glider.studies.selecting.settings import SelectionSettings


@from_flags
def select(
    data: Path = typer.Argument(
        ..., metavar="EXAMPLES", help="Folder that `glider data` made.", show_default=False
    ),
    *,
    settings: SelectionSettings,
    out: Path = typer.Option(..., "--out", "-o", help="Folder to make."),
    resume: bool = typer.Option(
        False, "--resume", help="Keep what was measured in --out; --size may be another."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print what was chosen as JSON."),
) -> None:
    """Choose a part of the training examples, as a folder that `glider train` reads.

    Development examples stay as they are. Killed at any moment, it continues with --resume.
    """
    from glider.studies import select as choose

    try:
        found = choose(data, out, settings, resume=resume, notify=lambda text: say("", text))
    except KeyboardInterrupt:
        raise interrupted(out, "what was measured is kept. To go on:") from None
    if as_json:
        print_json(found.model_dump(mode="json"), indent=1)
    dropped = sum(found.dropped.values())
    say(
        "[bold]chose[/]",
        f"{found.size:,} of {found.examples:,} examples"
        + (f"; {dropped:,} were not in the draw" if dropped else ""),
    )
    say("card:", str(out / "card.md"))
