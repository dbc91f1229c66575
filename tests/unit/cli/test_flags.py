"""Settings flattened into flags, and back."""

from dataclasses import dataclass, field
from typing import Annotated

import pytest
import typer

from glider.cli.flags import from_flags
from glider.core.settings import Flag


@dataclass(frozen=True, kw_only=True)
class Rows:
    seed: Annotated[int | None, Flag("Of the rows.", "Data")] = None
    maps: Annotated[tuple[str, ...], Flag("Names.", "Data", ("--map", "-m"))] = ()
    internal: str = "no flag"


@dataclass(frozen=True, kw_only=True)
class How:
    name: Annotated[str, Flag("Who.")] = field()
    seed: Annotated[int, Flag("Of the answers.", "How")] = 7
    explain: Annotated[bool | None, Flag("Say why.")] = True
    quick: Annotated[bool, Flag("No care.")] = False
    timeout_s: Annotated[float, Flag("Patience.", names=("--timeout",), min=0.5)] = 2.0
    parts: Annotated[tuple[str, ...], Flag("Parts.", parse=lambda w: ",".join(w).split(","))] = ()


@pytest.fixture
def told():
    """What a command is given for what was typed."""
    seen = []
    app = typer.Typer()

    @app.command()
    @from_flags
    def command(data: str, *, rows: Rows, how: How, last: int = 1):
        """What it does."""
        seen.append((data, rows, how, last))

    def run(*words):
        app(["x", *words], standalone_mode=False)
        return seen.pop()

    run.app = app
    return run


def test_what_is_not_given_keeps_each_default(told):
    assert told("--name", "a") == ("x", Rows(), How(name="a"), 1)


def test_what_is_given_goes_to_every_value_that_has_it(told):
    data, rows, how, last = told(
        "--name", "a", "--seed", "3", "-m", "a=b", "--map", "c=d", "--no-explain", "--quick",
        "--timeout", "0.5", "--parts", "p,q", "--parts", "r", "--last", "2",
    )  # fmt: skip
    assert rows == Rows(seed=3, maps=("a=b", "c=d"))
    assert how == How(
        name="a", seed=3, explain=False, quick=True, timeout_s=0.5, parts=("p", "q", "r")
    )
    assert (data, last) == ("x", 2)


@pytest.mark.parametrize("words", [(), ("--name", "a", "--timeout", "0.1"), ("--name", "a", "--seed", "x")])  # fmt: skip
def test_a_flag_is_checked_as_its_field_says(told, words):
    with pytest.raises(Exception, match=r"name|0\.5|valid integer"):
        told(*words)


def test_a_shared_flag_says_both_and_stands_in_the_first_panel(told):
    command = typer.main.get_command(told.app)
    (seed,) = (p for p in command.params if p.name == "seed")
    assert (seed.help, seed.rich_help_panel) == ("Of the rows. Of the answers.", "Data")
    assert command.help == "What it does."
