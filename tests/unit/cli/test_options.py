"""What the commands' shared flags fall back on, and how all of them are described."""

import re

import typer

from glider.cli.main import app
from glider.cli.options import dated_folder


def test_runs_begun_in_one_second_get_folders_of_their_own(tmp_path):
    for _ in range(3):
        folder = dated_folder(f"{tmp_path}/runs/rows-")
        folder.mkdir(parents=True)  # refuses one that is there
        assert re.fullmatch(r"rows-\d{8}-\d{6}(-[23])?", folder.name)


def test_every_argument_is_named_in_capitals_and_every_option_has_help():
    commands = typer.main.get_command(app).commands
    assert {"train", "tune", "rationalize"} <= commands.keys()
    for name, command in commands.items():
        for given in command.params:
            if given.param_type_name == "argument":
                assert given.metavar and given.metavar.isupper(), f"{name} {given.name}"
            assert given.help, f"{name} {given.name}"
