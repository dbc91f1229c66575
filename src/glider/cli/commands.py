"""The commands by panel. A command's module is imported only when the command runs.

Help is plain text under headings: boxes would take longer to draw than everything else at start.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from glider._version import __version__

PANELS = {
    "Judge": {
        "judge": "glider.cli.judge",
        "serve": "glider.cli.serve",
        "demo": "glider.cli.demo",
        "report": "glider.cli.report",
        "criteria": "glider.cli.criteria",
        "models": "glider.cli.criteria",
        "doctor": "glider.cli.doctor",
    },
    "Trust a judge": {
        "bench": "glider.cli.bench",
        "audit": "glider.cli.audit",
        "review": "glider.cli.review",
        "calibrate": "glider.cli.calibrate",
        "apply": "glider.cli.apply",
        "plan-labels": "glider.cli.plan_labels",
        "gate": "glider.cli.gate",
    },
    "Make a judge": {
        "synth": "glider.cli.synth",
        "data": "glider.cli.data",
        "select": "glider.cli.select",
        "train": "glider.cli.train",
        "tune": "glider.cli.tune",
        "rationalize": "glider.cli.rationalize",
        "teach": "glider.cli.teach",
        "tail-patch": "glider.cli.tail_patch",
        "export": "glider.cli.export",
    },
}
"""Panel to command to the module that has a function of that name."""

STYLE: Any = {
    "add_completion": False,
    "rich_markup_mode": None,
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"], "max_content_width": 100},
}


class Command(TyperCommand):
    """A command whose help groups its flags under their panels."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        panels: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                kind = "Arguments" if param.param_type_name == "argument" else "Options"
                panel = getattr(param, "rich_help_panel", None) or kind
                panels.setdefault(panel, []).append(record)
        for panel, records in panels.items():
            if records:
                with formatter.section(panel):
                    formatter.write_dl(records)


class Commands(TyperGroup):
    """Every command of the table above, built on first use."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [name for commands in PANELS.values() for name in commands]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        for commands in PANELS.values():
            if cmd_name in commands and cmd_name not in self.commands:
                self.commands[cmd_name] = command(cmd_name, commands[cmd_name])
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        for panel, names in PANELS.items():
            with formatter.section(panel):
                formatter.write_dl(
                    [(name, self.get_command(ctx, name).get_short_help_str(100)) for name in names]
                )

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and self.get_command(ctx, args[0]) is None:
            for name in self.list_commands(ctx):  # so that the nearest name can be offered
                self.get_command(ctx, name)
        return super().resolve_command(ctx, args)


def command(name: str, module: str) -> Any:
    """A command made of the function of its name, or a group made of its commands."""
    found: Callable[..., None] | typer.Typer
    found = getattr(import_module(module), name.replace("-", "_"))
    if isinstance(found, typer.Typer):
        group = typer.main.get_command(found)
        group.name = name
        return group
    alone = typer.Typer(**STYLE)
    alone.command(name, cls=Command)(found)
    return typer.main.get_command(alone)


app = typer.Typer(
    name="glider",
    cls=Commands,
    help="Small, explainable judges: a score, the reasoning, and the spans that decided it.",
    no_args_is_help=True,
    **STYLE,
)


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
