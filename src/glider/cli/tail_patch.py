"""`glider tail-patch`: which training set helps which development sets, and weights from it."""

from pathlib import Path

import typer

from glider.cli.flags import from_flags
from glider.cli.options import interrupted
from glider.cli.show import print_json, say
from glider.studies.tail_patching.settings import PatchSettings

_OUT = "Output"


@from_flags
def tail_patch(
    run: Path = typer.Argument(
        ...,
        metavar="RUN",
        help="Folder of a training, or of one of its checkpoints.",
        show_default=False,
    ),
    data: Path = typer.Option(
        Path("examples"),
        "--data",
        metavar="EXAMPLES",
        help="Folder that `glider data` made.",
        rich_help_panel="Data and settings",
    ),
    *,
    settings: PatchSettings,
    out: Path = typer.Option(..., "--out", "-o", help="Folder to make.", rich_help_panel=_OUT),
    resume: bool = typer.Option(
        False, "--resume", help="Go on with --out, after the last set.", rich_help_panel=_OUT
    ),
    as_json: bool = typer.Option(
        False, "--json", help="Print the table as JSON.", rich_help_panel=_OUT
    ),
) -> None:
    """Train a checkpoint a little further on each set alone, and measure all development sets.

    Writes tail-patch.md, tail-patch.json and mixture.yaml, which `glider data` reads: the same
    mixture with FLAMe's weights. Killed at any moment, it continues with --resume.
    """
    from glider.studies import tail_patch as patch
    from glider.studies.tail_patching.weights import table

    try:
        found = patch(
            run,
            data=data,
            out=out,
            settings=settings,
            resume=resume,
            notify=lambda text: say("", text),
        )
    except KeyboardInterrupt:
        raise interrupted(out) from None
    if as_json:
        print_json(found.model_dump(mode="json"), indent=1)
    else:
        print(table(found))
    say("weights:", str(out / "mixture.yaml"))
