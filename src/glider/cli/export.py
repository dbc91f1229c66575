"""`glider export`: a training or an adapter to what other programs load, with a model card."""

from pathlib import Path

import typer

from glider.cli.flags import from_flags
from glider.cli.options import interrupted_whole
from glider.cli.show import downloading, say
from glider.release.settings import ExportSettings

_REFUSED = 5
"""Exit code."""


@from_flags
def export(
    source: Path = typer.Argument(
        ...,
        metavar="RUN",
        help="Folder of a finished training, of an adapter, or of a model trained whole.",
    ),
    *,
    settings: ExportSettings,
    out: Path = typer.Option(
        ...,
        "--out",
        "-o",
        help="Folder to make; of gguf the file.",
        rich_help_panel="Output",
    ),
) -> None:
    """Write a trained judge as adapter, Hugging Face folder or GGUF, with its model card.

    Exit 5 if a quantised file fails its check; it is then not kept.
    """
    from glider.release import export as write

    try:
        with downloading() as download:
            done = write(
                source,
                out,
                settings,
                notify=lambda text: say("[yellow]warning[/]:", text),
                fetching=download,
            )
    except KeyboardInterrupt:
        raise interrupted_whole(out) from None
    kind = settings.quantise
    if done.check is not None:
        say(f"{kind} against f16:", str(done.check))
    if done.refused:
        say(
            f"[bold red]not kept[/]: {kind} moves the scores too far;",
            f"allowed are {settings.max_shift:g} on average and another level in "
            f"{settings.max_changed:g} of prompts",
        )
        hint = "--quantise q8_0 or f16, or other bounds: --max-shift, --max-changed"
        say("[bold]hint[/]:", hint)
        raise typer.Exit(_REFUSED)
    if settings.to == "gguf":
        say("card:", str(done.card))
    say("[bold]written[/]", f"{out} ({done.size / 1e6:.1f} MB)")
