"""Flags that several commands share and that are no settings of the library, said once.

Below them, what a command does where a folder is gone on with, and how it ends where nothing could
be judged.
"""

import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from glider.cli.show import say
from glider.core.errors import SetupError

DATA, ASK, RUN = "Data", "How to ask", "Run"


def _option(help: str, panel: str, *names: str) -> typer.models.OptionInfo:
    made: typer.models.OptionInfo = typer.Option(*names, help=help, rich_help_panel=panel)
    return made


RunFolderPath = Annotated[Path | None, _option("Folder of the run [runs/NAME-TIME].", RUN, "--run")]
Resume = Annotated[bool, _option("Go on with the run in --run.", RUN, "--resume")]
RetryFailures = Annotated[
    bool, _option("With --resume: judge retryable failures anew.", RUN, "--retry-failures")
]


def check_resume(run: Path | None, resume: bool, retry_failures: bool) -> None:
    """Refuse what does not go together, before anything is touched.

    Raises:
        SetupError: --resume without a folder, --retry-failures without --resume.
    """
    if (resume or retry_failures) and run is None:
        raise SetupError("--resume needs --run: the folder to go on with")
    if retry_failures and not resume:
        raise SetupError("--retry-failures goes with --resume")


def what_is_read(data: str | None, criteria: Iterable[str], models: Iterable[str]) -> list[Path]:
    """Every file and folder that a judging command reads, for `check_target`."""
    from glider.data.source import parts_of

    found = [Path(name) for name in (*criteria, *models) if "/" in name or "." in name]
    if data is not None and data != "-":
        parts = (part.path for part in parts_of(Path(data)))
        found += [Path(data), *(path for path in parts if path is not None)]
    return found


def tell_stopped(folder: Path, n_done: int, *, can_resume: bool = True) -> None:
    """Say what is kept of a run that was stopped, and what to type to go on."""
    if not (folder / "manifest.json").exists():
        say("[yellow]stopped[/];", f"{folder} is gone, and what was judged with it")
        return
    kept = f"{n_done} outcomes are kept"
    if not can_resume:
        say("[yellow]stopped[/];", f"{kept} in {folder}. What came from standard input is gone")
        return
    say("[yellow]stopped[/];", f"{kept}. To go on:")
    say("", "  " + resume_line(folder, "--run"))


def resume_line(folder: Path, *flags: str) -> str:
    """What to type to go on: the command as it was, `folder` under the first of `flags`."""
    words = [word for word in sys.argv[1:] if word not in ("--resume", "--retry-failures")]
    if not any(word in flags or word.startswith(f"{flags[0]}=") for word in words):
        words += [flags[0], str(folder)]
    return shlex.join(["glider", *words, "--resume"])


def interrupted_whole(out: Path) -> typer.Exit:
    """Say what there is of a result that is written whole or not at all; the exit to raise."""
    made = out.is_file() or (out.is_dir() and any(out.iterdir()))
    say("[yellow]interrupted[/];", f"{out} is whole" if made else "nothing was written")
    return typer.Exit(130)


def interrupted(out: Path, told: str = "go on with:") -> typer.Exit:
    """Say what to type to go on with `--out`, and the exit to raise."""
    say("[yellow]interrupted[/];", told)
    say("", "  " + resume_line(out, "--out", "-o"))
    return typer.Exit(130)


def nothing_judged(reasons: Iterable[str]) -> typer.Exit:
    """Say so, and the exit to raise: 3 where no model was ever asked, else 4.

    Args:
        reasons: `stage/code` of the failures.
    """
    say("[bold red]nothing was judged[/]")
    stages = {reason.split("/")[0] for reason in reasons}
    return typer.Exit(3 if stages <= {"load", "prepare"} else 4)
