"""Flags that several commands share and that are not library settings.

Also: what a command prints when it resumes a folder, is interrupted, or could judge nothing.
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


RunFolderPath = Annotated[
    Path | None, _option("Folder for the run [runs/NAME-TIME].", RUN, "--run")
]
Resume = Annotated[bool, _option("Resume the run in --run.", RUN, "--resume")]
RetryFailures = Annotated[
    bool, _option("With --resume: retry failures that may succeed.", RUN, "--retry-failures")
]


def check_resume(run: Path | None, resume: bool, retry_failures: bool) -> None:
    """Refuse flags that do not go together, before anything is touched.

    Raises:
    SetupError: --resume without a folder, --retry-failures without --resume.
    """
    if (resume or retry_failures) and run is None:
        raise SetupError("--resume needs --run: the folder to resume")
    if retry_failures and not resume:
        raise SetupError("--retry-failures goes with --resume")


def what_is_read(data: str | None, criteria: Iterable[str], models: Iterable[str]) -> list[Path]:
    """List every file and folder that a judging command reads, for `check_target`."""
    from glider.data.source import parts_of

    found = [Path(name) for name in (*criteria, *models) if "/" in name or "." in name]
    if data is not None and data != "-":
        parts = (part.path for part in parts_of(Path(data)))
        found += [Path(data), *(path for path in parts if path is not None)]
    return found


def tell_stopped(folder: Path, n_done: int, *, can_resume: bool = True) -> None:
    """Say what is kept of a stopped run, and the command that resumes it."""
    if not (folder / "manifest.json").exists():
        say("[yellow]stopped[/];", f"{folder} is gone, and its judgments with it")
        return
    kept = f"{n_done} outcomes are kept"
    if not can_resume:
        say("[yellow]stopped[/];", f"{kept} in {folder}. What came from standard input is gone")
        return
    say("[yellow]stopped[/];", f"{kept}. To resume:")
    say("", "  " + resume_line(folder, "--run"))


def resume_line(folder: Path, *flags: str) -> str:
    """Build the command that resumes: the same command with `folder` under the first of `flags`."""
    words = [word for word in sys.argv[1:] if word not in ("--resume", "--retry-failures")]
    if not any(word in flags or word.startswith(f"{flags[0]}=") for word in words):
        words += [flags[0], str(folder)]
    return shlex.join(["glider", *words, "--resume"])


def interrupted_whole(out: Path) -> typer.Exit:
    """Say whether a result that is written all at once exists; return the exit to raise."""
    made = out.is_file() or (out.is_dir() and any(out.iterdir()))
    say("[yellow]interrupted[/];", f"{out} is complete" if made else "nothing was written")
    return typer.Exit(130)


def interrupted(out: Path, told: str = "to resume:") -> typer.Exit:
    """Print the command that resumes `--out`; return the exit to raise."""
    say("[yellow]interrupted[/];", told)
    say("", "  " + resume_line(out, "--out", "-o"))
    return typer.Exit(130)


def nothing_judged(reasons: Iterable[str]) -> typer.Exit:
    """Say that nothing was judged; return the exit to raise: 3 if no model was asked, else 4.

    Args:
    reasons: `stage/code` of the failures.
    """
    say("[bold red]nothing was judged[/]")
    stages = {reason.split("/")[0] for reason in reasons}
    return typer.Exit(3 if stages <= {"load", "prepare"} else 4)
