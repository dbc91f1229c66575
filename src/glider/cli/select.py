"""`glider select`: choose a subset of the training examples by a model's losses on them."""

from pathlib import Path

import typer

from glider.cli.flags import from_flags
from glider.cli.options import interrupted
from glider.cli.show import print_json, say
from glider.studies.selecting.settings import SelectionSettings


@from_flags
def select(
    data: Path = typer.Argument(
        ..., metavar="EXAMPLES", help="Folder made by `glider data`.", show_default=False
    ),
    *,
    settings: SelectionSettings,
    out: Path = typer.Option(..., "--out", "-o", help="Folder to create."),
    resume: bool = typer.Option(
        False, "--resume", help="Keep the losses measured in --out; --size may change."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print the choice as JSON."),
) -> None:
    """Choose a subset of the training examples, as a folder that `glider train` reads.

    Development examples stay as they are. If killed, continue with --resume.
    """
    from glider.studies import select as choose

    try:
        found = choose(data, out, settings, resume=resume, notify=lambda text: say("", text))
    except KeyboardInterrupt:
        raise interrupted(out, "finished measurements are kept. To resume:") from None
    if as_json:
        print_json(found.model_dump(mode="json"), indent=1)
    dropped = sum(found.dropped.values())
    say(
        "[bold]chose[/]",
        f"{found.size:,} of {found.examples:,} examples"
        + (f"; {dropped:,} were not drawn" if dropped else ""),
    )
    say("card:", str(out / "card.md"))
