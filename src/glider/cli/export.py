"""`glider export`: write a trained judge for other programs, with a model card."""

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
        help="Folder of a finished training run, an adapter, or a fully trained model.",
    ),
    *,
    settings: ExportSettings,
    out: Path = typer.Option(
        ...,
        "--out",
        "-o",
        help="Folder to create; with --to gguf, the file.",
        rich_help_panel="Output",
    ),
) -> None:
    """Export a trained judge as an adapter, a Hugging Face folder or a GGUF, with a model card.

    Exits 5 if a quantised file fails its check; the file is then deleted.
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
            f"[bold red]not kept[/]: {kind} shifts the scores too far;",
            f"allowed are {settings.max_shift:g} on average and another level in "
            f"{settings.max_changed:g} of prompts",
        )
        hint = "--quantise q8_0 or f16, or other bounds: --max-shift, --max-changed"
        say("[bold]hint[/]:", hint)
        raise typer.Exit(_REFUSED)
    if settings.to == "gguf":
        say("card:", str(done.card))
    say("[bold]written[/]", f"{out} ({done.size / 1e6:.1f} MB)")
