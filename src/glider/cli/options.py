"""Flags that several commands share, said once: a name, a check and a sentence each.

Below them, what a command does where its folder is not named, how it is gone on with, and how it
ends where nothing could be judged.
"""

import shlex
import sys
from collections.abc import Iterable
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Annotated

import typer

from glider.cli.show import say

DATA, JUDGE, STRATEGY, ASK, ENDPOINT, RUN = (
    "Data", "Judge", "Strategy", "How to ask", "Endpoint", "Run",
)  # fmt: skip


def _option(
    help: str, panel: str, *names: str, min: float | None = None
) -> typer.models.OptionInfo:
    made: typer.models.OptionInfo = typer.Option(*names, help=help, rich_help_panel=panel, min=min)
    return made


Maps = Annotated[list[str] | None, _option("FIELD=COLUMN, e.g. output=answer.", DATA, "--map")]
Judged = Annotated[
    list[str] | None, _option("Field to judge in place of output; may be given again.", DATA)
]
Preset = Annotated[str | None, _option("Column names of another tool; guessed if not given.", DATA)]
Encoding = Annotated[str, _option("Encoding of text files.", DATA)]

Model = Annotated[
    str,
    _option(
        "provider/model, a .gguf file or an adapter's folder; see `glider models`.",
        JUDGE, "--model", "-m",
    ),
]  # fmt: skip
FormatName = Annotated[
    str | None, _option("nano, glider, prometheus, flow-judge, chat-json.", JUDGE, "--format")
]
Samples = Annotated[int, _option("Answers per task, averaged.", JUDGE, min=1)]
Temperature = Annotated[float, _option("With --samples above 1.", JUDGE, min=0.0)]

Strategies = Annotated[
    list[str] | None,
    _option(
        "NAME[,NAME...], the first sees the task as it is: rules, questions, reference, swap, "
        "pointwise, mean, decompose, scenario, banded.",
        STRATEGY, "--strategy",
    ),
]  # fmt: skip
Aspects = Annotated[
    list[str] | None,
    _option(
        "Of decompose: NAME or NAME=WEIGHT; the model settles what is not given.",
        STRATEGY, "--aspect",
    ),
]  # fmt: skip
Jury = Annotated[
    list[str] | None,
    _option("A further model; the mean of all is taken. May be given again.", STRATEGY, "--jury"),
]

Order = Annotated[str | None, _option("score-first or reason-first.", ASK)]
Layout = Annotated[str | None, _option("criterion-first or sample-first.", ASK)]
MaxTokens = Annotated[int | None, _option("Longest answer.", ASK, min=1)]
ContextTokens = Annotated[
    int | None, _option("Embedded: room for prompt and answer [4096].", ASK, min=256)
]
Truncate = Annotated[
    bool, _option("Shorten texts that do not fit, and mark the cut.", ASK, "--truncate")
]

BaseUrl = Annotated[str | None, _option("Endpoint [$OPENAI_BASE_URL].", ENDPOINT)]
GrammarKind = Annotated[
    str, _option("auto, vllm, llama.cpp, json-schema, none.", ENDPOINT, "--grammar")
]
MaxConnections = Annotated[int, _option("Most requests at once.", ENDPOINT, min=1)]
Timeout = Annotated[float, _option("Seconds for one whole answer.", ENDPOINT, min=0.1)]
MaxRetries = Annotated[int, _option("Retries of what a retry may mend.", ENDPOINT, min=0)]
PriceIn = Annotated[float | None, _option("Price of a million prompt tokens.", ENDPOINT, min=0.0)]
PriceOut = Annotated[float | None, _option("Price of a million answer tokens.", ENDPOINT, min=0.0)]
MaxCost = Annotated[float | None, _option("Stop asking before this is spent.", ENDPOINT, min=0.0)]

RunFolderPath = Annotated[Path | None, _option("Folder of the run [runs/NAME-TIME].", RUN, "--run")]
Resume = Annotated[bool, _option("Go on with the run in --run.", RUN, "--resume")]
RetryFailures = Annotated[
    bool, _option("With --resume: judge retryable failures anew.", RUN, "--retry-failures")
]


def dated_folder(start: str) -> Path:
    """A folder that is not there yet, for who names none: `start`, the time, and -2 if need be."""
    dated = f"{start}{datetime.now():%Y%m%d-%H%M%S}"
    names = (dated if n == 1 else f"{dated}-{n}" for n in count(1))
    return next(path for path in map(Path, names) if not path.exists())


def resume_line(folder: Path, *flags: str) -> str:
    """What to type to go on: the command as it was, `folder` under the first of `flags`."""
    words = [word for word in sys.argv[1:] if word not in ("--resume", "--retry-failures")]
    if not any(word in flags or word.startswith(f"{flags[0]}=") for word in words):
        words += [flags[0], str(folder)]
    return shlex.join(["glider", *words, "--resume"])


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
