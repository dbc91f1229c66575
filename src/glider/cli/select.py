"""`glider select`: a part of the examples, by what a model loses on them."""

import json
from pathlib import Path

import typer

from glider.cli.options import interrupted
from glider.cli.show import say
from glider.core.errors import SetupError

_WAYS = ("ifd", "d3", "random")


def select(
    data: Path = typer.Argument(
        ..., metavar="EXAMPLES", help="Folder that `glider data` made.", show_default=False
    ),
    by: str = typer.Option(
        ...,
        help="ifd: where the prompt helps least, without outliers; d3: difficult, unlike one "
        "another and settled; random: what both must beat.",
    ),
    size: int = typer.Option(..., min=1, help="Training examples to choose."),
    model: str = typer.Option(
        "smollm2-135m-instruct",
        "--model",
        "-m",
        help="Whose losses decide: a catalogue name, folder, .gguf file or hub id.",
    ),
    seed: int = typer.Option(0, help="Of a random draw."),
    out: Path = typer.Option(..., "--out", "-o", help="Folder to make."),
    resume: bool = typer.Option(
        False, "--resume", help="Keep what was measured in --out; --size may be another."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print what was chosen as JSON."),
) -> None:
    """Choose a part of the training examples, as a folder that `glider train` reads.

    Development examples stay as they are. Killed at any moment, it goes on with --resume.
    """
    if by not in _WAYS:
        raise SetupError(f"--by is one of {', '.join(_WAYS)}; got {by!r}")
    from glider.studies import selection

    try:
        found = selection.select(
            data,
            out,
            by=by,  # type: ignore[arg-type]
            size=size,
            model=model,
            seed=seed,
            resume=resume,
            say=lambda what: say("", what),
        )
    except KeyboardInterrupt:
        raise interrupted(out, "what was measured is kept. To go on:") from None
    if as_json:
        print(json.dumps(found.model_dump(mode="json"), ensure_ascii=False, indent=1))
    dropped = sum(found.dropped.values())
    say(
        "[bold]chose[/]",
        f"{found.size:,} of {found.examples:,} examples"
        + (f"; {dropped:,} were not in the draw" if dropped else ""),
    )
    say("card:", str(out / "card.md"))
