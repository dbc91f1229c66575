"""What the commands' shared flags fall back on, and how all of them are described."""

import typer

from glider.cli.commands import app


def test_every_argument_is_named_in_capitals_and_every_option_has_help():
    group = typer.main.get_command(app)
    names = group.list_commands(None)
    assert {"train", "tune", "rationalize"} <= set(names)
    for name in names:
        command = group.get_command(None, name)
        for given in command.params:
            if given.param_type_name == "argument":
                assert given.metavar and given.metavar.isupper(), f"{name} {given.name}"
            assert given.help, f"{name} {given.name}"
