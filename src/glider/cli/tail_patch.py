"""`glider tail-patch`: measure which training sets help, and weight the mixture accordingly."""

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
        help="Folder of a training run, or of one of its checkpoints.",
        show_default=False,
    ),
    data: Path = typer.Option(
        Path("examples"),
        "--data",
        metavar="EXAMPLES",
        help="Folder made by `glider data`.",
        rich_help_panel="Data and settings",
    ),
    *,
    settings: PatchSettings,
    out: Path = typer.Option(..., "--out", "-o", help="Folder to create.", rich_help_panel=_OUT),
    resume: bool = typer.Option(
        False, "--resume", help="Resume in --out after the last finished set.", rich_help_panel=_OUT
    ),
    as_json: bool = typer.Option(
        False, "--json", help="Print the table as JSON.", rich_help_panel=_OUT
    ),
) -> None:
    """Train a checkpoint a little further on each set alone; measure on all development sets.

    Writes tail-patch.md, tail-patch.json and mixture.yaml: the same mixture with FLAMe's
    weights, for `glider data`. If killed, continue with --resume.
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
