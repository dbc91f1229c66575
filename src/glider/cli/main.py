"""The `glider` command and its exit codes.

0 done; 2 wrong set-up (flags, names, criteria); 3 data or run folder; 4 model or endpoint;
5 more judgments failed than --fail-on allows, a gate check failed, or a tuning shows no gain;
6 an audit bound is broken; 130 interrupted.
"""

import sys
from collections.abc import Callable
from typing import NoReturn

import typer

from glider._version import __version__
from glider.cli import (
    apply,
    audit,
    bench,
    calibrate,
    criteria,
    data,
    demo,
    export,
    gate,
    judge,
    plan_labels,
    rationalize,
    report,
    select,
    tail_patch,
    train,
    tune,
)
from glider.cli.show import say
from glider.core.errors import (
    BackendError,
    DataError,
    GliderError,
    ManifestMismatch,
    ModelFileError,
    RunError,
)
from glider.core.judgments import JudgmentFailed

app = typer.Typer(
    name="glider",
    help="Small, explainable judges: a score, the reasoning, and the spans that decided it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
_PANELS: dict[str, dict[str, Callable[..., None]]] = {
    "Judge": {
        "judge": judge.judge,
        "demo": demo.demo,
        "report": report.report,
        "criteria": criteria.criteria,
        "models": criteria.models,
    },
    "How far to believe a judge": {
        "bench": bench.bench,
        "audit": audit.audit,
        "calibrate": calibrate.calibrate,
        "apply": apply.apply,
        "plan-labels": plan_labels.plan_labels,
        "gate": gate.gate,
    },
    "Make a judge": {
        "data": data.data,
        "select": select.select,
        "train": train.train,
        "tune": tune.tune,
        "rationalize": rationalize.rationalize,
        "tail-patch": tail_patch.tail_patch,
        "export": export.export,
    },
}
for _panel, _commands in _PANELS.items():
    for _name, _command in _commands.items():
        app.command(_name, rich_help_panel=_panel)(_command)


def _version(asked: bool) -> None:
    if asked:
        print(f"glider {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    pass


def exit_code(error: GliderError) -> int:
    """What the shell is told of an error."""
    if isinstance(error, BackendError | ModelFileError | JudgmentFailed):
        return 4
    if isinstance(error, DataError | RunError) and not isinstance(error, ManifestMismatch):
        return 3
    return 2


def main() -> NoReturn:
    """Run the command; errors of ours become one message and an exit code."""
    try:
        app(standalone_mode=True)
    except GliderError as error:
        say(f"[bold red]error[/] ({error.code}):", error.message)
        if error.hint:
            say("[bold]hint[/]:", error.hint)
        sys.exit(exit_code(error))
    except BrokenPipeError:
        # The reader of our output went away (`| head`): that is its right.
        sys.stderr.close()
        sys.exit(0)
    sys.exit(0)


if __name__ == "__main__":
    main()
